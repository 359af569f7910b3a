// Package simulator is a house without hardware: doors with contacts, a siren, and a
// page where one opens the doors and hears the siren.
//
// Its lines behave like the ones of the board package: a door's line is high while the
// door is open (contact to ground, pull-up), bounces if asked to, tells of edges, has one
// user at a time, and gives errors while the door is in fault. The siren sounds while its
// line is high, and is silent when nobody has its line open.
//
// The house knows nothing of the alarm. Whoever runs one may say with [House.Lamp] what
// the lamp at the door shows.
package simulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits.
const (
	maxDoors     = 8
	maxName      = 32
	maxBounce    = 1000
	longestPause = 3 * time.Millisecond // between two bounces
)

// Config describes a house.
type Config struct {
	// Doors are the names of the doors, at most eight, of a to z, digits, - and _. The
	// first one is the front door. None = one, called "door".
	Doors []string
	// Start is how every door is at first: "closed", "open" or "fault". Empty = closed.
	Start string
	// Bounce is how often a contact bounces when its door moves, within 3 ms a bounce.
	// 0 to 1000; 0 = never.
	Bounce int
}

// A House is a simulated house. All of its methods can be called from any goroutine.
type House struct {
	names  []string
	bounce int

	mu      sync.Mutex
	doors   map[string]*door
	siren   *SirenLine // nil = nobody has the line open
	lamp    string
	changed chan struct{} // closed at the next change of what can be seen
	closed  chan struct{} // closed by Close
	streams int
}

// A door is a door and the contact on it.
type door struct {
	open  bool
	fault bool

	line    *DoorLine     // nil = nobody has it open
	edges   int           // of the line, up to the start of bounces
	bounces []time.Time   // when the level flips after the last move, ascending
	moved   chan struct{} // closed at the next move or fault
}

// New returns a house, or an error that names what is wrong with the description.
func New(c Config) (*House, error) {
	names := c.Doors
	if len(names) == 0 {
		names = []string{"door"}
	}
	if len(names) > maxDoors {
		return nil, fmt.Errorf("%d doors are too many; a house has at most %d", len(names), maxDoors)
	}
	if c.Bounce < 0 || c.Bounce > maxBounce {
		return nil, fmt.Errorf("%d bounces are out of range: 0 to %d", c.Bounce, maxBounce)
	}
	h := &House{
		names:   slices.Clone(names),
		bounce:  c.Bounce,
		doors:   map[string]*door{},
		changed: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	for _, name := range names {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if h.doors[name] != nil {
			return nil, fmt.Errorf("two doors are called %s", name)
		}
		d := &door{moved: make(chan struct{})}
		switch c.Start {
		case "", "closed":
		case "open":
			d.open = true
		case "fault":
			d.fault = true
		default:
			return nil, fmt.Errorf("a door cannot start %q; it can be closed, open or fault", c.Start)
		}
		h.doors[name] = d
	}
	return h, nil
}

func checkName(name string) error {
	odd := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", r)
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("door name %q: want 1 to %d of a to z, digits, - and _", name, maxName)
	}
	return nil
}

// Close ends the streams of the page, so that a server can end. The lines stay.
func (h *House) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
}

// ErrNoDoor says that the house has no door of this name.
var ErrNoDoor = errors.New("this house has no such door")

// MoveDoor opens or closes a door, and repairs its contact.
func (h *House) MoveDoor(name string, open bool) error {
	return h.change(name, func(d *door) {
		d.fault = false
		if d.open != open {
			d.move(open, h.bounce)
		}
	})
}

// BreakDoor makes the contact of a door unreadable, or repairs it. The door stays as it is.
func (h *House) BreakDoor(name string, fault bool) error {
	return h.change(name, func(d *door) { d.fault = fault })
}

func (h *House) change(name string, f func(*door)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.doors[name]
	if d == nil {
		return fmt.Errorf("door %q: %w", name, ErrNoDoor)
	}
	open, fault := d.open, d.fault
	f(d)
	if d.open != open || d.fault != fault {
		close(d.moved)
		d.moved = make(chan struct{})
		h.tell()
	}
	return nil
}

// SirenOn tells whether the siren sounds.
func (h *House) SirenOn() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sirenOn()
}

func (h *House) sirenOn() bool { return h.siren != nil && h.siren.high }

// lamps are the words that the lamp knows.
var lamps = []string{"disarmed", "exit_delay", "armed", "entry_delay", "ringing", "silenced"}

// Lamp sets what the lamp at the door shows, one of the words of the twin's key state:
// disarmed, exit_delay, armed, entry_delay, ringing or silenced. Any other word is shown
// as unknown, like before the first call.
func (h *House) Lamp(word string) {
	if !slices.Contains(lamps, word) {
		word = ""
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lamp != word {
		h.lamp = word
		h.tell()
	}
}

// tell wakes whoever waits for a change. h.mu is held.
func (h *House) tell() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// move opens or closes the door, whose contact bounces up to n times.
func (d *door) move(open bool, n int) {
	now := time.Now()
	d.edges += d.bounced(now) + 1
	d.open = open
	d.bounces = nil
	for at, i := now, 0; i < n; i++ {
		at = at.Add(rand.N(longestPause))
		d.bounces = append(d.bounces, at)
	}
}

// bounced returns how many bounces of the last move are over.
func (d *door) bounced(now time.Time) int {
	n, _ := slices.BinarySearchFunc(d.bounces, now, func(at, now time.Time) int {
		if at.After(now) {
			return 1
		}
		return -1
	})
	return n
}

// level returns the contact's level: that of the door, once all bounces are over.
func (d *door) level(now time.Time) bool {
	left := len(d.bounces) - d.bounced(now)
	return d.open != (left%2 == 1)
}
