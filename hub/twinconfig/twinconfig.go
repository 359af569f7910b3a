package twinconfig

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/twin"
)

// Limits of one _tags. More is refused. Series are found by their tags, so databases keep
// tags few and short; Graphite's own takes 191 characters.
const (
	MaxTags     = 16  // tags of one value
	MaxTagName  = 64  // characters
	MaxTagValue = 128 // characters
)

// The parameters.
const (
	tagsKey    = "_tags"
	triggerKey = "_tsdb_trigger"
)

// A Config is a checked _config document. The zero Config selects nothing.
type Config struct {
	documents map[twin.Name]*level
}

// A trigger says when numbers are pushed.
type trigger string

const (
	never    trigger = ""
	onUpdate trigger = "on-update"
	onChange trigger = "on-change"
)

// A level is what holds for a document or for a key in it, with what it inherits.
type level struct {
	trigger trigger
	tags    map[string]string // shared with the levels that inherit it
	keys    map[string]*level // the keys that are configured in particular
	rest    *level            // all other keys: the same without keys

	pushes   bool // this level or one below it has a trigger
	onChange bool // … and that is on-change
}

// Parse reads the data of a _config document, which must be a JSON object as [twin.ParsePut]
// lets it through. The error is a [*twin.InvalidError] that names the place, such as
// data.documents.current.state._tsdb_trigger.
func Parse(data json.RawMessage) (Config, error) {
	c, bad := parse(data)
	if bad != nil {
		bad.Place = "data" + bad.Place
		return Config{}, bad
	}
	return c, nil
}

// The functions below name the place of an error from the inside out. A _config is parsed at
// each write of its twin, so what only an error needs is made only for one.

func parse(data json.RawMessage) (c Config, bad *twin.InvalidError) {
	for key, value := range twin.Members(data) {
		if key != "documents" {
			return c, below(key, refuse("format",
				`unknown key: documents are configured under "documents", as in {"documents":{"current":{"_tsdb_trigger":"on-change"}}}`))
		}
		if c.documents, bad = parseDocuments(value); bad != nil {
			return c, below(key, bad)
		}
	}
	return c, nil
}

func parseDocuments(value json.RawMessage) (map[twin.Name]*level, *twin.InvalidError) {
	if !isObject(value) {
		return nil, refuse("format", `not an object: write the documents' names and what holds for them, as in {"current":{"_tsdb_trigger":"on-change"}}`)
	}
	documents := make(map[twin.Name]*level)
	for key, value := range twin.Members(value) {
		name, bad := parseDocument(key)
		if bad == nil {
			documents[name], bad = parseLevel(value, &level{})
		}
		if bad != nil {
			return nil, below(key, bad)
		}
	}
	return documents, nil
}

// parseDocument reads the name of a document that is configured.
func parseDocument(key string) (twin.Name, *twin.InvalidError) {
	switch key {
	case string(twin.ConfigName):
		return "", refuse("constraint", "nothing of _config itself is pushed: name another document")
	case tagsKey, triggerKey:
		return "", refuse("constraint", "a parameter belongs to a document or to a key in it: write it one level deeper")
	}
	name, err := twin.ParseName(key)
	if err != nil {
		return "", refuse("format", "not a document's name: write 1 to 128 letters, digits and - _ . ~, but not . or ..")
	}
	return name, nil
}

// parseLevel reads what holds for a document or for a key in it.
func parseLevel(value json.RawMessage, inherited *level) (*level, *twin.InvalidError) {
	if !isObject(value) {
		return nil, refuse("format", `not an object: write parameters and keys of the document, as in {"_tsdb_trigger":"on-change"}`)
	}
	l := &level{trigger: inherited.trigger, tags: inherited.tags}
	// Parameters first: the keys beside them inherit them, wherever they stand.
	var keys []string
	var values []json.RawMessage
	for key, value := range twin.Members(value) {
		var bad *twin.InvalidError
		switch {
		case key == tagsKey:
			l.tags, bad = parseTags(value)
		case key == triggerKey:
			l.trigger, bad = parseTrigger(value)
		case strings.HasPrefix(key, "_"):
			bad = refuse("format", "unknown parameter: keys that begin with _ are reserved, there are _tags and _tsdb_trigger")
		default:
			keys, values = append(keys, key), append(values, value)
		}
		if bad != nil {
			return nil, below(key, bad)
		}
	}
	l.pushes, l.onChange, l.rest = l.trigger != never, l.trigger == onChange, l
	if len(keys) == 0 {
		return l, nil
	}
	rest := *l
	rest.rest = &rest
	l.rest = &rest
	l.keys = make(map[string]*level, len(keys))
	for i, key := range keys {
		k, bad := parseLevel(values[i], l)
		if bad != nil {
			return nil, below(key, bad)
		}
		l.keys[key] = k
		l.pushes = l.pushes || k.pushes
		l.onChange = l.onChange || k.onChange
	}
	return l, nil
}

func parseTrigger(value json.RawMessage) (trigger, *twin.InvalidError) {
	if isNull(value) {
		return never, nil
	}
	word, _ := text(value)
	switch t := trigger(word); t {
	case onUpdate, onChange:
		return t, nil
	}
	return never, refuse("format", `unknown trigger: write "on-update", "on-change", or null to push nothing`)
}

func parseTags(value json.RawMessage) (map[string]string, *twin.InvalidError) {
	if isNull(value) {
		return nil, nil
	}
	if !isObject(value) {
		return nil, refuse("format", `not an object: write tags and their values, as in {"site":"home"}, or null for no tags`)
	}
	tags := make(map[string]string)
	for name, value := range twin.Members(value) {
		tag, ok := text(value)
		var bad *twin.InvalidError
		switch {
		case name == "":
			bad = refuse("required", `a tag without a name: name it, as in {"site":"home"}`)
		case name == "name" || name == "json_path":
			bad = refuse("constraint", "every series has this tag already: choose another name")
		case utf8.RuneCountInString(name) > MaxTagName:
			bad = refuse("constraint", fmt.Sprintf("a name longer than %d characters: choose a shorter one", MaxTagName))
		case !ok:
			bad = refuse("format", `not a text: write the tag's value in quotes, as in {"site":"home"}`)
		case tag == "":
			bad = refuse("required", "empty: write the tag's value, or leave the tag out")
		case utf8.RuneCountInString(tag) > MaxTagValue:
			bad = refuse("constraint", fmt.Sprintf("longer than %d characters: write a shorter value", MaxTagValue))
		case len(tags) == MaxTags:
			return nil, refuse("constraint", fmt.Sprintf("more than %d tags: leave some out", MaxTags))
		}
		if bad != nil {
			return nil, below(name, bad)
		}
		tags[name] = tag
	}
	return tags, nil
}

// refuse has the same argument for every place: what cannot be accepted is the document's data.
func refuse(reason, help string) *twin.InvalidError {
	return &twin.InvalidError{Argument: "data", Reason: reason, Help: help}
}

// below says that an error is in the value of a key.
func below(key string, bad *twin.InvalidError) *twin.InvalidError {
	bad.Place = twin.Place(key) + bad.Place
	return bad
}

func isObject(value json.RawMessage) bool { return len(value) > 0 && value[0] == '{' }

func isNull(value json.RawMessage) bool { return len(value) > 0 && value[0] == 'n' }

// text decodes a JSON string. It is false for any other value.
func text(value json.RawMessage) (s string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(value, &s) == nil
}
