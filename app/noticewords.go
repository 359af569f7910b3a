package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Languages are those that there are words in: page/words has a file for each, which the page shares.
var Languages = []string{"en", "fr"}

// A vocabulary has the texts of a language by their keys.
type vocabulary map[string]string

// newVocabulary reads the words of a language; of none: English.
func newVocabulary(language string) (vocabulary, error) {
	data, err := pageFiles.ReadFile("page/words/" + cmp.Or(language, Languages[0]) + ".json")
	if err != nil {
		return nil, fmt.Errorf("there are no words in the language %.20q, only in %s", language, strings.Join(Languages, ", "))
	}
	var w vocabulary
	return w, json.Unmarshal(data, &w)
}

// say says a key, with values in the places of {names}. Values are never looked into.
func (w vocabulary) say(key string, namesAndValues ...string) string {
	pairs := slices.Clone(namesAndValues)
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(w[key])
}

// known says a key, or one that is good for any where there is none.
func (w vocabulary) known(key, other string, namesAndValues ...string) string {
	if _, ok := w[key]; !ok {
		key = other
	}
	return w.say(key, namesAndValues...)
}

// compose makes a notice of a duty.
func (w vocabulary) compose(d *duty, now time.Time, click string) Notice {
	v := d.view
	n := Notice{Kind: d.kind, Urgent: d.urgent, Click: click}
	var text []string
	say := func(sentences ...string) { text = append(text, sentences...) }
	switch d.kind {
	case KindRinging:
		n.Title = w.say("notice.ringing")
		if v.Known != nil && slices.ContainsFunc(v.Known.Doors, func(d Door) bool { return d.Is != "closed" }) {
			n.Title += " – " + w.doors(v.Known.Doors)
		}
		say(w.timed("notice.ringing.since", "notice.ringing.more", d.ring.at, now), w.beganWith(d.ring.by))
		if !v.lives() {
			say(w.state(v))
		}
	case KindRang:
		at, by := d.ring.at, d.ring.by
		if len(d.ring.starts) > 0 {
			at, by = d.ring.starts[0].at, d.ring.starts[0].by
		}
		n.Title = w.say("notice.rang")
		say(w.timed("notice.rang.at", "notice.rang.more", at, now), w.beganWith(by))
		if v.lives() {
			say(w.say("notice.ring_over") + ".")
		}
		say(w.state(v))
	case KindSilent:
		n.Title = w.say("row.silent")
		if s := v.Silence; s != nil {
			say(w.say("silence."+s.Why, "time", clock(s.Since, now)))
		}
		if v.Hub != nil {
			say(w.hub(v.Hub, now))
		}
		say(w.say("more.go"), w.state(v))
	case KindUnreachable:
		row := v.Row
		if row != NeverSeen && row != Unintelligible {
			row = Unreachable
		}
		n.Title = w.say("row." + string(row))
		say(w.away("more."+string(row), v), w.state(v))
	case KindHubAway:
		n.Title = w.say("row.hub_away")
		if v.Hub != nil {
			say(w.hub(v.Hub, now))
		}
		if d.silent { // it may well work no more, with or without a hub
			say(w.say("row.silent")+".", w.say("more.go"))
		} else {
			say(w.away("more.hub_away", v))
		}
		say(w.state(v))
	case KindFault:
		what, advice := w.fault(d.subject)
		n.Title = what
		say(advice)
	case KindFaultOver:
		what, _ := w.fault(d.subject)
		n.Title = w.say("notice.fault_over", "fault", what)
		say(w.state(v))
	case KindTest:
		n.Title = w.say("notice.test")
		say(w.say("notice.test.more"))
	case KindRingOver:
		n.Title = w.say("notice.ring_over")
		say(w.state(v))
	case KindBack:
		n.Title = w.say("notice.back")
		say(w.state(v))
	case KindHubBack:
		n.Title = w.say("notice.hub_back")
		say(w.state(v))
	}
	if !v.lives() && v.HeardMS != nil {
		say(w.say("notice.heard", "time", clock(now.Add(-time.Duration(*v.HeardMS)*time.Millisecond), now)))
	}
	n.Text = strings.Join(slices.DeleteFunc(text, func(s string) bool { return s == "" }), " ")
	return n
}

// state says what the panel said last, and how far that is true.
func (w vocabulary) state(v View) string {
	if v.Known == nil {
		return ""
	}
	key := "more.known"
	if v.lives() && v.Silence == nil {
		key = "notice.now"
	}
	return w.say(key, "state", w.say("state."+v.Known.State), "doors", w.doors(v.Known.Doors))
}

// away says what becomes of a panel that is out of sight: it guards on only if it was armed.
func (w vocabulary) away(key string, v View) string {
	if v.Known != nil && v.Known.Armed {
		return w.known(key+".armed", key)
	}
	return w.say(key)
}

func (w vocabulary) hub(t *Trouble, now time.Time) string {
	return w.known("hub."+t.Why, "hub.other", "time", clock(t.Since, now))
}

// fault says what is broken, and what to do.
func (w vocabulary) fault(subject string) (what, advice string) {
	if name, ok := strings.CutPrefix(subject, ofDoor); ok {
		return w.say("fault.door", "door", w.door(name)), w.say("fault.door.do")
	}
	word := strings.TrimPrefix(subject, ofFault)
	return w.known("fault."+word, "fault.other", "word", word), w.known("fault."+word+".do", "fault.other.do")
}

// timed says a key with a time, or another one if the time isn't known.
func (w vocabulary) timed(key, other string, at, now time.Time) string {
	if at.IsZero() {
		return w.say(other)
	}
	return w.say(key, "time", clock(at, now))
}

func (w vocabulary) beganWith(contact string) string {
	if contact == "" {
		return ""
	}
	return w.say("notice.by", "door", w.door(contact))
}

// doors says which doors aren't closed, or that all are.
func (w vocabulary) doors(all []Door) string {
	var open, unread []string
	for _, d := range all {
		switch d.Is {
		case "closed":
		case "open":
			open = append(open, w.door(d.Name))
		default:
			unread = append(unread, w.door(d.Name))
		}
	}
	var said []string
	for _, some := range []struct {
		key   string
		names []string
	}{{"doors.open", open}, {"doors.unread", unread}} {
		switch {
		case len(some.names) == 0:
		case len(some.names) > 1:
			said = append(said, w.say(some.key+".many", "doors", strings.Join(some.names, ", ")))
		case some.names[0] == w.say("door"):
			said = append(said, w.say(some.key+".this"))
		default:
			said = append(said, w.say(some.key+".one", "doors", some.names[0]))
		}
	}
	switch {
	case len(said) > 0:
		return strings.Join(said, ", ")
	case len(all) > 1:
		return w.say("doors.closed.all")
	}
	return w.say("doors.closed.this")
}

// door is a contact's name as one says it.
func (w vocabulary) door(name string) string {
	if name == unnamedDoor {
		return w.say("door")
	}
	return strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || unicode.IsSpace(r) }), " ")
}

// clock says a time, with its day unless that is today, in this computer's time zone.
func clock(at, now time.Time) string {
	at, now = at.Local(), now.Local()
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}
