package app

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// maxWishes is how many wishes may wait for the one that is being sent: more than the thumbs of a household.
const maxWishes = 8

// withdrawAgain is how long after a failed attempt to withdraw a wish the next one is made.
const withdrawAgain = 10 * time.Second

var (
	// ErrTooManyWishes says that others wait already, because the hub is slow. Nothing was sent.
	ErrTooManyWishes = errors.New("too many wishes wait for the hub: nothing was sent, try again")
	// ErrEnding says that the app is being stopped.
	ErrEnding = errors.New("the app is being stopped: look whether the wish was sent, and try again")
)

// A wish is what somebody asks for.
type wish struct {
	armed bool
	by    string
	going bool          // it is being sent
	sent  chan struct{} // closed when it was sent or couldn't be
	err   error         // then
	over  []*wish       // those that waited when this one, to disarm, took their place
}

// end says what came of it.
func (x *wish) end(err error) {
	for _, x := range append(x.over, x) {
		x.err = err
		close(x.sent)
	}
}

// Wish asks the panel to arm or to disarm, by putting desired. By is the name of a phone, or empty. With nil the hub has
// it, and [Watcher.View] shows it; what the panel makes of it shows there later. An error is as from [API.Put],
// [ErrTooManyWishes] or [ErrEnding]. A wish that failed isn't sent again.
//
// Wishes are sent one after the other, in the order of the calls. One that is the same as the last that isn't sent yet
// is that one. One to disarm takes the place of all that wait, which end as it does: it waits for the one that is being sent, and
// no other, and never is one too many. When ctx ends, the wish is sent all the same.
func (w *Watcher) Wish(ctx context.Context, armed bool, by string) error {
	x, err := w.queue(armed, clean(by))
	if err != nil {
		return err
	}
	select {
	case <-x.sent:
		return x.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.ended:
		return ErrEnding
	}
}

func (w *Watcher) queue(armed bool, by string) (*wish, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.wishes); n > 0 {
		if last := w.wishes[n-1]; last.armed == armed && last.by == by {
			return last, nil
		}
		if armed && n > maxWishes {
			return nil, ErrTooManyWishes
		}
	}
	x := &wish{armed: armed, by: by, sent: make(chan struct{})}
	if !armed {
		x.overtake(w)
	}
	w.wishes = append(w.wishes, x)
	w.wake()
	return x, nil
}

// overtake takes the place of all that wait. w.mu is held.
func (x *wish) overtake(w *Watcher) {
	w.wishes = slices.DeleteFunc(w.wishes, func(other *wish) bool {
		if other.going {
			return false
		}
		x.over = append(append(x.over, other.over...), other)
		other.over = nil
		return true
	})
}

// A put is a new document desired.
type put struct {
	wish    *wish  // nil: it takes one back
	version uint32 // that it must replace; 0: any
	data    json.RawMessage
}

func newPut(x *wish, version uint32, armed bool, by string, withdrawn bool) *put {
	data, err := json.Marshal(struct {
		Armed     bool   `json:"alarm_armed"`
		By        string `json:"by,omitempty"`
		Withdrawn bool   `json:"withdrawn,omitempty"`
	}{armed, by, withdrawn})
	if err != nil {
		panic(err) // it has nothing that JSON lacks
	}
	return &put{x, version, data}
}

// nextPut is what is to be sent next; nil: nothing.
func (w *Watcher) nextPut(now time.Time) *put {
	if w.putting {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wishes) > 0 {
		x := w.wishes[0]
		x.going = true
		return newPut(x, 0, x.armed, x.by, false)
	}
	return w.withdrawal(now)
}

// withdrawal takes back a wish to arm that the panel didn't take in time: who asked for it may have thought better of it, or be at
// home again. It is not sent blindly. After the wish's time, and after each attempt, the panel's document has to say that the wish
// still waits; and the put names the wish's version, so that it can't replace a newer one.
func (w *Watcher) withdrawal(now time.Time) *put {
	f := &w.facts
	d, ok := parseDesired(f.desired.Data)
	over := latest(f.desired.first.Add(Withdraw), w.withdrawing)
	if !ok || !f.desired.found || !f.withdrawable(d) || f.done || now.Before(over) {
		return nil
	}
	if v := look(*f, now, w.config.Silence); v.Wish.Outcome != Waiting || v.Row == Unintelligible {
		return nil
	}
	fresh := true
	for _, s := range []*source{&w.current, &w.desired} {
		if s.failures > 0 {
			fresh = false
		} else if s.asked.Before(over) || !s.asked.After(w.put) {
			fresh, s.want = false, now
		}
	}
	if !fresh {
		return nil
	}
	return newPut(nil, f.desired.Version, false, d.by, true)
}

// send puts desired.
func (w *Watcher) send(ctx context.Context, p *put) result {
	r := result{to: p, began: time.Now()}
	r.doc, r.err = w.config.API.Put(ctx, desiredName, p.version, p.data)
	return r
}

// learnPut takes the answer to a put.
func (w *Watcher) learnPut(r result) {
	now := time.Now()
	w.put = now
	w.current.want = now
	if r.err != nil {
		w.desired.want = now // was it written?
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.err == nil {
		w.facts.learnDesired(r.doc, true, r.to.wish != nil, r.began)
	}
	if x := r.to.wish; x != nil {
		w.wishes = w.wishes[1:]
		x.end(r.err)
		return
	}
	if _, overtaken := errors.AsType[*twin.VersionError](r.err); overtaken {
		return // what is there now is newer
	}
	if r.err == nil {
		w.log.Info("wish to arm withdrawn", "after", Withdraw)
		return
	}
	w.withdrawing = now.Add(withdrawAgain)
	if e, ok := errors.AsType[*HubError](r.err); ok {
		w.withdrawing = now.Add(max(withdrawAgain, e.Wait))
	}
	w.log.Warn("wish to arm not withdrawn yet", "error", r.err)
}
