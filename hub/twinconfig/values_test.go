package twinconfig_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// selected is what a configuration selects, a line for each number: a/b=1 {tags}. The tags are
// left out where there are none.
func selected(t *testing.T, config, old, sent string) string {
	t.Helper()
	c, err := twinconfig.Parse(json.RawMessage(config))
	if err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	var before json.RawMessage
	if old != "" {
		before = json.RawMessage(old)
	}
	var lines []string
	for _, v := range c.Values("current", before, json.RawMessage(sent)) {
		line := fmt.Sprintf("%s=%v", strings.Join(v.Path, "/"), v.Number)
		if v.Tags != nil {
			line += " " + strings.TrimPrefix(fmt.Sprint(v.Tags), "map")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// current is a configuration of the document current.
func current(level string) string { return `{"documents":{"current":` + level + `}}` }

func TestValuesOfLeaves(t *testing.T) {
	always := current(`{"_tsdb_trigger":"on-update"}`)
	tests := []struct{ name, sent, want string }{
		{"nothing", `{}`, ""},
		{"texts and null", `{"a":"1","b":null,"c":{"d":"x"}}`, ""},
		{"arrays, whatever is in them", `{"a":[1,true,{"b":2}],"c":[]}`, ""},
		{"numbers that no float64 holds", `{"a":1e999,"b":-1e999,"c":1e308}`, "c=1e+308"},
		{"a number too small is 0", `{"a":1e-999}`, "a=0"},
		{"numbers", `{"a":1,"b":-1.5,"c":2e3,"d":12345678901234567890}`, "a=1, b=-1.5, c=2000, d=1.2345678901234567e+19"},
		{"booleans", `{"a":true,"b":false}`, "a=1, b=0"},
		{"objects inside objects", `{"a":{"b":{"c":1},"d":2},"e":3}`, "a/b/c=1, a/d=2, e=3"},
		{"odd keys", `{"_a":1,"a.b":{"c/d":2,"":3},"in error":true,"\u00fc":4}`, "_a=1, a.b/c/d=2, a.b/=3, in error=1, ü=4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := selected(t, always, "", tt.sent); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestValuesOnChange(t *testing.T) {
	changes := current(`{"_tsdb_trigger":"on-change"}`)
	tests := []struct{ name, old, sent, want string }{
		{"nothing is known of before", "", `{"a":1,"b":false}`, "a=1, b=0"},
		{"new in the document", `{}`, `{"a":1}`, "a=1"},
		{"the same", `{"a":1,"b":{"c":true}}`, `{"a":1,"b":{"c":true}}`, ""},
		{"the same number in other digits", `{"a":1,"b":100,"c":0}`, `{"a":1.0,"b":1e2,"c":-0}`, ""},
		{"the same as pushed", `{"a":true,"b":0}`, `{"a":1,"b":false}`, ""},
		{"another number", `{"a":1,"b":{"c":true,"d":2}}`, `{"a":1.5,"b":{"c":false,"d":2}}`, "a=1.5, b/c=0"},
		{"a text before", `{"a":"1"}`, `{"a":1}`, "a=1"},
		{"null before", `{"a":null}`, `{"a":1}`, "a=1"},
		{"a number that none could hold before", `{"a":1e999}`, `{"a":1}`, "a=1"},
		{"an object before", `{"a":{"b":1}}`, `{"a":1}`, "a=1"},
		{"a number where an object is now", `{"a":1}`, `{"a":{"b":1}}`, "a/b=1"},
		{"an array where an object is now", `{"a":[1]}`, `{"a":{"b":1}}`, "a/b=1"},
		{"a text now", `{"a":1}`, `{"a":"1"}`, ""},
		{"gone, by a put", `{"a":1,"b":2}`, `{"b":2}`, ""},
		{"gone, by a patch", `{"a":1,"b":{"c":2}}`, `{"a":null,"b":{"c":null}}`, ""},
		{"in other order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, ""},
		{"names in other letters", `{"\u0061":1}`, `{"a":1}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := selected(t, changes, tt.old, tt.sent); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestValuesOfATree(t *testing.T) {
	const document = `{"a":1,"b":{"c":2,"d":{"e":3}},"f":{"c":4}}`
	tests := []struct{ name, config, want string }{
		{"nothing configured", `{}`, ""},
		{"another document", `{"documents":{"desired":{"_tsdb_trigger":"on-update"}}}`, ""},
		{"tags alone push nothing", current(`{"_tags":{"site":"home"}}`), ""},
		{"one key", current(`{"b":{"c":{"_tsdb_trigger":"on-update"}}}`), "b/c=2"},
		{"one object", current(`{"b":{"_tsdb_trigger":"on-update"}}`), "b/c=2, b/d/e=3"},
		{"all but one", current(`{"_tsdb_trigger":"on-update","b":{"_tsdb_trigger":null}}`), "a=1, f/c=4"},
		{"none, but one deeper", current(`{"_tsdb_trigger":"on-update","b":{"_tsdb_trigger":null,"d":{"_tsdb_trigger":"on-update"}}}`), "a=1, b/d/e=3, f/c=4"},
		{"a key that isn't there", current(`{"x":{"_tsdb_trigger":"on-update"},"a":{"c":{"_tsdb_trigger":"on-update"}}}`), ""},
		{"another trigger deeper", current(`{"_tsdb_trigger":"on-change","b":{"_tsdb_trigger":"on-update"}}`), "b/c=2, b/d/e=3"},
		{"a parameter after the keys that inherit it", current(`{"b":{"d":{}},"_tsdb_trigger":"on-update"}`), "a=1, b/c=2, b/d/e=3, f/c=4"},
		{"tags of the document", current(`{"_tags":{"site":"home"},"a":{"_tsdb_trigger":"on-update"}}`), "a=1 [site:home]"},
		{"tags replace, they don't add up", current(`{"_tsdb_trigger":"on-update","_tags":{"site":"home","floor":"1"},"b":{"_tags":{"room":"hall"}}}`),
			"a=1 [floor:1 site:home], b/c=2 [room:hall], b/d/e=3 [room:hall], f/c=4 [floor:1 site:home]"},
		{"tags deleted", current(`{"_tsdb_trigger":"on-update","_tags":{"site":"home"},"b":{"_tags":null,"d":{"_tags":{"room":"hall"}}}}`),
			"a=1 [site:home], b/c=2, b/d/e=3 [room:hall], f/c=4 [site:home]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := selected(t, tt.config, document, document); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The specification's two triggers, by the requests that it names.
func TestValuesOfAPatch(t *testing.T) {
	config := current(`{"state":{"_tsdb_trigger":"on-update"},"data":{"_tsdb_trigger":"on-change"}}`)
	const old = `{"state":{"enable":false,"value":12.5},"data":{"value":7.5,"in error":false}}`
	tests := []struct{ name, sent, want string }{
		{"put the same", old, "state/enable=0, state/value=12.5"},
		{"patch one of each with the same", `{"state":{"value":12.5},"data":{"value":7.5}}`, "state/value=12.5"},
		{"patch one of each", `{"data":{"value":8},"state":{"value":13}}`, "data/value=8, state/value=13"},
		{"patch with nothing", `{}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := selected(t, config, old, tt.sent); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNeedsOld(t *testing.T) {
	tests := []struct {
		level string
		want  bool
	}{
		{`{}`, false},
		{`{"_tsdb_trigger":"on-update"}`, false},
		{`{"_tsdb_trigger":"on-change"}`, true},
		{`{"_tsdb_trigger":"on-update","a":{"b":{"_tsdb_trigger":"on-change"}}}`, true},
		{`{"a":{"_tsdb_trigger":null}}`, false},
	}
	for _, tt := range tests {
		c, err := twinconfig.Parse(json.RawMessage(current(tt.level)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.NeedsOld("current"); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.level, got, tt.want)
		}
		if c.NeedsOld("desired") {
			t.Errorf("%s: a document that is not configured needs its predecessor", tt.level)
		}
	}
}

// Paths are not written over by those of the numbers after them.
func TestValuesHavePathsOfTheirOwn(t *testing.T) {
	c, err := twinconfig.Parse(json.RawMessage(current(`{"_tsdb_trigger":"on-update"}`)))
	if err != nil {
		t.Fatal(err)
	}
	values := c.Values("current", nil, json.RawMessage(`{"a":{"b":{"c":{"d":1,"e":2}}}}`))
	want := [][]string{{"a", "b", "c", "d"}, {"a", "b", "c", "e"}}
	for i, v := range values {
		if !slices.Equal(v.Path, want[i]) {
			t.Errorf("path %d is %q, want %q", i, v.Path, want[i])
		}
	}
	if len(values) != len(want) {
		t.Errorf("got %d values, want %d", len(values), len(want))
	}
}

func TestTheZeroConfigSelectsNothing(t *testing.T) {
	var c twinconfig.Config
	if values := c.Values(twin.Name("current"), nil, json.RawMessage(`{"a":1}`)); len(values) != 0 || c.NeedsOld("current") {
		t.Errorf("got %v", values)
	}
}
