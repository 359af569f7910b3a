package board

import (
	"fmt"
	"os"
)

// An Output is a line that is driven. One goroutine uses it.
type Output struct {
	name string
	line *request // nil = closed
}

// OpenOutput opens the line called name for driving. It has the level high from the first moment on, so that opening
// it switches nothing that is off at that level.
func OpenOutput(name string, high bool) (*Output, error) {
	chip, line, err := find(name)
	if err != nil {
		return nil, err
	}
	r, err := requestLine(chip, line.Number(), flagOutput, high)
	if err != nil {
		return nil, requestError(name, consumerOf(chip, line.Number()), err)
	}
	return &Output{name: name, line: r}, nil
}

// Set drives the line: true is high.
func (out *Output) Set(high bool) error {
	if out.line == nil {
		return fmt.Errorf("driving line %s: %w", out.name, os.ErrClosed)
	}
	if err := out.line.set(high); err != nil {
		return fmt.Errorf("driving line %s: %w", out.name, err)
	}
	return nil
}

// Level reads back the level of the line: true is high.
func (out *Output) Level() (bool, error) {
	if out.line == nil {
		return false, closedError(out.name)
	}
	return readLevel(out.line, out.name)
}

// Close releases the line, whose level is then no longer decided by this program.
func (out *Output) Close() error {
	if out.line == nil {
		return nil
	}
	line := out.line
	out.line = nil
	return closeLine(line, out.name)
}
