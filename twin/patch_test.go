package twin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

func TestMerge(t *testing.T) {
	tests := []struct{ name, data, patch, want string }{
		{"nothing", `{}`, `{}`, `{}`},
		{"empty patch", `{"a":1}`, `{}`, `{"a":1}`},
		{"keys not in the patch stay", `{"a":1,"b":2,"c":3}`, `{"b":9}`, `{"a":1,"b":9,"c":3}`},
		{"new keys come last", `{"z":1}`, `{"y":2,"x":3}`, `{"z":1,"y":2,"x":3}`},
		{"null removes the first key", `{"a":1,"b":2}`, `{"a":null}`, `{"b":2}`},
		{"null removes the last key", `{"a":1,"b":2}`, `{"b":null}`, `{"a":1}`},
		{"null removes the only key", `{"a":1}`, `{"a":null}`, `{}`},
		{"null for a key that isn't there", `{"a":1}`, `{"b":null}`, `{"a":1}`},
		{"null removes an object", `{"a":{"b":{"c":1}}}`, `{"a":null}`, `{}`},
		{"null removes a stored null", `{"a":null}`, `{"a":null}`, `{}`},
		{"stored nulls stay", `{"a":null,"b":[null]}`, `{"c":1}`, `{"a":null,"b":[null],"c":1}`},
		{"objects merge", `{"a":{"x":1,"y":2}}`, `{"a":{"y":null,"z":3}}`, `{"a":{"x":1,"z":3}}`},
		{"objects merge far in", `{"a":{"b":{"c":{"d":1}}}}`, `{"a":{"b":{"c":{"e":2}}}}`, `{"a":{"b":{"c":{"d":1,"e":2}}}}`},
		{"an empty object changes nothing", `{"a":{"b":1}}`, `{"a":{}}`, `{"a":{"b":1}}`},
		{"an object over a missing key", `{}`, `{"a":{"b":1,"c":null}}`, `{"a":{"b":1}}`},
		{"an object of nulls over a missing key", `{}`, `{"a":{"b":null}}`, `{"a":{}}`},
		{"an object over a number", `{"a":1}`, `{"a":{"b":{"c":null,"d":2}}}`, `{"a":{"b":{"d":2}}}`},
		{"an object over an array", `{"a":[{"b":1}]}`, `{"a":{"b":2}}`, `{"a":{"b":2}}`},
		{"an object over null", `{"a":null}`, `{"a":{}}`, `{"a":{}}`},
		{"a number over an object", `{"a":{"b":1}}`, `{"a":1}`, `{"a":1}`},
		{"arrays are replaced", `{"a":[1,2,3]}`, `{"a":[4]}`, `{"a":[4]}`},
		{"objects in arrays are replaced", `{"a":[{"b":1,"c":2}]}`, `{"a":[{"b":3}]}`, `{"a":[{"b":3}]}`},
		{"an array over an object", `{"a":{"b":1}}`, `{"a":[]}`, `{"a":[]}`},
		{"every digit", `{"a":1.10,"b":12345678901234567890}`, `{"c":1e400}`, `{"a":1.10,"b":12345678901234567890,"c":1e400}`},
		{"text that looks like more", `{"a":"}{\",:"}`, `{"b":"]\\"}`, `{"a":"}{\",:","b":"]\\"}`},
		{"keys are compared by their characters", `{"\u0061":1,"b":2}`, `{"a":3,"\u0062":null}`, `{"\u0061":3}`},
		{"keys that differ in case", `{"a":1}`, `{"A":2}`, `{"a":1,"A":2}`},
		{"white space is passed over", ` { "a" : 1 , "b" : { } } `, "\n{\t\"b\" : { \"c\" : 1 } }", `{"a":1,"b":{"c":1}}`},
		{"many keys", wide(40, `"z":{"y":1}`), `{"z":{"y":null},"kiii":null}`, strings.Replace(wide(40, `"z":{}`), `"kiii":1,`, "", 1)},
		{"many keys in the patch", `{"k":0,"z":0}`, wide(40, `"z":null`), strings.TrimSuffix(wide(40, "}"), ",}}") + "}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twin.Merge([]byte(tt.data), []byte(tt.patch))
			if err != nil || string(got) != tt.want {
				t.Errorf("merging %s into %s gives\n%s, %v; want\n%s", tt.patch, tt.data, got, err, tt.want)
			}
		})
	}
}

