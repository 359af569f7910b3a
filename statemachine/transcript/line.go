package transcript

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/statemachine"
)

// A Kind says what a [Line] is.
type Kind uint8

// The kinds of lines.
const (
	Blank    Kind = iota // for the reader alone, or empty
	Answer               // the panel's
	Rules                // of the household
	Event                // an input of the rules
	PowerCut             // the panel restarts with what its journal holds
	Start                // a run begins
	Stop                 // a run ends
)

// A Line is one line of a transcript.
type Line struct {
	Kind   Kind
	Text   string // what it says, without the remark
	Remark string // from the # on
	At     time.Duration
	House  House              // of Rules: all that hold from now on
	Event  statemachine.Event // of Event, without the time
	Key    bool               // of Event: a command of the key switch
	Saved  statemachine.Saved // of Start
}

// Wall is the wall clock's time at the beginning of the remark; the zero time if there is none.
func (l Line) Wall() time.Time {
	wall, _ := l.remark()
	return wall
}

// Asker is who is behind a version of desired, as the remark says after the wall clock's time: "by Anna's phone". It is what
// somebody has written, of any length; empty if the remark doesn't say.
func (l Line) Asker() string {
	_, more := l.remark()
	asker, ok := strings.CutPrefix(more, "by ")
	if !ok || l.Event.Kind != statemachine.DesiredRead {
		return ""
	}
	return asker
}

// remark is the wall clock's time at the beginning of the remark, and what follows it.
func (l Line) remark() (wall time.Time, more string) {
	text, more, _ := strings.Cut(strings.TrimLeft(l.Remark, "# "), " ")
	wall, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, ""
	}
	return wall, more
}

// String is the line with its remark.
func (l Line) String() string {
	switch {
	case l.Remark == "":
		return l.Text
	case l.Text == "":
		return l.Remark
	}
	return l.Text + "  " + l.Remark
}

// latest is the latest time of an event: no panel runs that long, and sums of times stay in their range.
const latest = 100 * 365 * 24 * time.Hour

// A reader parses lines; it knows what the lines before have said.
type reader struct {
	house   House         // that the last line "rules" says
	names   []string      // of the present run
	at      time.Duration // of the last event
	running bool          // a run has begun
	stopped bool          // and ended
}

func newReader() *reader { return &reader{house: DefaultHouse()} }

// read parses one line. After an error, the reader is as before.
func (r *reader) read(text string) (Line, error) {
	text = strings.TrimRight(text, " \t\r")
	if err := checkText(text); err != nil {
		return Line{}, err
	}
	switch {
	case strings.HasPrefix(text, "    "):
		return Line{Kind: Answer, Text: text}, nil
	case text == "":
		return Line{}, nil
	}
	l := Line{Text: text}
	if i := strings.Index(text, "#"); i >= 0 {
		l.Text, l.Remark = strings.TrimRight(text[:i], " \t"), text[i:]
	}
	if l.Text == "" {
		return l, checkFormat(l.Remark)
	}
	first, what, _ := strings.Cut(l.Text, " ")
	if first == "rules" {
		house, err := parseHouse(strings.Fields(what), r.house)
		if err != nil {
			return Line{}, err
		}
		l.Kind, l.House, r.house = Rules, house, house
		return l, nil
	}
	at, err := time.ParseDuration(first)
	if err != nil {
		return Line{}, fmt.Errorf("a line begins with a time, as in 10s, or with \"rules\", \"#\" or four spaces: %q does not", first)
	}
	if at < 0 || at > latest {
		return Line{}, fmt.Errorf("the time %s is not between 0s and %v", first, latest)
	}
	l.At = at
	if err := r.event(&l, strings.Join(strings.Fields(what), " ")); err != nil {
		return Line{}, err
	}
	r.at, r.running, r.stopped = at, true, l.Kind == Stop
	return l, nil
}

