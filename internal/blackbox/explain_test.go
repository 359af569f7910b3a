package blackbox

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

var update = flag.Bool("update", false, "rewrite testdata/sentences.txt")

// TestSentences tells every story of the rules' tests in plain words.
func TestSentences(t *testing.T) {
	files, err := filepath.Glob("../../statemachine/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	var got strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := transcript.Steps(string(b))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		fmt.Fprintf(&got, "%s\n  %s\n", strings.TrimSuffix(filepath.Base(file), ".txt"), strings.Join(Sentences(steps), "\n  "))
	}
	const golden = "testdata/sentences.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got.String() != string(want) {
		t.Errorf("%v, got:\n%s\nIf that is right: go test ./internal/blackbox -update, and review the difference.", err, &got)
	}
}

// TestJournalOfAnotherHand has starts with a journal that the run before has not left: a command without a panel writes one.
func TestJournalOfAnotherHand(t *testing.T) {
	const log = "rules contacts=door\n0s start %s\n1s door closed\n5s stop\nrules contacts=door\n0s start %s\n"
	const changed, command = "At the start at 0s the journal said %s, and had said something else before.", "At the start at 0s it was %s, by a command at the panel while none ran."
	for _, tt := range []struct{ before, after, form, word string }{
		{"armed, desired 2 seen", "disarmed, desired 2 seen", changed, "disarmed"},
		{"disarmed", "armed, desired 2 seen", changed, "armed"},
		{"armed, by a command at the panel, rings 1", "armed, by a command at the panel", changed, "armed"},
		{"disarmed, by a command at the panel", "disarmed, by a command at the panel, desired 2 seen", changed, "disarmed"},
		{"armed, desired 2 seen", "disarmed, by a command at the panel, desired 2 seen", command, "disarmed"},
		{"armed, by a command at the panel", "disarmed, by a command at the panel", command, "disarmed"},
		{"disarmed", "armed, by a command at the panel, door waits", command, "armed"},
		{"disarmed", "disarmed, by a command at the panel", command, "disarmed"},
	} {
		steps, err := transcript.Steps(fmt.Sprintf(log, tt.before, tt.after))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Sentences(steps), fmt.Sprintf(tt.form, tt.word); len(got) == 0 || got[0] != want {
			t.Errorf("%s, then %s: got %q, want %q first", tt.before, tt.after, got, want)
		}
	}
}

// week is a log of some days; the clock was wrong in its first run.
const week = `# twinpanel transcript, format 1
rules contacts=front,back exit=0s entry=0s siren=30s rings=3
0s start disarmed  # 1970-01-01T00:00:10.000Z start 1, first start on record, boot a
1s front closed  # 1970-01-01T00:00:11.000Z
5s stop  # 1970-01-01T00:00:15.000Z
rules contacts=front,back exit=0s entry=0s siren=30s rings=3
0s start disarmed  # 2026-11-20T08:00:00.000Z start 2, after a stop, boot a
200ms front closed  # 2026-11-20T08:00:00.200Z
200ms back closed  # 2026-11-20T08:00:00.200Z
10s desired 2 armed  # 2026-11-20T08:00:10.000Z
    armed
    journal: armed, desired 2 seen
    state: armed
20s front open  # 2026-11-20T08:00:20.000Z
    front: ring started
    journal: armed, desired 2 seen, rings 1, charged 10s
    SIREN ON
    state: ringing
25s desired 3 disarmed  # 2026-11-20T08:00:25.000Z
    SIREN OFF
    disarmed
    ring stopped
    journal: disarmed, desired 3 seen
    state: disarmed
30s back open  # 2026-11-20T08:00:30.000Z
24h0m0s key arm  # 2026-11-21T08:00:00.000Z
    armed
    front: not guarded until closed
    back: not guarded until closed
    journal: armed, by a command at the panel, desired 3 seen, front waits, back waits
    state: armed
# Events are missing here: 3 that could not be written.
rules contacts=front,back exit=0s entry=0s siren=30s rings=3
25h0m0s start armed, by a command at the panel, desired 3 seen, back waits  # 2026-11-21T09:00:00.000Z start 2, the log goes on, boot a
25h0m0s front closed
25h0m0s back open
25h0m1s front fault  # 2026-11-21T09:00:01.000Z
    front: ring started
    journal: armed, by a command at the panel, desired 3 seen, rings 1, charged 10s, back waits
    SIREN ON
    state: ringing
25h0m3s key disarm  # 2026-11-21T09:00:03.000Z
    SIREN OFF
    disarmed
    ring stopped
    journal: disarmed, by a command at the panel, desired 3 seen
    state: disarmed
26h0m0s front closed  # 2026-11-21T10:00:00.000Z
26h0m1s desired 4 armed  # 2026-11-21T10:00:01.000Z
    armed
    back: not guarded until closed
    journal: armed, desired 4 seen, back waits
    state: armed
`

