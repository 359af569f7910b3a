package blackbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// A wall is a panel with a black box, without anything else.
type wall struct {
	t     *testing.T
	dir   string
	box   *Box
	start time.Time
	state statemachine.State
	due   time.Duration
	past  []panel.Transition
	asker panel.Asker // whose desired comes next
}

var house = transcript.House{
	Contacts: []string{"front", "back"},
	Rules:    statemachine.Rules{Contacts: 2, EntryDelay: 5 * time.Second, SirenLimit: 30 * time.Second, MaxRings: 2},
}

// hang puts up a panel whose journal holds saved.
func hang(t *testing.T, dir string, saved statemachine.Saved, prepare func(*Box)) *wall {
	t.Helper()
	w := &wall{t: t, dir: dir, start: time.Now(), state: statemachine.Restore(house.Rules, saved)}
	w.box = New(Config{Dir: dir, House: house, Past: func(ts []panel.Transition) { w.past = ts }})
	if prepare != nil {
		prepare(w.box)
	}
	go w.box.Run()
	w.box.Record(panel.Step{Time: w.now(), Before: w.state, After: w.state})
	synctest.Wait()
	return w
}

// now is the wall clock. A bubble's begins in 2000.
func (w *wall) now() time.Time { return time.Now().AddDate(26, 0, 0) }

// happen lets time pass, with what is due in it, and then something happens.
func (w *wall) happen(after time.Duration, e statemachine.Event, by panel.By) {
	w.t.Helper()
	end := time.Since(w.start) + after
	for w.due != 0 && w.due < end {
		time.Sleep(w.due - time.Since(w.start))
		w.step(statemachine.Event{}, "")
	}
	time.Sleep(end - time.Since(w.start))
	w.step(e, by)
	synctest.Wait()
}

func (w *wall) step(e statemachine.Event, by panel.By) {
	e.At = time.Since(w.start).Truncate(time.Millisecond)
	before := w.state
	var out statemachine.Output
	w.state, out = statemachine.Step(before, e)
	w.due = out.Due
	s := panel.Step{Event: e, Time: w.now(), By: by, Before: before, After: w.state, Notes: out.Notes}
	if e.Kind == statemachine.DesiredRead {
		s.Asker = w.asker
	}
	w.box.Record(s)
}

func (w *wall) door(after time.Duration, contact int, r statemachine.Reading) {
	w.happen(after, statemachine.Event{Kind: statemachine.ContactRead, Contact: contact, Reading: r}, "")
}

func (w *wall) desired(after time.Duration, version uint32, armed bool) {
	w.happen(after, statemachine.Event{Kind: statemachine.DesiredRead, Version: version, Armed: armed}, "")
}

func (w *wall) key(after time.Duration, armed bool) {
	w.happen(after, statemachine.Event{Kind: statemachine.LocalCommand, Armed: armed}, panel.ByKey)
}

// end is a clean end.
func (w *wall) end() { w.box.Close() }

// file is a file in the folder.
func (w *wall) file(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return string(b)
}