func TestMergeRefusesWhatGrowsTooLarge(t *testing.T) {
	data := sized(twin.MaxDataSize)
	_, err := twin.Merge([]byte(data), []byte(`{"b":1}`))
	wantInvalid(t, err, "data", "", "constraint")
	if got, err := twin.Merge([]byte(data), []byte(`{"a":1}`)); err != nil || string(got) != `{"a":1}` {
		t.Errorf("shrinking gives %.100s, %v", got, err)
	}
}

func TestMergeAndDiffRefuseWhatIsNoObject(t *testing.T) {
	for _, bad := range []string{"", " ", "null", "[]", "1", `"a"`, "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1]`, `{a:1}`, `{"a" 1}`, `{"a":1}x`, `{}{}`, `{"a`, `{"\u":1}`, `{"a":}`, `{"a":,}`, `{"a":[`} {
		for _, pair := range [][2]string{{bad, `{}`}, {`{}`, bad}, {`{"b":` + bad + "}", `{"b":{}}`}} {
			if pair[0] == `{"b":`+bad+"}" && !strings.HasPrefix(bad, "{") {
				continue // a value that is replaced as a whole is not looked into
			}
			got, err := twin.Merge([]byte(pair[0]), []byte(pair[1]))
			if _, ok := errors.AsType[*twin.InvalidError](err); !ok {
				t.Errorf("merging %s into %s gives %s, %v; want an InvalidError", pair[1], pair[0], got, err)
			}
			got, err = twin.Diff([]byte(pair[0]), []byte(pair[1]))
			if _, ok := errors.AsType[*twin.InvalidError](err); !ok {
				t.Errorf("difference from %s to %s is %s, %v; want an InvalidError", pair[0], pair[1], got, err)
			}
		}
	}
}

func TestDiff(t *testing.T) {
	tests := []struct{ name, from, to, want string }{
		{"nothing", `{}`, `{}`, `{}`},
		{"the same", `{"a":{"b":[1,{"c":2}]}}`, `{"a":{"b":[1,{"c":2}]}}`, `{}`},
		{"only the order of keys", `{"a":1,"b":{"c":2,"d":3}}`, `{"b":{"d":3,"c":2},"a":1}`, `{}`},
		{"only the order of keys in an array", `{"a":[{"c":2,"d":3}]}`, `{"a":[{"d":3,"c":2}]}`, `{}`},
		{"only the escapes", `{"\u0061":"\u00e9/"}`, `{"a":"é\/"}`, `{}`},
		{"only white space", `{"a":[1,2]}`, ` { "a" : [ 1 , 2 ] } `, `{}`},
		{"a changed key", `{"a":1,"b":2}`, `{"a":1,"b":3}`, `{"b":3}`},
		{"a new key", `{}`, `{"a":{"b":{}}}`, `{"a":{"b":{}}}`},
		{"a removed key", `{"a":1,"b":2}`, `{"b":2}`, `{"a":null}`},
		{"another type", `{"a":1}`, `{"a":"1"}`, `{"a":"1"}`},
		{"further in", `{"a":{"b":{"c":1,"d":2}},"e":0}`, `{"a":{"b":{"c":1,"d":3}},"e":0}`, `{"a":{"b":{"d":3}}}`},
		{"an object becomes a number", `{"a":{"b":1}}`, `{"a":1}`, `{"a":1}`},
		{"a number becomes an object", `{"a":1}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{"a number becomes an empty object", `{"a":1}`, `{"a":{}}`, `{"a":{}}`},
		{"an array becomes an object", `{"a":[1]}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{"an object loses its keys", `{"a":{"b":1,"c":{"d":2}}}`, `{"a":{}}`, `{"a":{"b":null,"c":null}}`},
		{"an object becomes an empty array", `{"a":{"b":1}}`, `{"a":[]}`, `{"a":[]}`},
		{"arrays are whole", `{"a":[1,2,3]}`, `{"a":[1,2]}`, `{"a":[1,2]}`},
		{"arrays of another order", `{"a":[1,2]}`, `{"a":[2,1]}`, `{"a":[2,1]}`},
		{"arrays in arrays", `{"a":[[],[1]]}`, `{"a":[[1],[]]}`, `{"a":[[1],[]]}`},
		{"digits", `{"a":1.0,"b":1e1}`, `{"a":1.00,"b":10}`, `{"a":1.00,"b":10}`},
		{"shared nulls are left alone", `{"a":null,"b":[null],"c":{"d":null,"e":1}}`, `{"a":null,"b":[null],"c":{"d":null,"e":2}}`, `{"c":{"e":2}}`},
		{"a null that goes", `{"a":null,"b":[null],"c":null}`, `{"b":[],"c":1}`, `{"a":null,"b":[],"c":1}`},
		{"text that says null", `{}`, `{"a":["null"],"null":"null"}`, `{"a":["null"],"null":"null"}`},
		{"many keys", wide(40, `"z":1`), wide(40, `"z":2`), `{"z":2}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twin.Diff([]byte(tt.from), []byte(tt.to))
			if err != nil || string(got) != tt.want {
				t.Errorf("difference from %s to %s is\n%s, %v; want\n%s", tt.from, tt.to, got, err, tt.want)
			}
		})
	}
}

func TestDiffRefusesNullsThatAPatchWouldHaveToWrite(t *testing.T) {
	tests := []struct{ name, from, to, place string }{
		{"new null", `{}`, `{"a":null}`, "data.a"},
		{"a number becomes null", `{"a":1}`, `{"a":null}`, "data.a"},
		{"new null further in", `{"a":{"b":1}}`, `{"a":{"b":1,"c d":null}}`, `data.a["c d"]`},
		{"null in a new object", `{}`, `{"a":{"b":{"c":null}}}`, "data.a.b.c"},
		{"null in a changed array", `{"a":[null]}`, `{"a":[null,1]}`, "data.a[0]"},
		{"null in an object in an array", `{}`, `{"a":[[],[{"b":null}]]}`, "data.a[1][0].b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := twin.Diff([]byte(tt.from), []byte(tt.to))
			wantInvalid(t, err, "data", tt.place, "constraint")
		})
	}
}

func TestDiffRefusesPatchesThatAreTooLarge(t *testing.T) {
	// Removing a key costs more bytes than a key with a short value had.
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; b.Len() < twin.MaxDataSize-20; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"`)
		for n := i; n > 0; n /= 26 {
			b.WriteByte(byte('a' + n%26))
		}
		b.WriteString(`":1`)
	}
	b.WriteByte('}')
	_, err := twin.Diff([]byte(b.String()), []byte(`{}`))
	wantInvalid(t, err, "data", "", "constraint")
}

// decode reads an object into plain Go values that keep every digit.
func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	return v
}

