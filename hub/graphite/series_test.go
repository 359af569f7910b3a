package graphite

import (
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSeriesOfOddTexts(t *testing.T) {
	long := strings.Repeat("n", 192)
	const longHash = "%~5727d8dbbbe0647d"
	tests := []struct {
		name  string
		point Point
		want  string // as carbon has it: NAME;TAG=VALUE
	}{
		{"nothing but a name", Point{Name: "a.b"}, "a.b"},
		{"no name", Point{}, "%"},
		{"odd name", Point{Name: "~a b;c=d"}, "%7Ea%20b%3Bc=d"},
		{"a path", Point{Name: "n", Path: []string{"data", "value"}}, "n;json_path=data.value"},
		{"a path without keys", Point{Name: "n", Path: []string{}}, "n"},
		{"odd keys", Point{Name: "n", Path: []string{"in error", "a.b", "", "c/d", "50%", "~x", "e=f!"}}, "n;json_path=in%20error.a%2Eb.%.c/d.50%25.%7Ex.e=f!"},
		{"an empty key", Point{Name: "n", Path: []string{""}}, "n;json_path=%"},
		{"a dot is no two keys", Point{Name: "n", Path: []string{"."}}, "n;json_path=%2E"},
		{"tags in order", Point{Name: "n", Tags: map[string]string{"b": "2", "a": "1", "z": "3", "a-b": "4"}, Path: []string{"k"}}, "n;a-b=4;a=1;b=2;json_path=k;z=3"},
		{"odd tag names", Point{Name: "n", Tags: map[string]string{"": "1", "a;b": "2", "c=d": "3", "e!f^g": "4", "h i": "5", "~j": "6"}},
			"n;%7Ej=6;%=1;a%3Bb=2;c%3Dd=3;e%21f%5Eg=4;h%20i=5"},
		{"odd tag values", Point{Name: "n", Tags: map[string]string{"a": "", "b": "~x~", "c": "1;2", "d": "p=q!r^s", "e": "100%", "f": "x.y"}},
			"n;a=%;b=%7Ex~;c=1%3B2;d=p=q!r^s;e=100%25;f=x.y"},
		{"white space and controls", Point{Name: "n", Tags: map[string]string{"a": " \t\n\v\f\r\x00\x1c\x1f\x7f\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"}},
			"n;a=%20%09%0A%0B%0C%0D%00%1C%1F%7F%C2%85%C2%A0%E1%9A%80%E2%80%80%E2%80%8A%E2%80%A8%E2%80%A9%E2%80%AF%E2%81%9F%E3%80%80"},
		{"the notation of OpenMetrics", Point{Name: "n{", Tags: map[string]string{"a": `{b="c"}`}}, "n{;a={b=%22c%22}"},
		{"other languages", Point{Name: "n", Tags: map[string]string{"tür": "日本 😀"}}, "n;tür=日本%20😀"},
		{"bytes that are no text", Point{Name: "n", Tags: map[string]string{"a": "\xff\xc3"}}, "n;a=%FF%C3"},
		{"the longest that fits", Point{Name: long[:191]}, long[:191]},
		{"too long", Point{Name: "n", Tags: map[string]string{"a": long}}, "n;a=" + long[:173] + longHash},
		{"no half of an escape", Point{Name: long[:172] + strings.Repeat(" ", 20)}, long[:172] + "%~1fee95280380978a"},
		{"no half of a character", Point{Name: long[:172] + strings.Repeat("日", 20)}, long[:172] + "%~f875da4334c7849d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSeries(tt.point)
			if got := strings.Join(append([]string{s.name}, s.tags...), ";"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSeriesThatAreLongStayDifferent(t *testing.T) {
	a := newSeries(Point{Name: "n", Path: []string{strings.Repeat("x", 500), "a"}})
	b := newSeries(Point{Name: "n", Path: []string{strings.Repeat("x", 500), "b"}})
	if slices.Equal(a.tags, b.tags) {
		t.Errorf("both are %s", a.tags)
	}
	path, _ := strings.CutPrefix(a.tags[0], pathTag+"=")
	c := newSeries(Point{Name: "n", Path: strings.Split(path, ".")})
	if slices.Equal(a.tags, c.tags) {
		t.Errorf("a key that looks like what was cut gives %s, too", a.tags)
	}
}

// carbonTakes holds a line against the rules of carbon's own parser (TaggedSeries.parse and
// MetricLineReceiver.lineReceived of carbon 1.1).
func carbonTakes(t *testing.T, line string) {
	t.Helper()
	if len(line) > 16384 || !utf8.ValidString(line) {
		t.Errorf("carbon drops the connection at %q", line)
	}
	if n := strings.Count(line, "\n"); n != 1 || !strings.HasSuffix(line, "\n") {
		t.Errorf("%q is not one line", line)
	}
	// What Python's str.split takes for white space.
	fields := strings.FieldsFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f })
	if len(fields) != 3 {
		t.Fatalf("%q has %d fields, want 3", line, len(fields))
	}
	path := fields[0]
	if strings.HasSuffix(path, `"}`) && strings.Contains(path, "{") {
		t.Errorf("carbon takes %q for OpenMetrics", path)
	}
	segments := strings.Split(path, ";")
	if strings.TrimLeft(segments[0], "~") == "" {
		t.Errorf("%q has no name", path)
	}
	seen := map[string]bool{}
	for _, segment := range segments[1:] {
		tag, value, ok := strings.Cut(segment, "=")
		if !ok || tag == "" || value == "" || value[0] == '~' || strings.ContainsAny(tag, ";!^=") || seen[tag] {
			t.Errorf("carbon refuses segment %q of %q", segment, path)
		}
		if len(tag) > 191 || len(value) > 191 {
			t.Errorf("segment %q of %q is too long for Graphite's tables", segment, path)
		}
		seen[tag] = true
	}
}

// FuzzSeries: carbon takes whatever the escape yields, and what was not cut can be read back.
func FuzzSeries(f *testing.F) {
	f.Add("twins.x", "in error", "site", "home", 1.5)
	f.Add("", "", "", "", 0.0)
	f.Add("~", "~a.b", "a=b!^;", "~;\"}", -1e300)
	f.Add("{", "\u2028", "\x85", "\u0085\xff", 5e-324)
	f.Add(strings.Repeat("n", 300), strings.Repeat(" ", 100), strings.Repeat("日", 70), strings.Repeat("%", 70), 1.0)
	f.Fuzz(func(t *testing.T, name, key, tag, value string, number float64) {
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return // never comes this far
		}
		p := Point{Name: name, Path: []string{key, "k"}}
		if tag != "name" && tag != pathTag {
			p.Tags = map[string]string{tag: value}
		}
		series := newSeries(p)
		line := (&carbon{}).encode(series, number, math.MinInt64)
		carbonTakes(t, string(line))
		if len(line) > series.lineLen() {
			t.Errorf("%q has %d bytes, more than the %d expected", line, len(line), series.lineLen())
		}
		if body := (&ingest{}).encode(series, number, math.MinInt64); !json.Valid(body) {
			t.Errorf("%q is no JSON", body)
		}
		for _, text := range []string{name, tag, value} {
			back := escape(text, "=!^")
			if text == "" && back == "%" {
				continue
			}
			if plain, err := url.PathUnescape(back); err != nil || plain != text {
				t.Errorf("%q becomes %q, which reads back as %q, %v", text, back, plain, err)
			}
		}
	})
}
