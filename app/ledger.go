package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
)

// Limits of what one receiver is told.
const (
	maxUrgent = 12       // notices of an alarm in an hour: a panel rings three times, and then no more
	maxPlain  = 20       // others
	maxLedger = 64 << 10 // bytes
)

const ledgerVersion = 1

// A ledger is what one receiver has been told. It is no queue: what is due is the difference between it and what is. Its file is JSON:
//
//	{"version":1,"ring":{"told":true,"last":"2026-11-21T21:04:07.123Z","owed":true},"told":{"fault siren":{"is":"unusual","at":"2026-11-21T20:00:00Z"}}}
//
// Lost: present faults and a present ring are told again, old rings aren't. Rolled back: what happened since is told again.
type ledger struct {
	Version int             `json:"version"`
	Ring    toldRing        `json:"ring"`
	Told    map[string]told `json:"told"` // by subject, without the ring

	changed        bool        // since it was saved
	urgents, plain []time.Time // of the last hour's notices, oldest first
}

// toldRing is what was told of rings.
type toldRing struct {
	Told bool       `json:"told"`           // that it rings, and not yet that it is over
	Last *time.Time `json:"last,omitempty"` // the start of the newest ring in events that need not be told any more; nil: no events were seen yet
	Owed bool       `json:"owed,omitempty"` // a ring was told whose start isn't in events yet
	seen int        // its number
}

// told is the last that was told of a subject.
type told struct {
	Is    string    `json:"is"`
	At    time.Time `json:"at"` // when it was last told that it had begun
	seen  int       // its number
	taken time.Time // At on the clock that nobody can set; zero: long ago
}

// A duty is a notice that is due.
type duty struct {
	kind    Kind
	subject string
	is      string
	number  int
	urgent  bool
	ring    rings
	view    View
	silent  bool // the panel is, or was when it was last told of
}

// same tells whether a duty is only another attempt at one.
func (d *duty) same(other *duty) bool {
	return other != nil && d.kind == other.kind && d.subject == other.subject && d.number == other.number
}

// due returns what is to be told now, the most urgent first, or nil and when to look again; zero: when there is news.
func (l *ledger) due(s *situation, now time.Time) (d *duty, at time.Time) {
	var next time.Time
	consider := func(candidate *duty, when time.Time) {
		if candidate == nil || d != nil {
			return
		}
		recent := &l.plain
		most := maxPlain
		if candidate.urgent {
			recent, most = &l.urgents, maxUrgent
		}
		if len(*recent) >= most {
			when = latest(when, (*recent)[len(*recent)-most].Add(time.Hour))
		}
		if !when.After(now) {
			candidate.view, candidate.ring = s.view, s.ring
			candidate.silent = s.panel.is == isSilent || s.panel.is != fine && l.Told[ofPanel].Is == isSilent
			d = candidate
		} else if next.IsZero() || when.Before(next) {
			next = when
		}
	}
	l.claim(&s.ring)
	consider(l.dueRing(&s.ring))
	consider(l.dueOf(ofPanel, s.panel))
	consider(l.dueOf(ofHub, s.hub))
	// First what is over, so that no more is kept here than a panel can have at a time.
	for _, subject := range append(slices.Sorted(maps.Keys(l.Told)), slices.Sorted(maps.Keys(s.faults))...) {
		if subject != ofPanel && subject != ofHub {
			consider(l.dueOf(subject, s.fault(subject)))
		}
	}
	if d != nil {
		return d, now
	}
	return nil, next
}

// claim sees to it that a ring that was told isn't told again when its start comes in events, nor those before the first start of the app.
func (l *ledger) claim(r *rings) {
	if !r.events {
		return
	}
	switch untold := l.untold(r); {
	case l.Ring.Last == nil:
		l.Ring.Last = new(time.Time)
		if len(r.starts) > 0 {
			*l.Ring.Last = r.starts[0].at
		}
	case l.Ring.Owed && len(untold) > 0:
		l.Ring.Last = new(untold[len(untold)-1].at)
	default:
		return
	}
	l.Ring.Owed, l.changed = false, true
}

// untold are the rings in events that were not told, newest first. Clocks of panels jump: what counts first is the order of the
// entries, and the times only once the last that was told has left them.
func (l *ledger) untold(r *rings) []ringSeen {
	if l.Ring.Last == nil {
		return nil
	}
	if i := slices.IndexFunc(r.starts, func(s ringSeen) bool { return s.at.Equal(*l.Ring.Last) }); i >= 0 {
		return r.starts[:i]
	}
	return slices.DeleteFunc(slices.Clone(r.starts), func(s ringSeen) bool { return !s.at.After(*l.Ring.Last) })
}

