// Package twinconfig reads a twin's document _config: which values of which documents go
// to a time series database, when, and with which tags.
package twinconfig

import (
	"encoding/json"

	"github.com/twinpanel/twinpanel/twin"
)

// A Config is a checked _config document. The zero Config selects nothing.
type Config struct{}

// Parse reads the data of a _config document. The error is a [*twin.InvalidError] that
// names the place, such as data.documents.current.state._tsdb_trigger.
func Parse(data json.RawMessage) (Config, error) { return Config{}, nil }

// NeedsOld tells whether [Config.Values] has to know what a write of the document replaces.
func (c Config) NeedsOld(name twin.Name) bool { return false }

// A Value is a number to push.
type Value struct {
	Path   []string // keys from the document's data to the number
	Number float64  // a boolean is 0 or 1
	Tags   map[string]string
}

// Values are the numbers to push for a write of a document, in the document's order: those
// in sent with the trigger on-update, and those of now that old doesn't have, or has
// otherwise, with on-change. old nil = there was no document, or nobody knows it.
func (c Config) Values(name twin.Name, old, sent, now json.RawMessage) []Value { return nil }
