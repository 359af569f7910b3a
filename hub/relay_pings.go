package hub

import (
	"errors"
	"os"
	"time"
)

// pings are the PINGREQs that went to the broker, which answers them in their order.
//
// A client that only asks for documents sends no PINGREQ, while the broker hears nothing of it. So the hub
// sends one of its own then: after one and a quarter keep-alive intervals, later than any client
// should, and before a broker loses its patience, after one and a half.
type pings struct {
	keepAlive time.Duration // the client's; 0 = off
	last      time.Time     // when something was sent to the broker
	sent      uint64
	answered  uint64
	own       []uint64 // which ones are the hub's own and not answered; several while a long message is on its way
}

// due is when the hub has to send one; zero = never.
func (p *pings) due() time.Time {
	if p.keepAlive == 0 {
		return time.Time{}
	}
	return p.last.Add(p.keepAlive + p.keepAlive/4)
}

// pong takes a PINGRESP and tells whether it is for the client.
func (p *pings) pong() bool {
	if p.answered < p.sent {
		p.answered++
	}
	if len(p.own) == 0 || p.answered != p.own[0] {
		return true
	}
	p.own = p.own[1:]
	return false
}

// ping passes on a PINGREQ of the client.
func (r *relay) ping() error {
	r.out.begin()
	defer r.out.end()
	r.mu.Lock()
	r.pings.sent++
	r.mu.Unlock()
	return r.out.piece(pingreq)
}

// keepAlive sends a PINGREQ if it is time for one of the hub's own. A broker that left the one before
// without an answer, and sent nothing else either, is gone.
func (r *relay) keepAlive() error {
	r.mu.Lock()
	due, unanswered := r.pings.due(), len(r.pings.own) > 0
	r.mu.Unlock()
	switch {
	case due.IsZero() || time.Now().Before(due):
		return nil
	case unanswered && time.Since(r.quiet) >= r.pings.keepAlive:
		return errBrokerSilent
	case !r.out.tryBegin(): // nothing can be sent in the middle of a packet
		r.mu.Lock()
		r.pings.last = time.Now()
		r.mu.Unlock()
		return nil
	}
	defer r.out.end()
	r.mu.Lock()
	r.pings.sent++
	r.pings.own = append(r.pings.own, r.pings.sent)
	r.mu.Unlock()
	return r.out.piece(pingreq)
}

// await waits for the broker's next packet to begin. See readBy for what is sent meanwhile.
func (r *relay) await() error {
	for {
		r.mu.Lock()
		due := r.pings.due()
		r.mu.Unlock()
		err := r.in.wait(due)
		if !errors.Is(err, os.ErrDeadlineExceeded) || r.session.isStopped() {
			return err
		}
	}
}
