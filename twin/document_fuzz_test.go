package twin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/twin"
)

var (
	loneHalf     = regexp.MustCompile(`(?i)\\ud[89a-f]`) // may be a surrogate without its pair
	wholeVersion = regexp.MustCompile(`^(null|0|[1-9][0-9]{0,9})$`)
)

// plainVerdict says what a body holds, told by encoding/json's tokens: slow,
// and written with no knowledge of how package twin does it.
func plainVerdict(body []byte) (putOK, patchOK bool) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return false, false
	}
	var parts struct{ Version, Data json.RawMessage }
	keys, _, ok := walk(body, 0)
	if !ok || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return false, false
	}
	for _, key := range keys {
		if !slices.Contains([]string{"version", "data", "twin_id", "document_name"}, key) {
			return false, false
		}
	}
	if json.Unmarshal(body, &parts) != nil {
		return false, false
	}
	var version uint32
	if parts.Version != nil && (!wholeVersion.Match(parts.Version) || json.Unmarshal(parts.Version, &version) != nil) {
		return false, false
	}
	if parts.Data == nil || string(parts.Data) == "null" {
		return true, true
	}
	if parts.Data[0] != '{' {
		return false, false
	}
	var compact bytes.Buffer
	if json.Compact(&compact, parts.Data) != nil || compact.Len() > twin.MaxDataSize {
		return false, false
	}
	_, nullInArray, ok := walk(parts.Data, twin.MaxDepth)
	return ok, ok && !nullInArray
}

// walk returns the keys of the outermost object and whether an array holds a
// null. It is not ok if a key of any object stands twice (without a depth limit:
// of the outermost alone) or the depth is above the limit.
func walk(text []byte, limit int) (top []string, nullInArray, ok bool) {
	type level struct {
		object bool
		keys   []string
		value  bool // of an object: the next token is a value
	}
	var stack []level
	arrays := 0
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // digits are kept, also where a float64 has no room for them
	for {
		token, err := d.Token()
		if err == io.EOF {
			return top, nullInArray, true
		} else if err != nil {
			return nil, false, false
		}
		in := len(stack) - 1
		if delim, closing := token.(json.Delim); closing && (delim == '}' || delim == ']') {
			if delim == ']' {
				arrays--
			} else if in == 0 {
				top = stack[0].keys
			}
			stack = stack[:in]
			continue
		}
		if in >= 0 && stack[in].object && !stack[in].value {
			key := token.(string)
			if slices.Contains(stack[in].keys, key) && (limit > 0 || in == 0) {
				return nil, false, false
			}
			stack[in].keys = append(stack[in].keys, key)
			stack[in].value = true
			continue
		}
		if in >= 0 {
			stack[in].value = false
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{object: true})
		case json.Delim('['):
			stack = append(stack, level{})
			arrays++
		case nil:
			nullInArray = nullInArray || arrays > 0
		}
		if limit > 0 && len(stack) > limit {
			return nil, false, false
		}
	}
}

var seedBodies = []string{
	`{"data":{"alarm_armed":true}}`, `{"version":1,"data":{"a":[1,2,{"b":null}],"c":{"d":{}}}}`,
	`{"version":null,"data":null}`, `{"twin_id":"x","document_name":"y","version":3,"data":{}}`, `{"alarm_armed":true}`,
	`{"data":{"a":1,"\u0061":2}}`, `{"data":{"a":"\ud83d\ude00","b":"\ud83d"}}`, "{\"data\":{\"\xff\":1}}", ` { "data" : { "a" : [ ] } } `,
	`{"data":{"n":-1.5e+10,"t":true,"f":false,"z":null}}`, `{"data":{"n":5e710}}`, `{"data":` + nested(33) + `}`, `{"data":` + wide(18, `"k":1`) + `}`, `{"version":4294967296}`, `[`, ``,
}

// FuzzDocument compares ParsePut with a plain reading of the same rules, and
// its copy of the data with json.Compact's.
func FuzzDocument(f *testing.F) {
	for _, s := range seedBodies {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, _ := plainVerdict(body)
		checkParse(t, twin.ParsePut, body, want)
	})
}

// FuzzPatch does the same with ParsePatch.
func FuzzPatch(f *testing.F) {
	for _, s := range seedBodies {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, want := plainVerdict(body)
		checkParse(t, twin.ParsePatch, body, want)
	})
}

func checkParse(t *testing.T, parse func([]byte) (twin.Update, error), body []byte, want bool) {
	got, err := parse(body)
	if err != nil {
		invalid, ok := errors.AsType[*twin.InvalidError](err)
		if !ok || !slices.Contains([]string{"version", "data", "body"}, invalid.Argument) || invalid.Reason == "" || invalid.Help == "" {
			t.Errorf("error is %#v, want a complete InvalidError", err)
		}
		if !utf8.ValidString(err.Error()) || len(err.Error()) > 4096 {
			t.Errorf("error is no readable text: %q", err)
		}
		if want && !loneHalf.Match(body) {
			t.Errorf("refused %q: %v", body, err)
		}
		return
	}
	if !want {
		t.Fatalf("accepted %q as %s", body, got.Encode())
	}
	var parts struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &parts); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, parts.Data); parts.Data != nil && err != nil {
		t.Fatal(err)
	}
	if data := compact.String(); string(got.Data) != data && !(string(got.Data) == "{}" && (data == "" || data == "null")) {
		t.Errorf("data of %q is %q, want %q", body, got.Data, data)
	}
	again, err := parse(got.Encode())
	if err != nil || again.Version != got.Version || !bytes.Equal(again.Data, got.Data) {
		t.Errorf("%s reads back as %s, %v", got.Encode(), again.Encode(), err)
	}
}
