package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestDeviceAddOnFullDisk lets a process mount a file system of its own, on which two files have space.
func TestDeviceAddOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	output(t, dir, "token", "add", "app")
	cmd := exec.Command("sh", "-c", `mkdir small && mount -t tmpfs -o size=8k tmpfs small || exit 9
		hub device add panel --data data --out small/panel
		echo "code $?" >&2
		find small -mindepth 1
		hub device list --data data`)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || ended && exit.ExitCode() == 9 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has to allow user namespaces: a full disk is not tried")
		}
		t.Skip("this system lets nobody mount a file system of his own; a full disk is then not tried")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if want := "hub: --out: write small/panel/key.pem: no space left on device\ncode 1\n"; stderr.String() != want {
		t.Errorf("got %q, want %q", &stderr, want)
	}
	if stdout.String() != "" {
		t.Errorf("the failure left something:\n%s", &stdout)
	}
}
