//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/powercuts/report"
)

// The panel's rules: the shortest ring there is, so that a siege of a few power cuts uses them up.
const (
	sirenLimit = 30 * time.Second
	maxRings   = 2
)

// uncharged is how long the siren may sound before the journal holds what that costs: it doesn't wait for a slow disk.
const uncharged = time.Second

// A violation is a promise that the panel has broken.
type violation struct{ what string }

func (v *violation) Error() string { return v.what }

func violated(format string, args ...any) error { return &violation{fmt.Sprintf(format, args...)} }

// An ask is a wish that somebody has uttered, and whose outcome nobody has told yet.
type ask struct {
	armed   bool
	version uint32 // of desired; 0 = it was a command at the panel
}

// A book has what was asked and told, and holds what comes against it. It is told things in the order in which they happened,
// as far as that can be known: where two orders are possible, it takes the one that blames nobody.
type book struct {
	may     []bool // what the panel may be: armed, disarmed, or either
	pending *ask
	silent  bool // it was disarmed when it was looked at last, and nobody has asked for anything since
	told    bool // somebody was told something, so there must be a journal
	before  bool // likewise, before this start of the machine
	found   *journal

	// Of this armed period.
	sounded time.Duration // before this start of the machine
	base    time.Duration // the siren's time at the beginning of the period, if that was since the machine's start
	latest  time.Duration // the siren's time since the machine's start
	paid    time.Duration // as it was found last
	usedUp  bool          // no ring is left
	spent   bool          // likewise, before this start of the machine

	figures *bookFigures
}

// bookFigures are what a book can count.
type bookFigures struct {
	armed, disarmed int           // how often that was told to somebody
	heard           int           // documents current
	sounded         time.Duration // of the siren
	longest         time.Duration // sounded in one armed period
	ahead           time.Duration // the longest time that the siren was ahead of the journal
	usedUp          int           // periods whose rings were used up
}

func newBook() *book { return &book{may: []bool{false}, figures: new(bookFigures)} }

// word is what an armed or disarmed panel is called.
func word(armed bool) string {
	if armed {
		return "armed"
	}
	return "disarmed"
}

func (b *book) words() string {
	words := "nothing"
	for i, armed := range b.may {
		if i == 0 {
			words = word(armed)
		} else {
			words += " or " + word(armed)
		}
	}
	return words
}

// ask notes a wish before it is uttered.
func (b *book) ask(a ask) {
	b.pending, b.silent = &a, false
	if !slices.Contains(b.may, a.armed) {
		b.may = append(b.may, a.armed)
	}
}

// tell notes that somebody was told that the panel is armed or not. What was on its way before the wish was heard tells nothing.
func (b *book) tell(armed bool) error {
	if b.pending != nil && armed != b.pending.armed {
		return nil
	}
	if !slices.Contains(b.may, armed) {
		return violated("the panel says that it is %s, and must be %s", word(armed), b.words())
	}
	if len(b.may) > 1 {
		if armed {
			b.figures.armed++
		} else {
			b.figures.disarmed++
		}
	}
	b.told = b.told || len(b.may) > 1
	b.may = []bool{armed}
	return nil
}

// hear takes a document current that the hub has stored.
func (b *book) hear(c current) error {
	b.figures.heard++
	if slices.Contains(c.Faults, "journal") {
		return nil // it warns that a power cut may lose what it says
	}
	return b.tell(c.AlarmArmed)
}

