package app

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatcherReadsAsOftenAsNeeded(t *testing.T) {
	const share = 4
	quiet := says(`state="disarmed"`)
	for _, tt := range []struct {
		name   string
		poll   time.Duration
		looked int
		says   string // what the panel says at each heartbeat; "" = it is dead, after armed
		fault  func(request) (*http.Response, error)
		desire string
		// how many requests an hour may have, of which a share is counted
		current, desired, events [2]int
	}{
		{name: "nobody looks, disarmed", says: quiet, current: [2]int{350, 361}, desired: [2]int{350, 361}},
		{name: "nobody looks, a slow heart", says: says("heartbeat_s=300"), current: [2]int{239, 241}, desired: [2]int{239, 241}},
		{name: "nobody looks, armed", says: armed, current: [2]int{1790, 1801}, desired: [2]int{595, 721}},
		{name: "nobody looks, ringing", says: ringing, current: [2]int{7190, 7201}, desired: [2]int{715, 721}},
		{name: "nobody looks, it died ringing", says: "", current: [2]int{1790, 1801}, desired: [2]int{595, 721}},
		{name: "nobody looks, a wish waits", says: quiet, desire: `{"alarm_armed":true}`, current: [2]int{350, 361}, desired: [2]int{350, 361}},
		{name: "nobody looks, no document", says: "-", current: [2]int{350, 361}, desired: [2]int{350, 361}},
		{name: "one looks", looked: 1, says: quiet, current: [2]int{7190, 7201}, desired: [2]int{715, 721}, events: [2]int{59, 61}},
		{name: "five look", looked: 5, says: quiet, current: [2]int{7190, 7201}, desired: [2]int{715, 721}, events: [2]int{59, 61}},
		{name: "one looks, every 20 s", poll: 20 * time.Second, looked: 1, says: quiet, current: [2]int{178, 181}, desired: [2]int{178, 181}, events: [2]int{59, 61}},
		{name: "nobody looks, every 20 s", poll: 20 * time.Second, says: armed, current: [2]int{178, 181}, desired: [2]int{178, 181}},
		{name: "one looks, no hub", looked: 1, says: quiet, fault: refused, current: [2]int{330, 400}},
		{name: "nobody looks, no hub", says: quiet, fault: refused, current: [2]int{55, 66}},
		{name: "one looks, a hub that hangs", looked: 1, says: quiet, fault: hangs, current: [2]int{220, 270}},
		{name: "one looks, a slow hub", looked: 1, says: quiet, fault: slow(4 * time.Second), current: [2]int{500, 700}, desired: [2]int{200, 400}, events: [2]int{40, 61}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub()
				if tt.says == "" {
					h.put(currentName, ringing)
				} else if tt.says != "-" {
					h.beats(t, func() string { return tt.says })
				}
				if tt.desire != "" {
					h.put(desiredName, tt.desire)
				}
				w := watch(t, h, tt.poll)
				for range tt.looked {
					_, leave := w.Join()
					defer leave()
				}
				time.Sleep(4 * time.Minute) // the wish is an old one then
				h.fault(tt.fault)
				time.Sleep(4*time.Minute + time.Second)
				h.forget()
				time.Sleep(time.Hour / share)
				for _, got := range []struct {
					name string
					n    int
					want [2]int
				}{
					{"current", len(h.seen("GET", currentName)), tt.current},
					{"desired", len(h.seen("GET", desiredName)), tt.desired},
					{"events", len(h.seen("GET", eventsName)), tt.events},
					{"anything by PUT", len(h.seen("PUT", "")), [2]int{}},
				} {
					if got.n < got.want[0]/share || got.n > got.want[1]/share+1 {
						t.Errorf("%s: %d requests in a %dth of an hour, want %d to %d", got.name, got.n, share, got.want[0]/share, got.want[1]/share+1)
					}
				}
			})
		})
	}
}

func TestWatcherWatchesAWishThatNobodyLooksAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.beats(t, func() string { return disarmed })
		w := watch(t, h, 0)
		time.Sleep(time.Minute)
		h.forget()
		w.wish(true, "Anna")
		time.Sleep(Withdraw - time.Second)
		if n := len(h.seen("GET", currentName)); n < 230 || n > 240 {
			t.Errorf("%d reads of current in two minutes, want 238", n)
		}
	})
}

func TestWatcherLeavesABusyHubAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		w := watch(t, h, 0)
		h.fault(func(request) (*http.Response, error) {
			a := answerWith(http.StatusTooManyRequests, `{"type":"too_many_requests"}`)
			a.Header.Set("Retry-After", "45")
			return a, nil
		})
		time.Sleep(time.Minute)
		h.forget()
		for range 600 {
			_, leave := w.Join()
			time.Sleep(time.Second)
			leave()
		}
		if n := len(h.seen("", "")); n < 12 || n > 14 {
			t.Errorf("%d requests in 10 minutes, want one in 45 s", n)
		}
	})
}

func TestWhoComesOftenAsksNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.beats(t, func() string { return disarmed })
		w := watch(t, h, 0)
		time.Sleep(time.Minute)
		h.forget()
		for range 1000 {
			_, leave := w.Join()
			time.Sleep(10 * time.Millisecond)
			leave()
		}
		if n := len(h.seen("GET", currentName)); n > 41 {
			t.Errorf("%d reads of current in 10 s", n)
		}
	})
}
