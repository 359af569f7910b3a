package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager is the socket of a service manager.
type manager struct {
	*net.UnixConn
	path string
}

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(newFolder(t), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return manager{socket, path}
}

// environment is what the service manager tells a process that it starts.
func (m manager) environment(watchdog time.Duration) []string {
	return []string{"NOTIFY_SOCKET=" + m.path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
}

// starts makes this process one that the service manager has started.
func (m manager) starts(t *testing.T, watchdog time.Duration) {
	for _, variable := range m.environment(watchdog) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// hears wants this to be what it is told next.
func (m manager) hears(t *testing.T, want string) {
	t.Helper()
	b := make([]byte, 100)
	n, err := m.Read(b)
	if err != nil || string(b[:n]) != want {
		t.Errorf("got %q, %v; want %q", b[:n], err, want)
	}
}

func TestServiceManagerIsTold(t *testing.T) {
	m := newManager(t)
	m.starts(t, 10*time.Second)
	alive, end := tellSystemd(t.Context(), slog.New(slog.DiscardHandler))
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		alive()
		m.hears(t, want)
	}
	end()
	m.hears(t, "STOPPING=1")
}

// TestServiceManagerThatDoesNotRead has a socket that is full. The loop, which calls alive, doesn't wait for it, nor does the end.
func TestServiceManagerThatDoesNotRead(t *testing.T) {
	m := newManager(t)
	m.starts(t, 10*time.Second)
	full, err := net.Dial("unixgram", m.path)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	full.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err == nil {
		_, err = full.Write([]byte("x"))
	}
	alive, end := tellSystemd(t.Context(), slog.New(slog.DiscardHandler))
	for range 1000 {
		alive()
	}
	end()
}

func TestWatchdogThatIsTooShort(t *testing.T) {
	for _, tt := range []struct {
		watchdog time.Duration
		lines    int
	}{{0, 0}, {3 * time.Second, 1}, {4 * time.Second, 0}} {
		newManager(t).starts(t, tt.watchdog)
		if tt.watchdog == 0 {
			t.Setenv("WATCHDOG_USEC", "")
		}
		var log bytes.Buffer
		_, end := tellSystemd(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		end()
		if strings.Count(log.String(), "give it a longer WatchdogSec") != tt.lines || strings.Count(log.String(), "\n") != tt.lines {
			t.Errorf("watchdog of %v: got log %q, want %d lines", tt.watchdog, &log, tt.lines)
		}
	}
}

// TestPanelAsAService is told by a panel what the loop says: see TestAliveWhileTheLoopTurns in internal/panel.
func TestPanelAsAService(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	command := exec.Command("panel", usualFlags()...)
	command.Env = append(os.Environ(), m.environment(10*time.Second)...)
	p, err := launch(newFolder(t), command)
	if err != nil {
		t.Fatal(err)
	}
	m.hears(t, "READY=1")
	m.hears(t, "WATCHDOG=1")
	m.hears(t, "WATCHDOG=1")
	if _, err := p.Stop(syscall.SIGTERM); err != nil {
		t.Errorf("panel ended with %v", err)
	}
	m.hears(t, "STOPPING=1")
}
