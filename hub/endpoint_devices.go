package hub

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A device has one connection at a time. These limits calm two clients that
// were given the same device by mistake and keep throwing each other out.
const (
	freeTakeOvers  = 5               // within takeOverWindow; a further one has to wait
	takeOverWindow = time.Minute     //
	takeOverPause  = 5 * time.Second // before the CONNACK; the older connection works on meanwhile
)

// deviceShare is the part of all connections that a device with several may have, 2000 of 20000: beyond it
// each new one ends the oldest, so that no device takes the places of the others.
const deviceShare = 10

// Reasons for the hub to end a device's connection.
var (
	errTakenOver = errors.New("taken over by another connection of the same device")
	errOld       = errors.New("taken over on another hub, or ended by what somebody did to the device there")
	errRemoved   = errors.New("device was removed")
	errOldest    = errors.New("the device has too many connections: the oldest ends")
)

// unknownEpoch is newer than any other: a connection whose epoch isn't known yet is not replaced by
// others, but replaces them or looks after itself when it has got one. Where there
// are no other hubs it stays so.
const unknownEpoch = math.MaxInt64

// A device is what the endpoint knows about a device that is connected.
type device struct {
	sessions  []*session  // oldest first; those waiting for their CONNACK among them
	takeOvers []time.Time // within takeOverWindow; older ones are forgotten at the next CONNECT
}

// admit makes s a connection of its device, which is as it was found. It ends
// the connections that s replaces and waits for their last requests, so that
// nothing an older connection asked for happens after the CONNACK of a newer one.
// An error says why s itself comes to nothing; then nothing is replaced on this hub.
//
// On other hubs the raised epoch ends them, at their next request at the latest. It is raised before
// s is looked at again: of two that connect at the same time, the one with the lower epoch sees that it is old.
//
// What s was let in by is looked at again once s can be found by whoever takes it back: that may
// have happened since, and nobody would end the connection then before its next request.
func (e *endpoint) admit(s *session, d registry.Device) error {
	if e.mustPause(s) {
		if err := s.pause(time.Now().Add(takeOverPause)); err != nil {
			return err
		}
	}
	if err := e.raise(s, d); err != nil {
		return err
	}
	if err := s.verify(); err != nil {
		return err
	}
	for _, old := range e.replace(s) {
		<-old.ended
	}
	if s.isStopped() {
		return s.reason
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.arrived(s, -1)
	known := e.devices[s.device].connected()
	s.admitted = true
	if e.peers != nil && !known {
		e.peers.Connected(s.device, true)
	}
	return nil
}

// raise gives s its epoch, where there are other hubs: a new one, unless its device may have several connections.
func (e *endpoint) raise(s *session, d registry.Device) error {
	if e.peers == nil {
		return nil
	}
	epoch := d.Epoch
	if !s.multiple {
		ctx, cancel := context.WithTimeout(context.Background(), registryTime)
		defer cancel()
		var err error
		switch epoch, err = e.peers.Raise(ctx, s.device); {
		case errors.Is(err, registry.ErrNoDevice):
			return errRemoved
		case err != nil:
			return fmt.Errorf("%w: telling other hubs of a connection: %w", errUnavailable, err)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.epoch = epoch
	return nil
}

// mustPause enters s among its device's sessions and tells whether it has to wait
// first. Of several that wait only the newest stays.
func (e *endpoint) mustPause(s *session) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.devices[s.device]
	if d == nil {
		d = &device{}
		e.devices[s.device] = d
	}
	defer func() { d.sessions = append(d.sessions, s) }()

	d.takeOvers = slices.DeleteFunc(d.takeOvers, func(t time.Time) bool { return time.Since(t) >= takeOverWindow })
	if len(d.takeOvers) < freeTakeOvers || !slices.ContainsFunc(d.sessions, s.replaces) {
		return false
	}
	for _, old := range d.sessions {
		if old.pausing && s.replaces(old) {
			old.stop(errTakenOver)
		}
	}
	s.pausing = true
	return true
}

// replace stops the sessions that s takes over from and returns them.
func (e *endpoint) replace(s *session) []*session {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.pausing = false
	if s.isStopped() {
		return nil
	}
	d := e.devices[s.device]
	var old []*session
	surplus := len(d.sessions) - max(1, e.maxConns/deviceShare)
	for i, o := range d.sessions {
		switch {
		case o == s:
			continue
		case s.replaces(o):
			o.stop(errTakenOver)
		case i < surplus:
			o.stop(errOldest)
		default:
			continue
		}
		old = append(old, o)
	}
	if len(old) > 0 {
		d.takeOvers = append(d.takeOvers, time.Now())
	}
	return old
}

// sessionsOf are those of a device at this moment. One that comes later reads what is true then.
func (e *endpoint) sessionsOf(id twin.ID) []*session {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.devices[id]
	if d == nil {
		return nil
	}
	return slices.Clone(d.sessions)
}

// presence tells whether a device is connected, and when it was last active as far as the
// registry doesn't know better yet.
func (e *endpoint) presence(id twin.ID) (connected bool, last time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.devices[id].connected(), e.seen.last(id)
}

// connectedDevices are those that are connected.
func (e *endpoint) connectedDevices() []twin.ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []twin.ID
	for id, d := range e.devices {
		if d.connected() {
			ids = append(ids, id)
		}
	}
	return ids
}

// connections counts those of devices, those of clients that are none, and those of clients that have not yet
// shown who they are.
func (e *endpoint) connections() (devices, plain, newcomers int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.sessions) - e.plain - e.newcomers, e.plain, e.newcomers
}

// admitPlain lets in a client that is no device. Which connections it takes over is the broker's business.
func (e *endpoint) admitPlain(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.arrived(s, -1)
	s.admitted = true
	e.plain++
}

// connected is called with endpoint.mu held.
func (d *device) connected() bool {
	return d != nil && slices.ContainsFunc(d.sessions, func(s *session) bool { return s.admitted })
}

// kick ends a device's connections, because of what somebody has done to the device.
func (e *endpoint) kick(id twin.ID, reason error) {
	for _, s := range e.sessionsOf(id) {
		s.stop(&refusal{reason: reason})
	}
}

// leave forgets a session that has ended, and releases whoever waits for that.
func (e *endpoint) leave(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sessions, s)
	switch {
	case !s.admitted:
		e.arrived(s, -1)
	case s.device == "":
		e.plain--
	}
	if d := e.devices[s.device]; d != nil {
		d.sessions = slices.DeleteFunc(d.sessions, func(o *session) bool { return o == s })
		if e.peers != nil && s.admitted && !d.connected() {
			e.peers.Connected(s.device, false)
		}
		if len(d.sessions) == 0 {
			delete(e.devices, s.device)
		}
	}
	close(s.ended)
}
