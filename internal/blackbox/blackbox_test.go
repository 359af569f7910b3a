package blackbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	w.box.Record(panel.Step{Event: e, Time: w.now(), By: by, Before: before, After: w.state, Notes: out.Notes})
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

// TestPowerCut cuts and garbles the end of a log in every way, and starts a panel on it.
func TestPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hang(t, t.TempDir(), statemachine.Saved{}, nil)
		w.door(0, 0, statemachine.Closed)
		w.door(0, 1, statemachine.Closed)
		safe := w.flushed()
		w.desired(time.Second, 1, true)
		w.door(time.Second, 0, statemachine.Open)
		whole := w.flushed()
		w.end()
		unsafe := whole[len(safe):]
		for cut := range len(unsafe) + 1 {
			garbage := strings.Repeat("\x00", len(unsafe)-cut)
			for name, end := range map[string]string{"cut": unsafe[:cut], "NULs": unsafe[:cut] + garbage, "another file": unsafe[:cut] + "\xff\xfe\n7z\n12s"} {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, Name), []byte(safe+end), 0o600); err != nil {
					t.Fatal(err)
				}
				w := hang(t, dir, statemachine.Saved{Armed: true}, nil)
				w.door(time.Second, 0, statemachine.Closed)
				got := w.flushed()
				w.end()
				if !strings.HasPrefix(got, safe) {
					t.Fatalf("%s at %d: what was flushed is gone:\n%s", name, cut, got)
				}
				if !strings.Contains(got, "start 2, after a crash of the program") && !strings.Contains(got, "start 2, after a crash or a power cut") {
					t.Fatalf("%s at %d: no second start in:\n%s", name, cut, got)
				}
				if _, err := transcript.Play(got); err != nil {
					t.Fatalf("%s at %d: %v in:\n%s", name, cut, err, got)
				}
				torn := end != "" && !strings.HasSuffix(end, "\n") || name == "another file"
				if torn != strings.Contains(got, "bytes could not be read") {
					t.Fatalf("%s at %d: torn %t, and the log says:\n%s", name, cut, torn, got)
				}
				if len(w.past) == 0 || w.past[len(w.past)-1].What != "panel started" {
					t.Fatalf("%s at %d: the past is %v", name, cut, w.past)
				}
			}
		}
	})
}

// A power cut between the renaming and the new file leaves no blackbox.
func TestPowerCutAmidANewFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hang(t, t.TempDir(), statemachine.Saved{}, nil)
		w.desired(time.Second, 1, true)
		w.end()
		if err := os.Rename(filepath.Join(w.dir, Name), filepath.Join(w.dir, OldName)); err != nil {
			t.Fatal(err)
		}
		w = hang(t, w.dir, w.state.Saved(), nil)
		w.end()
		if got := w.file(Name); !strings.Contains(got, "start 2, after a stop") || !strings.HasPrefix(got, transcript.Head) {
			t.Errorf("the new file is:\n%s", got)
		}
		if len(w.past) != 5 {
			t.Errorf("the past is %v, want five transitions", w.past)
		}
	})
}

