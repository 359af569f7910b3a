package main

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Limits of what is shown.
const (
	maxMessages = 200
	maxWhat     = 300     // bytes
	maxPayload  = 2 << 10 // bytes
)

// A message is a line of the wire view: something that was said to the hub, or by it.
type message struct {
	ID      int       `json:"id"`    // rises from line to line
	At      time.Time `json:"at"`    // when it was said last
	Count   int       `json:"count"` // how often: messages that say the same again are folded into one
	From    string    `json:"from"`  // panel, spare, a device, app, you or hub
	To      string    `json:"to"`
	Over    string    `json:"over"` // MQTT or REST
	What    string    `json:"what"` // the packet and its topic, or method and path
	Status  int       `json:"status,omitempty"`
	Payload string    `json:"payload,omitempty"`
	Cut     bool      `json:"cut,omitempty"` // the payload was longer

	folds  bool   // may be folded: looks and signs of life, but nothing that somebody did
	gist   string // what is compared
	moment int    // the wire's when the line was begun
	moved  int    // the wire's count of changes when this line was the last to change
}

// A wire keeps the last messages for all who look. Whoever adds one waits for nobody.
type wire struct {
	mu       sync.Mutex
	messages []message
	moment   int           // rises when something is said that wasn't said before
	changes  int           // rises with each message
	changed  chan struct{} // closed at the next message
}

func newWire() *wire { return &wire{changed: make(chan struct{})} }

// add shows a message. One that says the same as the last of its kind is counted there, unless something new was
// said since: then it gets a line below that, so that lines tell in which order things happened.
func (w *wire) add(m message) {
	m.gist = gist(m.Payload)
	m.folds = m.folds && !m.Cut
	m.Payload, m.Cut = printable(m.Payload, maxPayload, m.Cut)
	m.What, _ = printable(m.What, maxWhat, false)
	m.At, m.Count = time.Now(), 1

	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes++
	m.moved = w.changes
	last := w.lastLike(m)
	again := m.folds && last != nil && last.folds && last.gist == m.gist && last.Status == m.Status
	if !again {
		w.moment++
	}
	m.moment = w.moment
	if again && last.moment == w.moment {
		m.ID, m.Count = last.ID, last.Count+1
		*last = m
	} else {
		m.ID = w.changes
		if len(w.messages) == maxMessages {
			w.messages = slices.Delete(w.messages, 0, 1)
		}
		w.messages = append(w.messages, m)
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// lastLike returns the last line about the same thing between the same two.
func (w *wire) lastLike(m message) *message {
	for i := range slices.Backward(w.messages) {
		if l := &w.messages[i]; l.What == m.What && l.From == m.From && l.To == m.To && l.Over == m.Over {
			return l
		}
	}
	return nil
}

// since returns what has changed after so many changes, the number of changes now, and a channel that is closed at the next.
func (w *wire) since(changes int) ([]message, int, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var news []message
	for _, m := range w.messages {
		if m.moved > changes {
			news = append(news, m)
		}
	}
	return news, w.changes, w.changed
}

// gist is a payload without what differs in each sign of life of the panel: last_update, and the version with it.
func gist(payload string) string {
	var document map[string]any
	if json.Unmarshal([]byte(payload), &document) != nil {
		return payload
	}
	data, _ := document["data"].(map[string]any)
	if _, ok := data["last_update"]; !ok {
		return payload
	}
	delete(data, "last_update")
	delete(document, "version")
	short, err := json.Marshal(document)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(short)
}

// printable returns a text of at most limit bytes without anything that moves or hides other text.
func printable(s string, limit int, cut bool) (string, bool) {
	if len(s) > limit {
		s, cut = s[:limit], true
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(s, "\uFFFD")), cut
}
