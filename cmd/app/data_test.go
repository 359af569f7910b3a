package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/internal/durable"
)

func TestUnwritableDataHasItsNextStep(t *testing.T) {
	for _, tt := range []struct {
		err  error
		hint string // empty: the error says what to do
	}{
		{durable.ErrLocked, ""},
		{syscall.ENOSPC, "make room on the disk"},
		{syscall.EACCES, "name a folder that this user may write to"},
		{syscall.EROFS, "name a folder that this user may write to"},
		{fs.ErrNotExist, "name a folder that this user may write to"},
	} {
		got := unwritable(fmt.Errorf("writing: %w", tt.err))
		hinted, ok := errors.AsType[interface {
			error
			Hint() string
		}](got)
		if !errors.Is(got, tt.err) || ok != (tt.hint != "") || ok && hinted.Hint() != tt.hint {
			t.Errorf("%v: got %v, want the hint %q", tt.err, got, tt.hint)
		}
	}
}

func TestTryDataTellsOnceAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for folder, want := range map[string]int{dir: 0, filepath.Join(dir, "gone"): 1} {
		var log bytes.Buffer
		tryData(folder, slog.New(slog.NewTextHandler(&log, nil)))
		if got := strings.Count(log.String(), "level=WARN"); got != want || want > 0 && !strings.Contains(log.String(), "may write to") {
			t.Errorf("%s: %d warnings, want %d: %s", folder, got, want, &log)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}
