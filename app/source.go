package app

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// How often documents are read. All are at least [WatchConfig].Poll.
const (
	armedPace   = 2 * time.Second        // current, while the panel is armed and nobody looks
	idlePace    = 15 * time.Second       // current, while nothing is to be watched for; or a third of a heartbeat, so that none seems late
	desiredPace = 5 * time.Second        // desired, or with each current if that is read less often
	eventsPace  = time.Minute            // events, while somebody looks
	eventsLater = 2 * time.Second        // events, for the second time after a change
	soonest     = 250 * time.Millisecond // between two reads of one document, however much they are wanted

	firstBackoff  = time.Second      // after a failure; each one after it doubles
	lookedBackoff = 10 * time.Second // the longest while somebody looks
	idleBackoff   = 60 * time.Second // the longest otherwise
)

// A source is one document, and when it is to be read next.
type source struct {
	name  twin.Name
	tried time.Time // the last attempt ended
	asked time.Time // the last attempt that succeeded began
	want  time.Time // read it at this time, whatever the pace; zero: nobody wants it
	again time.Time // and once more

	failures int       // since the last success
	since    time.Time // the first of them
	err      error     // the last of them
	pause    time.Time // the hub asks for silence until then
	jitter   float64   // of the back-off: between 0.8 and 1.2
}

// succeeded takes an answer.
func (s *source) succeeded(began, now time.Time) {
	s.wanted(began)
	*s = source{name: s.name, tried: now, asked: began, want: s.want, again: s.again}
}

// failed takes the lack of one.
func (s *source) failed(err error, began, now time.Time) {
	s.wanted(began)
	if s.failures == 0 {
		s.since = now
	}
	s.failures++
	s.tried, s.err, s.jitter = now, err, 0.8+0.4*rand.Float64()
	if e, ok := errors.AsType[*HubError](err); ok {
		s.pause = now.Add(e.Wait)
	}
}

// wanted forgets the want that an attempt was for.
func (s *source) wanted(began time.Time) {
	if !s.want.After(began) {
		s.want, s.again = s.again, time.Time{}
	}
}

// due is when the source is to be read at this pace.
func (s *source) due(pace, longest time.Duration) time.Time {
	at := s.tried.Add(pace)
	if s.failures > 0 {
		backoff := min(firstBackoff<<min(s.failures-1, 10), longest)
		at = s.tried.Add(max(pace, time.Duration(float64(backoff)*s.jitter)))
	}
	if !s.want.IsZero() && s.want.Before(at) {
		at = s.want
	}
	return latest(at, s.tried.Add(soonest), s.pause)
}

func latest(times ...time.Time) (t time.Time) {
	for _, other := range times {
		if other.After(t) {
			t = other
		}
	}
	return t
}

// never is later than anything that is to be read.
const never = 24 * time.Hour

// nextRead says which document is to be read next, and when.
func (w *Watcher) nextRead(now time.Time, v View, looked bool) (next *source, at time.Time) {
	pace := w.pace(v, looked)
	longest := idleBackoff
	if looked {
		longest = lookedBackoff
	}
	next, at = &w.current, w.current.due(pace, longest)
	if w.current.failures > 0 {
		return next, at // the others would fare no better
	}
	eventsPace := eventsPace
	if !looked {
		eventsPace = never
	}
	for _, other := range []struct {
		source *source
		pace   time.Duration
	}{{&w.desired, max(pace, desiredPace)}, {&w.events, max(pace, eventsPace)}} {
		if other.source == &w.desired && w.putting {
			continue // the answer couldn't be told from one to before the put
		}
		if due := other.source.due(other.pace, idleBackoff); due.Before(at) {
			next, at = other.source, due
		}
	}
	return next, at
}

// pace is the time between two reads of current.
func (w *Watcher) pace(v View, looked bool) time.Duration {
	poll := w.config.Poll
	waiting := v.Wish != nil && v.Wish.Outcome == Waiting && v.Wish.AgeMS < Withdraw.Milliseconds()
	switch {
	case looked, waiting, v.Known != nil && endsByItself(v.Known.State) && v.Alive != AliveNo:
		return poll
	case v.Known != nil && v.Known.Armed:
		return max(poll, armedPace)
	}
	return max(poll, min(idlePace, w.beat()/3))
}

// beat is the panel's heartbeat.
func (w *Watcher) beat() time.Duration {
	c, _ := parseCurrent(w.facts.current.Data)
	return c.beat
}
