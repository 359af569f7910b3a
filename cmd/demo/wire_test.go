package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// lines are what a wire shows, one line each: who, what, how often, and the payload.
func lines(w *wire) (lines []string) {
	messages, _, _ := w.since(0)
	for _, m := range messages {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s x%d %s", m.From, m.What, m.Count, m.Payload)))
	}
	return lines
}

// The messages of a house where nothing happens, and of what happens there.
var (
	look  = message{From: "hub", To: "app", Over: "REST", What: "GET current", Status: 200, Payload: `{"version":1,"data":{"last_update":"1","door_open":false}}`, folds: true}
	later = message{From: "hub", To: "app", Over: "REST", What: "GET current", Status: 200, Payload: `{"version":2,"data":{"last_update":"2","door_open":false}}`, folds: true}
	open  = message{From: "hub", To: "app", Over: "REST", What: "GET current", Status: 200, Payload: `{"version":2,"data":{"last_update":"2","door_open":true}}`, folds: true}
	gone  = message{From: "hub", To: "app", Over: "REST", What: "GET current", Status: 404, Payload: look.Payload, folds: true}
	wish  = message{From: "you", To: "hub", Over: "REST", What: "PUT desired", Payload: `{"data":{}}`}
	poll  = message{From: "panel", To: "hub", Over: "MQTT", What: "PUBLISH get", folds: true}
)

func TestWhatIsSaidAgainIsFolded(t *testing.T) {
	for _, tt := range []struct {
		name string
		said []message
		want []string // how often each line was said
	}{
		{"two looks", []message{look, look}, []string{"GET current x2"}},
		{"a sign of life", []message{look, later}, []string{"GET current x2"}},
		{"looks and polls in turns, from when both are known", []message{look, poll, look, poll, look, poll}, []string{"GET current x1", "PUBLISH get x3", "GET current x2"}},
		{"another state", []message{look, open}, []string{"GET current x1", "GET current x1"}},
		{"another status", []message{look, gone}, []string{"GET current x1", "GET current x1"}},
		{"a wish twice", []message{wish, wish}, []string{"PUT desired x1", "PUT desired x1"}},
		{"a look after a wish stands below it", []message{look, look, wish, look, look}, []string{"GET current x2", "PUT desired x1", "GET current x2"}},
	} {
		w := newWire()
		for _, m := range tt.said {
			w.add(m)
		}
		var got []string
		for _, line := range lines(w) {
			words := strings.Fields(line)
			got = append(got, strings.Join(words[1:4], " "))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestFoldedLineShowsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		w.add(look)
		_, seen, changed := w.since(0)
		time.Sleep(time.Minute)
		w.add(later)
		select {
		case <-changed:
		default:
			t.Error("whoever looks is not told")
		}
		news, _, _ := w.since(seen)
		if len(news) != 1 || news[0].ID != 1 || news[0].Payload != later.Payload || !news[0].At.Equal(time.Now()) {
			t.Errorf("got %+v, want the first line with what was said now", news)
		}
	})
}

func TestWireKeepsTheLastMessages(t *testing.T) {
	w := newWire()
	for i := range maxMessages + 50 {
		w.add(message{From: "you", What: fmt.Sprint(i)})
	}
	got := lines(w)
	if len(got) != maxMessages || got[0] != "you 50 x1" {
		t.Errorf("got %d lines from %q on, want %d from 50 on", len(got), got[0], maxMessages)
	}
}

func TestWhatIsShownIsBoundedAndPlain(t *testing.T) {
	w := newWire()
	w.add(message{From: "you", What: "GET /" + strings.Repeat("é", maxWhat), Payload: "a\nb\x00c\u202ed\xff" + strings.Repeat("x", maxPayload)})
	got, _, _ := w.since(0)
	if m := got[0]; len(m.What) > maxWhat+2 || len(m.Payload) > maxPayload+9 || !m.Cut {
		t.Errorf("got %d and %d bytes, cut %v, want at most about %d and %d, cut", len(m.What), len(m.Payload), m.Cut, maxWhat, maxPayload)
	}
	if want := "a b\uFFFDc\uFFFDd\uFFFDxx"; !strings.HasPrefix(got[0].Payload, want) {
		t.Errorf("got %q, want it to begin %q", got[0].Payload[:20], want)
	}
}
