package twin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// checkSyntax refuses what is no JSON text in UTF-8.
func checkSyntax(body []byte) *InvalidError {
	refuse := func(reason, help string) *InvalidError {
		return &InvalidError{Argument: "body", Reason: reason, Help: help}
	}
	switch {
	case space(body, 0) == len(body):
		return refuse("required", `empty: send {"data":{…}}`)
	case !utf8.Valid(body):
		return refuse("format", "not UTF-8: send JSON text encoded as UTF-8")
	case !json.Valid(body):
		return refuse("format", "not JSON: "+syntaxError(body))
	}
	return nil
}

// syntaxError says what keeps a text from being JSON, and where.
func syntaxError(text []byte) string {
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("%v (byte %d)", syntax, syntax.Offset)
	}
	return err.Error()
}

// A checker walks through valid JSON text, copies it without white space and
// looks for what documents must not hold.
type checker struct {
	text   []byte
	out    []byte   // the copy
	names  [][]byte // of the objects around the present place, innermost last
	limits bool     // refuse what is nested deeper than MaxDepth
	patch  bool     // refuse null inside arrays
	arrays int      // how many arrays are around the present place
}

// checkData checks an object for the argument data and returns a compact copy.
func checkData(text []byte, limits, patch bool) (json.RawMessage, *InvalidError) {
	if !isObject(text) {
		return nil, &InvalidError{Argument: "data", Reason: "format", Help: `not an object: write {"key":value}`}
	}
	c := checker{text: text, out: make([]byte, 0, len(text)), limits: limits, patch: patch}
	if _, bad := c.value(0, 0); bad != nil {
		bad.Argument, bad.Place = "data", "data"+bad.Place
		return nil, bad
	}
	if limits {
		if bad := checkSize(c.out); bad != nil {
			return nil, bad
		}
	}
	return c.out, nil
}

func checkSize(data []byte) *InvalidError {
	if len(data) <= MaxDataSize {
		return nil
	}
	return &InvalidError{
		Argument: "data",
		Reason:   "constraint",
		Help:     fmt.Sprintf("larger than %d bytes: split it into several documents", MaxDataSize),
	}
}

// value checks the value that starts at i, which stands inside depth others,
// and returns the index after it. Places of errors are relative to the value:
// each level adds its own part on the way out.
func (c *checker) value(i, depth int) (int, *InvalidError) {
	switch c.text[i] {
	case '{', '[':
		if depth == MaxDepth && c.limits {
			return 0, &InvalidError{
				Reason: "constraint",
				Help:   fmt.Sprintf("deeper than %d levels: store it in flatter form", MaxDepth),
			}
		}
		if c.text[i] == '{' {
			return c.object(i, depth+1)
		}
		return c.array(i, depth+1)
	case '"':
		return c.string(i)
	case 'n':
		if c.patch && c.arrays > 0 {
			return 0, &InvalidError{
				Reason: "constraint",
				Help:   "null inside an array: replace the whole array without nulls",
			}
		}
	}
	end := skipScalar(c.text, i)
	c.out = append(c.out, c.text[i:end]...)
	return end, nil
}

func (c *checker) string(i int) (int, *InvalidError) {
	end := skipString(c.text, i)
	if !isUnicode(c.text[i:end]) {
		return 0, &InvalidError{
			Reason: "format",
			Help:   `half of a surrogate pair: write characters beyond \uffff as two \u escapes or as themselves`,
		}
	}
	c.out = append(c.out, c.text[i:end]...)
	return end, nil
}

func (c *checker) array(i, depth int) (int, *InvalidError) {
	c.arrays++
	c.out = append(c.out, '[')
	i = space(c.text, i+1)
	for n := 0; c.text[i] != ']'; n++ {
		if c.text[i] == ',' {
			c.out = append(c.out, ',')
			i = space(c.text, i+1)
		}
		end, bad := c.value(i, depth)
		if bad != nil {
			bad.Place = index(n) + bad.Place
			return 0, bad
		}
		i = space(c.text, end)
	}
	c.arrays--
	c.out = append(c.out, ']')
	return i + 1, nil
}

func (c *checker) object(i, depth int) (int, *InvalidError) {
	outer := len(c.names)
	var many map[string]bool // the names of a large object
	c.out = append(c.out, '{')
	i = space(c.text, i+1)
	for c.text[i] != '}' {
		if c.text[i] == ',' {
			c.out = append(c.out, ',')
			i = space(c.text, i+1)
		}
		start := i
		end, bad := c.string(i)
		if bad != nil {
			return 0, bad
		}
		name := unquote(c.text[start:end])
		if many == nil && len(c.names)-outer == small {
			many = make(map[string]bool)
			for _, known := range c.names[outer:] {
				many[string(known)] = true
			}
		}
		if many == nil && contains(c.names[outer:], name) || many[string(name)] {
			return 0, &InvalidError{Place: place(name), Reason: "format", Help: "duplicate key: name each key once"}
		}
		if many == nil {
			c.names = append(c.names, name)
		} else {
			many[string(name)] = true
		}
		c.out = append(c.out, ':')
		i = space(c.text, end)       // the colon
		i = space(c.text, i+1)       // the value
		end, bad = c.value(i, depth) // after the value
		if bad != nil {
			bad.Place = place(name) + bad.Place
			return 0, bad
		}
		i = space(c.text, end)
	}
	c.names = c.names[:outer]
	c.out = append(c.out, '}')
	return i + 1, nil
}

func contains(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}

// place is a key's part of a path: .open, or ["front door"] for a name that
// would not be clear without quotes.
func place(name []byte) string {
	plain := len(name) > 0 && len(name) <= maxExcerpt
	for _, c := range name {
		plain = plain && isNameByte(c) && c != '.'
	}
	if plain {
		return "." + string(name)
	}
	return "[" + strconv.Quote(excerpt(string(name))) + "]"
}

// index is an array element's part of a path: [2].
func index(i int) string { return "[" + strconv.Itoa(i) + "]" }
