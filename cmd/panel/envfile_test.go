package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/cli/clitest"
)

func TestEnvFileHasEachVariable(t *testing.T) {
	var help bytes.Buffer
	if code := cli.Run(t.Context(), command(""), []string{"--help"}, &help, &help); code != cli.ExitOK {
		t.Fatalf("exit code %d: %s", code, &help)
	}
	clitest.CheckEnvFile(t, "../../scripts/systemd/panel.env", help.String())
}

// TestMissingFlagsOfTheService has what somebody types on a computer where the service runs.
func TestMissingFlagsOfTheService(t *testing.T) {
	t.Chdir(newFolder(t))
	if err := os.WriteFile("panel.env", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const noHub, noFolder, noSiren = "name the hub, as in --hub mqtts://HOST:8883", "name a folder on a disk that survives a power cut; it is made when it isn't there", "name the line of the siren's relay, as in --siren GPIO27"
	for _, tt := range []struct {
		args, file, variable, want string
	}{
		{"check", "none.env", "", noHub},
		{"check", "panel.env", "PANEL_DOOR", noHub}, // the service's flags are there, and lack one
		{"", "panel.env", "", noHub},                // no second panel beside the service
		{"explain yesterday", "panel.env", "", `write 23:10, "2026-11-21 23:10" or 2026-11-21T23:10:04+01:00`},
		{"arm", "none.env", "", noFolder},
		{"siren-off", "none.env", "", noSiren},
		{"check", "panel.env", "", "with the flags of the service, as root: (set -a; . panel.env; panel check)"},
		{"selftest --silent", "panel.env", "", "with the flags of the service, as root: (set -a; . panel.env; panel selftest)"},
		{"arm", "panel.env", "", "with the flags of the service, as root: (set -a; . panel.env; panel arm)"},
		{"disarm", "panel.env", "", "with the flags of the service, as root: (set -a; . panel.env; panel disarm)"},
		{"explain", "panel.env", "", "with the flags of the service, as root: (set -a; . panel.env; panel explain)"},
		{"siren-off", "panel.env", "", "with the flags of the service, as root: (set -a; . panel.env; panel siren-off)"},
	} {
		t.Run(tt.args+" "+tt.file+" "+tt.variable, func(t *testing.T) {
			if tt.variable != "" {
				t.Setenv(tt.variable, "GPIO17")
			}
			var stdout, stderr bytes.Buffer
			code := cli.Run(t.Context(), command(tt.file), strings.Fields(tt.args), &stdout, &stderr)
			if code != cli.ExitUsage || stdout.Len() > 0 || !strings.HasSuffix(stderr.String(), "\nhint: "+tt.want+"\n") {
				t.Errorf("got code %d, stdout %q, stderr:\n%swant code 2 and the hint %s", code, &stdout, &stderr, tt.want)
			}
		})
	}
}

func TestEnvFileIsThatOfTheUnit(t *testing.T) {
	unit, err := os.ReadFile("../../scripts/systemd/twinpanel-panel.service")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(unit), "\nEnvironmentFile="+envFile+"\n") {
		t.Errorf("the unit names another EnvironmentFile than %s", envFile)
	}
}