func TestExplain(t *testing.T) {
	disarmed := []string{"It did not ring: it was disarmed all the time."}
	first := []string{
		"It rang at 08:00:20 because front opened while armed.",
		"It stopped at 08:00:25: disarmed by the phone (desired 3).",
	}
	tests := []struct {
		name, at    string // empty = the last ring
		begin, last string // the start, and the last event
		says        []string
	}{
		{"the last ring", "", "30s start disarmed, desired 3 seen", "25h0m3s key disarm", []string{
			"Front was open at 2026-11-21 08:00:00, so it was not guarded until it was closed.",
			"Back was open at 2026-11-21 08:00:00, so it was not guarded until it was closed.",
			"It rang at 2026-11-21 09:00:01 because front could not be read any more while armed.",
			"It stopped at 2026-11-21 09:00:03: disarmed by the key switch.",
		}},
		{"amid a ring", "2026-11-20T08:00:24Z", "200ms start disarmed", "25s desired 3 disarmed", first},
		{"at the disarm", "2026-11-20T08:00:25Z", "200ms start disarmed", "25s desired 3 disarmed", first},
		{"a minute with a ring, and disarmed at its end", "2026-11-20T08:00:00Z to 2026-11-20T08:00:59Z", "200ms start disarmed", "25s desired 3 disarmed", first},
		{"from the very time of a ring", "2026-11-20T08:00:20Z to 2026-11-20T08:00:30Z", "200ms start disarmed", "25s desired 3 disarmed", first},
		{"the end of an armed period, and disarmed after it", "2026-11-20T08:00:22Z to 2026-11-20T08:00:35Z", "200ms start disarmed", "25s desired 3 disarmed", first},
		{"disarmed, between events", "2026-11-20T09:00:00Z", "25s start disarmed, desired 3 seen", "30s back open", disarmed},
		{"disarmed, over a restart", "2026-11-20T08:00:05Z", "0s start disarmed", "200ms back closed", disarmed},
		{"by a clock that was wrong", "1970-01-01T00:00:14Z", "0s start disarmed", "200ms back closed", disarmed},
		{"long after the last event", "2026-12-24T08:00:05Z", "26h0m0s start disarmed, by a command at the panel, desired 3 seen", "26h0m1s desired 4 armed", []string{
			"Back was open at 10:00:01, so it was not guarded until it was closed.",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var from, to time.Time
			if first, last, _ := strings.Cut(tt.at, " to "); first != "" {
				from, _ = time.Parse(time.RFC3339, first)
				to, _ = time.Parse(time.RFC3339, cmp.Or(last, first))
			}
			got, err := Explain(week, from, to)
			if err != nil {
				t.Fatal(err)
			}
			wantExact(t, got)
			lines := strings.Split(got, "\n")
			steps, err := transcript.Steps(got)
			if err != nil || lines[0] != transcript.Head || !strings.HasPrefix(lines[2], tt.begin+"  # ") || steps[len(steps)-1].Line.Text != tt.last {
				t.Errorf("want a part from %q to %q; got error %v and:\n%s", tt.begin, tt.last, err, got)
			}
			if says := Comments(tt.says); !strings.HasSuffix(got, "\n"+says) || strings.Contains(got, "wrote something else") {
				t.Errorf("want it to end with:\n%s\ngot:\n%s", says, got)
			}
		})
	}
}

// A log of a program with other rules is explained by this one's, which is said.
func TestExplainALogOfAnotherProgram(t *testing.T) {
	other := strings.Replace(week, "    front: ring started\n", "    front: ring begun\n", 1)
	at, _ := time.Parse(time.RFC3339, "2026-11-20T08:00:24Z")
	if got, err := Explain(other, at, at); err != nil || !strings.Contains(got, "# The panel wrote something else then: ") {
		t.Errorf("got %v and:\n%s", err, got)
	}
}

func TestExplainWhatIsNotThere(t *testing.T) {
	early, _ := time.Parse(time.RFC3339, "1969-01-01T00:00:00Z")
	for _, tt := range []struct {
		text string
		at   time.Time
		want string
	}{
		{"", time.Time{}, "nothing has been written to it yet"},
		{"what?", time.Time{}, `line 1: a line begins with a time, as in 10s, or with "rules", "#" or four spaces: "what?" does not`},
		{week, early, "it begins later, at 1970-01-01 00:00:10"},
		{"0s door closed", early, "it has no wall times"},
	} {
		if _, err := Explain(tt.text, tt.at, tt.at); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// FuzzExplain holds that what any log is explained by can be played, and ends with what it says.
func FuzzExplain(f *testing.F) {
	f.Add(week, int64(0))
	f.Add(week, int64(1763625624))
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		at := time.Time{}
		if unix != 0 {
			at = time.Unix(unix, 0)
		}
		got, err := Explain(text, at, at.Add(time.Minute))
		if err != nil {
			return
		}
		if played, err := transcript.Play(got); err != nil || played != got {
			t.Errorf("played, it is another: %v\n%s\nand was:\n%s", err, played, got)
		}
	})
}
