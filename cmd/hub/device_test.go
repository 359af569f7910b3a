package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

func TestFindDevice(t *testing.T) {
	devices := registry.NewMemory()
	d, err := registry.NewDevice("front-door")
	if err == nil {
		err = devices.AddDevice(t.Context(), d)
	}
	if err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]twin.ID{
		"side-door":                   "",
		"":                            "",
		"FRONT-DOOR":                  "",
		string(d.ID)[1:]:              "",
		"front-door":                  d.ID,
		string(d.ID):                  d.ID,
		strings.ToUpper(string(d.ID)): d.ID,
	} {
		got, err := findDevice(t.Context(), devices, arg)
		if got.ID != want || errors.Is(err, registry.ErrNoDevice) != (want == "") {
			t.Errorf("findDevice(%q) = %q, %v; want %q", arg, got.ID, err, want)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestTokenThatCannotBePrinted(t *testing.T) {
	var stderr strings.Builder
	code := cli.Run(t.Context(), command(), []string{"token", "add", "app", "--data", t.TempDir()}, brokenPipe{}, &stderr)
	if code != cli.ExitFailed || !strings.Contains(stderr.String(), "hint: nobody knows it now: revoke it with hub token revoke") {
		t.Errorf("got code %d and %q, want a hint to revoke the token", code, &stderr)
	}
}
