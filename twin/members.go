package twin

import (
	"encoding/json"
	"iter"
)

// Members are the names and values of a JSON object in the order of the text, nothing inside
// the values decoded. A text that is no object has none; what encoding/json would not take
// gives nonsense, but never a panic.
func Members(object json.RawMessage) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		o, ok := parseObject(object)
		if !ok {
			return
		}
		for _, m := range o.members {
			if !yield(string(m.name), m.value) {
				return
			}
		}
	}
}

// Place is a key's part of [InvalidError.Place]: .open, or ["front door"] for a key that would
// not be clear without quotes. Long keys are cut.
func Place(key string) string { return place([]byte(key)) }
