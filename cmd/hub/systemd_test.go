package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
)

func TestServiceManagerIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000000")
	h, err := hub.New(hub.Config{Documents: docstore.NewMemory(), Registry: registry.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	end := tellSystemd(h, slog.New(slog.DiscardHandler))
	told := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		n, err := socket.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("got %q, %v; want %q", b[:n], err, want)
		}
	}
	told("READY=1")
	told("WATCHDOG=1")
	end()
	told("STOPPING=1")
}

func TestNoServiceManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	var log bytes.Buffer
	tellSystemd(nil, slog.New(slog.NewTextHandler(&log, nil)))()
	if log.Len() > 0 {
		t.Errorf("got log %s", &log)
	}
}

// The watchdog is fed while the hub can write. When it can't, the log says what will happen.
func TestWatchdogOfAHubThatCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var broken atomic.Bool
		ready := func(context.Context) error {
			if broken.Load() {
				return errors.New("disk I/O error")
			}
			return nil
		}
		fed := 0
		ctx, stop := context.WithCancel(t.Context())
		go feed(ctx, 20*time.Second, ready, func() { fed++ }, slog.New(slog.NewTextHandler(&log, nil)))
		time.Sleep(70 * time.Second)
		synctest.Wait()
		if fed != 4 || log.Len() > 0 {
			t.Errorf("fed %d times in 70 s, want 4; log %s", fed, &log)
		}
		broken.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if fed != 4 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `level=ERROR msg="nothing can be written: the watchdog will start the hub again" error="disk I/O error"`) {
			t.Errorf("fed %d times, want none of them afterwards, and one line; log %s", fed, &log)
		}
		log.Reset()
		broken.Store(false) // it was another program's lock
		time.Sleep(time.Minute)
		synctest.Wait()
		if fed != 7 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `level=INFO msg="the data can be written again"`) {
			t.Errorf("fed %d times, want three more, and one line; log %s", fed, &log)
		}
		stop()
		synctest.Wait()
	})
}
