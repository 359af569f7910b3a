package simulator

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// What the lines answer when they refuse.
var (
	errBusy  = errors.New("line is in use")
	errFault = errors.New("input/output error (simulated)")
)

// A DoorLine is the line of a door's contact. One goroutine uses it.
type DoorLine struct {
	house *House
	door  *door
	name  string
	seen  int // edges that Wait has told of
}

// OpenDoor opens the line of a door's contact. It fails while the line is open.
func (h *House) OpenDoor(name string) (*DoorLine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.doors[name]
	if d == nil {
		return nil, fmt.Errorf("door %q: %w", name, ErrNoDoor)
	}
	if d.line != nil {
		return nil, fmt.Errorf("door %s: %w", name, errBusy)
	}
	d.line = &DoorLine{house: h, door: d, name: name, seen: d.edges + d.bounced(time.Now())}
	return d.line, nil
}

// Read returns the level: true, high, while the door is open.
func (l *DoorLine) Read() (bool, error) {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	if err := l.usable(); err != nil {
		return false, err
	}
	return l.door.level(time.Now()), nil
}

// Wait returns after an edge or after the timeout. Edges since the last Wait count.
func (l *DoorLine) Wait(timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		moved, next, err := l.edge(end)
		if err != nil || moved == nil {
			return err
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-moved:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// edge returns no channel when Wait is over. Else it returns what to wait for: a move, or
// the time of the next bounce, at the latest the end of the wait.
func (l *DoorLine) edge(end time.Time) (moved <-chan struct{}, next time.Time, err error) {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, end, err
	}
	now := time.Now()
	over := l.door.bounced(now)
	if edges := l.door.edges + over; edges != l.seen || !now.Before(end) {
		l.seen = edges
		return nil, end, nil
	}
	if over < len(l.door.bounces) && l.door.bounces[over].Before(end) {
		end = l.door.bounces[over]
	}
	return l.door.moved, end, nil
}

// usable returns the error that any use of the line gives now.
func (l *DoorLine) usable() error {
	if l.door.line != l {
		return fmt.Errorf("door %s: %w", l.name, os.ErrClosed)
	}
	if l.door.fault {
		return fmt.Errorf("door %s: %w", l.name, errFault)
	}
	return nil
}

// Close releases the line.
func (l *DoorLine) Close() error {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	if l.door.line == l {
		l.door.line = nil
	}
	return nil
}

// A SirenLine is the line of the siren. One goroutine uses it.
type SirenLine struct {
	house *House
	high  bool
}

// OpenSiren opens the line of the siren, low. It fails while the line is open.
func (h *House) OpenSiren() (*SirenLine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.siren != nil {
		return nil, fmt.Errorf("siren: %w", errBusy)
	}
	h.siren = &SirenLine{house: h}
	return h.siren, nil
}

// Set drives the line: the siren sounds while it is high.
func (l *SirenLine) Set(high bool) error {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	if l.house.siren != l {
		return fmt.Errorf("siren: %w", os.ErrClosed)
	}
	if l.high != high {
		l.high = high
		l.house.tell()
	}
	return nil
}

// Level reads back what the line is driven to.
func (l *SirenLine) Level() (bool, error) {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	if l.house.siren != l {
		return false, fmt.Errorf("siren: %w", os.ErrClosed)
	}
	return l.high, nil
}

// Close releases the line: the siren falls silent.
func (l *SirenLine) Close() error {
	l.house.mu.Lock()
	defer l.house.mu.Unlock()
	if l.house.siren == l {
		l.house.siren = nil
		if l.high {
			l.house.tell()
		}
	}
	return nil
}