// dueRing is what is to be told of rings, and when.
func (l *ledger) dueRing(r *rings) (*duty, time.Time) {
	news := r.number > l.Ring.seen || len(l.untold(r)) > 0
	d := &duty{subject: ofRing, is: r.is, number: r.number, urgent: true}
	switch {
	case r.is == isUnusual && (news || !l.Ring.Told):
		d.kind = KindRinging
		return d, time.Time{}
	case r.is == fine && news:
		d.kind = KindRang
		return d, latest(r.heard, r.changed).Add(ringHold)
	case r.is == fine && l.Ring.Told:
		d.kind, d.urgent = KindRingOver, false
		return d, r.changed.Add(hold)
	}
	return nil, time.Time{}
}

// dueOf is what is to be told of a subject, and when.
func (l *ledger) dueOf(subject string, c condition) (*duty, time.Time) {
	t := l.Told[subject]
	d := &duty{subject: subject, is: c.is, number: c.number, urgent: c.is == isSilent}
	kinds := map[string][2]Kind{ofPanel: {KindUnreachable, KindBack}, ofHub: {KindHubAway, KindHubBack}}[subject]
	if kinds == [2]Kind{} {
		kinds = [2]Kind{KindFault, KindFaultOver}
	}
	switch {
	case c.is == isSilent && (t.Is != isSilent || c.number > t.seen):
		d.kind = KindSilent
		return d, time.Time{}
	case c.is != isSilent && c.is != fine && c.is != notJudged && (t.Is == "" || t.Is == fine):
		d.kind = kinds[0]
		at := c.first.Add(hold)
		if !t.taken.IsZero() {
			at = latest(at, t.taken.Add(noticeRest))
		}
		return d, at
	case c.is == fine && t.Is != "" && t.Is != fine:
		d.kind = kinds[1]
		return d, c.changed.Add(hold)
	}
	return nil, time.Time{}
}

// settle notes that a duty was done.
func (l *ledger) settle(d *duty, now time.Time) {
	l.changed = true
	recent := &l.plain
	if d.urgent {
		recent = &l.urgents
	}
	*recent = slices.DeleteFunc(append(*recent, now), func(t time.Time) bool { return now.Sub(t) >= time.Hour })
	if d.subject == ofRing {
		l.settleRing(d)
		return
	}
	t := l.Told[d.subject]
	t.Is, t.seen = d.is, d.number
	if d.is != fine {
		t.At, t.taken = now, now
	}
	l.Told[d.subject] = t
	maps.DeleteFunc(l.Told, func(_ string, t told) bool {
		return t.Is == fine && (t.taken.IsZero() || now.Sub(t.taken) >= noticeRest)
	})
}

func (l *ledger) settleRing(d *duty) {
	l.Ring.Told, l.Ring.seen = d.kind == KindRinging, d.number
	switch untold := l.untold(&d.ring); {
	case d.kind == KindRingOver:
		l.Ring.Owed = false // it would have come by now
	case len(untold) > 0:
		l.Ring.Last, l.Ring.Owed = new(untold[0].at), false
	default:
		l.Ring.Owed = true
	}
}

// readLedger reads a ledger; there need not be one. One that makes no sense is kept aside. Whatever is wrong with it, there is one
// to begin with: to tell again is better than not to tell.
func readLedger(path string, log *slog.Logger) *ledger {
	l, err := parseLedger(path, time.Now())
	if err == nil {
		return l
	}
	if !errors.Is(err, fs.ErrNotExist) {
		hint := "see to the disk, and to who owns the file"
		if errors.Is(err, errLedger) {
			aside := path + ".unreadable"
			if err := os.Rename(path, aside); err == nil {
				hint = "the file is kept as " + aside
			}
		}
		log.Error("what has been told can't be read: what is so now will be told again", "error", err, "hint", hint)
	}
	return &ledger{Version: ledgerVersion, Told: make(map[string]told)}
}

var errLedger = errors.New("not a ledger of notices")

func parseLedger(path string, now time.Time) (*ledger, error) {
	data, err := durable.Read(path, maxLedger+1)
	if err != nil {
		return nil, err
	}
	var l ledger
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, errLedger, err)
	}
	if l.Version != ledgerVersion {
		return nil, fmt.Errorf("%s: %w: its version is %d, this program knows %d", path, errLedger, l.Version, ledgerVersion)
	}
	if l.Told == nil {
		l.Told = make(map[string]told)
	}
	for subject, t := range l.Told {
		// On the clock that nobody can set: what was told in the future was told under a wrong one.
		if ago := now.Round(0).Sub(t.At); ago >= 0 && ago < noticeRest {
			t.taken = now.Add(-ago)
			l.Told[subject] = t
		}
	}
	return &l, nil
}

// save writes the ledger.
func (l *ledger) save(path string) error {
	data, err := json.Marshal(l)
	if err == nil {
		err = durable.Replace(path, append(data, '\n'), 0o600)
	}
	if err == nil {
		l.changed = false
	}
	return err
}
