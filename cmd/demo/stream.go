package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/sse"
	"github.com/twinpanel/twinpanel/twin"
)

// maxViewers is how many pages may look at a time.
const maxViewers = 32

// news is an event of the stream.
type news struct {
	First     bool       `json:"first,omitempty"` // and so it has all there is
	Messages  []message  `json:"messages"`        // new ones, and those that were counted again
	Documents []document `json:"documents"`       // those that have changed
}

// A document is one of the panel's twin, as the hub has it.
type document struct {
	Name    twin.Name `json:"name"`
	Version uint32    `json:"version"` // 0 = there is none
	Text    string    `json:"text"`    // its data, indented, to the letter
}

// A viewer streams the wire and the panel's documents to pages.
type viewer struct {
	wire      *wire
	documents docstore.Store
	panel     twin.ID
	secrets   *strings.Replacer // takes them out of what is shown: people write what they like into documents
	room      chan struct{}
}

func newViewer(w *wire, documents docstore.Store, panel twin.ID, secrets ...string) *viewer {
	var pairs []string
	for _, secret := range secrets {
		pairs = append(pairs, secret, "(hidden)")
	}
	return &viewer{w, documents, panel, strings.NewReplacer(pairs...), make(chan struct{}, maxViewers)}
}

// ServeHTTP sends what there is, and then what is new. Whoever is slow misses messages, but no document's last state.
//
// Documents are read when a message was seen: all that changes the panel's twin comes over the wire.
func (v *viewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case v.room <- struct{}{}:
		defer func() { <-v.room }()
	default:
		http.Error(w, fmt.Sprintf("more than %d viewers; close one", maxViewers), http.StatusServiceUnavailable)
		return
	}
	stream := sse.Begin(w)
	pulse := time.NewTicker(sse.Pulse)
	defer pulse.Stop()
	seen := map[twin.Name]document{}
	changes := 0
	for first := true; ; first = false {
		event := news{First: first}
		var changed <-chan struct{}
		event.Messages, changes, changed = v.wire.since(changes)
		for _, name := range []twin.Name{agent.Desired, agent.Current} {
			if d := v.read(r, name); seen[name] != d {
				seen[name] = d
				event.Documents = append(event.Documents, d)
			}
		}
		line, err := json.Marshal(event)
		if err != nil {
			panic(err) // a struct of texts and numbers
		}
		if err := stream.Send([]byte(v.secrets.Replace(string(line)))); err != nil {
			return
		}
		select {
		case <-changed:
		case <-pulse.C:
		case <-r.Context().Done():
			return
		}
	}
}

func (v *viewer) read(r *http.Request, name twin.Name) document {
	d, err := v.documents.Get(r.Context(), docstore.Key{Twin: v.panel, Name: name})
	if errors.Is(err, twin.ErrDocumentNotFound) {
		return document{Name: name}
	}
	var text bytes.Buffer
	if err := errors.Join(err, json.Indent(&text, d.Data, "", "  ")); err != nil {
		return document{Name: name, Text: err.Error()}
	}
	return document{name, d.Version, text.String()}
}
