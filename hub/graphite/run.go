package graphite

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"time"
)

// A refusedError says that a server doesn't want these points: trying again is of no use.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }

// run sends until the pusher is closed.
func (p *Pusher) run() {
	defer close(p.ended)
	defer p.target.close()
	var o outage
	p.reach(&o)
	for {
		batch := p.gather()
		if batch == nil || !p.deliver(p.encode(batch), &o) {
			break
		}
	}
	p.mu.Lock()
	p.closed = true
	left, refused := p.queue.len()+p.inFlight, p.refused
	p.queue, p.inFlight = queue{}, 0
	p.dropped += uint64(left)
	p.mu.Unlock()
	if left+refused > 0 {
		p.log.Warn("time series points dropped at the end", "count", left, "refused_before", refused)
	}
}

// reach tries the server once, so that a wrong address is in the log before there are points.
func (p *Pusher) reach(o *outage) {
	ctx, cancel := context.WithTimeout(p.ctx, sendTimeout)
	defer cancel()
	tried := make(chan error, 1)
	go func() { tried <- p.target.reach(ctx) }()
	select {
	case err := <-tried:
		if err != nil {
			p.fails(err, o)
		}
	case <-p.closing: // nobody wants to know any more
		cancel()
		<-tried
	}
}

// gather waits for points, and then a moment longer for more. It returns nil when the
// pusher is closed and none are left.
func (p *Pusher) gather() []Point {
	var due <-chan time.Time
	for {
		waiting, ending := p.Stats().Queued, p.ending()
		switch {
		case waiting >= batchPoints, ending && waiting > 0:
			return p.take()
		case ending:
			return nil
		case waiting > 0 && due == nil:
			due = time.After(gatherTime)
		}
		select {
		case <-p.wake:
		case <-due:
			return p.take()
		case <-p.closing:
		}
	}
}

func (p *Pusher) ending() bool {
	select {
	case <-p.closing:
		return true
	default:
		return false
	}
}

// take moves a batch from the queue into flight.
func (p *Pusher) take() []Point {
	p.mu.Lock()
	var batch []Point
	for size := 0; p.queue.len() > 0 && len(batch) < batchPoints && size < batchBytes; {
		point := p.queue.pop()
		batch = append(batch, point.Point)
		size += point.size
	}
	p.inFlight = len(batch)
	roomy := p.full && p.queue.size < maxQueue/2
	if roomy {
		p.full = false
	}
	dropped := p.dropped
	p.mu.Unlock()
	if roomy {
		p.log.Info("time series queue has room again", "dropped_since_start", dropped)
	}
	return batch
}

// encode makes of points what is sent, and drops those of which nothing can be made.
func (p *Pusher) encode(points []Point) [][]byte {
	batch := make([][]byte, 0, len(points))
	for _, point := range points {
		s := newSeries(point)
		switch {
		case math.IsNaN(point.Value) || math.IsInf(point.Value, 0):
			p.refuse(1, errInfinite)
		case s.lineLen() > maxLine:
			p.refuse(1, errTooLong)
		default:
			batch = append(batch, p.target.encode(s, point.Value, point.Time.Unix()))
		}
	}
	return batch
}

// deliver sends a batch, in pieces where a server refuses it, and tries again where that
// fails. It is false when the pusher is closed and points are left in flight.
func (p *Pusher) deliver(batch [][]byte, o *outage) bool {
	if len(batch) == 0 {
		return true
	}
	halvings := 0
	for pieces := [][][]byte{batch}; len(pieces) > 0; {
		last := len(pieces) - 1
		piece := pieces[last]
		err := p.send(piece)
		refused, isRefused := errors.AsType[*refusedError](err)
		if err != nil && !isRefused {
			if !p.retry(err, o) {
				return false
			}
			continue
		}
		p.works(o)
		pieces = pieces[:last]
		switch {
		case !isRefused:
			p.land(len(piece))
		case len(piece) > 1 && halvings < maxHalvings:
			halvings++
			half := len(piece) / 2
			pieces = append(pieces, piece[half:], piece[:half])
		default:
			p.refuse(len(piece), refused)
		}
	}
	return true
}

func (p *Pusher) send(piece [][]byte) error {
	ctx, cancel := context.WithTimeout(p.ctx, sendTimeout)
	defer cancel()
	return p.target.send(ctx, piece)
}

// land counts points that have been sent.
func (p *Pusher) land(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight -= n
	p.pushed += uint64(n)
}

// refuse drops points in flight that nobody will ever take.
func (p *Pusher) refuse(n int, err error) {
	p.mu.Lock()
	p.inFlight -= n
	p.dropped += uint64(n)
	p.refused += n
	count := p.refused
	quiet := time.Since(p.refusedLog) < refusalPause
	if !quiet {
		p.refused, p.refusedLog = 0, time.Now()
	}
	p.mu.Unlock()
	if !quiet {
		p.log.Warn("time series points dropped: they are refused", "count", count, "error", err)
	}
}

// An outage is the time from a failure to the next success.
type outage struct {
	reason  string // why sending failed last; empty = it works
	since   time.Time
	delay   time.Duration // the next pause
	dropped uint64        // before it
}

// retry waits before the next attempt. It is false when there is none: of a pusher that
// is closed, the first failure is the last.
func (p *Pusher) retry(err error, o *outage) bool {
	p.fails(err, o)
	if p.ending() {
		return false
	}
	select {
	case <-p.closing: // one more attempt
	case <-time.After(o.delay/2 + rand.N(o.delay/2)):
	}
	o.delay = min(2*o.delay, longestRetry)
	return true
}

// fails begins an outage, or goes on with it. There is one line for each reason.
func (p *Pusher) fails(err error, o *outage) {
	if o.reason == "" {
		*o = outage{since: time.Now(), delay: firstRetry, dropped: p.Stats().Dropped}
	}
	if why := reason(err); why != o.reason {
		o.reason = why
		p.log.Warn("pushing time series fails: trying for ever", "error", err)
	}
}

// works ends an outage.
func (p *Pusher) works(o *outage) {
	if o.reason == "" {
		return
	}
	p.log.Info("pushing time series works again",
		"after", time.Since(o.since).Round(time.Second), "dropped", p.Stats().Dropped-o.dropped)
	*o = outage{}
}

// reason is an error without what differs from one attempt to the next though nothing has
// changed, such as port numbers, name servers, and the time at which a certificate had expired.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if cert, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return fmt.Sprint("certificate is invalid: ", cert.Reason)
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
