//go:build linux

package main

import (
	"strings"
	"testing"
)

// story makes a history: versions 1 to 3 of a document are acknowledged, by put 1, put 2 and patch 3, and
// then what next adds.
func story(next func(*history)) *history {
	h := newHistory("device", "document")
	h.acknowledge(1, false, state{1, 1, 1})
	h.acknowledge(2, false, state{2, 2, 2})
	h.acknowledge(3, true, state{3, 2, 3})
	next(h)
	return h
}

func (h *history) acknowledge(id int64, patch bool, s state) {
	h.end(h.begin(id, patch, false), acknowledged, s)
}

func TestCheckFindsWhatCannotBe(t *testing.T) {
	nothing := func(*history) {}
	unanswered := func(h *history) { h.begin(4, false, false) }
	tests := []struct {
		name  string
		next  func(*history)
		found state
		want  string
	}{
		{"lost document", nothing, state{}, "lost: version 3 was there, and there is 0"},
		{"lost write", nothing, state{2, 2, 2}, "lost: version 3 was there, and there is 2"},
		{"lost although another was under way", unanswered, state{2, 2, 2}, "lost: version 3 was there, and there is 2"},
		{"lost after it was shown to a reader", func(h *history) { h.begin(4, false, false); h.endRead(h.beginRead(), state{4, 4, 4}) }, state{3, 2, 3},
			"lost: version 4 was there, and there is 3"},
		{"content of an older version", nothing, state{3, 2, 2}, "found version 3 by put 2 and write 2; the writes lead to version 3 by put 2 and write 3"},
		{"acknowledged content is another one's", unanswered, state{3, 4, 4}, "found version 3 by put 4 and write 4; the writes lead to version 3 by put 2 and write 3"},
		{"version by nobody", nothing, state{4, 2, 3}, "version 4 is by no write that was sent"},
		{"write by nobody", unanswered, state{4, 9, 9}, "found version 4 by put 9 and write 9; the writes lead to version 4 by put 4 and write 4"},
		{"one write twice", unanswered, state{5, 4, 4}, "version 5 is by no write that was sent"},
		{"refused write", func(h *history) { h.end(h.begin(4, false, true), refused, state{}) }, state{4, 4, 4}, "version 4 is by no write that was sent"},
		{"failed write", func(h *history) { h.end(h.begin(4, false, true), failed, state{}) }, state{4, 4, 4}, "version 4 is by no write that was sent"},
		{"skipped version", func(h *history) { h.acknowledge(5, false, state{5, 5, 5}) }, state{5, 5, 5}, "version 4 is by no write that was sent"},
		{"skipped version that a later write can't fill", func(h *history) { h.acknowledge(5, false, state{5, 5, 5}); h.begin(6, false, false) }, state{5, 5, 5},
			"version 4 is by no write that was sent"},
		{"versioned write on another version", func(h *history) {
			versioned := h.begin(4, false, true)
			h.acknowledge(5, false, state{4, 5, 5})
			h.end(versioned, acknowledged, state{5, 4, 4})
		}, state{5, 4, 4}, "write 4: put of version 3, sent after version 3 was shown: acknowledged as version 5 by put 4 and write 4\ncannot have been done on version 4"},
		{"versioned write of unknown outcome on another version", func(h *history) {
			h.begin(4, false, true)
			h.acknowledge(5, false, state{4, 5, 5})
		}, state{5, 4, 4}, "version 5 is by no write that was sent"},
		{"two writes with one version", func(h *history) {
			w := h.begin(4, false, false)
			h.acknowledge(5, false, state{4, 5, 5})
			h.end(w, acknowledged, state{4, 4, 4})
		}, state{4, 5, 5}, "the hub shows version 4 by put 4 and write 4, and has shown version 4 by put 5 and write 5"},
		{"version that was there before", func(h *history) { h.acknowledge(4, false, state{3, 4, 4}) }, state{3, 4, 4}, "when it has to show version 4 or a later one"},
		{"stale read", func(h *history) { h.endRead(h.beginRead(), state{2, 2, 2}) }, state{3, 2, 3}, "when it has to show version 3 or a later one"},
		{"put undone by a patch", func(h *history) {
			h.acknowledge(4, false, state{4, 4, 4})
			h.acknowledge(5, true, state{5, 2, 5})
		}, state{5, 2, 5}, "must have made version 5 by put 4 and write 5"},
		{"acknowledged with another's content", func(h *history) { h.acknowledge(4, false, state{4, 3, 3}) }, state{4, 3, 3}, "must have made version 4 by put 4 and write 4"},
	}
	for _, tt := range tests {
		_, err := story(tt.next).settle(tt.found)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestCheckAccepts(t *testing.T) {
	tests := []struct {
		name            string
		next            func(*history)
		found           state
		there, notThere int
	}{
		{"nothing more", func(*history) {}, state{3, 2, 3}, 0, 0},
		{"unknown outcome: there", func(h *history) { h.begin(4, true, true) }, state{4, 2, 4}, 1, 0},
		{"unknown outcome: not there", func(h *history) { h.begin(4, true, true) }, state{3, 2, 3}, 0, 1},
		{"unknown between acknowledged ones", func(h *history) { h.begin(4, false, false); h.acknowledge(5, true, state{5, 4, 5}) }, state{5, 4, 5}, 1, 0},
		{"unknown at a read", func(h *history) { h.begin(4, false, false); h.endRead(3, state{4, 4, 4}) }, state{4, 4, 4}, 1, 0},
		{"acknowledged in another order than sent", func(h *history) {
			w := h.begin(4, false, false)
			h.acknowledge(5, false, state{4, 5, 5})
			h.end(w, acknowledged, state{5, 4, 4})
		}, state{5, 4, 4}, 0, 0},
		// Only 5 can have been first: 4 names its version.
		{"unknown ones in the one order that can be", func(h *history) {
			h.endRead(3, state{3, 2, 3})
			h.begin(5, false, false)
			h.begin(6, true, false)
			h.writes = append(h.writes, &write{id: 4, version: 4, newer: 3})
		}, state{6, 4, 6}, 3, 0},
	}
	for _, tt := range tests {
		h := story(tt.next)
		got, err := h.settle(tt.found)
		if err != nil || got.there != tt.there || got.notThere != tt.notThere {
			t.Errorf("%s: got %+v, error %v, want %d there, %d not there", tt.name, got, err, tt.there, tt.notThere)
		}
		// The next history begins with what was found.
		next := tt.found.version + 1
		h.acknowledge(100, true, state{next, tt.found.put, 100})
		if got, err := h.settle(state{next, tt.found.put, 100}); err != nil || got.acknowledged != 1 {
			t.Errorf("%s, the next time: got %+v, error %v", tt.name, got, err)
		}
	}
}

func TestDeletedDocumentsAreChecked(t *testing.T) {
	put := func(id int64, s state) func(*cycle) { return func(c *cycle) { c.begin(id); c.end(acknowledged, s) } }
	deleted := func(c *cycle) { c.begin(0); c.end(acknowledged, state{}) }
	sent := func(id int64) func(*cycle) { return func(c *cycle) { c.begin(id) } }
	lost := func(id int64) func(*cycle) { return func(c *cycle) { c.begin(id); c.end(failed, state{}) } }
	tests := []struct {
		name  string
		story []func(*cycle)
		found state
		want  string // empty = fine
	}{
		{"lost put", []func(*cycle){put(1, state{1, 1, 1})}, state{}, "found: no document; acknowledged: version 1 by put 1"},
		{"lost deletion", []func(*cycle){put(1, state{1, 1, 1}), deleted}, state{1, 1, 1}, "found: version 1 by put 1 and write 1; acknowledged: no document"},
		{"version goes on after a deletion", []func(*cycle){put(1, state{1, 1, 1}), deleted, put(2, state{2, 2, 2})}, state{2, 2, 2}, "is answered to a write that makes version 1 by put 2"},
		{"failed put", []func(*cycle){lost(1)}, state{1, 1, 1}, "found: version 1"},
		{"refused", []func(*cycle){func(c *cycle) { c.begin(1); c.end(refused, state{}) }}, state{}, "is refused"},
		{"acknowledged", []func(*cycle){put(1, state{1, 1, 1}), deleted, put(2, state{1, 2, 2})}, state{1, 2, 2}, ""},
		{"put under way, done", []func(*cycle){put(1, state{1, 1, 1}), sent(2)}, state{2, 2, 2}, ""},
		{"put under way, not done", []func(*cycle){put(1, state{1, 1, 1}), sent(2)}, state{1, 1, 1}, ""},
		{"deletion under way, done", []func(*cycle){put(1, state{1, 1, 1}), sent(0)}, state{}, ""},
		{"deletion under way, not done", []func(*cycle){put(1, state{1, 1, 1}), sent(0)}, state{1, 1, 1}, ""},
	}
	for _, tt := range tests {
		var c cycle
		for _, next := range tt.story {
			next(&c)
		}
		_, err := c.settle(tt.found)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestTornDocumentsAreFound(t *testing.T) {
	w := write{id: 77}
	whole := strings.Replace(string(w.body()), "{", `{"version":5,`, 1)
	if s, err := parseState([]byte(whole)); err != nil || s != (state{5, 77, 77}) {
		t.Errorf("got %v, error %v for %s", s, err, whole)
	}
	for name, torn := range map[string]string{
		"empty":            "",
		"no version":       string(w.body()),
		"fill too short":   strings.Replace(whole, "77 ", "", 1),
		"fill of another":  strings.ReplaceAll(whole, "77 ", "78 "),
		"fill of no write": strings.Replace(whole, `"put":77`, `"put":78`, 1),
	} {
		if s, err := parseState([]byte(torn)); err == nil {
			t.Errorf("%s: got %v, want an error", name, s)
		}
	}
}
