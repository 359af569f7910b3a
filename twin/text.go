package twin

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode"
	"unicode/utf16"
)

// The functions in this file find their way through JSON text without decoding
// it: documents keep every digit and the order of their keys, and a write
// copies what it doesn't touch. Syntax is encoding/json's task and comes first.
// On text that is no JSON they fail or return nonsense, but never panic.

// A member is one name and value of an object, as parts of the object's text.
type member struct {
	name   []byte // decoded
	quoted []byte // the name as written
	value  []byte
	done   bool // of a change: it has been applied
}

// An object is the members of a JSON object in the order of the text.
type object struct {
	members []member
	byName  map[string]int // where each name stands; nil for small objects
}

// small is how many names are searched faster one by one than through a map.
const small = 16

// parseObject lists the members of a JSON object without looking inside them.
// It is false for a text that is no object.
func parseObject(text []byte) (object, bool) {
	var o object
	i := space(text, 0)
	if i == len(text) || text[i] != '{' {
		return o, false
	}
	i = space(text, i+1)
	if i < len(text) && text[i] == '}' {
		return o, space(text, i+1) == len(text)
	}
	o.members = make([]member, 0, 8)
	for {
		name := i
		if i = skipString(text, i); i < 0 {
			return o, false
		}
		m := member{quoted: text[name:i]}
		if m.name = unquote(m.quoted); m.name == nil {
			return o, false
		}
		if i = space(text, i); i == len(text) || text[i] != ':' {
			return o, false
		}
		value := space(text, i+1)
		if i = skip(text, value); i < 0 {
			return o, false
		}
		m.value = text[value:i]
		o.members = append(o.members, m)
		switch i = space(text, i); {
		case i == len(text):
			return o, false
		case text[i] == ',':
			i = space(text, i+1)
		case text[i] == '}':
			return o, space(text, i+1) == len(text)
		default:
			return o, false
		}
	}
}

// find returns where a name stands, or -1.
func (o *object) find(name []byte) int {
	if len(o.members) <= small {
		for i := range o.members {
			if bytes.Equal(o.members[i].name, name) {
				return i
			}
		}
		return -1
	}
	if o.byName == nil {
		o.byName = make(map[string]int, len(o.members))
		for i, m := range o.members {
			o.byName[string(m.name)] = i
		}
	}
	if i, ok := o.byName[string(name)]; ok {
		return i
	}
	return -1
}

// parseArray lists the elements of a JSON array.
func parseArray(text []byte) (elements [][]byte, ok bool) {
	i := space(text, 1)
	if i < len(text) && text[i] == ']' {
		return nil, true
	}
	for i < len(text) {
		end := skip(text, i)
		if end < 0 {
			return nil, false
		}
		elements = append(elements, text[i:end])
		if i = space(text, end); i < len(text) && text[i] == ']' {
			return elements, true
		}
		i = space(text, i+1)
	}
	return nil, false
}

// skip returns the index after the value that starts at i, or -1.
func skip(text []byte, i int) int {
	for depth := 0; i < len(text); {
		switch text[i] {
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case '"':
			if i = skipString(text, i); i < 0 {
				return -1
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return -1
			}
			i++
			continue
		default:
			i = skipScalar(text, i)
		}
		if depth <= 0 {
			return i
		}
	}
	return -1
}

// skipScalar returns the index after the number, true, false or null that starts at i.
func skipScalar(text []byte, i int) int {
	for i < len(text) {
		switch text[i] {
		case ',', ':', '{', '}', '[', ']', '"', ' ', '\t', '\r', '\n':
			return i
		}
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i, or -1.
func skipString(text []byte, i int) int {
	if i >= len(text) || text[i] != '"' {
		return -1
	}
	for i++; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// space returns the index of the first byte from i on that is not white space.
func space(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r') {
		i++
	}
	return min(i, len(text))
}

// unquote decodes a string; nil if it is none. Only strings with escapes are copied.
func unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1 : len(quoted)-1]
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil
	}
	return append([]byte{}, s...)
}

// isUnicode reports whether the escapes of a string stand for whole characters:
// a lone half of a surrogate pair (\ud800) is text that no UTF-8 can carry.
func isUnicode(quoted []byte) bool {
	for {
		i := bytes.IndexByte(quoted, '\\')
		if i < 0 {
			return true
		}
		quoted = quoted[i:]
		r, ok := escapedRune(quoted)
		if !ok {
			quoted = quoted[2:]
			continue
		}
		quoted = quoted[6:]
		if !utf16.IsSurrogate(r) {
			continue
		}
		second, ok := escapedRune(quoted)
		if !ok || utf16.DecodeRune(r, second) == unicode.ReplacementChar {
			return false
		}
		quoted = quoted[6:]
	}
}

// escapedRune reads the \uXXXX that a text begins with.
func escapedRune(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

func isNull(value []byte) bool { return len(value) > 0 && value[0] == 'n' }

func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

func isArray(value []byte) bool { return len(value) > 0 && value[0] == '[' }

func isString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// encode is json.Marshal for values that cannot fail, without HTML escapes.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a struct of strings and numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
