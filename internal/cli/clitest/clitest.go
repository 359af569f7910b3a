// Package clitest runs this module's programs as processes of their own, for the tests of its commands.
package clitest

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Main is [testscript.Main]. Under the race detector, programs end at once: by its default each would
// sleep for a second first, as many times as the tests run one. At least eight parallel tests run at a time,
// since they wait for processes more than they compute; -parallel says otherwise.
func Main(m testscript.TestingM, programs map[string]func()) {
	if runtime.GOMAXPROCS(0) < sideBySide {
		flag.Set("test.parallel", strconv.Itoa(sideBySide))
	}
	os.Setenv("GORACE", strings.TrimSpace("atexit_sleep_ms=0 "+os.Getenv("GORACE")))
	testscript.Main(m, programs)
}

// Setup is for [testscript.Params]: what scripts run inherits what Main has set.
func Setup(e *testscript.Env) error {
	e.Setenv("GORACE", os.Getenv("GORACE"))
	return nil
}

const sideBySide = 8

// patience bounds each wait for a process; nothing that works comes near it.
const patience = 30 * time.Second

// Signals are those that a script may name.
var Signals = map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "KILL": os.Kill}

// A Program is a program that runs, as a process of its own.
type Program struct {
	*exec.Cmd
	Head string // what it has printed on stdout until it was ready
	Log  Log    // its stderr so far, unless the command was given another

	out *bufio.Reader
}

// A Log is what a process has written so far. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start starts a command and reads its stdout up to the line that has ready in it. The error of a command that ends before
// has all that it printed.
func Start(command *exec.Cmd, ready string) (*Program, error) {
	p := &Program{Cmd: command}
	if p.Stderr == nil {
		p.Stderr = &p.Log
	}
	out, err := p.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	defer time.AfterFunc(patience, func() { p.Process.Kill() }).Stop()
	p.out = bufio.NewReader(out)
	for {
		line, err := p.out.ReadString('\n')
		p.Head += line
		if err != nil {
			return nil, fmt.Errorf("%s ended: %w\n%s%s", command.Args[0], errors.Join(err, p.Wait()), p.Head, &p.Log)
		}
		if strings.Contains(line, ready) {
			return p, nil
		}
	}
}

// Stop sends a signal and waits for the end as [Program.End] does.
func (p *Program) Stop(signal os.Signal) (stdout string, err error) {
	if err := p.Process.Signal(signal); err != nil {
		return "", err
	}
	return p.End()
}

// End waits for the end: all of stdout, and how it ended. A process that doesn't end is killed, which is an error.
func (p *Program) End() (stdout string, err error) {
	defer time.AfterFunc(patience, func() { p.Process.Kill() }).Stop()
	rest, err := io.ReadAll(p.out)
	err = errors.Join(err, p.Wait())
	return p.Head + string(rest), err
}

// Fails is the script command "fails CODE PROGRAM [arg...]": run a program that has to end with this exit code.
func Fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE PROGRAM [arg...]")
	}
	exit, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...))
	if !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("ended with %v, want exit status %s", exit, args[0])
	}
}

// Occupy is the script command "occupy": listen on a port, and set $TAKEN to its address.
func Occupy(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv("TAKEN", l.Addr().String())
}
