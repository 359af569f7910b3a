//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
	"github.com/twinpanel/twinpanel/interop/faults/link"
)

// startPatience is how long a hub may take to come back while its store is being killed and its links are being cut.
const startPatience = 2 * time.Minute

// A hub is one process of several, at its place behind the balancer, and the only links that lead to it and from it.
type hub struct {
	name    string
	command func(args ...string) *exec.Cmd
	logFile string
	clients *link.Link // from the balancer
	store   *link.Link // to PostgreSQL; nil = there is none
	busy    sync.Mutex // held by the fault that has to do with the process

	mqttDirect, restDirect string // addresses that lead to this hub through the link clients

	mu         sync.Mutex
	process    *clitest.Program // nil = none runs
	mqtt, rest string           // where it listens
}

func (h *hub) mqttAddress() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mqtt
}

func (h *hub) restAddress() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rest
}

// start starts the process, again and again as a service manager would: without its store, it ends at once.
func (h *hub) start(ctx context.Context, random *rand.Rand) error {
	deadline := time.Now().Add(startPatience)
	for {
		err := h.startOnce()
		if err == nil || ctx.Err() != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not start: %w", h.name, err)
		}
		sleep(ctx, jitter(random))
	}
}

func (h *hub) startOnce() error {
	log, err := os.OpenFile(h.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := h.command("--mqtt", "127.0.0.1:0", "--rest", "127.0.0.1:0")
	cmd.Stderr = log
	p, err := clitest.Start(cmd, "REST at ")
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.process = p
	for line := range strings.Lines(p.Head) {
		if at, ok := strings.CutPrefix(line, "MQTT at mqtt://"); ok {
			h.mqtt = strings.TrimSpace(at)
		}
		if at, ok := strings.CutPrefix(line, "REST at http://"); ok {
			h.rest, _, _ = strings.Cut(at, "/")
		}
	}
	if h.mqtt == "" || h.rest == "" {
		return fmt.Errorf("%s doesn't say where it is: %q", h.name, p.Head)
	}
	return nil
}

// take makes the process somebody's who ends it.
func (h *hub) take() *clitest.Program {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.process
	h.process, h.mqtt, h.rest = nil, "", ""
	return p
}

// kill ends the process at once. It must have been running until then.
func (h *hub) kill() error {
	p := h.take()
	if p == nil {
		return nil
	}
	_, err := p.Stop(os.Kill)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return nil
	}
	return fmt.Errorf("%s was to be killed, and had ended: %w", h.name, err)
}

// end ends the process as an operator does.
func (h *hub) end() error {
	p := h.take()
	if p == nil {
		return nil
	}
	if _, err := p.Stop(syscall.SIGTERM); err != nil {
		return fmt.Errorf("ending %s: %w", h.name, err)
	}
	return nil
}

// signal sends the process a signal.
func (h *hub) signal(s os.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.process == nil {
		return fmt.Errorf("%s doesn't run", h.name)
	}
	return h.process.Process.Signal(s)
}