// flushed is the log after a flush.
func (w *wall) flushed() string {
	w.t.Helper()
	if err := w.box.Flush(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w.file(Name)
}

// wantExact holds that a log is what the rules make of it.
func wantExact(t *testing.T, text string) {
	t.Helper()
	if played, err := transcript.Play(text); err != nil || played != text {
		t.Errorf("played, the log is another: %v\n%s\nand was:\n%s", err, played, text)
	}
}

var boot = regexp.MustCompile(`boot \S+`)

func TestLogIsATranscript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := hang(t, dir, statemachine.Saved{}, nil)
		w.door(200*time.Millisecond, 0, statemachine.Closed)
		w.door(0, 1, statemachine.Open)
		w.desired(time.Second, 7, true)
		for range 100 {
			w.desired(2*time.Second, 7, true) // as the hub is polled
		}
		w.happen(time.Second, statemachine.Event{Kind: statemachine.DesiredUnreadable}, "")
		w.happen(time.Second, statemachine.Event{Kind: statemachine.DesiredUnreadable}, "")
		w.desired(time.Second, 7, true)
		w.door(time.Second, 0, statemachine.Open)
		w.key(6*time.Second+time.Millisecond, false)
		w.desired(time.Second, 7, true)
		for range 2 {
			w.happen(0, statemachine.Event{Kind: statemachine.DesiredMissing}, "")
		}
		w.desired(0, 7, true)
		w.happen(time.Second, statemachine.Event{}, "") // a timer that has nothing to do
		w.end()
		w = hang(t, dir, w.state.Saved(), nil)
		w.end()

		got := boot.ReplaceAllString(w.file(Name), "boot B")
		want := `# twinpanel transcript, format 1
rules contacts=front,back exit=0s entry=5s siren=30s rings=2
0s start disarmed  # 2026-01-01T00:00:00.000Z start 1, first start on record, boot B
200ms front closed  # 2026-01-01T00:00:00.200Z
200ms back open  # 2026-01-01T00:00:00.200Z
1.2s desired 7 armed  # 2026-01-01T00:00:01.200Z
    armed
    back: not guarded until closed
    journal: armed, desired 7 seen, back waits
    state: armed
3m22.2s desired unreadable  # 2026-01-01T00:03:22.200Z
3m24.2s desired 7 armed  # 2026-01-01T00:03:24.200Z
3m25.2s front open  # 2026-01-01T00:03:25.200Z
    front: entry delay started
    journal: armed, desired 7 seen, entering, back waits
    state: entry_delay
3m30.2s time passes  # 2026-01-01T00:03:30.200Z
    ring started
    journal: armed, desired 7 seen, rings 1, charged 10s, back waits
    SIREN ON
    state: ringing
3m31.201s key disarm  # 2026-01-01T00:03:31.201Z
    SIREN OFF
    disarmed
    ring stopped
    journal: disarmed, by a command at the panel, desired 7 seen
    state: disarmed
3m32.201s desired none  # 2026-01-01T00:03:32.201Z
3m32.201s desired 7 armed  # 2026-01-01T00:03:32.201Z
3m33.201s stop  # 2026-01-01T00:03:33.201Z
rules contacts=front,back exit=0s entry=5s siren=30s rings=2
0s start disarmed, by a command at the panel, desired 7 seen  # 2026-01-01T00:03:33.201Z start 2, after a stop, boot B
0s stop  # 2026-01-01T00:03:33.201Z
`
		if got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
		wantExact(t, w.file(Name))
		if info, err := os.Stat(filepath.Join(dir, Name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("the log's mode is %v, %v; want 0600", info.Mode(), err)
		}
		told := []string{}
		for _, p := range w.past {
			told = append(told, p.What+"|"+p.Contact+"|"+p.Why)
		}
		wantTold := "panel started||first start on record, armed||desired 7, not guarded until closed|back|back open, " +
			"entry delay started|front|front open, ring started|front|entry delay over, disarmed||the key switch, ring stopped||the key switch, " +
			"panel started||after a stop"
		if got := strings.Join(told, ", "); got != wantTold {
			t.Errorf("the past is:\n%s\nwant:\n%s", got, wantTold)
		}
	})
}

// What changes something is on the disk at once, the rest after ten minutes.
func TestWhenTheLogIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes atomic.Int32
		w := hang(t, t.TempDir(), statemachine.Saved{}, func(b *Box) {
			b.write = func(path string, at int64, data []byte) error { writes.Add(1); return appendTo(path, at, data) }
		})
		check := func(want int32, when string) {
			t.Helper()
			synctest.Wait()
			if n := writes.Load(); n != want {
				t.Errorf("%d writes %s, want %d", n, when, want)
			}
		}
		check(1, "after the start")
		w.door(0, 0, statemachine.Closed)
		w.door(5*time.Minute, 1, statemachine.Closed)
		check(1, "before ten minutes are over")
		time.Sleep(5*time.Minute + time.Second)
		check(2, "after ten minutes")
		w.desired(time.Second, 1, true)
		check(3, "after arming")
		w.desired(time.Second, 2, true)
		check(4, "after a new version of desired, which the journal holds")
		time.Sleep(24 * time.Hour)
		check(4, "after a day without an event")
		for range 200 {
			w.happen(time.Second, statemachine.Event{Kind: statemachine.DesiredUnreadable}, "")
			w.desired(time.Second, 2, true)
		}
		check(5, "after 22 KB in seven minutes")
		w.end()
		check(6, "after the end")
	})
}

// The log is bounded, each file can be played by itself, and both together are what the panel did.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hang(t, t.TempDir(), statemachine.Saved{}, nil)
		random := rand.New(rand.NewPCG(1, 2))
		var version uint32
		joined := 0
		for i := range 8000 {
			after := time.Duration(random.IntN(10_000)) * time.Millisecond
			switch n := random.IntN(20); {
			case n < 14:
				w.door(after, n%2, statemachine.Reading(1+random.IntN(3)))
			case n < 16:
				w.key(after, n%2 == 0)
			default:
				version++
				w.desired(after, version, n%3 > 0)
			}
			if i%2000 == 1999 {
				now, old := w.flushed(), w.file(OldName)
				if len(now) > 2*segment || len(old) > 2*segment {
					t.Fatalf("the files have %d and %d bytes, want at most %d", len(now), len(old), 2*segment)
				}
				wantExact(t, now)
				wantExact(t, old)
				wantExact(t, old+now)
				if old != "" {
					joined++
				}
				if steps, err := transcript.Steps(old + now); err != nil || steps[len(steps)-1].After.Saved() != w.state.Saved() {
					t.Fatalf("after event %d the log ends with %v, want %v", i, steps[len(steps)-1].After.Saved(), w.state.Saved())
				}
			}
			if t.Failed() {
				return
			}
		}
		if joined < 3 {
			t.Errorf("%d looks with two files; want more", joined)
		}
		w.end()
	})
}

