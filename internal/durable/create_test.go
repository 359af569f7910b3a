package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCreateKeepsWhatExists(t *testing.T) {
	dir := t.TempDir()
	file, folder, link := filepath.Join(dir, "file"), filepath.Join(dir, "folder"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Mkdir(folder, 0o700), os.Symlink("nowhere", link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, folder, link} {
		if err := Create(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create(%q): got %v, want that it exists", path, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "old" {
		t.Errorf("file holds %q, %v; want what it held", got, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Create followed a link: %v", err)
	}
}

func TestCreateDiskErrorAtEachStepLeavesNothing(t *testing.T) {
	const path = "front-door/key.pem"
	whole := newCrashDisk(path, absent)
	if err := create(whole, path, []byte("key"), 0o600); err != nil || whole.steps < 5 {
		t.Fatalf("create took %d steps, %v; want at least 5", whole.steps, err)
	}
	if got := whole.afterPowerCut(path); !slices.Equal(got, []string{"key"}) {
		t.Errorf("after Create the file may hold %q, want only %q", got, "key")
	}
	for fault := 1; fault <= whole.steps; fault++ {
		d := newCrashDisk(path, absent)
		d.fault = fault
		if err := create(d, path, []byte("key"), 0o600); !errors.Is(err, errDisk) {
			t.Errorf("step %d failed and Create said %v", fault, err)
		}
		if n := d.names[path]; n != nil {
			t.Errorf("step %d failed and left %q", fault, n.data)
		}
	}
}
