package blackbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// disk is the log's files, as Run's goroutine knows them.
type disk struct {
	path, old string
	good      int64 // how much of the present file is on the disk
	trouble   error // of the last write
}

// errGone says that somebody has taken the file away, or a part of it.
var errGone = errors.New("the file of the black box is gone")

// put writes now to the present file and next to a new one. It returns what could not be written.
func (d *disk) put(write func(string, int64, []byte) error, now, next []byte) (_, _ []byte, err error) {
	if len(now) > 0 {
		if err := write(d.path, d.good, now); err != nil {
			return now, next, err
		}
		d.good += int64(len(now))
	}
	if next == nil {
		return nil, nil, nil
	}
	if err := os.Rename(d.path, d.old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, next, err
	}
	d.good = 0
	if err := write(d.path, 0, next); err != nil {
		return next, nil, err // the old one has its name already
	}
	d.good = int64(len(next))
	return nil, nil, nil
}

// appendTo makes a file hold its first bytes and data behind them, and returns when that would survive a power cut. At 0 the
// file may be missing.
func appendTo(path string, at int64, data []byte) (err error) {
	flags := os.O_WRONLY
	if at == 0 {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if at > 0 && errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil {
		return err
	} else if info.Size() < at {
		return errGone
	} else if info.Size() > at { // a write that failed
		if err := f.Truncate(at); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(data, at); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("flushing %s: %w", path, err)
	}
	if at == 0 {
		return durable.SyncDir(filepath.Dir(path))
	}
	return nil
}

// A run is which start of the panel it is.
type run struct {
	number int
	why    string
	boot   string // the kernel's id of the computer's start; "unknown" elsewhere
}

func (r run) String() string { return fmt.Sprintf("start %d, %s, boot %s", r.number, r.why, r.boot) }

var runRemark = regexp.MustCompile(` start (\d{1,9}), ([^,]{0,100}), boot (\S+)$`)

// parseRun reads which start a remark tells of.
func parseRun(remark string) run {
	m := runRemark.FindStringSubmatch(remark)
	if m == nil {
		return run{boot: unknown}
	}
	n, _ := strconv.Atoi(m[1]) // digits, and few
	return run{number: n, why: m[2], boot: m[3]}
}

const unknown = "unknown"

// bootID is the kernel's id of this start of the computer.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(b))
	if err != nil || id == "" {
		return unknown
	}
	return id
}

// load reads what earlier starts have left, mends what a power cut has left, and says which start this one is.
func (b *Box) load() ([]panel.Transition, run) {
	text := b.read(b.path)
	if err := transcript.CheckFormat(text); err != nil {
		b.log.Warn("black box is of a newer panel and is put aside", "file", b.old, "error", err)
		os.Rename(b.path, b.old)
		text = ""
	}
	clean, lost := transcript.Clean(text)
	if lost > 0 {
		b.log.Warn("the end of the black box was torn off, as a power cut does", "bytes", lost)
		clean += fmt.Sprintf("# Here %d bytes could not be read, as after a power cut.\n", lost)
		if err := durable.Replace(b.path, []byte(clean), 0o600); err != nil {
			b.log.Warn("black box cannot be mended; a new file begins", "error", err)
			os.Rename(b.path, b.old)
			clean = ""
		}
	}
	b.good = int64(len(clean))
	past, last, stopped := tell(clean)
	if len(past) < panel.MaxTransitions {
		old, _ := transcript.Clean(b.read(b.old))
		past, last, stopped = tell(old + clean)
	}
	boot := bootID()
	return past, run{last.number + 1, reason(last, boot, stopped), boot}
}

// reason is why a run has begun.
func reason(last run, boot string, stopped bool) string {
	switch {
	case last.number == 0:
		return "first start on record"
	case stopped:
		return "after a stop"
	case boot == unknown || last.boot == unknown:
		return "after a crash or a power cut"
	case boot == last.boot:
		return "after a crash of the program"
	}
	return "after a power cut or reset"
}

// read is a file as far as a box may have written it; what cannot be read is as good as not there.
func (b *Box) read(path string) string {
	text, err := durable.Read(path, largest)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("black box cannot be read", "error", err)
	}
	return string(text)
}

// tell is the last transitions in a log, the last start in it, and whether that run has ended in an orderly way.
func tell(text string) (past []panel.Transition, last run, stopped bool) {
	var teller *panel.Teller
	transcript.Each(text, func(s transcript.Step) { // what is clean can be played
		stopped = s.Line.Kind == transcript.Stop
		switch {
		case s.Line.Kind == transcript.Start:
			last = parseRun(s.Line.Remark)
			teller = panel.NewTeller(s.House.Contacts)
			if s.Line.At == 0 {
				past = append(past, panel.Started(s.Wall, last.why))
			}
		case s.Line.Kind == transcript.PowerCut: // which a story has; the contacts may be others from here on
			teller = panel.NewTeller(s.House.Contacts)
		case teller != nil && s.Line.Kind == transcript.Event:
			past = append(past, teller.Tell(step(s))...)
		}
		past = past[max(0, len(past)-panel.MaxTransitions):]
	})
	return past, last, stopped
}

// step is a step of a played log as the panel's.
func step(s transcript.Step) panel.Step {
	by := panel.ByCommand
	if s.Line.Key {
		by = panel.ByKey
	}
	return panel.Step{Event: s.Event, Time: s.Wall, By: by, Asker: panel.NewAsker(s.Line.Asker()), Before: s.Before, After: s.After, Notes: s.Notes}
}
