// Package cli is what the programs of this project share: a [Command] tree with
// flags that the environment mirrors, help that is complete, errors that say
// what to do next, and exit codes.
//
// A program is a constructor of its root command and one line:
//
//	func main() { cli.Main(hub()) }
//
// SIGINT and SIGTERM end the context that Run gets; returning nil after that is
// a clean end. A second signal kills the process the ordinary way. SIGPIPE is ignored.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes of every program.
const (
	ExitOK     = 0
	ExitFailed = 1 // it was asked for the right thing and could not do it
	ExitUsage  = 2 // it was asked for the wrong thing: flags, arguments, environment
)

// Main runs the program and ends the process.
func Main(root *Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for a clean end; from then on signals act as if
	// nobody listened, so that a program that hangs can still be ended.
	context.AfterFunc(ctx, stop)
	// A log that nobody reads any more is an error of a write and not the end: without
	// this, writing to a closed pipe on stdout or stderr kills a Go program.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(Run(ctx, root, os.Args[1:], os.Stdout, os.Stderr))
}

// Run executes root with args, reports an error on stderr and returns the exit code.
// The report is one line "program: error" and, where the error or one that it
// wraps has a method Hint() string, a line "hint: …".
func Run(ctx context.Context, root *Command, args []string, stdout, stderr io.Writer) int {
	err := root.Execute(ctx, args, stdout, stderr)
	if err == nil {
		return ExitOK
	}
	stderr, flush := NoWait(stderr) // what restarts a program waits for its end
	defer flush()
	fmt.Fprintf(stderr, "%s: %v\n", root.Name, err)
	if h, ok := errors.AsType[hinter](err); ok {
		fmt.Fprintf(stderr, "hint: %s\n", h.Hint())
	}
	if _, ok := errors.AsType[*UsageError](err); ok {
		return ExitUsage
	}
	return ExitFailed
}

// A UsageError says that a program was called the wrong way; it ends with [ExitUsage].
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a [UsageError] as [fmt.Errorf] would.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

type hinter interface {
	error
	Hint() string
}

// Hint adds to err what a person can do about it. The text of err stays as it is.
// Of several hints the outermost is shown. Any error type with a method
// Hint() string carries a hint too.
func Hint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }
func (e *hinted) Hint() string  { return e.hint }
