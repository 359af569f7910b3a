package blackbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// Logs that no box has written, but a disk that fails or a person may have.
var strange = []string{
	"rules contacts=a\n0s start disarmed\nrules contacts=a,b\n1s power cut\n2s b fault\n",
	"0s start armed  # 9999-12-31T23:59:59-23:00 start 1, first start on record, boot a\n",
	"0s start armed  # 9999-12-31T23:59:59Z\n1s door closed\n800000h door open\n",
	"0s start armed  # 0000-01-01T00:00:00+23:00\n1s door fault\n",
	"0s start armed  # 2026-01-01T00:00:00Z start 1, " + strings.Repeat("first ", 1000) + ", boot a\n",
	"0s start armed\n0s start disarmed\n1s stop\n1s stop\n",
	"\x00\x1b[2J\n# hidden\r# shown\n0s start armed",
}

// FuzzTell holds that the panel can tell its past whatever the log says, and guards: a panic would end it at each start.
func FuzzTell(f *testing.F) {
	for _, text := range append(strange, week) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean, _ := transcript.Clean(text)
		past, run, _ := tell(clean)
		if len(past) > panel.MaxTransitions {
			t.Errorf("%d transitions, want %d at most", len(past), panel.MaxTransitions)
		}
		b, err := json.Marshal(past)
		if err != nil || len(b) > panel.MaxTransitions*1000 {
			t.Errorf("the past cannot be published: %d bytes, %v", len(b), err)
		}
		if run.number < 0 {
			t.Errorf("start %d", run.number)
		}
		steps, err := transcript.Steps(clean)
		Sentences(steps)
		if err != nil {
			return
		}
		if again, lost := transcript.Clean(clean); again != clean || lost != 0 {
			t.Errorf("clean, it loses %d bytes", lost)
		}
	})
}

// Whatever is in its place, a box starts and goes on.
func TestStrangeThingsInTheFilesPlace(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a folder":      func(path string) error { return os.MkdirAll(filepath.Join(path, "inside"), 0o700) },
		"a device":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"a dead link":   func(path string) error { return os.Symlink("nowhere", path) },
		"a huge file":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"nothing in it": func(path string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{Name, OldName} {
				path := filepath.Join(dir, file)
				if err := put(path); err != nil {
					t.Fatal(err)
				}
				if name == "a huge file" {
					if err := os.Truncate(path, 1<<40); err != nil {
						t.Fatal(err)
					}
				}
			}
			b := New(Config{Dir: dir, House: house})
			if past, run := b.load(); len(past) > 0 || run.number != 1 {
				t.Errorf("the past is %v, this is %v; want a first start", past, run)
			}
			if text, err := Read(dir); err == nil && strings.Contains(text, "\x00") {
				t.Errorf("%d bytes are a log", len(text))
			}
		})
	}
}