// plainMerge is the specification's patch rule on plain Go values.
func plainMerge(data, patch map[string]any) map[string]any {
	merged := maps.Clone(data)
	for key, change := range patch {
		switch change := change.(type) {
		case nil:
			delete(merged, key)
		case map[string]any:
			base, ok := merged[key].(map[string]any)
			if !ok {
				base = map[string]any{}
			}
			merged[key] = plainMerge(base, change)
		default:
			merged[key] = change
		}
	}
	return merged
}

// holdsNull reports whether a decoded value is or holds null.
func holdsNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, e := range v {
			if holdsNull(e) {
				return true
			}
		}
	case []any:
		if slices.ContainsFunc(v, holdsNull) {
			return true
		}
	}
	return false
}

var seedPairs = [][2]string{
	{`{"a":1,"b":{"c":2}}`, `{"a":null,"b":{"c":null,"d":[1]}}`},
	{`{"a":{"b":1}}`, `{"a":1}`}, {`{"a":1}`, `{"a":{"b":{"c":null}}}`}, {`{"a":{"b":1}}`, `{"a":{}}`},
	{`{"a":[1,{"b":2}]}`, `{"a":[1,{"b":3}]}`}, {`{"\u0061":"\u00e9"}`, `{"a":"é"}`}, {`{"a":null}`, `{"a":[]}`},
	{`{"a":{"b":{"c":{}}}}`, `{"a":{"b":null}}`}, {wide(20, `"z":1`), wide(18, `"z":null`)}, {`{"a":1.0}`, `{"a":1}`},
	{`{"a":"}"}`, `{"b":",\"{"}`}, {`{`, `{"a":}`},
}

