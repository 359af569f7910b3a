package panel

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Asker is whose wish a desired document says it is, as in "Anna's phone": its key "by", which nothing depends on. It is one
// line that may be shown anywhere, and short enough for twenty of them to fit into the document events. "" = nobody says.
type Asker string

// The longest name of an asker. A letter beyond ASCII is one character of several bytes.
const (
	maxAskerChars = 40
	maxAskerBytes = 64
)

// NewAsker makes an asker of what somebody has written: without what can't be seen, and cut where it is too long.
func NewAsker(text string) Asker {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsGraphic(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	chars := 0
	for i, r := range text {
		if chars == maxAskerChars || i+utf8.RuneLen(r) > maxAskerBytes {
			text = text[:i]
			break
		}
		chars++
	}
	return Asker(strings.TrimRight(text, " "))
}
