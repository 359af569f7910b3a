package postgres

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/twin"
)

// The devices of the tests.
const (
	panelID twin.ID = "11111111-1111-4111-8111-111111111111"
	otherID twin.ID = "22222222-2222-4222-8222-222222222222"
)

func TestMessagesThatAreNotUnderstood(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":              "",
		"another format":       "2 SENDER\nh",
		"another line":         "1 SENDER\nx",
		"an empty line":        "1 SENDER\nh\n",
		"epoch without device": "1 SENDER\nr 17",
		"no device":            "1 SENDER\nr panel 17",
		"no epoch":             "1 SENDER\nr " + string(panelID),
		"epoch 0":              "1 SENDER\nr " + string(panelID) + " 0",
		"epoch in words":       "1 SENDER\nr " + string(panelID) + " one",
		"epoch too high":       "1 SENDER\nr " + string(panelID) + " 9223372036854775808",
		"no document":          "1 SENDER\nc " + string(panelID),
		"no document's name":   "1 SENDER\nc " + string(panelID) + " a/b",
		"more than one":        "1 SENDER\nc " + string(panelID) + " a b",
	} {
		t.Run(name, func(t *testing.T) {
			if n, others := parseMessage(text, "ME"); !others || !n.Missed {
				t.Errorf("got %+v, %v; want that something was missed", n, others)
			}
		})
	}
}

func TestMessage(t *testing.T) {
	desired := docstore.Key{Twin: panelID, Name: "desired"}
	for _, tt := range []struct {
		name string
		say  []func(*untold)
		text string
		want peers.News
	}{
		{"nothing", nil, "", peers.News{}},
		{"an epoch", []func(*untold){func(u *untold) { u.raised[panelID] = 17 }},
			"1 ME\nr 11111111-1111-4111-8111-111111111111 17", peers.News{Raised: map[twin.ID]int64{panelID: 17}}},
		{"a document, twice", []func(*untold){func(u *untold) { u.changed[desired] = struct{}{} }, func(u *untold) { u.changed[desired] = struct{}{} }},
			"1 ME\nc 11111111-1111-4111-8111-111111111111 desired", peers.News{Changed: []docstore.Key{desired}}},
		{"the hub's record", []func(*untold){func(u *untold) { u.hub = true }}, "1 ME\nh", peers.News{Hub: true}},
		{"too much", []func(*untold){func(u *untold) { u.raised[panelID], u.missed = 17, true }}, "1 ME\nm", peers.News{Missed: true}},
		{"a hub that has gone", []func(*untold){func(u *untold) { u.gone = true }}, "1 -\nm", peers.News{Missed: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var u untold
			for _, say := range tt.say {
				u.add(say)
			}
			text := u.take("ME")
			if text != tt.text {
				t.Errorf("told %q, want %q", text, tt.text)
			}
			if again := u.take("ME"); again != "" {
				t.Errorf("told again: %q", again)
			}
			if text == "" {
				return
			}
			got, others := parseMessage(text, "YOU")
			if !others || !maps.Equal(got.Raised, tt.want.Raised) || !slices.Equal(got.Changed, tt.want.Changed) || got.Hub != tt.want.Hub || got.Missed != tt.want.Missed {
				t.Errorf("heard %+v, %v; want %+v", got, others, tt.want)
			}
			if _, others := parseMessage(text, "ME"); others != strings.HasPrefix(text, "1 - ") && others != strings.HasPrefix(text, "1 -\n") {
				t.Errorf("the sender hears %v of it", others)
			}
		})
	}
}

// What doesn't fit into one message goes with the next ones, and nothing gets lost or is told twice.
func TestMessagesAreCut(t *testing.T) {
	var u untold
	want := make(map[docstore.Key]bool)
	u.add(func(u *untold) {
		u.raised[panelID], u.raised[otherID], u.hub = 1, 1<<62, true
		for n := range 1000 {
			key := docstore.Key{Twin: panelID, Name: twin.Name(fmt.Sprintf("%0*d", 1+n%128, n))}
			u.changed[key], want[key] = struct{}{}, true
		}
	})
	got := make(map[docstore.Key]bool)
	var all peers.News
	messages := 0
	for text := u.take("ME"); text != ""; text = u.take("ME") {
		messages++
		if len(text) > maxMessage {
			t.Errorf("a message of %d bytes", len(text))
		}
		n, _ := parseMessage(text, "YOU")
		for _, key := range n.Changed {
			if got[key] {
				t.Errorf("%v is told twice", key)
			}
			got[key] = true
		}
		if n.Raised != nil {
			all.Raised = n.Raised
		}
		all.Hub, all.Missed = all.Hub || n.Hub, all.Missed || n.Missed
	}
	if !maps.Equal(got, want) || all.Raised[panelID] != 1 || all.Raised[otherID] != 1<<62 || !all.Hub || all.Missed {
		t.Errorf("got %d documents and %+v, want %d", len(got), all, len(want))
	}
	if messages > 20 {
		t.Errorf("%d messages", messages)
	}
}

// More than a hub keeps for the others is told as that something was missed.
func TestUntoldIsBounded(t *testing.T) {
	var u untold
	for n := range 5 * maxUntold {
		u.add(func(u *untold) {
			u.changed[docstore.Key{Twin: panelID, Name: twin.Name(fmt.Sprint(n))}] = struct{}{}
		})
		if kept := len(u.changed) + len(u.raised); kept > maxUntold {
			t.Fatalf("%d things are kept", kept)
		}
	}
	if text := u.take("ME"); text != "1 ME\nm" {
		t.Errorf("told %q", text)
	}
	if text := u.take("ME"); text != "" {
		t.Errorf("told %q after it", text)
	}
}

// Whatever somebody writes into the channel, what is understood of it means the same when it is told again.
func FuzzMessage(f *testing.F) {
	f.Add("1 A\nr 11111111-1111-4111-8111-111111111111 17\nc 22222222-2222-4222-8222-222222222222 desired\nh")
	f.Add("1 -\nm")
	f.Add("2\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, others := parseMessage(text, "ME")
		if !others || n.Missed || len(n.Raised)+len(n.Changed) > 20 {
			return
		}
		var u untold
		u.add(func(u *untold) {
			maps.Copy(u.raised, n.Raised)
			for _, key := range n.Changed {
				u.changed[key] = struct{}{}
			}
			u.hub = n.Hub
		})
		again, _ := parseMessage(u.take("YOU"), "ME")
		if !n.Hub && n.Raised == nil && n.Changed == nil {
			return // nothing to tell
		}
		slices.SortFunc(n.Changed, compareKeys)
		slices.SortFunc(again.Changed, compareKeys)
		if !maps.Equal(again.Raised, n.Raised) || !slices.Equal(again.Changed, slices.Compact(n.Changed)) || again.Hub != n.Hub || again.Missed {
			t.Errorf("%q: %+v became %+v", text, n, again)
		}
	})
}

func compareKeys(a, b docstore.Key) int {
	return strings.Compare(string(a.Twin)+string(a.Name), string(b.Twin)+string(b.Name))
}
