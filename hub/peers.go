package hub

import (
	"context"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Limits of what a hub does when it may have missed something.
const (
	catchUpAgain = time.Second           // between two tries to read what has changed
	catchUpGroup = 100                   // connections that read their documents anew at the same time
	catchUpPause = 25 * time.Millisecond // before the next of them
	kickGroup    = 100                   // epochs that are raised at the same time
)

// news is the task that hears what other hubs on the same store tell.
type news struct {
	stop    context.CancelFunc
	running sync.WaitGroup
}

// listen starts the task, if there can be other hubs.
func (h *Hub) listen() *news {
	ctx, stop := context.WithCancel(context.Background())
	n := &news{stop: stop}
	if h.peers != nil {
		n.running.Go(func() {
			h.peers.Listen(ctx, func(heard peers.News) { h.heard(ctx, heard) })
		})
	}
	return n
}

func (n *news) close() {
	n.stop()
	n.running.Wait()
}

// heard does what others have told. It waits for no client.
func (h *Hub) heard(ctx context.Context, n peers.News) {
	for id, epoch := range n.Raised {
		h.endpoint.endOld(id, epoch)
	}
	for _, key := range n.Changed {
		h.endpoint.changed(key, nil)
	}
	if !n.Missed && !n.Hub {
		return
	}
	for {
		err := h.readSeries(ctx)
		if err == nil && n.Missed {
			err = h.catchUp(ctx)
		}
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			h.log.warn("", "what other hubs have changed can't be read: trying again", "error", err)
		}
		select {
		case <-time.After(catchUpAgain):
		case <-ctx.Done():
			return
		}
	}
}

// catchUp does what the news would have done that could not be heard for a while.
func (h *Hub) catchUp(ctx context.Context) error {
	sessions, ids := h.endpoint.sessionsKnown()
	if len(sessions) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	epochs, err := h.peers.Epochs(bounded, ids)
	if err != nil {
		return err
	}
	reading := 0
	for _, s := range sessions {
		switch epoch, ok := epochs[s.device]; {
		case !ok:
			s.stop(&refusal{reason: errRemoved})
		case epoch != s.epoch:
			s.stop(&refusal{reason: errOld})
		case s.notifyAll():
			reading++
		}
		if reading == catchUpGroup {
			reading = 0
			select {
			case <-time.After(catchUpPause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// endOld ends the connections of a device that were made under a lower epoch.
func (e *endpoint) endOld(id twin.ID, epoch int64) {
	for _, s := range e.sessionsOf(id) {
		e.mu.Lock()
		old := s.epoch < epoch
		e.mu.Unlock()
		if old {
			s.stop(&refusal{reason: errOld})
		}
	}
}

// sessionsKnown are the sessions that have an epoch, and their devices. One that comes later reads what is true then.
func (e *endpoint) sessionsKnown() (sessions []*session, ids []twin.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, d := range e.devices {
		for _, s := range d.sessions {
			if s.epoch != unknownEpoch {
				sessions = append(sessions, s)
			}
		}
		ids = append(ids, id)
	}
	return sessions, ids
}

// changed tells the connections of all hubs that a document has changed or is gone: see [endpoint.changed].
func (h *Hub) changed(key docstore.Key, from *session) {
	h.endpoint.changed(key, from)
	if h.peers != nil {
		h.peers.Changed(key)
	}
}

// raise ends the connections that other hubs have of a device.
func (h *Hub) raise(ctx context.Context, id twin.ID) error {
	if h.peers == nil {
		return nil
	}
	_, err := h.peers.Raise(ctx, id)
	return err
}

// kick ends a device's connections on all hubs, because of what somebody has done to the device.
func (h *Hub) kick(ctx context.Context, id twin.ID, reason error) {
	h.endpoint.kick(id, reason)
	if err := h.raise(ctx, id); err != nil {
		h.log.error(string(id), "other hubs may keep the connections of a device until its next request", "id", shortID(id), "reason", reason, "error", err)
	}
}

// kickAll is kick for many devices: what they wait for is committed together.
func (h *Hub) kickAll(ctx context.Context, devices []registry.Device, reason error) {
	places := make(chan struct{}, kickGroup)
	var kicks sync.WaitGroup
	for _, d := range devices {
		places <- struct{}{}
		kicks.Go(func() {
			defer func() { <-places }()
			h.kick(ctx, d.ID, reason)
		})
	}
	kicks.Wait()
}

// elsewhere returns those of the devices that other hubs have connections of. What can't be read counts as none.
func (h *Hub) elsewhere(ctx context.Context, devices []registry.Device) map[twin.ID]bool {
	if h.peers == nil || len(devices) == 0 {
		return nil
	}
	ids := make([]twin.ID, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	return h.askElsewhere(ctx, ids)
}

// connectedDevices is how many devices are connected to any hub.
func (h *Hub) connectedDevices(ctx context.Context) int {
	here := h.endpoint.connectedDevices()
	if h.peers == nil {
		return len(here)
	}
	all := h.askElsewhere(ctx, nil)
	n := len(all)
	for _, id := range here {
		if !all[id] {
			n++
		}
	}
	return n
}

func (h *Hub) askElsewhere(ctx context.Context, ids []twin.ID) map[twin.ID]bool {
	elsewhere, err := h.peers.Elsewhere(ctx, ids)
	if err != nil {
		h.log.warn("", "who is connected to other hubs can't be read", "error", err)
	}
	return elsewhere
}
