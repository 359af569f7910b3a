package board

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// A Pull is the resistor inside the chip that gives an input its level when nothing else
// does.
type Pull uint8

// The pulls.
const (
	PullUp   Pull = iota // for a contact to ground
	PullDown             // for a contact to 3.3 V
	NoPull               // for a line with a resistor of its own
)

// longestWait bounds every wait for an edge, whatever the driver makes of a longer one.
const longestWait = 250 * time.Millisecond

// An Input is a line that is read. One goroutine uses it.
type Input struct {
	name  string
	set   *gpioioctl.LineSet // nil = closed
	edges bool               // the chip tells of edges
}

// OpenInput opens the line called name for reading. A chip that cannot tell of edges will
// do: Wait then takes its whole time.
func OpenInput(name string, pull Pull) (*Input, error) {
	bias := map[Pull]gpio.Pull{PullUp: gpio.PullUp, PullDown: gpio.PullDown, NoPull: gpio.PullNoChange}[pull]
	set, err := request(name, gpioioctl.LineInput, gpio.BothEdges, bias)
	if err == nil {
		return &Input{name: name, set: set, edges: true}, nil
	}
	if set, again := request(name, gpioioctl.LineInput, gpio.NoEdge, bias); again == nil {
		return &Input{name: name, set: set}, nil
	}
	return nil, err
}

// request opens one line as a set of its own: only of a set are reading and waiting
// errors returned by the library, and only then does a read leave an output alone.
func request(name string, dir gpioioctl.LineDir, edge gpio.Edge, pull gpio.Pull) (*gpioioctl.LineSet, error) {
	chip, line, err := find(name)
	if err != nil {
		return nil, err
	}
	set, err := chip.LineSet(dir, edge, pull, line.Name())
	if err != nil {
		return nil, requestError(name, line.Consumer(), err)
	}
	return set, nil
}

// requestError explains why the kernel refused a line. consumer is who had the line when
// the chips were last looked for. The library keeps only the text of the kernel's error.
func requestError(name, consumer string, err error) error {
	if !strings.Contains(err.Error(), syscall.EBUSY.Error()) {
		return fmt.Errorf("opening line %s: %w", name, err)
	}
	if consumer == "" {
		return fmt.Errorf("line %s is in use by another program; stop it or choose another line (gpioinfo tells which)", name)
	}
	return fmt.Errorf("line %s is in use by %s; stop it or choose another line", name, consumer)
}

// Read returns the level: true is high.
func (in *Input) Read() (bool, error) {
	return readLevel(in.set, in.name)
}

// Wait returns nil after an edge, or after the timeout or 250 ms. Edges that came since the
// last Wait count; the kernel keeps at most 16, so read the level afterwards.
func (in *Input) Wait(timeout time.Duration) error {
	if in.set == nil {
		return fmt.Errorf("waiting for line %s: %w", in.name, os.ErrClosed)
	}
	// The driver takes zero for "without end" and a negative time for "not at all".
	timeout = min(max(timeout, time.Millisecond), longestWait)
	if !in.edges {
		time.Sleep(timeout)
		return nil
	}
	_, _, err := in.set.WaitForEdge(timeout)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("waiting for line %s: %w", in.name, err)
	}
	return nil
}

// Close releases the line.
func (in *Input) Close() error {
	return closeSet(&in.set, in.name)
}

// readLevel reads the one line of a set.
func readLevel(set *gpioioctl.LineSet, name string) (bool, error) {
	if set == nil {
		return false, fmt.Errorf("reading line %s: %w", name, os.ErrClosed)
	}
	bits, err := set.Read(0) // 0 = every line of the set
	if err != nil {
		return false, fmt.Errorf("reading line %s: %w", name, err)
	}
	return bits != 0, nil
}

func closeSet(set **gpioioctl.LineSet, name string) error {
	if *set == nil {
		return nil
	}
	err := (*set).Close()
	*set = nil
	if err != nil {
		return fmt.Errorf("closing line %s: %w", name, err)
	}
	return nil
}
