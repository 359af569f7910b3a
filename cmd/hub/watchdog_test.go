package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// The watchdog is fed while the hub can write. When it can't, the log says what will happen, once.
func TestFolderWatchdog(t *testing.T) {
	var log bytes.Buffer
	var broken error
	check := folderWatchdog(func(context.Context) error { return broken }, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for _, tt := range []struct {
		now  string
		err  error
		want bool
		log  string // the line that this look adds
	}{
		{"as it should", nil, true, ""},
		{"broken", errors.New("disk I/O error"), false, `level=ERROR msg="nothing can be written: the watchdog will start the hub again" error="disk I/O error"`},
		{"still broken", errors.New("disk I/O error"), false, ""},
		{"it was another program's lock", nil, true, ""},
		{"still good", nil, true, ""},
	} {
		log.Reset()
		broken = tt.err
		if got := check(ctx); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.now, got, tt.want)
		}
		if lines := log.String(); !strings.Contains(lines, tt.log) || (strings.Count(lines, "\n") == 1) != (tt.log != "") {
			t.Errorf("%s: log %q, want %q", tt.now, lines, tt.log)
		}
	}
	log.Reset()
	stop()
	broken = ctx.Err()
	if check(ctx) || log.Len() > 0 {
		t.Errorf("at the end: log %s", &log)
	}
}

// A hub on a database is fed whatever becomes of the database: a start would cost the devices their connections and bring
// nothing back. It looks all the same, since the hub logs what it finds.
func TestDatabaseWatchdog(t *testing.T) {
	looks := 0
	check := databaseWatchdog(func(context.Context) error {
		looks++
		return errors.New("connection refused")
	}, slog.New(slog.DiscardHandler))
	for range 3 {
		if !check(t.Context()) {
			t.Error("the watchdog is not fed")
		}
	}
	if looks != 3 {
		t.Errorf("looked %d times, want 3", looks)
	}
}
