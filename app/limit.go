package app

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/internal/netgroup"
)

// Limits of sign-ins with wrong passphrases: of an address, and of all together, whoever has many addresses. A phone
// that is signed in is never asked, so no limit locks it out.
const (
	freeAttempts  = 5 // wrong ones of an address, before it waits
	firstWait     = 5 * time.Second
	longestWait   = 15 * time.Minute
	forgetAfter   = 24 * time.Hour // since an address's last wrong one
	hourlyWrong   = 60             // of all addresses
	maxAddresses  = 1024           // that are remembered; beyond, those that were quiet for longest are forgotten
	maxWaiting    = 8              // sign-ins that wait for their hash
	waitWhenBusy  = 5 * time.Second
	attemptsEvery = time.Hour / hourlyWrong
)

// A TooManyError refuses a sign-in that was not tried, right or wrong.
type TooManyError struct {
	Wait time.Duration // until it may be tried again
}

func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many wrong passphrases: try again in %v", e.Wait.Round(time.Second))
}

// attempts counts sign-ins with wrong passphrases, in memory: a restart forgets them. The zero value is ready. Time is the
// monotonic clock's.
type attempts struct {
	mu        sync.Mutex
	addresses map[netip.Prefix]*attemptsOf
	wrong     int       // of all addresses, less one for each attemptsEvery that went by
	drained   time.Time // when wrong was last made smaller
}

// attemptsOf is what one address has tried.
type attemptsOf struct {
	wrong int
	last  time.Time
}

// wait is how long an address waits after its last wrong attempt.
func (a *attemptsOf) wait() time.Duration {
	if a.wrong < freeAttempts {
		return 0
	}
	return min(firstWait<<min(a.wrong-freeAttempts, 16), longestWait)
}

// begin counts an attempt as wrong before anybody knows: many at once are no way around the limit. A *TooManyError
// says that it must not be tried, and is not counted. Otherwise right has to be called if the passphrase was.
func (a *attempts) begin(from netip.Addr, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drain(now)
	key := netgroup.Of(from)
	of := a.addresses[key]
	if of == nil || now.Sub(of.last) >= forgetAfter {
		of = &attemptsOf{}
	}
	if left := of.wait() - now.Sub(of.last); left > 0 {
		return &TooManyError{left}
	}
	if a.wrong >= hourlyWrong {
		return &TooManyError{attemptsEvery - now.Sub(a.drained)}
	}
	of.wrong, of.last = of.wrong+1, now
	a.remember(key, of)
	a.wrong++
	return nil
}

// right says that an attempt that began was none: its address starts anew.
func (a *attempts) right(from netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.addresses, netgroup.Of(from))
	a.wrong = max(a.wrong-1, 0)
}

// drain makes the count of all addresses smaller as time goes by.
func (a *attempts) drain(now time.Time) {
	if a.wrong == 0 {
		a.drained = now
	}
	gone := int(now.Sub(a.drained) / attemptsEvery)
	a.wrong = max(a.wrong-gone, 0)
	a.drained = a.drained.Add(time.Duration(gone) * attemptsEvery)
}

// remember keeps what an address has tried. Where there is no room for one more, the one that was quiet for longest goes.
func (a *attempts) remember(key netip.Prefix, of *attemptsOf) {
	if a.addresses == nil {
		a.addresses = map[netip.Prefix]*attemptsOf{}
	}
	a.addresses[key] = of
	if len(a.addresses) <= maxAddresses {
		return
	}
	quiet := key
	for k, other := range a.addresses {
		if other.last.Before(a.addresses[quiet].last) {
			quiet = k
		}
	}
	delete(a.addresses, quiet)
}
