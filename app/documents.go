package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/twinpanel/twinpanel/twin"
)

// The documents of the twin.
const (
	currentName twin.Name = "current"
	desiredName twin.Name = "desired"
	eventsName  twin.Name = "events"
)

// Bounds of what is taken from documents: they come from a device that somebody may have stolen.
const (
	maxDoors     = 16
	maxFaults    = 16
	maxEvents    = 50
	maxText      = 100 // characters of a text
	maxHeartbeat = time.Hour
	usualBeat    = 30 * time.Second // of a panel that doesn't say
	longestLeft  = time.Hour
)

// current is the panel's document, checked. See docs/protocol.md.
type current struct {
	armed, ringing, open bool
	state                string
	local                bool
	taken                uint32 // desired_version; 0: the panel doesn't say
	doors                []Door
	faults               []string      // without contacts
	beat                 time.Duration // also of a document that is none
	left                 *time.Duration
	lastUpdate           time.Time
}

// parseCurrent reads a document current. Only the three booleans of the specification must be there; any other key that is
// missing, or is not what it should be, is as if the panel didn't tell.
func parseCurrent(data json.RawMessage) (current, error) {
	c := current{beat: usualBeat}
	keys, err := object(data)
	if err != nil {
		return c, err
	}
	for _, must := range []struct {
		key string
		to  *bool
	}{{"alarm_armed", &c.armed}, {"siren_ringing", &c.ringing}, {"door_open", &c.open}} {
		b, ok := value[bool](keys[must.key])
		if !ok {
			return c, fmt.Errorf("%s is neither true nor false", must.key)
		}
		*must.to = b
	}
	c.state = c.word(text(keys["state"]))
	c.local, _ = value[bool](keys["local"])
	c.taken, _ = value[uint32](keys["desired_version"])
	if s, ok := value[float64](keys["heartbeat_s"]); ok && s >= 1 && s <= maxHeartbeat.Seconds() {
		c.beat = time.Duration(s * float64(time.Second))
	}
	if s, ok := value[float64](keys["left_s"]); ok && s >= 0 && s <= longestLeft.Seconds() {
		left := time.Duration(s * float64(time.Second))
		c.left = &left
	}
	c.lastUpdate, _ = value[time.Time](keys["last_update"])
	c.readDoors(keys)
	return c, nil
}

// word is the panel's word for its state, unless it contradicts what the specification's keys say.
func (c current) word(said string) string {
	switch said {
	case "exit_delay", "armed", "entry_delay", "silenced":
		if c.armed && !c.ringing {
			return said
		}
	}
	switch {
	case c.ringing:
		return "ringing"
	case c.armed:
		return "armed"
	}
	return "disarmed"
}

// unnamedDoor is the name of a contact that has none.
const unnamedDoor = "door"

// faultWords are the panel's own; any other word is a contact's name.
var faultWords = []string{"journal", "siren", "clock", "rings_used", "key", "buzzer"}

// readDoors sorts the contacts from the faults. What isn't known is never closed.
func (c *current) readDoors(keys map[string]json.RawMessage) {
	doors, _ := object(keys["doors"])
	for name, is := range doors {
		d := Door{Name: clean(name), Is: "unknown"}
		switch word := text(is); word {
		case "closed", "open", "fault":
			d.Is = word
		}
		c.doors = append(c.doors, d)
	}
	words, _ := value[[]json.RawMessage](keys["faults"])
	for _, word := range words {
		switch name := text(word); {
		case name == "" || slices.ContainsFunc(c.doors, func(d Door) bool { return d.Name == name }):
		case len(doors) == 0 && len(c.doors) == 0 && c.open && !slices.Contains(faultWords, name):
			c.doors = append(c.doors, Door{Name: name, Is: "fault"}) // the only contact, and it can't be read
		case len(c.faults) < maxFaults:
			c.faults = append(c.faults, name)
		}
	}
	if len(c.doors) == 0 {
		c.doors = []Door{{Name: unnamedDoor, Is: "closed"}}
		if c.open {
			c.doors[0].Is = "open"
		}
	}
	// Where there are too many, those that are closed are left out; and where all are, though the panel says otherwise, one isn't known.
	closed := func(d Door) int {
		if d.Is == "closed" {
			return 1
		}
		return 0
	}
	slices.SortFunc(c.doors, func(a, b Door) int { return cmp.Or(closed(a)-closed(b), strings.Compare(a.Name, b.Name)) })
	if c.open && closed(c.doors[0]) == 1 {
		c.doors = slices.Insert(c.doors, 0, Door{Name: "door", Is: "unknown"})
	}
	c.doors = c.doors[:min(len(c.doors), maxDoors)]
	slices.SortFunc(c.doors, func(a, b Door) int { return strings.Compare(a.Name, b.Name) })
}

// desired is the document of that name, checked.
type desired struct {
	armed     bool
	by        string
	withdrawn bool // this app took back a wish to arm
}

// parseDesired reads a document desired as the panel does: only a boolean counts.
func parseDesired(data json.RawMessage) (d desired, ok bool) {
	keys, err := object(data)
	if err != nil {
		return d, false
	}
	d.armed, ok = value[bool](keys["alarm_armed"])
	d.by = text(keys["by"])
	d.withdrawn, _ = value[bool](keys["withdrawn"])
	return d, ok
}

// parseEvents reads a document events, newest first. Entries that make no sense are left out.
func parseEvents(data json.RawMessage) []Event {
	events := []Event{}
	keys, err := object(data)
	if err != nil {
		return events
	}
	entries, _ := value[[]json.RawMessage](keys["events"])
	if len(entries) > maxEvents {
		entries = entries[len(entries)-maxEvents:]
	}
	for _, entry := range slices.Backward(entries) {
		keys, err := object(entry)
		if err != nil {
			continue
		}
		e := Event{What: text(keys["what"]), Contact: text(keys["contact"]), Why: text(keys["why"]), By: text(keys["by"])}
		e.Time, _ = value[time.Time](keys["time"])
		if e.What != "" {
			events = append(events, e)
		}
	}
	return events
}

// object reads the keys of a JSON object.
func object(data json.RawMessage) (map[string]json.RawMessage, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if keys == nil {
		return nil, fmt.Errorf("not a JSON object")
	}
	return keys, nil
}

// value reads a JSON value of one type; null and nothing are none.
func value[T any](data json.RawMessage) (v T, ok bool) {
	if data = bytes.TrimSpace(data); len(data) == 0 || string(data) == "null" {
		return v, false
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return *new(T), false
	}
	return v, true
}

// text reads a JSON string for people; "" if it is none.
func text(data json.RawMessage) string {
	s, _ := value[string](data)
	return clean(s)
}

// clean makes a text fit to be shown: bounded, and without characters that have no shape or turn others around.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != ' ' {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText])
	}
	return s
}
