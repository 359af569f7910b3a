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

// A lineSet is what an Input needs of periph's LineSet. A [request] has it, too.
type lineSet interface {
	Read(mask gpio.GPIOValue) (gpio.GPIOValue, error) // 0 = every line of the set
	WaitForEdge(time.Duration) (int, gpio.Edge, error)
	Close() error
}

// An Input is a line that is read. One goroutine uses it.
type Input struct {
	name  string
	line  lineSet // nil = closed
	edges bool    // the chip tells of edges
}

// OpenInput opens the line called name for reading. A chip that cannot tell of edges will
// do: Wait then takes its whole time.
func OpenInput(name string, pull Pull) (*Input, error) {
	chip, line, err := find(name)
	if err != nil {
		return nil, err
	}
	set, err := openSet(chip, line, pull, gpio.BothEdges)
	if err == nil {
		return &Input{name: name, line: set, edges: true}, nil
	}
	if set, again := openSet(chip, line, pull, gpio.NoEdge); again == nil {
		return &Input{name: name, line: set}, nil
	}
	return nil, requestError(name, consumerOf(chip, line.Number()), err)
}

// openSet opens one line as a set of its own: only of a set are reading and waiting errors
// returned by the library.
func openSet(chip *gpioioctl.GPIOChip, line *gpioioctl.GPIOLine, pull Pull, edge gpio.Edge) (lineSet, error) {
	if line.Name() != "" && chip.ByName(line.Name()) == line {
		bias := map[Pull]gpio.Pull{PullUp: gpio.PullUp, PullDown: gpio.PullDown, NoPull: gpio.PullNoChange}[pull]
		return chip.LineSet(gpioioctl.LineInput, edge, bias, line.Name())
	}
	// The library finds the lines of a set by name, which this one has not.
	flags := flagInput | map[Pull]uint64{PullUp: flagPullUp, PullDown: flagPullDown, NoPull: 0}[pull]
	if edge != gpio.NoEdge {
		flags |= flagEdges
	}
	return requestLine(chip, line.Number(), flags, false)
}

// An InUseError is a line that another program uses.
type InUseError struct {
	Line string
	By   string // as the kernel has it, such as "gpiomon"; empty = it doesn't say
}

func (e *InUseError) Error() string {
	if e.By == "" {
		return fmt.Sprintf("line %s is in use by another program; stop it or choose another line (gpioinfo tells which)", e.Line)
	}
	return fmt.Sprintf("line %s is in use by %s; stop it or choose another line", e.Line, e.By)
}

// requestError explains why the kernel refused a line. consumer is who uses it. Of the kernel's
// error, the library keeps only the text.
func requestError(name, consumer string, err error) error {
	if !strings.Contains(err.Error(), syscall.EBUSY.Error()) {
		return fmt.Errorf("opening line %s: %w", name, err)
	}
	return &InUseError{name, consumer}
}

// Read returns the level: true is high.
func (in *Input) Read() (bool, error) {
	if in.line == nil {
		return false, closedError(in.name)
	}
	return readLevel(in.line, in.name)
}

// Wait returns nil after an edge, or after the timeout or 250 ms. Edges that came since the
// last Wait count; the kernel keeps at most 16, so read the level afterwards.
func (in *Input) Wait(timeout time.Duration) error {
	if in.line == nil {
		return fmt.Errorf("waiting for line %s: %w", in.name, os.ErrClosed)
	}
	// The driver takes zero for "without end" and a negative time for "not at all".
	timeout = min(max(timeout, time.Millisecond), longestWait)
	if !in.edges {
		time.Sleep(timeout)
		return nil
	}
	_, _, err := in.line.WaitForEdge(timeout)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("waiting for line %s: %w", in.name, err)
	}
	return nil
}

// Close releases the line.
func (in *Input) Close() error {
	if in.line == nil {
		return nil
	}
	line := in.line
	in.line = nil
	return closeLine(line, in.name)
}

func closedError(name string) error {
	return fmt.Errorf("reading line %s: %w", name, os.ErrClosed)
}

// readLevel reads the one line of a set.
func readLevel(line lineSet, name string) (bool, error) {
	bits, err := line.Read(0)
	if err != nil {
		return false, fmt.Errorf("reading line %s: %w", name, err)
	}
	return bits != 0, nil
}

func closeLine(line lineSet, name string) error {
	if err := line.Close(); err != nil {
		return fmt.Errorf("closing line %s: %w", name, err)
	}
	return nil
}
