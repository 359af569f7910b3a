package panel

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
)

// Whatever people, doors, the key switch, tests of the siren and the disk do at the same time, the siren sounds when it rings
// and at no other time but for a test, no ring is more than was charged, and there are no more of them than the rules allow.
func TestRandomNights(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomNight(t, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func randomNight(t *testing.T, r *rand.Rand) {
	key := make(fakeContact)
	doors := []foreseeing{{make(fakeContact), make(chan sensor.Reading)}, {make(fakeContact), make(chan sensor.Reading)}}
	rings := 0
	var hangs atomic.Bool
	mayHang := r.IntN(2) == 0
	h := start(t, t.TempDir(), nil, func(c *Config) {
		c.Contacts = []Contact{{"front", doors[0]}, {"back", doors[1]}}
		c.Key = &Key{Sensor: key, Type: []KeyType{Momentary, Maintained}[r.IntN(2)]}
		c.Rules.SirenLimit = 40 * time.Second
		if r.IntN(2) == 0 {
			c.Rules.EntryDelay, c.Rules.ExitDelay = 5*time.Second, 5*time.Second
		}
		c.Record = func(s Step) {
			for _, n := range s.Notes {
				switch n.What {
				case statemachine.Armed:
					rings = 0
				case statemachine.RingStarted:
					rings++
				}
			}
		}
	}, func(p *Panel) {
		write := p.journal.write
		p.journal.write = func(b []byte) error {
			time.Sleep(time.Duration(rand.IntN(45)) * time.Millisecond)
			if hangs.Load() {
				time.Sleep(7 * time.Second)
			}
			return write(b)
		}
	})
	defer func() {
		hangs.Store(false)
		time.Sleep(time.Minute)
		h.end()
		if h.siren.sounds() {
			t.Error("sounds at the end")
		}
	}()
	p := h.panel
	var began, tested time.Time // of the ring, by the rules; of the last test
	var sounded time.Duration   // in this ring
	look := func(passed time.Duration) {
		t.Helper()
		synctest.Wait()
		defer p.Events(t.Context()) // the loop goes on behind this, for the race detector
		ringing, sounds, testing := p.state.Ringing(), h.siren.sounds(), p.test != nil
		if !ringing {
			began, sounded = time.Time{}, 0
		} else if began.IsZero() {
			began = time.Now()
		}
		patience := sirenWaits
		if p.fromStart {
			patience = journalSlow
		}
		switch {
		case ringing && testing:
			t.Fatal("it rings, and is tested")
		case ringing && !sounds && time.Since(began) > patience:
			t.Fatalf("silent %v after it began to ring", time.Since(began))
		case sounds && !ringing && !testing:
			t.Fatal("sounds unasked")
		case testing && time.Since(tested) > SirenTestLasts:
			t.Fatal("tested for longer than a second")
		case rings > p.config.Rules.MaxRings:
			t.Fatalf("%d rings", rings)
		}
		if ringing && sounds {
			sounded += passed
			j, err := readJournal(p.config.StateDir)
			if paid := time.Duration(j.ChargedMS+j.PrepaidMS) * time.Millisecond; err != nil || !mayHang && paid < sounded {
				t.Fatalf("has sounded for %v, and the journal has charged %v, %v", sounded, paid, err)
			}
		}
	}
	readings := []sensor.Reading{sensor.Closed, sensor.Closed, sensor.Open, sensor.Open, sensor.Fault}
	reading := func() sensor.Reading { return readings[r.IntN(len(readings))] }
	version := uint32(1)
	for range 300 {
		switch d := doors[r.IntN(2)]; r.IntN(12) {
		case 0, 1, 2:
			d.fakeContact <- reading()
		case 3, 4:
			d.moves <- reading()
			look(0)
			time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			look(0)
			d.fakeContact <- reading()
		case 5:
			key <- reading()
		case 6:
			version++
			h.desired(version, fmt.Sprintf(`{"alarm_armed":%v}`, r.IntN(3) > 0))
		case 7:
			h.desired(version, `{"alarm_armed":1}`)
		case 8:
			armed := r.IntN(2) == 0
			go p.Command(t.Context(), armed)
		case 9:
			if p.test == nil {
				tested = time.Now()
			}
			go p.TestSiren(t.Context())
		case 10:
			hangs.Store(mayHang && r.IntN(4) == 0)
		case 11:
			for range r.IntN(200) {
				time.Sleep(100 * time.Millisecond)
				look(100 * time.Millisecond)
			}
		}
		look(0)
		for range r.IntN(4) {
			time.Sleep(50 * time.Millisecond)
			look(50 * time.Millisecond)
		}
	}
}