// That the hub has said that there is no desired is in the log once, and in each file that begins afterwards: what the first tap
// does depends on it.
func TestNoDesiredIsInEveryFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hang(t, t.TempDir(), statemachine.Saved{}, nil)
		missing := statemachine.Event{Kind: statemachine.DesiredMissing}
		for i := range 100 {
			w.happen(2*time.Second, missing, "") // as the hub is polled
			w.door(0, 0, statemachine.Open)
			w.key(0, i%2 == 0)
		}
		log := w.flushed()
		if n := strings.Count(log, "desired none"); n != 1 {
			t.Errorf("the log says %d times that there is no desired, want once", n)
		}
		for i := range 3000 {
			w.happen(2*time.Second, missing, "")
			w.key(0, i%2 == 0)
			if i%100 == 0 {
				w.flushed()
			}
		}
		w.door(0, 0, statemachine.Closed)
		w.door(0, 1, statemachine.Closed)
		w.key(time.Second, true)
		w.door(time.Second, 0, statemachine.Open)
		w.desired(10*time.Second, 1, false)
		now, old := w.flushed(), w.file(OldName)
		if old == "" || w.state.Armed() {
			t.Fatalf("no second file, or still armed: %d bytes in the first, armed %v", len(now), w.state.Armed())
		}
		wantExact(t, now)
		wantExact(t, old+now)
		got, err := Explain(now, time.Time{}, time.Time{})
		if err != nil || strings.Contains(got, "wrote something else") || !strings.Contains(got, " desired none\n") ||
			!strings.HasSuffix(got, ": disarmed by the phone (desired 1).\n") {
			t.Errorf("explained: %v\n%s", err, got)
		}
		w.end()
	})
}

// TestReason says why a panel has started.
func TestReason(t *testing.T) {
	tests := []struct {
		last    run
		boot    string
		stopped bool
		want    string
	}{
		{run{boot: unknown}, "a", false, "first start on record"},
		{run{3, "", "a"}, "a", true, "after a stop"},
		{run{3, "", "a"}, "b", true, "after a stop"},
		{run{3, "", "a"}, "a", false, "after a crash of the program"},
		{run{3, "", "a"}, "b", false, "after a power cut or reset"},
		{run{3, "", unknown}, "b", false, "after a crash or a power cut"},
		{run{3, "", "a"}, unknown, false, "after a crash or a power cut"},
	}
	for _, tt := range tests {
		if got := reason(tt.last, tt.boot, tt.stopped); got != tt.want {
			t.Errorf("reason(%v, %s, %t) = %q, want %q", tt.last, tt.boot, tt.stopped, got, tt.want)
		}
	}
	for _, remark := range []string{"", "# start x, y, boot z", "# start 12345678901234, y, boot z"} {
		if got := parseRun(remark); got.number != 0 {
			t.Errorf("%q is taken for start %d", remark, got.number)
		}
	}
}

// TestWear holds the figures of the package's comment: a day of a normal house, and a ring.
func TestWear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes, bytes atomic.Int32
		w := hang(t, t.TempDir(), statemachine.Saved{}, func(b *Box) {
			b.write = func(path string, at int64, data []byte) error {
				writes.Add(1)
				bytes.Add(int32(len(data)))
				return appendTo(path, at, data)
			}
		})
		w.door(time.Second, 0, statemachine.Closed)
		w.door(time.Second, 1, statemachine.Closed)
		w.flushed()
		day := func(what string, atMostWrites, atMostBytes int32) {
			t.Helper()
			synctest.Wait()
			w, b := writes.Swap(0), bytes.Swap(0)
			if w > atMostWrites || b > atMostBytes {
				t.Errorf("%s: %d flushes, %d bytes; want at most %d and %d", what, w, b, atMostWrites, atMostBytes)
			}
			t.Logf("%s: %d flushes, %d bytes", what, w, b)
		}
		writes.Store(0)
		bytes.Store(0)
		for i := range uint32(2) {
			w.desired(time.Hour, 2*i+1, true)
			w.door(8*time.Hour, 0, statemachine.Open)
			w.desired(3*time.Second, 2*i+2, false)
			for range 20 {
				w.door(5*time.Second, 0, statemachine.Closed)
				w.door(8*time.Minute, 0, statemachine.Open)
			}
			w.door(5*time.Second, 0, statemachine.Closed)
		}
		time.Sleep(lazily)
		day("a day", 30, 5<<10)

		w.desired(time.Hour, 9, true)
		day("armed", 1, 200)
		w.door(time.Hour, 0, statemachine.Open)
		w.happen(10*time.Minute, statemachine.Event{}, "")
		day("a ring of 30 s", 6, 1000)
		w.end()
	})
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	var text strings.Builder
	text.WriteString(transcript.Head + "\n" + house.String() + "\n0s start disarmed  # 2026-11-20T08:00:00.000Z start 2, after a stop, boot a\n")
	for i := 0; text.Len() < segment; i += 4 {
		fmt.Fprintf(&text, "%ds front open  # 2026-11-20T08:00:00.000Z\n%ds key arm  # 2026-11-20T08:00:00.000Z\n    armed\n%ds key disarm\n", i, i, i+1)
	}
	for _, name := range []string{Name, OldName} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		New(Config{Dir: dir, House: house}).load()
	}
}
