package transcript_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

func TestPlayBadInput(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"binary", "\x7fELF\x00\x01", "line 1: this is no text"},
		{"escape sequence of a terminal", "0s door closed  # \x1b[2J", "line 1: this is no text"},
		{"text that hides another", "0s door open  # at home\r0s door closed", "line 1: this is no text"},
		{"NULs behind a line", "0s door closed\n\x00\x00", "line 2: this is no text"},
		{"prose", "Dear panel,\n", `line 1: a line begins with a time, as in 10s, or with "rules", "#" or four spaces: "Dear" does not`},
		{"two spaces in front", "  0s door open", "line 1: a line begins with a time"},
		{"time without a unit", "10 door open", "line 1: a line begins with a time"},
		{"time before the start", "-1s door open", "line 1: the time -1s is not between 0s and 876000h0m0s"},
		{"time beyond all panels", "2562047h47m16s door open", "line 1: the time 2562047h47m16s is not between"},
		{"time goes back", "10s door closed\n9s door open", "line 2: the time goes back from 10s to 9s"},
		{"no event", "10s", `line 1: unknown event ""`},
		{"unknown event", "10s door rings", `line 1: "rings" is no reading: expected closed, open or fault`},
		{"unknown contact", "10s window open", `line 1: unknown event "window open"`},
		{"reading that is none", "10s door unknown", `line 1: "unknown" is no reading`},
		{"version too large", "10s desired 4294967296 armed", "line 1: strconv.ParseUint"},
		{"unknown rule", "rules entrance=30s", `line 1: unknown rule "entrance": expected contacts, exit, entry, siren or rings`},
		{"rule without a unit", "rules entry=30", `line 1: rule "entry=30": time: missing unit`},
		{"rule out of range", "rules siren=20s", "line 1: siren limit: 20s is not between 30s and 15m0s"},
		{"nine contacts", "rules contacts=a,b,c,d,e,f,g,h,i", "line 1: contacts: 9 is not between 1 and 8"},
		{"contact without a name", "rules contacts=a,", `line 1: rule "contacts=a,": "" is no name of a contact`},
		{"contact twice", "rules contacts=a,a", `line 1: rule "contacts=a,a": the contact "a" is there twice`},
		{"start as neither", "0s start ringing", `line 1: a start is armed or disarmed, not "ringing"`},
		{"start with an unknown word", "0s start armed, angry", `line 1: unknown word "angry" of a journal`},
		{"start with an unknown contact", "0s start armed, back waits", `line 1: there is no contact "back"`},
		{"start with rings that are no number", "0s start armed, rings many", `line 1: "rings many": strconv.ParseUint`},
		{"event after a stop", "0s start armed\n1s stop\n2s door open", "line 3: the panel has stopped: a start has to come first"},
		{"newer format", "# twinpanel transcript, format 2\n0s door open", "line 1: format 2 is of a newer panel; this program knows no later than 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := transcript.Play(tt.text)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// TestPlay plays what the stories of package statemachine don't have.
func TestPlay(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"nothing but answers", "\n    armed\n\n", ""},
		{"a remark, and blanks at ends of lines", "0s door closed # the postman \r\n1s key arm  ", `0s door closed  # the postman
1s key arm
    armed
    journal: armed, by a command at the panel
    state: armed
`},
		{"a start with all that a journal can hold, and times that begin anew", `rules contacts=front,back
100s front closed
0s start armed, by a command at the panel, desired 7 seen, entering, rings 1, charged 20s, prepaid 10s, back waits
1s front closed
5s stop
0s start disarmed
`, `rules contacts=front,back
100s front closed
0s start armed, by a command at the panel, desired 7 seen, entering, rings 1, charged 20s, prepaid 10s, back waits
1s front closed
    ring resumed after restart
    journal: armed, by a command at the panel, desired 7 seen, entering, rings 1, charged 30s, prepaid 10s, back waits
    SIREN ON
    state: ringing
5s stop
    siren off
0s start disarmed
`},
		{"a real clock is late, and a disarm comes before it", `rules entry=30s
0s start armed
1s door closed
2s door open
32.002s panel disarm
`, `rules entry=30s
0s start armed
1s door closed
2s door open
    door: entry delay started
    journal: armed, entering
    state: entry_delay
32.002s panel disarm
    disarmed
    journal: disarmed, by a command at the panel
    state: disarmed
`},
		{"a line that is missing", `rules entry=30s
0s start armed
1s door closed
2s door open
33s panel disarm
`, `rules entry=30s
0s start armed
1s door closed
2s door open
    door: entry delay started
    journal: armed, entering
    state: entry_delay
    at 32s: ring started
    at 32s: journal: armed, rings 1, charged 10s
    at 32s: SIREN ON
    at 32s: state: ringing
33s panel disarm
    SIREN OFF
    disarmed
    ring stopped
    journal: disarmed, by a command at the panel
    state: disarmed
`},
		{"contacts that are others after a power cut", `rules contacts=a,b
0s start armed, b waits
1s a closed
rules contacts=b
2s power cut
3s b open
`, `rules contacts=a,b
0s start armed, b waits
1s a closed
rules contacts=b
2s power cut
    restarts as armed, b waits
3s b open
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := transcript.Play(tt.text)
			if err != nil || got != tt.want {
				t.Errorf("got %v and:\n%s\nwant:\n%s", err, got, tt.want)
			}
		})
	}
}

// TestForeignJournals tells a journal that somebody has changed between two runs from what a run has left there.
func TestForeignJournals(t *testing.T) {
	const before = "rules contacts=door\n0s start armed, rings 1\n1s door closed\n"
	for start, want := range map[string]bool{
		"disarmed":                    true,
		"armed":                       true,
		"armed, rings 1, charged 10s": true,
		"armed, rings 1":              false,
		"armed, rings 1, prepaid 10s": false, // of a contact that moved and did not settle
	} {
		steps, err := transcript.Steps(before + "0s start " + start + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := steps[len(steps)-1].Foreign; got != want {
			t.Errorf("a start with %q is foreign: %v, want %v", start, got, want)
		}
	}
}

// TestWhatIf plays a night with another entry delay; somebody had disarmed by hand before the third run.
func TestWhatIf(t *testing.T) {
	const night = `rules contacts=door exit=0s entry=0s siren=180s rings=3
0s start armed  # 2026-11-21T23:00:00.000+01:00
1s door closed
60s door open  # 2026-11-21T23:01:00.000+01:00
69.001s time passes
70s stop
0s start armed, rings 1, charged 20s
1s door open
5s stop
0s start disarmed, by a command at the panel
1s door open
`
	got, steps, err := transcript.WhatIf(night, func(r *statemachine.Rules) { r.EntryDelay = 5 * time.Second })
	if err != nil {
		t.Fatal(err)
	}
	const want = `rules contacts=door exit=0s entry=5s siren=180s rings=3
0s start armed  # 2026-11-21T23:00:00.000+01:00
1s door closed
60s door open  # 2026-11-21T23:01:00.000+01:00
    door: entry delay started
    journal: armed, entering
    state: entry_delay
1m5s time passes  # 2026-11-21T23:01:05.000+01:00
    ring started
    journal: armed, rings 1, charged 10s
    SIREN ON
    state: ringing
70s stop
    siren off
0s start armed, rings 1, charged 10s
1s door open
    ring resumed after restart
    journal: armed, rings 1, charged 20s
    SIREN ON
    state: ringing
5s stop
    siren off
0s start disarmed, by a command at the panel
1s door open
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if again, err := transcript.Play(got); err != nil || again != got {
		t.Errorf("played again, it is another: %v\n%s", err, again)
	}
	if wall := steps[3].Wall.Format(time.TimeOnly); wall != "23:01:05" {
		t.Errorf("the fourth step is at %s, want 23:01:05", wall)
	}
}

// TestSnapshot cuts a story at each step. Where there is a snapshot, the rest of the story goes on from it as it did from
// the beginning.
func TestSnapshot(t *testing.T) {
	const story = `rules contacts=front,back entry=5s siren=30s rings=1
0s start armed, entering, back waits
1s desired none
1s back open
2s front closed
20s time passes
50s front open
51s back closed
60s back open
70s front closed
71s panel disarm
72s key arm
73s desired 4 armed
74s back closed
75s back open
110s stop
`
	whole, err := transcript.Steps(story)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(story, "\n")
	house := transcript.House{Contacts: []string{"front", "back"}, Rules: statemachine.DefaultRules()}
	house.Rules = statemachine.Rules{Contacts: 2, EntryDelay: 5 * time.Second, SirenLimit: 30 * time.Second, MaxRings: 1}
	cuts := 0
	for i, s := range whole {
		head := transcript.Snapshot(house, s.After, s.Event.At, "# cut")
		if head == "" {
			if w := s.After.Word(); s.N > 3 && w != "ringing" && w != "entry_delay" && s.Line.Text != "" {
				t.Errorf("no snapshot after %q, when it was %s", s.Line.Text, w)
			}
			continue
		}
		cuts++
		if played, err := transcript.Play(head); err != nil || played != head {
			t.Errorf("after %q: played, the snapshot is another: %v\n%s\nand was:\n%s", s.Line.Text, err, played, head)
		}
		next := s.N // the lines behind this one
		if s.Line.Text == "" {
			next-- // and this one, before which time did something
		}
		rest, err := transcript.Steps(head + strings.Join(lines[next:], ""))
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[len(rest)-(len(whole)-i-1):]
		for j, got := range rest {
			want := whole[i+1+j]
			if got.After.Saved() != want.After.Saved() || got.After.Word() != want.After.Word() || len(got.Notes) != len(want.Notes) {
				t.Errorf("cut after %q: %q makes it %s, want %s", s.Line.Text, got.Line.Text, got.After.Word(), want.After.Word())
			}
		}
	}
	if cuts < 6 {
		t.Errorf("%d snapshots, want more", cuts)
	}
}

// A torn end, lines of another file, and what needs a line that is gone.
func TestClean(t *testing.T) {
	const kept = "# a log\n0s start armed\n1s door closed\n    guarded\n"
	for _, bad := range []string{"", "2s door op", "2s door open", "\x00\x00\n\x00", "\xff\n", "2s door\n", "0.5s door open\n", "2s back open\n", "rules contacts=back,\n2s back open\n"} {
		if clean, lost := transcript.Clean(kept + bad); clean != kept || lost != len(bad) {
			t.Errorf("with %q: %d bytes lost, and left is:\n%s", bad, lost, clean)
		}
	}
}

// FuzzPlay holds that any text is a transcript or an error that names a line, that a played transcript plays the same, and that
// any text can be cleaned.
func FuzzPlay(f *testing.F) {
	files, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), 5)
	}
	f.Add("rules contacts=start,rings\n0s start armed, start waits, rings waits # 2026-01-01T00:00:00Z\n1s start open\n2s stop\n7s start armed\n", 0)
	f.Fuzz(func(t *testing.T, text string, entry int) {
		clean, lost := transcript.Clean(text)
		if _, err := transcript.Play(clean); err != nil || len(clean)+lost != len(text) {
			t.Errorf("cleaned, it is still none, or %d bytes are not accounted for: %v\n%s", len(text)-len(clean)-lost, err, clean)
		}
		got, err := transcript.Play(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("%v names no line", err)
			}
			return
		}
		if again, err := transcript.Play(got); err != nil || again != got {
			t.Errorf("played again, it is another: %v\n%s\nand was:\n%s", err, again, got)
		}
		got, _, err = transcript.WhatIf(text, func(r *statemachine.Rules) { r.EntryDelay = time.Duration(entry) * time.Second })
		if err != nil {
			return
		}
		if again, err := transcript.Play(got); err != nil || again != got {
			t.Errorf("what if, played again, it is another: %v\n%s\nand was:\n%s", err, again, got)
		}
	})
}
