package twinclient

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

// A device has a document to publish and remembers what Sync tells it.
type device struct {
	sync *Sync
	stop func() // ends Run and waits for it

	mu      sync.Mutex
	doc     string
	err     error    // of Document
	watched []string // documents and refusals, in order
	links   []string // "up", and "down: …"
	log     bytes.Buffer
}

// start runs a Sync against a hub until the test ends.
func start(t *testing.T, h *fakeHub, doc string, change ...func(*SyncConfig)) *device {
	t.Helper()
	d := &device{doc: doc}
	c := SyncConfig{
		Connect: h.options(),
		Watch:   "desired",
		Publish: "current",
		Document: func(context.Context) (json.RawMessage, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return json.RawMessage(d.doc), d.err
		},
		Watched: func(doc twin.Document, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if err != nil {
				d.watched = append(d.watched, err.Error())
			} else {
				d.watched = append(d.watched, string(doc.Encode()))
			}
		},
		Connected: func(up bool, err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if up != (err == nil) {
				t.Errorf("Connected(%t, %v)", up, err)
			}
			if up {
				d.links = append(d.links, "up")
			} else {
				d.links = append(d.links, "down: "+err.Error())
			}
		},
		Logger: slog.New(slog.NewTextHandler(lockedWriter{d}, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	s, err := NewSync(c)
	if err != nil {
		t.Fatal(err)
	}
	d.sync = s
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	d.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(d.stop)
	return d
}

type lockedWriter struct{ d *device }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	return w.d.log.Write(p)
}

// set changes the device's document.
func (d *device) set(doc string) {
	d.mu.Lock()
	d.doc = doc
	d.mu.Unlock()
	d.sync.Changed()
}

// read is fn under the device's lock.
func (d *device) read(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

func (d *device) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// published is what the hub has as current, without last_update.
func published(t *testing.T, h *fakeHub) string {
	t.Helper()
	data := h.doc("current").Data
	if data == nil {
		return ""
	}
	patched, err := twin.Merge(data, []byte(`{"last_update":null}`))
	if err != nil {
		t.Fatal(err)
	}
	return string(patched)
}
