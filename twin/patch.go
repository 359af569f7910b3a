package twin

import (
	"bytes"
	"encoding/json"
)

// Merge applies a patch to a document's data: keys not in the patch stay, null
// removes a key, an object merges key by key (into {} where there is none),
// anything else replaces. Both must be JSON objects as [ParsePut] and
// [ParsePatch] let through. Keys keep their order, new ones come last.
//
// The error is an [*InvalidError]: the result is larger than [MaxDataSize], or
// data or patch are no objects.
func Merge(data, patch json.RawMessage) (json.RawMessage, error) {
	merged, ok := appendMerged(make([]byte, 0, len(data)+len(patch)), data, patch)
	if !ok {
		return nil, errNoObject()
	}
	if bad := checkSize(merged); bad != nil {
		return nil, bad
	}
	return merged, nil
}

// appendMerged appends the object that a patch makes of data.
func appendMerged(b, data, patch []byte) (merged []byte, ok bool) {
	base, ok := parseObject(data)
	if !ok {
		return b, false
	}
	changes, ok := parseObject(patch)
	if !ok {
		return b, false
	}
	b = append(b, '{')
	for _, m := range base.members {
		i := changes.find(m.name)
		if i < 0 {
			b = appendMember(b, m)
			continue
		}
		changes.members[i].done = true
		if b, ok = appendChanged(b, m, changes.members[i].value); !ok {
			return b, false
		}
	}
	for _, m := range changes.members {
		if m.done {
			continue
		}
		if b, ok = appendChanged(b, member{quoted: m.quoted}, m.value); !ok {
			return b, false
		}
	}
	return append(b, '}'), true
}

// appendChanged appends what a change makes of a member, which has no value if it is new.
func appendChanged(b []byte, m member, change []byte) (changed []byte, ok bool) {
	switch {
	case isNull(change):
		return b, true
	case isObject(change):
		if !isObject(m.value) {
			m.value = []byte("{}")
		}
		return appendMerged(appendName(b, m), m.value, change)
	default:
		m.value = change
		return appendMember(b, m), true
	}
}

// Diff is the smallest patch that turns from into to: for all objects without
// nulls, Merge(from, Diff(from, to)) equals to, but for the order of keys.
// It is {} when nothing differs. Numbers differ when their digits do.
//
// A patch cannot write null. Nulls that both sides share are left alone; where
// a patch would have to write one, also inside an array, the error is an
// [*InvalidError] with the place, and so it is when the patch is larger than
// [MaxDataSize]: put the whole document then.
func Diff(from, to json.RawMessage) (json.RawMessage, error) {
	patch, bad := appendDiff(make([]byte, 0, 64), from, to)
	if bad == nil {
		bad = checkSize(patch)
	}
	if bad != nil {
		bad.Argument = "data"
		if bad.Place != "" {
			bad.Place = "data" + bad.Place
		}
		return nil, bad
	}
	return patch, nil
}

// appendDiff appends the patch between two objects: {} if nothing differs.
func appendDiff(b, from, to []byte) (patch []byte, bad *InvalidError) {
	before, ok := parseObject(from)
	if !ok {
		return b, errNoObject()
	}
	after, ok := parseObject(to)
	if !ok {
		return b, errNoObject()
	}
	b = append(b, '{')
	for _, m := range before.members {
		if after.find(m.name) < 0 {
			b = append(appendName(b, m), "null"...)
		}
	}
	for _, m := range after.members {
		var old []byte
		if i := before.find(m.name); i >= 0 {
			old = before.members[i].value
		}
		if b, bad = appendDifference(b, old, m); bad != nil {
			bad.Place = place(m.name) + bad.Place
			return b, bad
		}
	}
	return append(b, '}'), nil
}

// appendDifference appends what turns an old value, nil if there is none, into member m.
func appendDifference(b, old []byte, m member) (patch []byte, bad *InvalidError) {
	if bytes.Equal(old, m.value) {
		return b, nil
	}
	if isObject(old) && isObject(m.value) {
		start := len(b)
		b = appendName(b, m)
		inner := len(b)
		if b, bad = appendDiff(b, old, m.value); len(b) == inner+len("{}") {
			b = b[:start] // nothing differs
		}
		return b, bad
	}
	if equal(old, m.value) {
		return b, nil
	}
	return appendMember(b, m), findNull(m.value)
}

// equal compares two values: objects whatever the order of their keys, strings
// by their characters, everything else as written.
func equal(a, b []byte) bool {
	switch {
	case bytes.Equal(a, b):
		return true
	case isObject(a) && isObject(b):
		x, _ := parseObject(a)
		y, _ := parseObject(b)
		if len(x.members) != len(y.members) {
			return false
		}
		for _, m := range x.members {
			i := y.find(m.name)
			if i < 0 || !equal(m.value, y.members[i].value) {
				return false
			}
		}
		return true
	case isArray(a) && isArray(b):
		x, _ := parseArray(a)
		y, _ := parseArray(b)
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case isString(a) && isString(b):
		return bytes.Equal(unquote(a), unquote(b))
	}
	return false
}

// findNull refuses a value that is or holds null.
func findNull(value []byte) *InvalidError {
	switch {
	case isNull(value):
		return &InvalidError{Reason: "constraint", Help: "null, which no patch can write: put the whole document"}
	case isObject(value):
		o, _ := parseObject(value)
		for _, m := range o.members {
			if bad := findNull(m.value); bad != nil {
				bad.Place = place(m.name) + bad.Place
				return bad
			}
		}
	case isArray(value):
		elements, _ := parseArray(value)
		for i, e := range elements {
			if bad := findNull(e); bad != nil {
				bad.Place = index(i) + bad.Place
				return bad
			}
		}
	}
	return nil
}

// appendName appends a member's name and the colon, and a comma where one is due.
func appendName(b []byte, m member) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(append(b, m.quoted...), ':')
}

func appendMember(b []byte, m member) []byte { return append(appendName(b, m), m.value...) }

func errNoObject() *InvalidError {
	return &InvalidError{Argument: "data", Reason: "format", Help: "not a JSON object: pass what ParsePut or ParsePatch returned"}
}