// A disk that is full, and then isn't.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		errFull := errors.New("no space left on device")
		w := hang(t, t.TempDir(), statemachine.Saved{}, func(b *Box) {
			b.write = func(path string, at int64, data []byte) error {
				if full.Load() {
					return errors.Join(appendTo(path, at, data[:len(data)/2]), errFull) // a full disk takes what fits
				}
				return appendTo(path, at, data)
			}
		})
		full.Store(true)
		w.door(time.Second, 0, statemachine.Closed)
		w.desired(time.Second, 1, true)
		time.Sleep(10 * time.Minute)
		if err := w.box.Flush(t.Context()); !errors.Is(err, errFull) {
			t.Errorf("flushing to a full disk: got %v", err)
		}
		full.Store(false)
		time.Sleep(again + time.Second)
		wantExact(t, w.file(Name))
		if got := w.file(Name); !strings.Contains(got, "desired 1 armed") || strings.Contains(got, "missing") {
			t.Errorf("a short lack of room has cost something:\n%s", got)
		}

		full.Store(true)
		for i := range uint32(2000) {
			w.desired(time.Second, 2+i, i%2 == 0)
		}
		w.box.mu.Lock()
		waiting := len(w.box.now) + len(w.box.next)
		w.box.mu.Unlock()
		if waiting > room {
			t.Errorf("%d bytes wait in memory, want at most %d", waiting, room)
		}
		full.Store(false)
		w.desired(time.Minute, 3000, true)
		w.desired(time.Minute, 3001, false)
		got := w.flushed()
		wantExact(t, got)
		if !strings.Contains(got, "desired 3001 disarmed") {
			t.Errorf("the log doesn't go on:\n%s", got[len(got)-1500:])
		}
		written := len(regexp.MustCompile(`(?m)^\S+ desired \d+ (dis)?armed`).FindAllString(got, -1))
		missing := 0
		for _, m := range regexp.MustCompile(`(?m)^# Events are missing here: (\d+) that could not be written\.$`).FindAllStringSubmatch(got, -1) {
			n, _ := strconv.Atoi(m[1])
			missing += n
		}
		if missing < 1000 || written+missing != 2003 {
			t.Errorf("of 2003 events, %d are written and %d missing", written, missing)
		}
		w.end()
	})
}

// The loop of the panel never waits, not even for a disk that hangs for ever; and Close gives up on it.
func TestHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		w := hang(t, t.TempDir(), statemachine.Saved{}, func(b *Box) {
			b.write = func(path string, at int64, data []byte) error { <-hangs; return errors.New("gone") }
		})
		for i := range uint32(2000) {
			w.desired(time.Second, 1+i, i%2 == 0)
		}
		begin := time.Now()
		w.end()
		if waited := time.Since(begin); waited != patience {
			t.Errorf("Close waited for %v, want %v", waited, patience)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.box.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush on a disk that hangs: got %v", err)
		}
		close(hangs)
		<-w.box.done
	})
}

// Somebody removes the folder, and the journal makes it anew.
func TestFolderIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := hang(t, filepath.Join(t.TempDir(), "state"), statemachine.Saved{}, func(b *Box) {
			os.Mkdir(b.config.Dir, 0o700)
		})
		w.door(0, 0, statemachine.Closed)
		w.desired(time.Second, 1, true)
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		w.door(time.Second, 1, statemachine.Closed)
		if err := os.Mkdir(w.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.door(time.Second, 1, statemachine.Open) // an entry delay begins, so no file can
		w.desired(time.Second, 2, false)
		w.desired(time.Second, 3, true)
		got := w.flushed()
		wantExact(t, got)
		for _, want := range []string{transcript.Head, "# Events are missing here: 1 that could not be written.", "start armed, desired 1 seen  #", "start 1, the log goes on, boot", "desired 3 armed"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in the new file:\n%s", want, got)
			}
		}
		w.end()
	})
}

// A log of a newer panel stays, under the old one's name.
func TestLogOfANewerPanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		newer := "# twinpanel transcript, format 2\n0s begin\n"
		if err := os.WriteFile(filepath.Join(dir, Name), []byte(newer), 0o600); err != nil {
			t.Fatal(err)
		}
		w := hang(t, dir, statemachine.Saved{}, nil)
		w.end()
		if old := w.file(OldName); old != newer {
			t.Errorf("the newer log is now %q", old)
		}
		wantExact(t, w.file(Name))
	})
}

// A box whose panel never began has nothing to say.
func TestPanelThatNeverBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Dir: t.TempDir(), House: house})
		go b.Run()
		b.Close()
		if files, _ := os.ReadDir(b.config.Dir); len(files) != 0 {
			t.Errorf("it has written %v", files)
		}
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
