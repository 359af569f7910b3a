package hub

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/netgroup"
)

// Limits of failed logins, those over MQTT and over REST together, from one address.
const (
	freeGuesses    = 20              // wrong credentials at once
	guessInterval  = 3 * time.Second // after which one more is looked at
	guessAddresses = 10000           // remembered; beyond them the oldest are forgotten
)

// logins slows down who guesses secrets, tokens and ids. Each wrong one costs its address a place
// of freeGuesses; when none is left, nothing it shows is looked at.
//
// The good devices of a house share its address with a misconfigured one. That one shows the
// same wrong credential for ever, which is one guess and costs one place; and a client certificate, which nobody
// can guess, is looked at in any case.
type logins struct {
	mu sync.Mutex
	// The addresses of late, and those before them. When the first are half of what may be
	// remembered, the second are forgotten.
	young, old map[netip.Prefix]*guesses
}

// guesses are those of one address.
type guesses struct {
	even  time.Time // when all its places will be free again
	wrong [][sha256.Size]byte
}

func newLogins() *logins {
	return &logins{young: make(map[netip.Prefix]*guesses)}
}

// wait is how long nothing from an address, as in [net.Conn.RemoteAddr], is looked at; 0 = it is.
func (l *logins) wait(remote string) time.Duration {
	address := netgroup.OfRemote(remote)
	if !address.IsValid() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.find(address)
	if g == nil {
		return 0
	}
	return max(0, time.Until(g.even)-(freeGuesses-1)*guessInterval)
}

// failed notes that an address has shown a credential, known by its hash, that opens nothing.
func (l *logins) failed(remote string, shown [sha256.Size]byte) {
	address := netgroup.OfRemote(remote)
	if !address.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.find(address)
	if g == nil {
		g = new(guesses)
	}
	if len(l.young) >= guessAddresses/2 {
		l.young, l.old = make(map[netip.Prefix]*guesses), l.young
	}
	l.young[address] = g
	if slices.Contains(g.wrong, shown) {
		return
	}
	if len(g.wrong) == freeGuesses {
		g.wrong = slices.Delete(g.wrong, 0, 1)
	}
	g.wrong = append(g.wrong, shown)
	if now := time.Now(); g.even.Before(now) {
		g.even = now
	}
	g.even = g.even.Add(guessInterval)
}

func (l *logins) find(address netip.Prefix) *guesses {
	if g := l.young[address]; g != nil {
		return g
	}
	return l.old[address]
}