// FuzzMerge compares Merge with the rule on plain Go values. A second merge of
// the same patch changes nothing, and no nulls appear that were not there.
func FuzzMerge(f *testing.F) {
	for _, pair := range seedPairs {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, data, patch []byte) {
		_, _ = twin.Merge(data, patch) // whatever it is given, it doesn't panic
		base, err := twin.ParsePut(twin.Update{Data: data}.Encode())
		if err != nil {
			return
		}
		change, err := twin.ParsePatch(twin.Update{Data: patch}.Encode())
		if err != nil {
			return
		}
		merged, err := twin.Merge(base.Data, change.Data)
		if err != nil {
			if len(base.Data)+len(change.Data) < twin.MaxDataSize {
				t.Fatalf("merging %s into %s: %v", change.Data, base.Data, err)
			}
			return
		}
		if got, want := decode(t, merged), plainMerge(decode(t, base.Data), decode(t, change.Data)); !reflect.DeepEqual(got, want) {
			t.Errorf("merging %s into %s gives %s, want %v", change.Data, base.Data, merged, want)
		}
		if holdsNull(decode(t, merged)) && !holdsNull(decode(t, base.Data)) {
			t.Errorf("merging %s into %s gives nulls: %s", change.Data, base.Data, merged)
		}
		if checked, err := twin.ParsePut(twin.Update{Data: merged}.Encode()); err != nil || !bytes.Equal(checked.Data, merged) {
			t.Errorf("merging %s into %s gives %s, which no put accepts as it is: %v", change.Data, base.Data, merged, err)
		}
		if again, err := twin.Merge(merged, change.Data); err != nil || !bytes.Equal(again, merged) {
			t.Errorf("merging %s twice gives %s, then %s, %v", change.Data, merged, again, err)
		}
	})
}

// FuzzDiff merges a difference back. Only nulls or size may stand in the way.
func FuzzDiff(f *testing.F) {
	for _, pair := range seedPairs {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, _ = twin.Diff(a, b) // whatever it is given, it doesn't panic
		from, err := twin.ParsePut(twin.Update{Data: a}.Encode())
		if err != nil {
			return
		}
		to, err := twin.ParsePut(twin.Update{Data: b}.Encode())
		if err != nil {
			return
		}
		if same, err := twin.Diff(from.Data, from.Data); err != nil || string(same) != "{}" {
			t.Errorf("difference from %s to itself is %s, %v", from.Data, same, err)
		}
		patch, err := twin.Diff(from.Data, to.Data)
		if err != nil {
			if !holdsNull(decode(t, to.Data)) && 4*len(from.Data)+len(to.Data) < twin.MaxDataSize {
				t.Errorf("difference from %s to %s: %v", from.Data, to.Data, err)
			}
			return
		}
		if checked, err := twin.ParsePatch(twin.Update{Data: patch}.Encode()); err != nil || !bytes.Equal(checked.Data, patch) {
			t.Errorf("difference from %s to %s is %s, which no patch accepts as it is: %v", from.Data, to.Data, patch, err)
		}
		merged, err := twin.Merge(from.Data, patch)
		if err != nil || !reflect.DeepEqual(decode(t, merged), decode(t, to.Data)) {
			t.Errorf("difference from %s to %s is %s, which gives %s, %v", from.Data, to.Data, patch, merged, err)
		}
		if equal := reflect.DeepEqual(decode(t, from.Data), decode(t, to.Data)); equal != (string(patch) == "{}") {
			t.Errorf("equal is %v, but the difference from %s to %s is %s", equal, from.Data, to.Data, patch)
		}
	})
}
