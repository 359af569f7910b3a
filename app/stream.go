package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/sse"
)

// Limits of streams.
const (
	maxStreams      = 64
	maxPhoneStreams = 8
	askTime         = time.Second // how soon a phone that is signed out sees nothing more
)

// getStream sends a view at once, after each change, and when nothing changes as a sign of life. A viewer who is slow
// gets the latest; what was in between is left out.
func (s *Server) getStream(w http.ResponseWriter, r *http.Request, phone Phone) {
	ended, leave, ok := s.streams.enter(phone.ID)
	if !ok {
		refuse(w, refusal{http.StatusServiceUnavailable, "too_busy", fmt.Sprintf("%d pages look at this app, which is as many as can; close one", maxStreams), 0})
		return
	}
	defer leave()
	events := sse.Begin(w)
	if r.Method == http.MethodHead {
		return
	}
	changed, goAway := s.house.Join()
	defer goAway()
	pulse, ask := time.NewTicker(sse.Pulse), time.NewTicker(askTime)
	defer pulse.Stop()
	defer ask.Stop()
	for {
		event, err := json.Marshal(s.house.View())
		if err != nil {
			s.log.Error("a view can't be sent", "error", err)
			return
		}
		if err := events.Send(event); err != nil {
			return
		}
		for told := false; !told; {
			select {
			case <-changed:
				pulse.Reset(sse.Pulse)
				told = true
			case <-pulse.C:
				told = true
			case <-ask.C:
			case <-ended:
				return
			case <-r.Context().Done():
				return
			}
			if _, ok := s.phone(r); !ok {
				return
			}
		}
	}
}

// streams are those that are open, oldest first. The zero value has none.
type streams struct {
	mu   sync.Mutex
	open []*stream
}

// A stream is one that a phone has open.
type stream struct {
	phone string        // its id; empty = nobody signs in here
	ended chan struct{} // closed when it has to end
}

// enter adds a stream, until leave. ended is closed if it has to end before. A phone that has enough of them loses its oldest: it may
// have lost the network under it, which here isn't known for a quarter of an hour.
func (s *streams) enter(phone string) (ended <-chan struct{}, leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine := s.of(phone); phone != "" && len(mine) >= maxPhoneStreams {
		s.end(mine[0])
	}
	if len(s.open) >= maxStreams {
		return nil, nil, false
	}
	entered := &stream{phone, make(chan struct{})}
	s.open = append(s.open, entered)
	return entered.ended, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end(entered)
	}, true
}

// of returns a phone's streams. s.mu is held, as for end.
func (s *streams) of(phone string) (mine []*stream) {
	for _, o := range s.open {
		if o.phone == phone {
			mine = append(mine, o)
		}
	}
	return mine
}

// end takes a stream out and tells it to end, unless that was done before.
func (s *streams) end(o *stream) {
	if i := slices.Index(s.open, o); i >= 0 {
		s.open = slices.Delete(s.open, i, i+1)
		close(o.ended)
	}
}
