//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// Limits of what is waited for; nothing that works comes near them.
const (
	startTimeout = 60 * time.Second // for a process to be ready
	endTimeout   = 30 * time.Second // from a signal to the end
)

// program prepares a process that ends with this one, however that ends. It gets no environment: variables such as GOGC
// would change what is measured.
func program(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// itself prepares a process of this very program.
func itself(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return program(ctx, path, args...), nil
}

// A process is one that runs. Its stderr is a file, so that nobody here is busy with it.
type process struct {
	*exec.Cmd
	name string
	head string // what it has printed on stdout until it was ready
	out  io.ReadCloser
	log  string // file
}

// start starts a process and returns when it has printed a line with ready in it; at once if ready is empty.
func (s *stage) start(cmd *exec.Cmd, name, ready string) (*process, error) {
	p := &process{Cmd: cmd, name: name, log: s.path(name + ".log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	if p.out, err = cmd.StdoutPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if ready == "" {
		return p, nil
	}
	defer time.AfterFunc(startTimeout, func() { cmd.Process.Kill() }).Stop()
	for lines := bufio.NewReader(p.out); !strings.Contains(p.head, ready); {
		line, err := lines.ReadString('\n')
		p.head += line
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", name, p.explain(errors.Join(err, cmd.Wait())))
		}
	}
	return p, nil
}

// end asks a process to end and waits until it has.
func (p *process) end() error {
	if err := p.stop(syscall.SIGTERM); err != nil {
		return fmt.Errorf("ending %s: %w", p.name, p.explain(err))
	}
	return nil
}

// kill ends a process as a power cut or the kernel would. It must have been running until then.
func (p *process) kill() error {
	err := p.stop(os.Kill)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return nil
	}
	return fmt.Errorf("%s was to be killed, and ended: %w", p.name, p.explain(err))
}

func (p *process) stop(signal os.Signal) error {
	if err := p.Process.Signal(signal); err != nil {
		return errors.Join(err, p.Wait())
	}
	defer time.AfterFunc(endTimeout, func() { p.Process.Kill() }).Stop()
	return p.Wait()
}

// explain adds what a process has said, and the end of its log.
func (p *process) explain(err error) error {
	const most = 2000
	log, _ := os.ReadFile(p.log)
	return fmt.Errorf("%w\n%s%s", err, p.head, log[max(0, len(log)-most):])
}

// A server is what panels connect to. It may be several processes.
type server struct {
	plain, secure []string // addresses without TLS and with it, of which panels take each in turn
	byID          bool     // panels must use their id in topics
	processes     []*process
}

func (s *server) pids() (pids []int) {
	for _, p := range s.processes {
		pids = append(pids, p.Process.Pid)
	}
	return pids
}

// end ends all processes of a server, the last one first.
func (s *server) end() (err error) {
	for i := len(s.processes) - 1; i >= 0; i-- {
		err = errors.Join(err, s.processes[i].end())
	}
	s.processes = nil
	return err
}

// missing is an error about a program that isn't here.
func missing(err error, name string) error {
	return cli.Hint(fmt.Errorf("looking for %s: %w", name, err), "apt-get install %s", name)
}
