package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// Journals: one of an armed panel, and some that cannot be read.
const (
	armedJournal   = "twinpanel-journal 1 49c98888\n" + `{"armed":true,"local":true,"desired_seen":0,"entering":false,"rings":0,"charged_ms":0,"wait_closed":["*"]}` + "\n"
	corruptJournal = "twinpanel-journal 1 49c98888\n" + `{"armed":nope,"local":true,"desired_seen":0,"entering":false,"rings":0,"charged_ms":0,"wait_closed":["*"]}` + "\n"
	newerJournal   = "twinpanel-journal 2 00000000\n{}\n"
)

// folder makes the folder state, with these files in it, in a new working directory. A name that ends with / is a folder.
func folder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(newFolder(t))
	for name, content := range files {
		path := filepath.Join("state", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// lock takes the folder state as a panel does that answers on no socket.
func lock(t *testing.T) {
	t.Helper()
	l, err := durable.Lock("state")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

const (
	unreadableHint = "start the panel, which begins as its --on-corrupt says and keeps a copy of the journal; then run this again"
	silentHint     = "a panel runs on this folder but doesn't answer on its socket: see its log; stopping it silences the siren"
)

func TestCommandsThatCannotBe(t *testing.T) {
	tests := []struct {
		name       string
		files      map[string]string // nil = no folder
		prepare    func(*testing.T)
		want, hint string
	}{
		{"no folder", nil, nil, "state folder: locking state: open state: no such file or directory", "no panel was ever started with this --state-dir"},
		{"a file in its place", nil, func(t *testing.T) { os.WriteFile("state", nil, 0o600) }, "state folder: locking state: open state: not a directory", "--state-dir is the folder that the panel was started with"},
		{"a panel that is silent", map[string]string{"journal": armedJournal}, lock, "state folder: locking state: another process is using this folder; stop it first or choose another folder", silentHint},
		{"corrupt journal", map[string]string{"journal": corruptJournal}, nil, "journal is unreadable: state/journal: its checksum does not fit: it was cut short or changed", unreadableHint},
		{"journal cut short", map[string]string{"journal": armedJournal[:100]}, nil, "journal is unreadable: state/journal: its checksum does not fit: it was cut short or changed", unreadableHint},
		{"empty journal", map[string]string{"journal": ""}, nil, "journal is unreadable: state/journal: the file is empty", unreadableHint},
		{"newer journal", map[string]string{"journal": newerJournal}, nil, "journal is unreadable: state/journal: its format is 2, of a newer panel; this one knows no later than 1", unreadableHint},
		{"journal that is a folder", map[string]string{"journal/": ""}, nil, "journal is unreadable: read state/journal: is a directory", unreadableHint},
		{"journal that cannot be written", map[string]string{"journal.new/x/": ""}, nil, "writing the journal: removing what an interrupted write left: remove state/journal.new: directory not empty", ""},
	}
	for _, tt := range tests {
		for _, name := range []string{"arm", "disarm"} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				folder(t, tt.files)
				if tt.prepare != nil {
					tt.prepare(t)
				}
				want := "panel: " + tt.want + "\n"
				if tt.hint != "" {
					want += "hint: " + tt.hint + "\n"
				}
				if code, stdout, stderr := run(t.Context(), name, "--state-dir", "state"); code != cli.ExitFailed || stdout != "" || stderr != want {
					t.Errorf("got code %d, stdout %q, stderr:\n%swant code 1 and:\n%s", code, stdout, stderr, want)
				}
				for name, content := range tt.files {
					if b, err := os.ReadFile(filepath.Join("state", name)); !strings.HasSuffix(name, "/") && string(b) != content {
						t.Errorf("%s holds %q, error %v; want it as it was", name, b, err)
					}
				}
			})
		}
	}
}

// TestCommandsWithoutPanel arms and disarms in the journal, from each state to each.
func TestCommandsWithoutPanel(t *testing.T) {
	for _, files := range []map[string]string{{"x": ""}, {"journal": armedJournal}} {
		for _, first := range []string{"arm", "disarm"} {
			for _, then := range []string{"arm", "disarm"} {
				folder(t, files)
				for _, name := range []string{first, then} {
					want := name + "ed in the journal; no panel is running on state\n"
					if code, stdout, stderr := run(t.Context(), name, "--state-dir", "state"); code != cli.ExitOK || stdout != want || stderr != "" {
						t.Errorf("%s: got code %d, stdout %q, stderr %q; want %q", name, code, stdout, stderr, want)
					}
					if armed, err := panel.ArmedOffline("state"); err != nil || armed != (name == "arm") {
						t.Errorf("after %s a panel would be armed: %t, error %v", name, armed, err)
					}
				}
			}
		}
	}
}
