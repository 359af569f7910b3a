package hub

import (
	"strings"
	"testing"
)

func TestParseFilter(t *testing.T) {
	tests := []struct {
		filter string
		ok     bool
	}{
		{"", false},
		{"#a", false},
		{"a#", false},
		{"a/#b", false},
		{"a/b#", false},
		{"#/a", false},
		{"##", false},
		{"a/#/b", false},
		{"+a", false},
		{"a+", false},
		{"a/+b", false},
		{"a/b+/c", false},
		{"++", false},
		{strings.Repeat("a", maxFilterLen+1), false},
		{strings.Repeat("a", maxFilterLen), true},
		{"#", true},
		{"+", true},
		{"/", true},
		{"//", true},
		{"+/+", true},
		{"/+", true},
		{"a/+/b/#", true},
		{"$SCW/twins/me/#", true},
	}
	for _, tt := range tests {
		if _, ok := parseFilter([]byte(tt.filter)); ok != tt.ok {
			t.Errorf("parseFilter(%q): got %v, want %v", tt.filter, ok, tt.ok)
		}
	}
}

// The examples of MQTT 3.1.1, section 4.7, and the topics of twins.
func TestFilterMatches(t *testing.T) {
	tests := []struct {
		filter, topic string
		want          bool
	}{
		{"#", "$SCW/twins/me/a/get/response/success", false}, // [MQTT-4.7.2-1]
		{"+/twins/me/#", "$SCW/twins/me/a/get/response/success", false},
		{"+/#", "$SCW", false},
		{"sport/tennis/player1/#", "sport/tennis/player10", false},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport", "Sport", false}, // [MQTT-4.7.3-4] and case
		{"/+", "finance", false},
		{"+", "/finance", false},
		{"a/b", "a", false},
		{"a", "a/b", false},
		{"a/+/#", "a", false},
		{"$SCW/twins/me/#", "$SCW/twins/meme/a", false},

		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"#", "a/b/c", true},
		{"$SCW/#", "$SCW/twins/me/a/get/response/success", true},
		{"$SCW/twins/me/#", "$SCW/twins/me/a/get/response/success", true},
		{"$SCW/twins/+/+/get/response/+", "$SCW/twins/me/a/get/response/error", true},
		{"$SCW/twins/me/a/get/response/success", "$SCW/twins/me/a/get/response/success", true},
	}
	for _, tt := range tests {
		f, ok := parseFilter([]byte(tt.filter))
		if !ok {
			t.Fatalf("parseFilter(%q) refused", tt.filter)
		}
		if got := f.matches(tt.topic); got != tt.want {
			t.Errorf("filter %q, topic %q: got %v, want %v", tt.filter, tt.topic, got, tt.want)
		}
	}
}

func TestFilterInTwins(t *testing.T) {
	tests := []struct {
		filter filter
		want   bool
	}{
		{"#", false}, // means no topic with $, so it could never be of use
		{"+/#", false},
		{"+/twins/#", false},
		{"$SYS/#", false},
		{"house/door", false},
		{"$SCW", false},
		{"$SCW/+", false},
		{"$SCW/twins", false},
		{"$SCW/events/#", false},
		{"$SCW/twinsets/#", false},
		{"$scw/twins/#", false},
		{"$SCW/#", true},
		{"$SCW/+/#", true},
		{"$SCW/+/me/desired/get/response/+", true},
		{"$SCW/twins/#", true},
		{"$SCW/twins/", true},
		{"$SCW/twins/me/#", true},
		{"$SCW/twins/22222222-2222-4222-8222-222222222222/#", true}, // to hear "permission denied"
	}
	for _, tt := range tests {
		if got := tt.filter.inTwins(); got != tt.want {
			t.Errorf("filter %q: got %v, want %v", tt.filter, got, tt.want)
		}
	}
}

func TestFiltersHoldAHundred(t *testing.T) {
	var fs filters
	name := func(i int) filter { return filter("$SCW/twins/me/" + strings.Repeat("x", i+1)) }
	for i := range maxFilters {
		if !fs.add(name(i)) {
			t.Fatalf("filter %d refused", i+1)
		}
	}
	if fs.add(name(maxFilters)) {
		t.Errorf("filter %d accepted", maxFilters+1)
	}
	if !fs.add(name(0)) {
		t.Error("a filter that is there already was refused")
	}
	fs.remove(name(7))
	if fs.match(string(name(7))) {
		t.Error("a removed filter still matches")
	}
	if !fs.add(name(maxFilters)) {
		t.Error("no room after a filter was removed")
	}
}

// FuzzFilter compares parseFilter, matches and inTwins with the rules of the
// standard written down level by level.
func FuzzFilter(f *testing.F) {
	for _, s := range [][2]string{
		{"a/#", "a"}, {"#", "$a"}, {"+/b", "/b"}, {"a//+", "a//"}, {"a+", "a"}, {"$SCW/+/x", "$SCW/twins/x"}, {"$SCW/#", "$SCW"}, {"/", "/"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, text, topic string) {
		if len(text) > maxFilterLen {
			text = text[:maxFilterLen]
		}
		parsed, ok := parseFilter([]byte(text))
		if want := text != "" && validLevels(strings.Split(text, "/")); ok != want {
			t.Fatalf("parseFilter(%q): got %v, want %v", text, ok, want)
		}
		if !ok || topic == "" || strings.ContainsAny(topic, "+#") {
			return
		}
		want := levelsMatch(strings.Split(text, "/"), strings.Split(topic, "/"))
		if topic[0] == '$' && (text[0] == '+' || text[0] == '#') {
			want = false
		}
		got := parsed.matches(topic)
		if got != want {
			t.Errorf("filter %q, topic %q: got %v, want %v", text, topic, got, want)
		}
		if got && strings.HasPrefix(topic, "$SCW/twins/") && !parsed.inTwins() {
			t.Errorf("filter %q means %q but is not granted", text, topic)
		}
	})
}

func validLevels(levels []string) bool {
	for i, l := range levels {
		if strings.Contains(l, "+") && l != "+" || strings.Contains(l, "#") && (l != "#" || i != len(levels)-1) {
			return false
		}
	}
	return true
}

func levelsMatch(pattern, topic []string) bool {
	switch {
	case len(pattern) == 0:
		return len(topic) == 0
	case pattern[0] == "#":
		return true
	case len(topic) == 0 || pattern[0] != "+" && pattern[0] != topic[0]:
		return false
	}
	return levelsMatch(pattern[1:], topic[1:])
}

func BenchmarkFilterMatch(b *testing.B) {
	const topic = "$SCW/twins/me/desired/get/response/success"
	for _, bm := range []struct {
		name   string
		filter filter
		want   bool
	}{
		{"all", "$SCW/twins/me/#", true},
		{"plus", "$SCW/twins/me/+/+/response/+", true},
		{"other", "$SCW/twins/me/desired/changed", false},
	} {
		b.Run("filter="+bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if bm.filter.matches(topic) != bm.want {
					b.Fatalf("match is not %v", bm.want)
				}
			}
		})
	}
}
