package simulator_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/simulator"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
)

// The house behind the real sensor and siren, as the panel has it.
func TestHouseWithSensorAndSiren(t *testing.T) {
	for _, bounce := range []int{0, 1, 40} {
		synctest.Test(t, func(t *testing.T) {
			house, err := simulator.New(simulator.Config{Bounce: bounce})
			if err != nil {
				t.Fatal(err)
			}
			contact, err := sensor.New(sensor.Config{
				Open:          func() (sensor.Line, error) { return house.OpenDoor("door") },
				OpenLevelHigh: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			bell := siren.New(siren.Config{
				Open:       func() (siren.Line, error) { return house.OpenSiren() },
				ActiveHigh: true,
			})

			var mu sync.Mutex
			var got []sensor.Reading
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- contact.Run(ctx, func(r sensor.Reading) {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, r)
				})
			}()

			time.Sleep(time.Minute)
			for range 3 {
				house.MoveDoor("door", true)
				time.Sleep(2 * time.Second)
				house.BreakDoor("door", true)
				time.Sleep(2 * time.Second)
				house.MoveDoor("door", false)
				time.Sleep(2 * time.Second)
			}
			if err := bell.Set(true); err != nil || !house.SirenOn() {
				t.Errorf("siren on: %v, sounds %v", err, house.SirenOn())
			}
			if err := bell.Check(); err != nil {
				t.Errorf("siren checked: %v", err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := bell.Close(); err != nil || house.SirenOn() {
				t.Errorf("siren closed: %v, sounds %v", err, house.SirenOn())
			}

			want := []sensor.Reading{sensor.Closed}
			for range 3 {
				want = append(want, sensor.Open, sensor.Fault, sensor.Closed)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d bounces: reported %v; want %v", bounce, got, want)
			}
			// Both lines were released.
			if _, err := house.OpenDoor("door"); err != nil {
				t.Error(err)
			}
			if _, err := house.OpenSiren(); err != nil {
				t.Error(err)
			}
		})
	}
}
