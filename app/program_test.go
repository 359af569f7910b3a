//go:build unix

package app

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// script writes a program for the shell.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProgramGetsTheNoticeAndNoSecrets(t *testing.T) {
	t.Setenv("SCW_SECRET_KEY", "sesame")
	t.Setenv("APP_NOTIFY_URL", "https://ntfy.sh/sesame")
	p, err := NewProgram(script(t, `env | grep sesame; echo "$TWINPANEL_KIND|$TWINPANEL_PRIORITY|$TWINPANEL_TITLE|$(cat)|$#"`))
	if err != nil {
		t.Fatal(err)
	}
	said, err := p.Deliver(t.Context(), Notice{Kind: KindRinging, Urgent: true, Title: "$(reboot)\n`x` \x00é", Text: "La sirène sonne."})
	if want := "exit status 0: ringing|urgent|$(reboot)`x` é|La sirène sonne.|0"; err != nil || said != want {
		t.Errorf("got %q, %v, want %q", said, err, want)
	}
}

func TestProgramThatFails(t *testing.T) {
	for lines, want := range map[string]string{
		"echo no modem >&2; exit 3":      `exit status 3. It says: "no modem"`,
		"kill -9 $$":                     "killed",
		"yes | head -c 1000000; exit 1":  "exit status 1. It says: ",
		"exec 0<&-; echo early; exit 0 ": "",
	} {
		p, err := NewProgram(script(t, lines))
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Deliver(t.Context(), Notice{Text: strings.Repeat("x", 1000)})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) || err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: got %v, want %s", lines, err, want)
		}
	}
	if _, err := NewProgram(filepath.Join(t.TempDir(), "nosuch")); err == nil {
		t.Error("a program that isn't there")
	}
	if _, err := NewProgram("/etc/passwd"); err == nil {
		t.Error("a file that is no program")
	}
}

// A program that hangs is ended with all that it has started.
func TestProgramThatHangs(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := NewProgram(script(t, "sleep 1000 > "+fifo+" & wait"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := p.Deliver(ctx, Notice{})
		ended <- err
	}()
	child, err := os.Open(fifo) // waits for it
	if err != nil {
		t.Fatal(err)
	}
	defer child.Close()
	cancel()
	if err := <-ended; err == nil {
		t.Error("it was taken for a success")
	}
	if _, err := io.ReadAll(child); err != nil { // ends with the child
		t.Error(err)
	}
}
