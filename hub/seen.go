package hub

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	seenInterval = time.Minute     // between what happens and its way into the registry; a kill loses that much
	seenTime     = 5 * time.Second // for the registry to take it
)

// seen is when devices were last active and tokens last used, as far as the registry doesn't
// know it yet. Noting it touches memory alone, so no request waits for it.
type seen struct {
	registry registry.Registry
	log      *quietLog
	flushing chan struct{} // holds an element while somebody flushes, which may take time

	mu      sync.Mutex
	devices map[twin.ID]time.Time
	tokens  map[string]time.Time
	timer   *time.Timer // of the next flush; nil = nothing to flush
	closed  bool
}

func newSeen(r registry.Registry, log *quietLog) *seen {
	return &seen{
		registry: r,
		log:      log,
		flushing: make(chan struct{}, 1),
		devices:  make(map[twin.ID]time.Time),
		tokens:   make(map[string]time.Time),
	}
}

// device notes that a device is active now.
func (s *seen) device(id twin.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[id] = time.Now()
	s.schedule()
}

// token notes that the token of this name is used now.
func (s *seen) token(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[name] = time.Now()
	s.schedule()
}

// last is when a device was active; zero = the registry knows best.
func (s *seen) last(id twin.ID) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return stamp(s.devices[id])
}

// stamp has the precision and zone of what a registry stores.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// schedule is called with mu held.
func (s *seen) schedule() {
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(seenInterval, s.flush)
	}
}

// flush hands over what was noted. What the registry doesn't take stays for the next time.
func (s *seen) flush() {
	s.flushing <- struct{}{}
	defer func() { <-s.flushing }()
	s.mu.Lock()
	s.timer = nil
	devices, tokens := maps.Clone(s.devices), maps.Clone(s.tokens)
	s.mu.Unlock()
	if len(devices)+len(tokens) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), seenTime)
	defer cancel()
	err := s.registry.Seen(ctx, stamped(devices), stamped(tokens))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.log.warn("", "last activity not kept: trying again", "error", err)
		s.schedule()
		return
	}
	maps.DeleteFunc(s.devices, func(id twin.ID, at time.Time) bool { return at.Equal(devices[id]) })
	maps.DeleteFunc(s.tokens, func(name string, at time.Time) bool { return at.Equal(tokens[name]) })
}

func stamped[K comparable](all map[K]time.Time) map[K]time.Time {
	stamped := make(map[K]time.Time, len(all))
	for k, t := range all {
		stamped[k] = stamp(t)
	}
	return stamped
}

// close hands over what is left, and nothing after that.
func (s *seen) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.flush()
}
