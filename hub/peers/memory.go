package peers

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Memory joins hubs in one process, on a memory registry: for tests.
type Memory struct {
	registry *registry.Memory

	mu    sync.Mutex
	links map[*MemoryLink]bool
}

// NewMemory joins hubs on a registry.
func NewMemory(r *registry.Memory) *Memory {
	return &Memory{registry: r, links: make(map[*MemoryLink]bool)}
}

// Link makes the link of another hub.
func (m *Memory) Link() *MemoryLink {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &MemoryLink{Memory: m, wake: make(chan struct{}, 1), connected: make(map[twin.ID]bool)}
	m.links[l] = true
	return l
}

// A MemoryLink is the [Link] of one hub.
type MemoryLink struct {
	*Memory
	wake chan struct{} // holds an element while something is due

	// Guarded by Memory.mu.
	due       News
	deaf      bool
	connected map[twin.ID]bool
}

var _ Link = (*MemoryLink)(nil)

// Deafen has the hub hear nothing any more, or hear again, which begins with [News.Missed]. What was told in
// between is lost.
func (l *MemoryLink) Deafen(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf, l.due = deaf, News{}
	if !deaf {
		l.hear(func(n *News) { n.Missed = true })
	}
}

// Raise implements [Link].
func (l *MemoryLink) Raise(ctx context.Context, id twin.ID) (int64, error) {
	epoch, err := l.registry.RaiseEpoch(ctx, id)
	if err != nil {
		return 0, err
	}
	l.tell(func(n *News) {
		if n.Raised == nil {
			n.Raised = make(map[twin.ID]int64)
		}
		n.Raised[id] = max(n.Raised[id], epoch)
	})
	return epoch, nil
}

// Changed implements [Link].
func (l *MemoryLink) Changed(key docstore.Key) {
	l.tell(func(n *News) { n.Changed = append(n.Changed, key) })
}

// HubChanged implements [Link].
func (l *MemoryLink) HubChanged() { l.tell(func(n *News) { n.Hub = true }) }

// tell adds to what is due to each other hub.
func (l *MemoryLink) tell(add func(*News)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other := range l.links {
		if other != l {
			other.hear(add)
		}
	}
}

// hear adds to what is due. Memory.mu is held.
func (l *MemoryLink) hear(add func(*News)) {
	if l.deaf {
		return
	}
	add(&l.due)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Connected implements [Link].
func (l *MemoryLink) Connected(id twin.ID, connected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if connected {
		l.connected[id] = true
	} else {
		delete(l.connected, id)
	}
}

// Epochs implements [Link].
func (l *MemoryLink) Epochs(ctx context.Context, ids []twin.ID) (map[twin.ID]int64, error) {
	all, err := l.registry.Devices(ctx)
	if err != nil {
		return nil, err
	}
	epochs := make(map[twin.ID]int64)
	for _, d := range all {
		if slices.Contains(ids, d.ID) {
			epochs[d.ID] = d.Epoch
		}
	}
	return epochs, nil
}

// Elsewhere implements [Link].
func (l *MemoryLink) Elsewhere(ctx context.Context, ids []twin.ID) (map[twin.ID]bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	elsewhere := make(map[twin.ID]bool)
	for other := range l.links {
		if other != l {
			maps.Copy(elsewhere, other.connected)
		}
	}
	if ids != nil {
		maps.DeleteFunc(elsewhere, func(id twin.ID, _ bool) bool { return !slices.Contains(ids, id) })
	}
	return elsewhere, ctx.Err()
}

// Listen implements [Link]. It may be called again when it has ended.
func (l *MemoryLink) Listen(ctx context.Context, heard func(News)) {
	l.mu.Lock()
	l.hear(func(n *News) { n.Missed = true })
	l.mu.Unlock()
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		due := l.due
		l.due = News{}
		l.mu.Unlock()
		heard(due)
	}
}
