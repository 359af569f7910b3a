package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
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
	end := tellSystemd(func() {}, slog.New(slog.DiscardHandler))
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

// An app that can't see any more is started again.
func TestWatchdogOfAnAppThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		looks, fed := 0, 0
		ctx, stop := context.WithCancel(t.Context())
		go feed(ctx, 10*time.Second, func() {
			if looks++; looks == 5 {
				<-hang
			}
		}, func() { fed++ })
		time.Sleep(time.Hour)
		synctest.Wait()
		if fed != 4 {
			t.Errorf("fed %d times, want the 4 before it hung", fed)
		}
		close(hang)
		stop()
		synctest.Wait()
	})
}
