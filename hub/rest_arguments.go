package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/twin"
)

// restMaxArguments is the longest body about a device or a hub, in bytes: room for a chain of certificates.
const restMaxArguments = 64 << 10

// restArguments are the keys of a body about a device or a hub. What isn't there and what is null are
// the same, since older SDKs send null for what is not set; keys that nobody asks for don't matter.
//
// The methods return nil for what isn't there. The first thing that is wrong stays in err, a
// [*twin.InvalidError], and after it everything is nil.
type restArguments struct {
	keys  map[string]json.RawMessage
	place string // where the keys are, as in message_filters.publish; empty = the body itself
	err   *error
}

// parseArguments reads a body, which has to be an object.
func parseArguments(body []byte) restArguments {
	a := restArguments{err: new(error)}
	switch err := json.Unmarshal(body, &a.keys); {
	case len(body) > restMaxArguments:
		a.refuse("body", "constraint", fmt.Sprintf("longer than %d bytes", restMaxArguments))
	case len(bytes.TrimSpace(body)) == 0:
		a.refuse("body", "required", "empty: send {…}")
	case !utf8.Valid(body):
		a.refuse("body", "format", "not UTF-8: send JSON text encoded as UTF-8")
	case err != nil && !json.Valid(body):
		a.refuse("body", "format", "not JSON: "+err.Error())
	case err != nil || a.keys == nil:
		a.refuse("body", "format", "not an object: send {…}")
	}
	return a
}

// failed tells whether something is wrong so far.
func (a restArguments) failed() bool { return *a.err != nil }

// refuse notes what is wrong with an argument, unless something is already.
func (a restArguments) refuse(name, reason, help string) {
	if a.failed() {
		return
	}
	place := a.placeOf(name)
	argument, _, _ := strings.Cut(place, ".")
	*a.err = &twin.InvalidError{Argument: argument, Place: place, Reason: reason, Help: help}
}

func (a restArguments) placeOf(name string) string {
	if a.place == "" {
		return name
	}
	return a.place + "." + name
}

// argument reads an argument; help says what it should be.
func argument[T any](a restArguments, name, help string) *T {
	text, ok := a.keys[name]
	if !ok || a.failed() || string(text) == "null" {
		return nil
	}
	v := new(T)
	if err := json.Unmarshal(text, v); err != nil {
		a.refuse(name, "format", help)
		return nil
	}
	return v
}

func (a restArguments) flag(name string) *bool {
	return argument[bool](a, name, "neither true nor false")
}

func (a restArguments) text(name string) *string {
	return argument[string](a, name, "not a text: write it in quotation marks")
}

// shortText reads a text of at most so many characters.
func (a restArguments) shortText(name string, most int) *string {
	s := a.text(name)
	if s != nil && utf8.RuneCountInString(*s) > most {
		a.refuse(name, "constraint", fmt.Sprintf("longer than %d characters", most))
		return nil
	}
	return s
}

// required reads a text that has to be there; it is empty where it isn't.
func (a restArguments) required(name, help string) string {
	s := a.text(name)
	if s == nil || *s == "" {
		a.refuse(name, "required", help)
		return ""
	}
	return *s
}

// choice reads one of several words.
func (a restArguments) choice(name string, words ...string) *string {
	s := a.text(name)
	for _, word := range words {
		if s == nil || *s == word {
			return s
		}
	}
	a.refuse(name, "unknown", "choose one of "+strings.Join(words, ", "))
	return nil
}

// object reads the keys of an object.
func (a restArguments) object(name string) *restArguments {
	keys := argument[map[string]json.RawMessage](a, name, "not an object: write {…}")
	if keys == nil {
		return nil
	}
	return &restArguments{*keys, a.placeOf(name), a.err}
}
