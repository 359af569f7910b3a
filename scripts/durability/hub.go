//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
)

// commandTimeout bounds a command beside the hub. None that works comes near it.
const commandTimeout = 30 * time.Second

// A hub is a data folder and the program that runs on it.
type hub struct {
	program, data string
	devices       []string // their ids
	token         string
	authorities   string // certificates that devices and apps know the hub by, in PEM; empty = not known yet

	process    *clitest.Program // nil = none runs
	rest, mqtt string           // where it is reached
}

// newHub makes a data folder with devices and a token.
func newHub(ctx context.Context, program, data string) (*hub, error) {
	h := &hub{program: program, data: data}
	token, err := h.command(ctx, "token", "add", "load")
	if err != nil {
		return nil, err
	}
	h.token = strings.TrimSpace(token)
	for i := range devices {
		out, err := h.command(ctx, "device", "add", fmt.Sprintf("device-%d", i), "--allow-insecure", "--allow-multiple-connections")
		if err != nil {
			return nil, err
		}
		var device struct{ ID string }
		if err := json.Unmarshal([]byte(out), &device); err != nil {
			return nil, fmt.Errorf("reading a device's id in %q: %w", out, err)
		}
		h.devices = append(h.devices, device.ID)
	}
	return h, nil
}

// prepare is a call of the program. What it starts ends with this process, however that ends, and gets no
// environment: variables such as HUB_REST would change what is tried.
func (h *hub) prepare(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.program, append(args, "--data", h.data)...)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// prepareServe is the call that serves.
func (h *hub) prepareServe() *exec.Cmd {
	return h.prepare(context.Background(), "--mqtt", "127.0.0.1:0", "--rest", "127.0.0.1:0")
}

// start starts the hub and returns how long it took to be ready.
func (h *hub) start() (time.Duration, error) {
	began := time.Now()
	p, err := clitest.Start(h.prepareServe(), "REST at ")
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	h.process = p
	for line := range strings.Lines(p.Head) {
		if at, ok := strings.CutPrefix(line, "MQTT at mqtt://"); ok {
			h.mqtt = strings.TrimSpace(at)
		}
		if at, ok := strings.CutPrefix(line, "REST at "); ok {
			h.rest = strings.TrimSpace(at)
		}
	}
	if h.mqtt == "" || h.rest == "" {
		return 0, fmt.Errorf("the hub doesn't say where it is: %q", p.Head)
	}
	return took, nil
}

// startAndKill kills the hub while it may still be starting.
func (h *hub) startAndKill(after time.Duration) error {
	cmd := h.prepareServe()
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(after)
	return killed(errors.Join(cmd.Process.Kill(), cmd.Wait()))
}

// kill kills the hub as a power cut or the kernel would. It must have been running until then.
func (h *hub) kill() error {
	if h.process == nil {
		return nil
	}
	p := h.process
	h.process = nil
	_, err := p.Stop(os.Kill)
	return killed(err)
}

// killed is nil for a process that ended because it was killed.
func killed(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return nil
	}
	return fmt.Errorf("the hub was to be killed, and ended: %w", err)
}

// end ends the hub as an operator does.
func (h *hub) end() error {
	p := h.process
	h.process = nil
	if _, err := p.Stop(syscall.SIGTERM); err != nil {
		return fmt.Errorf("ending the hub: %w\n%s", err, &p.Log)
	}
	return nil
}

// checkAuthorities: what was once given out as the hub's certificate authorities they stay.
func (h *hub) checkAuthorities(ctx context.Context) error {
	now, err := h.command(ctx, "ca", "export")
	if err != nil {
		return err
	}
	if h.authorities != "" && now != h.authorities {
		return fmt.Errorf("the hub's authorities were\n%s\nand are\n%s", h.authorities, now)
	}
	h.authorities = now
	return nil
}

// log is the end of what the running hub has logged.
func (h *hub) log() string {
	const most = 4000
	if h.process == nil {
		return ""
	}
	log := h.process.Log.String()
	return log[max(0, len(log)-most):]
}

// command runs a command of the program on the data folder and returns what it prints.
func (h *hub) command(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := h.prepare(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("hub %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}

// read begins to read the database of the running hub, and with that keeps the WAL from being begun anew until it is released.
func (h *hub) read(ctx context.Context) (release func() error, err error) {
	db, err := openDatabase(filepath.Join(h.data, "hub.db"))
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		var n int
		err = tx.QueryRow("SELECT count(*) FROM documents").Scan(&n)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the hub's database: %w", err), db.Close())
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }, nil
}
