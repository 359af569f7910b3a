package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/twinpanel/twinpanel/internal/sse"
)

// An event is everything that the page shows.
type event struct {
	view
	Names []string `json:"names"` // of the doors, the front door first
	Lamp  string   `json:"lamp"`  // empty = unknown
}

// stream sends an event now and after each change. A viewer who is slow gets the latest
// one; what was in between is left out.
func (h *House) stream(w http.ResponseWriter, r *http.Request) {
	if !h.admit() {
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("more than %d viewers; close one", maxStreams))
		return
	}
	defer h.dismiss()
	stream := sse.Begin(w)
	pulse := time.NewTicker(sse.Pulse)
	defer pulse.Stop()
	for {
		line, changed := h.event()
		if err := stream.Send(line); err != nil {
			return
		}
		select {
		case <-changed:
		case <-pulse.C:
		case <-r.Context().Done():
			return
		case <-h.closed:
			return
		}
	}
}

// event returns the present event as JSON and a channel that is closed at the next one.
func (h *House) event() ([]byte, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line, err := json.Marshal(event{h.lookAll(), h.names, h.lamp})
	if err != nil {
		panic(err) // a struct of booleans and words
	}
	return line, h.changed
}

func (h *House) admit() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams == maxStreams {
		return false
	}
	h.streams++
	return true
}

func (h *House) dismiss() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
}
