package twinclient

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

// When a hub closes the connection so often in so short a time, a second client
// with the same device id is the likely reason.
const (
	takeOvers      = 3
	takeOverPeriod = 10 * time.Minute
)

// A link is the state of the way to the hub, up or down and why, and reports
// its changes, once each.
type link struct {
	connected func(up bool, err error) // may be nil
	log       *slog.Logger

	since  time.Time   // when it came up; zero = it is down
	reason string      // why it is down
	kicks  []time.Time // the last times when the hub closed it
	warned bool        // that there may be a second client
}

// up notes that the hub has answered.
func (l *link) up() {
	l.since, l.reason = time.Now(), ""
	l.log.Info("connected")
	l.report(true, nil)
}

// down notes that there is no connection, and returns how long there was one.
func (l *link) down(err error) time.Duration {
	var life time.Duration
	why := reason(err)
	switch {
	case !l.since.IsZero():
		life = time.Since(l.since)
		l.log.Warn("connection lost", "error", err, "after", life.Round(time.Second))
		l.report(false, err)
	case why != l.reason:
		l.log.Warn("no connection: trying for ever", "error", err)
		l.report(false, err)
	}
	l.since, l.reason = time.Time{}, why
	return life
}

// ended looks at how a connection ended that the hub had accepted.
func (l *link) ended(err error) {
	if !l.since.IsZero() && time.Since(l.since) >= takeOverPeriod {
		l.kicks, l.warned = nil, false
	}
	if !errors.Is(err, errHubClosed) {
		return
	}
	l.kicks = append(l.kicks, time.Now())
	if len(l.kicks) < takeOvers {
		return
	}
	if !l.warned && time.Since(l.kicks[0]) < takeOverPeriod {
		l.warned = true
		l.log.Warn("hub closes the connection again and again: is there a second client with this device id?",
			"times", takeOvers, "within", time.Since(l.kicks[0]).Round(time.Second))
	}
	l.kicks = l.kicks[1:]
}

func (l *link) report(up bool, err error) {
	if l.connected != nil {
		l.connected(up, err)
	}
}

// reason is an error without what differs from one attempt to the next though
// nothing has changed: port numbers, servers, the time.
func reason(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	if trust, ok := errors.AsType[*TrustError](err); ok {
		return trust.Problem // a clock that is set may turn one that is not valid yet into one that has expired
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
