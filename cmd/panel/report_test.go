package main

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
)

func TestReportOfABoard(t *testing.T) {
	pi := fstest.MapFS{
		"proc/device-tree/model":      {Data: []byte("Raspberry Pi 4 Model B Rev 1.4\x00")},
		"proc/device-tree/compatible": {Data: []byte("raspberrypi,4-model-b\x00brcm,bcm2711\x00")},
		"etc/os-release":              {Data: []byte("NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")},
		"proc/meminfo":                {Data: []byte("MemTotal:        3884364 kB\nMemFree:          100 kB\n")},
		"proc/1/comm":                 {Data: []byte("systemd\n")},
	}
	odd := fstest.MapFS{
		"proc/device-tree/model": {Mode: fs.ModeDir},
		"etc/os-release":         {Data: []byte("ID=buildroot\n")},
		"proc/meminfo":           {Data: []byte("MemTotal: lots\n")},
		"proc/1/comm":            {},
	}
	type facts struct{ model, compatible, system, memory, init string }
	for _, tt := range []struct {
		name     string
		computer fs.FS
		want     facts
	}{
		{"nothing to read", fstest.MapFS{}, facts{}},
		{"nothing that is understood", odd, facts{}},
		{"a Pi", pi, facts{"Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b brcm,bcm2711", "Debian GNU/Linux 12 (bookworm)", "3793 MB", "systemd"}},
	} {
		got := facts{firmware(tt.computer, "model"), firmware(tt.computer, "compatible"), osRelease(tt.computer), memory(tt.computer), firstLine(tt.computer, "proc/1/comm")}
		if got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestReportOfAChip(t *testing.T) {
	for want, chip := range map[string]board.Chip{
		"/dev/gpiochip0 may not be opened": {Path: "/dev/gpiochip0", Err: fs.ErrPermission},
		"gpio-brcmstb, 1 line":             {Label: "gpio-brcmstb", Lines: 1},
		"pinctrl-bcm2711, 58 lines; GPIO27 out by panel, 42 in by somebody": {
			Label: "pinctrl-bcm2711", Lines: 58, Used: []board.Line{{Name: "GPIO27", Offset: 27, By: "panel", Output: true}, {Offset: 42}},
		},
	} {
		if got := chipLine(chip); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestReportTellsNoSecrets is what a person pastes: every line in its order, and nothing that leads to the house.
func TestReportTellsNoSecrets(t *testing.T) {
	h := hubtest.Start(t)
	device := h.AddDevice("panel")
	folder(t, map[string]string{"journal": armedJournal})
	run := func(args ...string) (int, string, string) {
		return run(t.Context(), append([]string{"check", "--report"}, args...)...)
	}
	code, stdout, stderr := run(simulated(h.MQTT(), string(device.ID)).args()...)
	want := `^panel         \S+( revision \w+)?( with changes)? go\S+ \w+/\w+.*
system        .+
kernel        .+
board         .+
compatible    .+
memory        .+
init          .+
network time  (yes|no|unknown)
(storage       .+
)?(chip          .+
)+ok   flags         they fit together
ok   state folder  \(left out\)
ok   journal       \(left out\)
ok   clock         .+
ok   credential    \(left out\)
ok   panel         \(left out\)
ok   doors         simulated
ok   hub           \(left out\)
ok   desired       \(left out\)
$`
	if code != cli.ExitOK || stderr != "" || !regexp.MustCompile(want).MatchString(stdout) {
		t.Errorf("got code %d, stderr %s and\n%swant\n%s", code, stderr, stdout, want)
	}
	for _, secret := range []string{string(device.ID), strings.TrimPrefix(h.MQTT(), "mqtt://"), "state/"} {
		if strings.Contains(stdout, secret) {
			t.Errorf("the report tells %s:\n%s", secret, stdout)
		}
	}

	// Before there is a configuration it tells of the board all the same.
	code, stdout, stderr = run()
	if code != cli.ExitUsage || !strings.Contains(stdout, "\nchip ") || !strings.HasPrefix(stderr, "panel: ") {
		t.Errorf("without flags: got code %d, stderr %s and\n%s", code, stderr, stdout)
	}
}
