package twinconfig_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// manyTags is the text of n tags.
func manyTags(n int) string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"t%d":"v"`, i)
	}
	return "{" + strings.Join(tags, ",") + "}"
}

func TestParseRefuses(t *testing.T) {
	const (
		document  = "not a document's name: write 1 to 128 letters, digits and - _ . ~, but not . or .."
		level     = `not an object: write parameters and keys of the document, as in {"_tsdb_trigger":"on-change"}`
		parameter = "unknown parameter: keys that begin with _ are reserved, there are _tags and _tsdb_trigger"
		trigger   = `unknown trigger: write "on-update", "on-change", or null to push nothing`
		tags      = `not an object: write tags and their values, as in {"site":"home"}, or null for no tags`
		value     = `not a text: write the tag's value in quotes, as in {"site":"home"}`
	)
	tests := []struct{ data, place, reason, help string }{
		{`{"document":{}}`, `data.document`, "format",
			`unknown key: documents are configured under "documents", as in {"documents":{"current":{"_tsdb_trigger":"on-change"}}}`},
		{`{"documents":{},"_tags":{}}`, `data._tags`, "format",
			`unknown key: documents are configured under "documents", as in {"documents":{"current":{"_tsdb_trigger":"on-change"}}}`},
		{`{"documents":null}`, `data.documents`, "format",
			`not an object: write the documents' names and what holds for them, as in {"current":{"_tsdb_trigger":"on-change"}}`},
		{`{"documents":["current"]}`, `data.documents`, "format",
			`not an object: write the documents' names and what holds for them, as in {"current":{"_tsdb_trigger":"on-change"}}`},

		{`{"documents":{"_config":{}}}`, `data.documents._config`, "constraint", "nothing of _config itself is pushed: name another document"},
		{`{"documents":{"_tags":{"site":"home"}}}`, `data.documents._tags`, "constraint",
			"a parameter belongs to a document or to a key in it: write it one level deeper"},
		{`{"documents":{"_tsdb_trigger":"on-update"}}`, `data.documents._tsdb_trigger`, "constraint",
			"a parameter belongs to a document or to a key in it: write it one level deeper"},
		{`{"documents":{"":{}}}`, `data.documents[""]`, "format", document},
		{`{"documents":{"..":{}}}`, `data.documents[".."]`, "format", document},
		{`{"documents":{"front door":{}}}`, `data.documents["front door"]`, "format", document},
		{`{"documents":{"` + strings.Repeat("n", 129) + `":{}}}`, `data.documents["` + strings.Repeat("n", 64) + `…"]`, "format", document},

		{`{"documents":{"current":null}}`, `data.documents.current`, "format", level},
		{`{"documents":{"current":"on-change"}}`, `data.documents.current`, "format", level},
		{`{"documents":{"current":{"state":true}}}`, `data.documents.current.state`, "format", level},
		{`{"documents":{"current":{"state":{"front door":[]}}}}`, `data.documents.current.state["front door"]`, "format", level},
		{`{"documents":{"current":{"_tag":{}}}}`, `data.documents.current._tag`, "format", parameter},
		{`{"documents":{"current":{"_":{}}}}`, `data.documents.current._`, "format", parameter},
		{`{"documents":{"current":{"state":{"_tsdb_triggers":null}}}}`, `data.documents.current.state._tsdb_triggers`, "format", parameter},

		{`{"documents":{"current":{"_tsdb_trigger":"on_change"}}}`, `data.documents.current._tsdb_trigger`, "format", trigger},
		{`{"documents":{"current":{"_tsdb_trigger":""}}}`, `data.documents.current._tsdb_trigger`, "format", trigger},
		{`{"documents":{"current":{"_tsdb_trigger":true}}}`, `data.documents.current._tsdb_trigger`, "format", trigger},
		{`{"documents":{"current":{"state":{"_tsdb_trigger":{}}}}}`, `data.documents.current.state._tsdb_trigger`, "format", trigger},

		{`{"documents":{"current":{"_tags":"site=home"}}}`, `data.documents.current._tags`, "format", tags},
		{`{"documents":{"current":{"_tags":[]}}}`, `data.documents.current._tags`, "format", tags},
		{`{"documents":{"current":{"_tags":{"":"home"}}}}`, `data.documents.current._tags[""]`, "required",
			`a tag without a name: name it, as in {"site":"home"}`},
		{`{"documents":{"current":{"_tags":{"name":"x"}}}}`, `data.documents.current._tags.name`, "constraint",
			"every series has this tag already: choose another name"},
		{`{"documents":{"current":{"_tags":{"json_path":"x"}}}}`, `data.documents.current._tags.json_path`, "constraint",
			"every series has this tag already: choose another name"},
		{`{"documents":{"current":{"_tags":{"` + strings.Repeat("n", 65) + `":"x"}}}}`,
			`data.documents.current._tags["` + strings.Repeat("n", 64) + `…"]`, "constraint", "a name longer than 64 characters: choose a shorter one"},
		{`{"documents":{"current":{"_tags":{"site":1}}}}`, `data.documents.current._tags.site`, "format", value},
		{`{"documents":{"current":{"_tags":{"site":null}}}}`, `data.documents.current._tags.site`, "format", value},
		{`{"documents":{"current":{"_tags":{"site":""}}}}`, `data.documents.current._tags.site`, "required",
			"empty: write the tag's value, or leave the tag out"},
		{`{"documents":{"current":{"_tags":{"site":"` + strings.Repeat("ü", 129) + `"}}}}`, `data.documents.current._tags.site`, "constraint",
			"longer than 128 characters: write a shorter value"},
		{`{"documents":{"current":{"_tags":` + manyTags(17) + `}}}`, `data.documents.current._tags`, "constraint", "more than 16 tags: leave some out"},
	}
	for _, tt := range tests {
		_, err := twinconfig.Parse(json.RawMessage(tt.data))
		got, ok := errors.AsType[*twin.InvalidError](err)
		if want := (twin.InvalidError{Argument: "data", Place: tt.place, Reason: tt.reason, Help: tt.help}); !ok || *got != want {
			t.Errorf("%s:\ngot  %#v\nwant %#v", tt.data, got, want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for _, data := range []string{
		`{}`,
		`{"documents":{}}`,
		`{"documents":{"current":{}}}`,
		`{"documents":{"current":{"_tags":null,"_tsdb_trigger":null}}}`,
		`{"documents":{"current":{"_tags":{}}}}`,
		`{"documents":{"current":{"_tags":` + manyTags(16) + `}}}`,
		`{"documents":{"current":{"_tags":{"` + strings.Repeat("ü", 64) + `":"` + strings.Repeat("ü", 128) + `"}}}}`,
		`{"documents":{"current":{"_tags":{"a;b=c!":"~ d;e"}}}}`,
		`{"documents":{"-_.~09azAZ":{"a b":{"":{"c.d/e":{"_tsdb_trigger":"on-change"}}}}}}`,
		`{"documents":{"current":{"documents":{"_tsdb_trigger":"on-change"}}}}`,
		`{"documents":{"_other":{"_tsdb_trigger":"on-update"}}}`,
	} {
		if _, err := twinconfig.Parse(json.RawMessage(data)); err != nil {
			t.Errorf("%s: got error %v", data, err)
		}
	}
}

// A _config is parsed at each write of its twin: the worst one must not make each of them dear.
func TestParseNeedsLittleMemory(t *testing.T) {
	const depth = 28
	var b strings.Builder
	b.WriteString(`{"documents":{"current":`)
	for range depth {
		fmt.Fprintf(&b, `{%q:`, strings.Repeat("k", 64))
	}
	for i, open := 0, "{"; b.Len() < twin.MaxDataSize-100; i, open = i+1, "," {
		fmt.Fprintf(&b, `%s"%x":{}`, open, i)
	}
	b.WriteString(strings.Repeat("}", depth+3))
	update, err := twin.ParsePut([]byte(`{"data":` + b.String() + `}`))
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := twinconfig.Parse(update.Data); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	const most = 100 * twin.MaxDataSize
	if got := after.TotalAlloc - before.TotalAlloc; got > most {
		t.Errorf("parsing %d bytes allocated %d, want %d at most", len(update.Data), got, most)
	}
}
