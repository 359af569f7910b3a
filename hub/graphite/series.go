package graphite

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a series. Graphite's tag database has columns of 191 characters, and carbon
// drops the connection at a line that is longer than twisted's LineOnlyReceiver takes.
const (
	maxText = 191
	maxLine = 16384
)

// pathTag is the tag that the vendor's service gives to every series.
const pathTag = "json_path"

// A series is what carbon stores a number under.
type series struct {
	name string
	tags []string // TAG=VALUE
}

func newSeries(p Point) series {
	s := series{name: fit(escape(p.Name, "")), tags: make([]string, 0, len(p.Tags)+1)}
	for name, value := range p.Tags {
		s.tags = append(s.tags, fit(escape(name, "=!^"))+"="+fit(escape(value, "")))
	}
	if len(p.Path) > 0 {
		keys := make([]string, len(p.Path))
		for i, key := range p.Path {
			keys[i] = escape(key, ".")
		}
		s.tags = append(s.tags, pathTag+"="+fit(strings.Join(keys, ".")))
	}
	slices.Sort(s.tags)
	return s
}

// lineLen is the most that carbon's line can need for a point of the series, its end included.
func (s series) lineLen() int {
	const number, time = 24, 20
	n := len(s.name) + 1 + number + 1 + time + 1
	for _, tag := range s.tags {
		n += 1 + len(tag)
	}
	return n
}

// escape replaces what can't stand in a series, and the characters in more.
func escape(s, more string) string {
	if s == "" {
		return "%"
	}
	var b strings.Builder
	done := 0 // as much of s is in b
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r == '~' && i == 0 || isTaken(r) || strings.ContainsRune(more, r) {
			b.WriteString(s[done:i])
			for _, c := range []byte(s[i : i+n]) {
				const digits = "0123456789ABCDEF"
				b.WriteByte('%')
				b.WriteByte(digits[c>>4])
				b.WriteByte(digits[c&15])
			}
			done = i + n
		}
		i += n
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// isTaken tells whether a character means something to carbon wherever it stands, or to
// the Python functions split and strip by which carbon reads a line.
func isTaken(r rune) bool {
	switch r {
	case '%', ';', '"':
		return true
	}
	return unicode.IsSpace(r) || unicode.IsControl(r)
}

// fit cuts a text that is too long, and keeps different texts different: one that was not cut
// has no ~ after a percent sign.
func fit(s string) string {
	if len(s) <= maxText {
		return s
	}
	hash := sha256.Sum256([]byte(s))
	end := "%~" + hex.EncodeToString(hash[:8])
	n := maxText - len(end)
	switch {
	case s[n-1] == '%':
		n--
	case s[n-2] == '%':
		n -= 2
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + end
}
