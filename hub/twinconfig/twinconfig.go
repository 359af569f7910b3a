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
	var c Config
	for key, value := range twin.Members(data) {
		if key != "documents" {
			return Config{}, refuse("data"+twin.Place(key), "format",
				`unknown key: documents are configured under "documents", as in {"documents":{"current":{"_tsdb_trigger":"on-change"}}}`)
		}
		if !isObject(value) {
			return Config{}, refuse("data.documents", "format", `not an object: write the documents' names and what holds for them, as in {"current":{"_tsdb_trigger":"on-change"}}`)
		}
		c.documents = make(map[twin.Name]*level)
		for key, value := range twin.Members(value) {
			place := "data.documents" + twin.Place(key)
			name, err := parseDocument(place, key)
			if err != nil {
				return Config{}, err
			}
			if c.documents[name], err = parseLevel(place, value, &level{}); err != nil {
				return Config{}, err
			}
		}
	}
	return c, nil
}

// parseDocument reads the name of a document that is configured.
func parseDocument(place, key string) (twin.Name, error) {
	switch key {
	case string(twin.ConfigName):
		return "", refuse(place, "constraint", "nothing of _config itself is pushed: name another document")
	case tagsKey, triggerKey:
		return "", refuse(place, "constraint", "a parameter belongs to a document or to a key in it: write it one level deeper")
	}
	name, err := twin.ParseName(key)
	if err != nil {
		return "", refuse(place, "format", "not a document's name: write 1 to 128 letters, digits and - _ . ~, but not . or ..")
	}
	return name, nil
}

// parseLevel reads what holds for a document or for a key in it.
func parseLevel(place string, value json.RawMessage, inherited *level) (*level, error) {
	if !isObject(value) {
		return nil, refuse(place, "format", `not an object: write parameters and keys of the document, as in {"_tsdb_trigger":"on-change"}`)
	}
	l := &level{trigger: inherited.trigger, tags: inherited.tags}
	// Parameters first: the keys beside them inherit them, wherever they stand.
	for key, value := range twin.Members(value) {
		var err error
		switch place := place + twin.Place(key); {
		case key == tagsKey:
			l.tags, err = parseTags(place, value)
		case key == triggerKey:
			l.trigger, err = parseTrigger(place, value)
		case strings.HasPrefix(key, "_"):
			err = refuse(place, "format", "unknown parameter: keys that begin with _ are reserved, there are _tags and _tsdb_trigger")
		}
		if err != nil {
			return nil, err
		}
	}
	l.pushes, l.onChange = l.trigger != never, l.trigger == onChange
	l.rest = &level{trigger: l.trigger, tags: l.tags, pushes: l.pushes, onChange: l.onChange}
	l.rest.rest = l.rest
	for key, value := range twin.Members(value) {
		if strings.HasPrefix(key, "_") {
			continue
		}
		below, err := parseLevel(place+twin.Place(key), value, l)
		if err != nil {
			return nil, err
		}
		if l.keys == nil {
			l.keys = make(map[string]*level)
		}
		l.keys[key] = below
		l.pushes = l.pushes || below.pushes
		l.onChange = l.onChange || below.onChange
	}
	return l, nil
}

func parseTrigger(place string, value json.RawMessage) (trigger, error) {
	if isNull(value) {
		return never, nil
	}
	word, _ := text(value)
	switch t := trigger(word); t {
	case onUpdate, onChange:
		return t, nil
	}
	return never, refuse(place, "format", `unknown trigger: write "on-update", "on-change", or null to push nothing`)
}

func parseTags(place string, value json.RawMessage) (map[string]string, error) {
	if isNull(value) {
		return nil, nil
	}
	if !isObject(value) {
		return nil, refuse(place, "format", `not an object: write tags and their values, as in {"site":"home"}, or null for no tags`)
	}
	tags := make(map[string]string)
	for name, value := range twin.Members(value) {
		at := place + twin.Place(name)
		tag, ok := text(value)
		switch {
		case name == "":
			return nil, refuse(at, "required", `a tag without a name: name it, as in {"site":"home"}`)
		case name == "name" || name == "json_path":
			return nil, refuse(at, "constraint", "every series has this tag already: choose another name")
		case utf8.RuneCountInString(name) > MaxTagName:
			return nil, refuse(at, "constraint", fmt.Sprintf("a name longer than %d characters: choose a shorter one", MaxTagName))
		case !ok:
			return nil, refuse(at, "format", `not a text: write the tag's value in quotes, as in {"site":"home"}`)
		case tag == "":
			return nil, refuse(at, "required", "empty: write the tag's value, or leave the tag out")
		case utf8.RuneCountInString(tag) > MaxTagValue:
			return nil, refuse(at, "constraint", fmt.Sprintf("longer than %d characters: write a shorter value", MaxTagValue))
		case len(tags) == MaxTags:
			return nil, refuse(place, "constraint", fmt.Sprintf("more than %d tags: leave some out", MaxTags))
		}
		tags[name] = tag
	}
	return tags, nil
}

// refuse has the same argument for every place: what cannot be accepted is the document's data.
func refuse(place, reason, help string) error {
	return &twin.InvalidError{Argument: "data", Place: place, Reason: reason, Help: help}
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
