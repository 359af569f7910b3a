package cli

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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
	end := Serves(t.Context(), func(context.Context) bool { return true }, slog.New(slog.DiscardHandler))
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
	Serves(t.Context(), nil, slog.New(slog.NewTextHandler(&log, nil)))()
	if log.Len() > 0 {
		t.Errorf("got log %s", &log)
	}
}

// A process that doesn't do its work, or hangs, is started again.
func TestWatchdogIsFedByWorkAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		var fed atomic.Int32
		works := func(ctx context.Context) bool {
			if looks++; looks == 7 {
				<-ctx.Done()
			}
			return looks != 3 && looks != 4
		}
		ctx, stop := context.WithCancel(t.Context())
		go feed(ctx, 10*time.Second, works, func() { fed.Add(1) })
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if got := fed.Load(); got != 2 {
			t.Errorf("fed %d times in 35 s, want the 2 before the work stopped", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := fed.Load(); got != 4 {
			t.Errorf("fed %d times, want 2 more before it hung", got)
		}
		stop()
		synctest.Wait()
	})
}
