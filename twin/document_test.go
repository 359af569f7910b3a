package twin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

// nested is n objects inside each other.
func nested(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }

// sized is an object of n bytes.
func sized(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }

// wide is an object with n keys and then one more.
func wide(n int, last string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`"k` + strings.Repeat("i", i) + `":1,`)
	}
	return "{" + b.String() + last + "}"
}

func TestParsePutRefuses(t *testing.T) {
	tests := []struct{ name, body, argument, place, reason string }{
		{"empty body", "", "body", "", "required"},
		{"white space", " \r\n\t", "body", "", "required"},
		{"null", "null", "body", "", "format"},
		{"array", "[]", "body", "", "format"},
		{"text", `"data"`, "body", "", "format"},
		{"number", "1", "body", "", "format"},
		{"cut off", `{"data":{"a":1}`, "body", "", "format"},
		{"something after the end", `{"data":{}} x`, "body", "", "format"},
		{"two objects", `{"data":{}}{"data":{}}`, "body", "", "format"},
		{"comma at the end", `{"data":{"a":1,}}`, "body", "", "format"},
		{"key without quotes", `{data:{}}`, "body", "", "format"},
		{"byte order mark", "\ufeff{}", "body", "", "format"},
		{"invalid UTF-8 in a value", "{\"data\":{\"a\":\"\xff\"}}", "body", "", "format"},
		{"invalid UTF-8 in a key", "{\"data\":{\"\xc3\":1}}", "body", "", "format"},
		{"control character in a string", "{\"data\":{\"a\":\"\x01\"}}", "body", "", "format"},
		{"number with a leading zero", `{"data":{"a":01}}`, "body", "", "format"},
		{"NaN", `{"data":{"a":NaN}}`, "body", "", "format"},
		{"deeper than any parser goes", `{"data":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", "body", "", "format"},

		{"content beside data", `{"alarm_armed":true}`, "body", "alarm_armed", "format"},
		{"content beside data, after data", `{"data":{},"alarm_armed":true}`, "body", "alarm_armed", "format"},
		{"data in capitals", `{"Data":{}}`, "body", "Data", "format"},
		{"an empty key", `{"":{}}`, "body", "", "format"},

		{"negative version", `{"version":-1}`, "version", "", "format"},
		{"minus zero", `{"version":-0}`, "version", "", "format"},
		{"fraction", `{"version":1.5}`, "version", "", "format"},
		{"fraction of nothing", `{"version":1.0}`, "version", "", "format"},
		{"exponent", `{"version":1e3}`, "version", "", "format"},
		{"version as text", `{"version":"1"}`, "version", "", "format"},
		{"version as empty text", `{"version":""}`, "version", "", "format"},
		{"boolean version", `{"version":true}`, "version", "", "format"},
		{"version in an array", `{"version":[1]}`, "version", "", "format"},
		{"version in an object", `{"version":{}}`, "version", "", "format"},
		{"version one too high", `{"version":4294967296}`, "version", "", "format"},
		{"version beyond 64 bits", `{"version":18446744073709551617}`, "version", "", "format"},
		{"two versions", `{"version":1,"version":1}`, "version", "", "format"},
		{"two versions, the first null", `{"version":null,"version":1}`, "version", "", "format"},

		{"data is an array", `{"data":[{"a":1}]}`, "data", "", "format"},
		{"data is text", `{"data":"{}"}`, "data", "", "format"},
		{"data is false", `{"data":false}`, "data", "", "format"},
		{"two datas", `{"data":{"a":1},"data":{}}`, "data", "", "format"},
		{"two datas, the first null", `{"data":null,"data":{}}`, "data", "", "format"},
		{"duplicate key", `{"data":{"a":1,"b":2,"a":3}}`, "data", "data.a", "format"},
		{"duplicate key further in", `{"data":{"data":{"a":{"b":1,"b":1}}}}`, "data", "data.data.a.b", "format"},
		{"duplicate key in an array", `{"data":{"doors":[{},{"open":1,"open":2}]}}`, "data", "data.doors[1].open", "format"},
		{"duplicate key, once with escapes", `{"data":{"a":1,"\u0061":2}}`, "data", "data.a", "format"},
		{"duplicate empty key", `{"data":{"":1,"":2}}`, "data", `data[""]`, "format"},
		{"duplicate key with a dot", `{"data":{"a.b":1,"a.b":2}}`, "data", `data["a.b"]`, "format"},
		{"duplicate key with a quote", `{"data":{"\"":1,"\"":2}}`, "data", `data["\""]`, "format"},
		{"duplicate among many keys", `{"data":` + wide(40, `"k":2`) + `}`, "data", "data.k", "format"},
		{"duplicate of a late one among many keys", `{"data":` + wide(20, `"z":1,"z":2`) + `}`, "data", "data.z", "format"},
		{"duplicate very long key", `{"data":{"` + strings.Repeat("l", 900) + `":1,"` + strings.Repeat("l", 900) + `":1}}`,
			"data", `data["` + strings.Repeat("l", 64) + `…"]`, "format"},
		{"half a surrogate pair", `{"data":{"a":["x\ud83d"]}}`, "data", "data.a[0]", "format"},
		{"the other half", `{"data":{"a":"\ude00"}}`, "data", "data.a", "format"},
		{"halves in the wrong order", `{"data":{"a":"\ude00\ud83d"}}`, "data", "data.a", "format"},
		{"half a pair before another character", `{"data":{"a":"\ud83d\u0041"}}`, "data", "data.a", "format"},
		{"half a surrogate pair in a key", `{"data":{"a":{"\ud83d":1}}}`, "data", "data.a", "format"},
		{"one level too deep", `{"data":` + nested(twin.MaxDepth+1) + `}`, "data", "data" + strings.Repeat(".a", twin.MaxDepth), "constraint"},
		{"arrays too deep", `{"data":{"a":` + strings.Repeat("[", twin.MaxDepth) + strings.Repeat("]", twin.MaxDepth) + `}}`,
			"data", "data.a" + strings.Repeat("[0]", twin.MaxDepth-1), "constraint"},
		{"one byte too large", `{"data":` + sized(twin.MaxDataSize+1) + `}`, "data", "", "constraint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, parse := range []func([]byte) (twin.Update, error){twin.ParsePut, twin.ParsePatch} {
				got, err := parse([]byte(tt.body))
				wantInvalid(t, err, tt.argument, tt.place, tt.reason)
				if got.Version != 0 || got.Data != nil {
					t.Errorf("refused and returned %s", got.Encode())
				}
			}
		})
	}
}

func TestParsePutTellsWhereContentGoes(t *testing.T) {
	_, err := twin.ParsePut([]byte(`{"alarm_armed":true}`))
	const want = `alarm_armed: unknown key: the document's content goes under "data", as in {"data":{…}}`
	if err == nil || err.Error() != want {
		t.Errorf("error reads\n%v, want\n%s", err, want)
	}
}

func TestParsePutAccepts(t *testing.T) {
	tests := []struct {
		name, body string
		version    uint32
		data       string
	}{
		{"nothing set", `{}`, 0, `{}`},
		{"nulls of older SDKs", `{"version":null,"data":null}`, 0, `{}`},
		{"version 0", `{"version":0,"data":{"a":1}}`, 0, `{"a":1}`},
		{"the highest version", `{"version":4294967295}`, twin.MaxVersion, `{}`},
		{"what REST answered", `{"twin_id":"x","document_name":"y","version":3,"data":{"a":1}}`, 3, `{"a":1}`},
		{"white space everywhere", " {\n\t\"version\" : 3 ,\r\n \"data\" : { \"a\" : [ 1 , { } , [ ] ] , \"b c\" : \" d \" } } \n", 3, `{"a":[1,{},[]],"b c":" d "}`},
		{"order of keys", `{"data":{"z":1,"a":2,"m":3}}`, 0, `{"z":1,"a":2,"m":3}`},
		{"every digit", `{"data":{"n":12345678901234567890.10,"e":1E+400,"z":-0.0}}`, 0, `{"n":12345678901234567890.10,"e":1E+400,"z":-0.0}`},
		{"characters of HTML", `{"data":{"<a>":"&\u003c/"}}`, 0, `{"<a>":"&\u003c/"}`},
		{"escapes as written", `{"data":{"a":"\/\u00e9\n\u0000\\u"}}`, 0, `{"a":"\/\u00e9\n\u0000\\u"}`},
		{"a surrogate pair", `{"data":{"\ud83d\uDE00":"\uD83D\ude00"}}`, 0, `{"\ud83d\uDE00":"\uD83D\ude00"}`},
		{"reserved and special keys", `{"data":{"_tags":1,"a.b":2,"c/d":3,"":4}}`, 0, `{"_tags":1,"a.b":2,"c/d":3,"":4}`},
		{"keys that differ in case", `{"data":{"a":1,"A":2}}`, 0, `{"a":1,"A":2}`},
		{"the same key in two objects", `{"data":{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}}`, 0, `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}`},
		{"as deep as can be", `{"data":` + nested(twin.MaxDepth) + `}`, 0, nested(twin.MaxDepth)},
		{"as large as can be", `{"data":` + sized(twin.MaxDataSize) + `}`, 0, sized(twin.MaxDataSize)},
		{"white space doesn't count", `{"data":` + strings.Repeat(" ", twin.MaxDataSize) + `{}}`, 0, `{}`},
		{"null as a key's value", `{"data":{"a":null,"b":{"c":null}}}`, 0, `{"a":null,"b":{"c":null}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, parse := range []func([]byte) (twin.Update, error){twin.ParsePut, twin.ParsePatch} {
				got, err := parse([]byte(tt.body))
				if err != nil || got.Version != tt.version || string(got.Data) != tt.data {
					t.Errorf("got version %d, data %.200s, error %v; want version %d, data %.200s", got.Version, got.Data, err, tt.version, tt.data)
				}
			}
		})
	}
}

func TestParsePutDoesNotAliasTheBody(t *testing.T) {
	body := []byte(`{"data":{"a":1}}`)
	got, err := twin.ParsePut(body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if string(got.Data) != `{"a":1}` {
		t.Errorf("data changed to %q with the body's buffer", got.Data)
	}
}

func TestNullInsideAnArray(t *testing.T) {
	tests := []struct{ name, body, place string }{
		{"element", `{"data":{"a":[null]}}`, "data.a[0]"},
		{"later element", `{"data":{"a":[1,"null",null]}}`, "data.a[2]"},
		{"array in an array", `{"data":{"a":[[],[[1],[null]]]}}`, "data.a[1][1][0]"},
		{"object in an array", `{"data":{"doors":[{},{},{"open":null}]}}`, "data.doors[2].open"},
		{"object in an object in an array", `{"data":{"a":{"b":[{"c":{"d":null}}]}}}`, "data.a.b[0].c.d"},
		{"after an array that is closed", `{"data":{"a":[[1],null]}}`, "data.a[1]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := twin.ParsePatch([]byte(tt.body))
			wantInvalid(t, err, "data", tt.place, "constraint")
			if _, err := twin.ParsePut([]byte(tt.body)); err != nil {
				t.Errorf("a put is refused too: %v", err)
			}
		})
	}
}

func TestParseDocument(t *testing.T) {
	bad := []struct{ name, answer, argument, place string }{
		{"empty", "", "body", ""},
		{"no JSON", "Not Found", "body", ""},
		{"array", "[]", "body", ""},
		{"no version", `{"data":{}}`, "version", ""},
		{"version 0", `{"version":0,"data":{}}`, "version", ""},
		{"version as text", `{"version":"1","data":{}}`, "version", ""},
		{"data is an array", `{"version":1,"data":[]}`, "data", ""},
		{"duplicate key", `{"version":1,"data":{"alarm_armed":true,"alarm_armed":false}}`, "data", "data.alarm_armed"},
	}
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			_, err := twin.ParseDocument([]byte(tt.answer))
			invalid, ok := errors.AsType[*twin.InvalidError](err)
			if !ok || invalid.Argument != tt.argument || invalid.Place != tt.place {
				t.Errorf("error is %#v, want one about %s %s", err, tt.argument, tt.place)
			}
		})
	}
	good := []struct{ name, answer, want string }{
		{"MQTT", `{"version":1,"data":{"a":null}}`, `{"version":1,"data":{"a":null}}`},
		{"REST", `{"twin_id":"t","document_name":"d","version":2,"data":{"a":[null]}}`, `{"version":2,"data":{"a":[null]}}`},
		{"other keys of another hub", `{"updated_at":"now","version":2,"data":{ }}`, `{"version":2,"data":{}}`},
		{"no data", `{"version":2}`, `{"version":2,"data":{}}`},
		{"deeper than our limit", `{"version":2,"data":` + nested(twin.MaxDepth+9) + `}`, `{"version":2,"data":` + nested(twin.MaxDepth+9) + `}`},
		{"larger than our limit", `{"version":2,"data":` + sized(twin.MaxDataSize+9) + `}`, `{"version":2,"data":` + sized(twin.MaxDataSize+9) + `}`},
	}
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twin.ParseDocument([]byte(tt.answer))
			if err != nil || string(got.Encode()) != tt.want {
				t.Errorf("got %.200s, %v; want %.200s", got.Encode(), err, tt.want)
			}
		})
	}
}

func TestEncode(t *testing.T) {
	tests := []struct {
		name      string
		got, want string
	}{
		{"document", string(twin.Document{Version: 4294967295, Data: []byte(`{"<":1.0}`)}.Encode()), `{"version":4294967295,"data":{"<":1.0}}`},
		{"zero document", string(twin.Document{}.Encode()), `{"version":0,"data":{}}`},
		{"update of any version", string(twin.Update{Data: []byte(`{"a":1}`)}.Encode()), `{"data":{"a":1}}`},
		{"update of a version", string(twin.Update{Version: 3, Data: []byte(`{"a":1}`)}.Encode()), `{"version":3,"data":{"a":1}}`},
		{"zero update", string(twin.Update{}.Encode()), `{"data":{}}`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
	marshalled, err := json.Marshal(twin.Document{Version: 1, Data: []byte(`{"a":1.0}`)})
	if want := `{"version":1,"data":{"a":1.0}}`; err != nil || string(marshalled) != want {
		t.Errorf("json.Marshal gives %s, %v; want %s", marshalled, err, want)
	}
}

func TestCheckVersion(t *testing.T) {
	tests := []struct {
		asked, actual uint32
		ok            bool
	}{
		{1, 0, false}, {1, 2, false}, {2, 1, false}, {twin.MaxVersion, 1, false},
		{0, 0, true}, {0, 7, true}, {7, 7, true}, {twin.MaxVersion, twin.MaxVersion, true},
	}
	for _, tt := range tests {
		err := twin.CheckVersion(tt.asked, tt.actual)
		if tt.ok {
			if err != nil {
				t.Errorf("CheckVersion(%d, %d) = %v, want nil", tt.asked, tt.actual, err)
			}
			continue
		}
		mismatch, ok := errors.AsType[*twin.VersionError](err)
		if !ok || mismatch.Expected != tt.asked || mismatch.Actual != tt.actual {
			t.Errorf("CheckVersion(%d, %d) = %#v, want a VersionError with these", tt.asked, tt.actual, err)
		}
		if err.Error() != "document version mismatch" {
			t.Errorf("error reads %q", err)
		}
	}
}
