package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The test binary is also the process that is killed while it writes.
func TestMain(m *testing.M) {
	if path := os.Getenv("DURABLE_WRITE_FOR_EVER"); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

var (
	contentA = bytes.Repeat([]byte("a"), 3000)
	contentB = bytes.Repeat([]byte("b"), 5000)
)

func writeForEver(path string) {
	for i := 0; ; i++ {
		data := contentA
		if i%2 == 1 {
			data = contentB
		}
		if err := Replace(path, data, 0o600); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("written")
	}
}

func TestReplaceRefuses(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(dir, "blocked")
	if err := os.MkdirAll(filepath.Join(blocked+".new", "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path string }{
		{"empty path", ""},
		{"missing folder", filepath.Join(dir, "missing", "journal")},
		{"a file as folder", filepath.Join(file, "journal")},
		{"a folder in the file's place", folder},
		{"a folder in the temporary file's place", blocked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := Replace(tt.path, []byte("x"), 0o600); err == nil {
				t.Errorf("Replace(%q) gave no error", tt.path)
			}
		})
	}
}

func TestReplaceWritesAndLeavesNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	// What a power cut left: longer than what comes, and unreadable.
	if err := os.WriteFile(path+".new", []byte("half of something longer"), 0o000); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "", "second"} {
		if err := Replace(path, []byte(want), 0o640); err != nil {
			t.Fatalf("Replace with %q: %v", want, err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("file holds %q, %v; want %q", got, err, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm() &^ 0o640; got != 0 {
		t.Errorf("file is open to more than asked: %v", info.Mode())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want only the file", entries, err)
	}
}

func TestReplaceKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	for kill := range 10 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "DURABLE_WRITE_FOR_EVER="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range kill + 1 {
			if !lines.Scan() || lines.Text() != "written" {
				t.Fatalf("kill %d: writer said %q, %v", kill, lines.Text(), lines.Err())
			}
		}
		cmd.Process.Kill() // amid whatever it does now
		cmd.Wait()
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, contentA) && !bytes.Equal(got, contentB) {
			t.Errorf("kill %d: file holds %d bytes starting with %.3q, %v; want one of the two contents", kill, len(got), got, err)
		}
	}
	if err := Replace(path, []byte("after"), 0o600); err != nil {
		t.Errorf("Replace after the kills: %v", err)
	}
}

func TestLockRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", filepath.Join(dir, "missing"), file} {
		if l, err := Lock(path); err == nil || errors.Is(err, ErrLocked) {
			t.Errorf("Lock(%q) = %v, %v; want an error about the path", path, l, err)
		}
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	dir := t.TempDir()
	first, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("second Lock: %v; want %v", err, ErrLocked)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(dir)
	if err != nil {
		t.Fatalf("Lock after Close: %v", err)
	}
	again.Close()
}
