package main

import (
	"os"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// TestExplainWithoutABlackBox has what no panel would have written. Nothing of it is waited for.
func TestExplainWithoutABlackBox(t *testing.T) {
	const (
		moveIt = "\nhint: move it away: a panel begins a new one at its next start\n"
		saveIt = "\nhint: save what it would tell to a file first, and name that file\n"
	)
	folder(t, map[string]string{"blackbox/": "", "blackbox.1": ""})
	if err := os.Symlink(os.DevNull, "device"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("other", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(os.DevNull, "other/blackbox"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"explain", "--state-dir", "state"}, "panel: read state/blackbox: is a directory" + moveIt},
		{[]string{"explain", "--state-dir", "other"}, "panel: read other/blackbox: not a regular file" + moveIt},
		{[]string{"explain", "--state-dir", "device"}, "panel: stat device/blackbox.1: not a directory\nhint: --state-dir is the folder that the panel was started with\n"},
		{[]string{"explain", "--file", "device"}, "panel: read device: not a regular file" + saveIt},
		{[]string{"replay", "device"}, "panel: read device: not a regular file" + saveIt},
	} {
		if code, stdout, stderr := run(t.Context(), tt.args...); code != cli.ExitFailed || stdout != "" || stderr != tt.want {
			t.Errorf("%v: got code %d, stdout %q, stderr:\n%swant code 1 and:\n%s", tt.args, code, stdout, stderr, tt.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 22, 8, 30, 15, 0, zone)
	for text, want := range map[string]string{ // the last second that is meant, or an error
		"":                          "\"\" is no time",
		"8":                         "\"8\" is no time",
		"8:61":                      "\"8:61\" is no time",
		"2026-11-31 08:00":          "\"2026-11-31 08:00\" is no time",
		"2026-11-22 08:31":          "2026-11-22 08:31 has not come yet",
		"2026-11-22T08:31:00+01:00": "2026-11-22T08:31:00+01:00 has not come yet",
		"08:30":                     "2026-11-22T08:30:59+01:00",
		"8:29":                      "2026-11-22T08:29:59+01:00",
		"23:10":                     "2026-11-21T23:10:59+01:00",
		"23:10:04":                  "2026-11-21T23:10:04+01:00",
		"2026-11-20 23:10":          "2026-11-20T23:10:59+01:00",
		"2026-11-20 23:10:04":       "2026-11-20T23:10:04+01:00",
		"2026-11-20T23:10":          "2026-11-20T23:10:59+01:00",
		"2026-11-20T23:10:04":       "2026-11-20T23:10:04+01:00",
		"2026-11-20T23:10:04Z":      "2026-11-20T23:10:04Z",
	} {
		from, to, err := parseTime([]string{text}, now)
		answer := to.Format(time.RFC3339)
		if err != nil {
			answer = err.Error()
		}
		if answer != want {
			t.Errorf("%q: got %s, want %s", text, answer, want)
		}
		if length := to.Sub(from) + 1; err == nil && length != time.Second && length != time.Minute {
			t.Errorf("%q: got a span of %s, want a second or a minute", text, length)
		}
	}
	if from, _, err := parseTime(nil, now); err != nil || !from.IsZero() {
		t.Errorf("no time: got %v, %v; want the zero time", from, err)
	}
}