// report takes what the machine says.
func (b *book) report(r report.Report) error {
	if r.Err != "" {
		return errors.New("in the machine: " + r.Err)
	}
	b.latest = r.Sounded
	total := b.sounded + b.latest - b.base
	b.figures.longest = max(b.figures.longest, total)
	if b.silent && (r.Siren || total > 0) {
		return violated("the siren sounds, and the panel is disarmed")
	}
	if b.spent && (r.Siren || b.latest > b.base) {
		return violated("the siren sounds, and the rings are used up")
	}
	if limit := maxRings*sirenLimit + uncharged; total > limit {
		return violated("the siren has sounded for %v in one armed period, over all starts; at most %v are allowed", total, maxRings*sirenLimit)
	}
	switch r.Kind {
	case report.Found:
		return b.foundOnDisk(r, total)
	case report.Started:
		return b.startedAgain(r)
	case report.Answer:
		if err := b.status(r); err != nil {
			return err
		}
		b.endPeriod(r)
	}
	return nil
}

// foundOnDisk is what the power cut has left.
func (b *book) foundOnDisk(r report.Report, total time.Duration) error {
	b.found = nil
	switch {
	case r.Unreadable:
		return violated("there is a journal.unreadable")
	case r.Journal == nil && b.before:
		return violated("the journal is gone")
	case r.BlackBox != "" && b.before:
		return violated("the black box cannot be explained: %s", r.BlackBox)
	case r.Journal == nil:
		return nil
	}
	j, err := parseJournal(r.Journal)
	if err != nil {
		return &violation{err.Error()}
	}
	b.found = &j
	if !slices.Contains(b.may, j.Armed) {
		return violated("the journal is of a panel that is %s, which must be %s", word(j.Armed), b.words())
	}
	if !j.Armed {
		return nil
	}
	paid := j.charged()
	if paid < b.paid {
		return violated("the journal has %v of ring time charged; it was %v before", paid, b.paid)
	}
	b.paid = paid
	b.figures.ahead = max(b.figures.ahead, total-paid)
	if total > paid+uncharged {
		return violated("the siren has sounded for %v, and the journal has %v charged", total, paid)
	}
	return nil
}

// startedAgain is what the panel makes of it, with no network.
func (b *book) startedAgain(r report.Report) error {
	if err := b.status(r); err != nil {
		return err
	}
	armed := r.Status.Armed
	if b.found != nil && armed != b.found.Armed {
		return violated("the panel is %s, and its journal says %s", word(armed), word(b.found.Armed))
	}
	if b.found != nil && b.found.amidRing() && !r.Status.Ringing {
		return violated("the panel was ringing, and has forgotten it: %+v", *r.Status)
	}
	// A wish that was uttered at the panel has died with it. One in desired is still there, and the panel will read it.
	b.may = []bool{armed}
	if b.pending != nil && b.pending.version == 0 {
		b.pending = nil
	}
	if b.pending != nil && b.pending.armed != armed {
		b.may = append(b.may, b.pending.armed)
	}
	b.endPeriod(r)
	return nil
}

func (b *book) status(r report.Report) error {
	if !slices.Contains(b.may, r.Status.Armed) {
		return violated("the panel is %s, and must be %s", word(r.Status.Armed), b.words())
	}
	if slices.Contains(r.Status.Faults, "journal") {
		return violated("the panel has a fault of the journal: %+v", *r.Status)
	}
	return b.tell(r.Status.Armed)
}

// endPeriod ends the armed period when the panel is disarmed.
func (b *book) endPeriod(r report.Report) {
	if slices.Contains(r.Status.Faults, "rings_used") && !b.usedUp {
		b.usedUp = true
		b.figures.usedUp++
	}
	if r.Status.Armed {
		return
	}
	b.figures.sounded += b.latest - b.base
	b.sounded, b.base, b.paid, b.usedUp, b.spent = 0, b.latest, 0, false, false
	b.silent = b.pending == nil
}

// settle notes that the wish is fulfilled, and that nothing of the time before it is on its way.
func (b *book) settle(r report.Report) {
	b.pending, b.told = nil, true
	b.silent = !r.Status.Armed
}

// cut notes that the machine is dead.
func (b *book) cut() {
	b.sounded += b.latest - b.base
	b.figures.sounded += b.latest - b.base
	b.latest, b.base, b.before, b.spent = 0, 0, b.told, b.usedUp
}
