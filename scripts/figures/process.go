package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Limits of what is measured: none is near a figure that is fine.
const (
	stepTimeout = 60 * time.Second // for whatever is waited for
	endTimeout  = 30 * time.Second // from SIGTERM to SIGKILL
)

// A process is a hub or panel that runs until it is ended.
type process struct {
	*exec.Cmd
	name string
	head string // its first lines on stdout
	log  bytes.Buffer
	stop context.CancelFunc // sends SIGTERM
}

// program is a call of a program in dir. The end of ctx sends it SIGTERM, and SIGKILL when that doesn't help. It gets
// no environment, since variables such as PANEL_DEBOUNCE or GOGC would change what is measured, but the one that keeps
// gpiozero off this computer's lines.
func program(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(dir, name), args...)
	cmd.Dir = dir
	cmd.Env = []string{"GPIOZERO_PIN_FACTORY=mock"}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTimeout
	return cmd
}

// start starts a program and returns when it has printed its first lines.
func start(ctx context.Context, lines int, dir, name string, args ...string) (*process, error) {
	ctx, stop := context.WithCancel(ctx)
	p := &process{Cmd: program(ctx, dir, name, args...), name: name, stop: stop}
	p.Stderr = &p.log
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	late := time.AfterFunc(stepTimeout, stop)
	defer late.Stop()
	r := bufio.NewReader(out)
	for range lines {
		line, err := r.ReadString('\n')
		p.head += line
		if err != nil {
			err = errors.Join(fmt.Errorf("%s did not say that it runs: %w", name, err), p.end())
			return nil, fmt.Errorf("%w\n%s%s", err, p.head, &p.log)
		}
	}
	return p, nil
}

// end asks the process to end and waits until it has.
func (p *process) end() error {
	p.stop()
	// Wait tells of ctx, whose end was asked for, when the process ends as it should.
	if err := p.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s ended: %w", p.name, err)
	}
	return nil
}

// tellLog prints what an ended process has logged.
func (p *process) tellLog(w io.Writer) {
	fmt.Fprintf(w, "log of the %s:\n%s", p.name, &p.log)
}
