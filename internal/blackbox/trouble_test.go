package blackbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

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
