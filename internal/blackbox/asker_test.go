package blackbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// Who asked is in the log, comes back after a restart, and is told to somebody who asks why it fell silent.
func TestWhoAskedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := hang(t, dir, statemachine.Saved{}, nil)
		w.door(0, 0, statemachine.Closed)
		w.door(0, 1, statemachine.Closed)
		for i, asker := range []panel.Asker{"", "Anna's phone", "# by key", "0s start armed"} {
			w.asker = asker
			w.desired(time.Second, uint32(2*i+1), true)
			w.desired(time.Second, uint32(2*i+2), false)
		}
		w.asker = "Anna's phone"
		w.desired(time.Second, 9, true)
		w.door(time.Second, 0, statemachine.Open)
		w.desired(6*time.Second, 10, false)
		w.end()
		w = hang(t, dir, w.state.Saved(), nil)
		w.end()
		wantExact(t, w.file(Name))
		want := []string{
			"panel started||", "armed|desired 1|", "disarmed|desired 2|", "armed|desired 3|Anna's phone", "disarmed|desired 4|Anna's phone",
			"armed|desired 5|# by key", "disarmed|desired 6|# by key", "armed|desired 7|0s start armed", "disarmed|desired 8|0s start armed",
			"armed|desired 9|Anna's phone", "entry delay started|front open|", "ring started|entry delay over|",
			"disarmed|desired 10|Anna's phone", "ring stopped|desired 10|Anna's phone", "panel started||",
		}
		got := []string{}
		for _, p := range w.past {
			if p.What == "panel started" {
				p.Why = ""
			}
			got = append(got, fmt.Sprintf("%s|%s|%s", p.What, p.Why, p.By))
		}
		if !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		text, err := Explain(w.file(Name), time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			"16s desired 10 disarmed  # 2026-01-01T00:00:16.000Z by Anna's phone\n",
			"# It stopped at 00:00:16: disarmed by Anna's phone (desired 10).\n",
		} {
			if !strings.Contains(text, line) {
				t.Errorf("explained without %q:\n%s", line, text)
			}
		}
	})
}

// A remark that somebody else has written behind an event is no asker, unless it has the form; and then it is cut as any other.
func TestAskersOfAForeignLog(t *testing.T) {
	long := strings.Repeat("x", 50)
	for remark, want := range map[string]panel.Asker{
		"":                                  "",
		"# by Anna":                         "",
		"# 2026-01-01T00:00:02Z":            "",
		"# 2026-01-01T00:00:02Z Anna":       "",
		"# 2026-01-01T00:00:02Z by":         "",
		"# 2026-01-01T00:00:02Z by Anna":    "Anna",
		"# 2026-01-01T00:00:02Z by \u202eA": "A",
		"# 2026-01-01T00:00:02Z by " + long: panel.Asker(long[:40]),
	} {
		past, _, _ := tell("0s start disarmed\n1s door closed\n2s desired 1 armed " + remark + "\n3s panel disarm # 2026-01-01T00:00:03Z by Anna\n")
		if len(past) != 3 || past[1].By != want || past[2].By != "" {
			t.Errorf("%q: got %+v, want %q", remark, past, want)
		}
	}
}

// FuzzAsker holds that whatever a phone says of itself is one short line, which the log keeps as it is and which adds nothing
// to it.
func FuzzAsker(f *testing.F) {
	for _, text := range []string{"", "Anna's phone", "#", "\n    armed\n", "by key", "\xff\xfe", "a\u202eb\u2028c", strings.Repeat("é ", 40)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		asker := panel.NewAsker(text)
		if again := panel.NewAsker(string(asker)); again != asker || utf8.RuneCountInString(string(asker)) > 40 || len(asker) > 64 {
			t.Errorf("%q is %q, then %q", text, asker, again)
		}
		before := statemachine.New(house.Rules)
		e := statemachine.Event{Kind: statemachine.DesiredRead, Version: 7, Armed: true}
		after, out := statemachine.Step(before, e)
		l := lines{house: house}
		log := house.String() + "\n0s start disarmed\n" +
			l.text(panel.Step{Event: e, Asker: asker, Time: time.Unix(1_800_000_000, 0), Before: before, After: after, Notes: out.Notes})
		played, err := transcript.Play(log)
		if err != nil || played != log {
			t.Fatalf("%q: played, the log is another: %v\n%s\nand was:\n%s", text, err, played, log)
		}
		past, _, _ := tell(log)
		if len(past) < 2 || past[1].What != "armed" || past[1].By != asker {
			t.Errorf("%q: the log tells %+v, want armed by %q", text, past, asker)
		}
	})
}
