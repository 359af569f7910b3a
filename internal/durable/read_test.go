package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", dir, loop, os.DevNull, filepath.Join(dir, "missing")} {
		if got, err := Read(path, 10); err == nil {
			t.Errorf("Read(%q): got %q, want an error", path, got)
		}
	}
}

// A file may have become any size: after a power cut its size need not be that of what was written.
func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int64]string{0: "", 4: "0123", 12: "0123456789\x00\x00"} {
		if got, err := Read(path, most); err != nil || string(got) != want {
			t.Errorf("the first %d bytes are %q, %v; want %q", most, got, err, want)
		}
	}
}
