package twinconfig

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/twinpanel/twinpanel/twin"
)

// A Value is a number to push.
type Value struct {
	Path   []string // keys from the document's data to the number
	Number float64  // a boolean is 0 or 1; never NaN or infinite
	Tags   map[string]string
}

// NeedsOld tells whether [Config.Values] has to know what a write of the document replaces.
func (c Config) NeedsOld(name twin.Name) bool {
	l := c.documents[name]
	return l != nil && l.onChange
}

// Values are the numbers to push for a write of a document, in the order of sent, which is the
// data of the request: all of the document for a put, what changes for a patch. That is enough to
// know the document as it is now, since a patch can't change what it doesn't have. old is the
// data that the write replaces; nil = there was no document, or nobody knows it.
//
// Tags are shared between values and must not be changed.
func (c Config) Values(name twin.Name, old, sent json.RawMessage) []Value {
	l := c.documents[name]
	if l == nil || !l.pushes {
		return nil
	}
	var s selection
	s.object(l, old, sent)
	return s.values
}

// A selection walks through a request and what it replaces.
type selection struct {
	path   []string
	values []Value
}

// object selects from an object that was old before.
func (s *selection) object(l *level, old, sent json.RawMessage) {
	var before map[string]json.RawMessage
	if l.onChange && isObject(old) {
		before = maps.Collect(twin.Members(old))
	}
	for key, value := range twin.Members(sent) {
		below, ok := l.keys[key]
		if !ok {
			below = l.rest
		}
		if !below.pushes {
			continue
		}
		s.path = append(s.path, key)
		if isObject(value) {
			s.object(below, before[key], value)
		} else {
			s.leaf(below, before[key], value)
		}
		s.path = s.path[:len(s.path)-1]
	}
}

func (s *selection) leaf(l *level, old, sent json.RawMessage) {
	if l.trigger == never {
		return
	}
	n, ok := number(sent)
	if !ok {
		return
	}
	if l.trigger == onChange {
		if before, ok := number(old); ok && before == n {
			return
		}
	}
	s.values = append(s.values, Value{Path: slices.Clone(s.path), Number: n, Tags: l.tags})
}

// number is what a value is pushed as. It is false for what is not pushed.
func number(value json.RawMessage) (n float64, ok bool) {
	if len(value) == 0 {
		return 0, false
	}
	switch value[0] {
	case 't':
		return 1, true
	case 'f':
		return 0, true
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		n, err := strconv.ParseFloat(string(value), 64)
		return n, err == nil
	}
	return 0, false
}
