package twin_test

import (
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

func TestMembers(t *testing.T) {
	for text, want := range map[string]string{
		``:                                  ``,
		`[1]`:                               ``,
		`"a"`:                               ``,
		`{"a":1`:                            ``,
		`{}`:                                ``,
		` { "b" : {"x": [1]} , "a":"{" }`:   `b={"x": [1]} a="{"`,
		`{"front door":null,"\u0061":1.50}`: `front door=null a=1.50`,
	} {
		var got []string
		for name, value := range twin.Members([]byte(text)) {
			got = append(got, name+"="+string(value))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: got %s, want %s", text, g, want)
		}
	}
}

func TestMembersStopsWhenAsked(t *testing.T) {
	n := 0
	for range twin.Members([]byte(`{"a":1,"b":2}`)) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d members, want 1", n)
	}
}

func TestPlace(t *testing.T) {
	for key, want := range map[string]string{
		"":                      `[""]`,
		"a.b":                   `["a.b"]`,
		"front door":            `["front door"]`,
		strings.Repeat("n", 65): `["` + strings.Repeat("n", 64) + `…"]`,
		"open":                  ".open",
		"_tags":                 "._tags",
	} {
		if got := twin.Place(key); got != want {
			t.Errorf("%q: got %s, want %s", key, got, want)
		}
	}
}