// event parses what happens at a time.
func (r *reader) event(l *Line, what string) (err error) {
	if saved, ok := strings.CutPrefix(what, "start "); ok && !r.isReading(what) {
		l.Kind = Start
		if l.Saved, err = parseSaved(r.house.Contacts, saved); err == nil {
			r.names = r.house.Contacts
		}
		return err
	}
	if r.stopped {
		return errors.New("the panel has stopped: a start has to come first")
	}
	if l.At < r.at {
		return fmt.Errorf("the time goes back from %v to %v", r.at, l.At)
	}
	names := r.names
	if !r.running {
		names = r.house.Contacts
	}
	l.Kind = Event
	f := strings.Fields(what)
	switch {
	case what == "power cut":
		l.Kind, names = PowerCut, r.house.Contacts
	case what == "stop":
		l.Kind = Stop
	case what == "time passes":
		l.Event.Kind = statemachine.TimePassed
	case what == "desired unreadable":
		l.Event.Kind = statemachine.DesiredUnreadable
	case what == "desired none":
		l.Event.Kind = statemachine.DesiredMissing
	case len(f) == 3 && f[0] == "desired" && (f[2] == "armed" || f[2] == "disarmed"):
		var version uint64
		version, err = strconv.ParseUint(f[1], 10, 32)
		l.Event = statemachine.Event{Kind: statemachine.DesiredRead, Version: uint32(version), Armed: f[2] == "armed"}
	case what == "panel arm", what == "panel disarm", what == "key arm", what == "key disarm":
		l.Event = statemachine.Event{Kind: statemachine.LocalCommand, Armed: f[1] == "arm"}
		l.Key = f[0] == "key"
	case len(f) == 2 && slices.Contains(names, f[0]):
		reading := slices.Index(readings, f[1])
		if reading < int(statemachine.Closed) {
			return fmt.Errorf("%q is no reading: expected closed, open or fault", f[1])
		}
		l.Event = statemachine.Event{
			Kind: statemachine.ContactRead, Contact: slices.Index(names, f[0]), Reading: statemachine.Reading(reading),
		}
	default:
		return fmt.Errorf("unknown event %q", what)
	}
	if err == nil {
		r.names = names
	}
	return err
}

var readings = []string{"unknown", "closed", "open", "fault"}

// isReading tells the reading of a contact with the name "start" from a start.
func (r *reader) isReading(what string) bool {
	return slices.ContainsFunc(readings, func(reading string) bool { return what == "start "+reading })
}

// Words is an event without its time, as a transcript has it.
func Words(contacts []string, e statemachine.Event, key bool) string {
	armed := func(yes, no string) string {
		if e.Armed {
			return yes
		}
		return no
	}
	switch e.Kind {
	case statemachine.ContactRead:
		return contacts[e.Contact] + " " + e.Reading.String()
	case statemachine.DesiredRead:
		return fmt.Sprintf("desired %d %s", e.Version, armed("armed", "disarmed"))
	case statemachine.DesiredUnreadable:
		return "desired unreadable"
	case statemachine.DesiredMissing:
		return "desired none"
	case statemachine.LocalCommand:
		if key {
			return armed("key arm", "key disarm")
		}
		return armed("panel arm", "panel disarm")
	}
	return "time passes"
}

func checkText(line string) error {
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return errors.New("this is no text")
	}
	return nil
}

// format is the version of the language, which the first line of a black box names.
const format = 1

// Head is the first line of a black box.
const Head = "# twinpanel transcript, format 1"

// ErrNewer says that a transcript is of a later format than this program knows.
var ErrNewer = errors.New("is of a newer panel")

// CheckFormat refuses a transcript whose first line is that of a newer black box.
func CheckFormat(text string) error {
	first, _, _ := strings.Cut(text, "\n")
	return checkFormat(first)
}

// checkFormat refuses the first line of a newer black box.
func checkFormat(remark string) error {
	var n int
	if _, err := fmt.Sscanf(remark, "# twinpanel transcript, format %d", &n); err == nil && n > format {
		return fmt.Errorf("format %d %w; this program knows no later than %d", n, ErrNewer, format)
	}
	return nil
}
