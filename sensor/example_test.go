package sensor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
)

// door is a line whose level a real program would read from the computer.
type door struct{ open bool }

func (d *door) Read() (bool, error)              { return d.open, nil }
func (d *door) Wait(timeout time.Duration) error { time.Sleep(timeout); return nil }
func (d *door) Close() error                     { return nil }

func ExampleSensor_Run() {
	contact, err := sensor.New(sensor.Config{
		Open:          func() (sensor.Line, error) { return &door{open: true}, nil },
		OpenLevelHigh: true,
		Debounce:      20 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	contact.Run(ctx, func(r sensor.Reading) {
		fmt.Println("the door is", r)
		cancel()
	})
	// Output: the door is open
}
