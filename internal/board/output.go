package board

import (
	"fmt"
	"os"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// An Output is a line that is driven. One goroutine uses it.
type Output struct {
	name string
	set  *gpioioctl.LineSet // nil = closed
}

// OpenOutput opens the line called name for driving. It is low until Set is called.
func OpenOutput(name string) (*Output, error) {
	set, err := request(name, gpioioctl.LineOutput, gpio.NoEdge, gpio.PullNoChange)
	if err != nil {
		return nil, err
	}
	return &Output{name: name, set: set}, nil
}

// Set drives the line: true is high.
func (out *Output) Set(high bool) error {
	if out.set == nil {
		return fmt.Errorf("driving line %s: %w", out.name, os.ErrClosed)
	}
	var bits gpio.GPIOValue
	if high {
		bits = 1
	}
	if err := out.set.Out(bits, 0); err != nil { // 0 = every line of the set
		return fmt.Errorf("driving line %s: %w", out.name, err)
	}
	return nil
}

// Level reads back the level of the line: true is high.
func (out *Output) Level() (bool, error) {
	return readLevel(out.set, out.name)
}

// Close releases the line, whose level is then no longer decided by this program.
func (out *Output) Close() error {
	return closeSet(&out.set, out.name)
}
