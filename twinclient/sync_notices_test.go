package twinclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// count counts the requests to the hub since the last time, by method.
func (h *fakeHub) count() string {
	synctest.Wait()
	count := map[string]int{}
	for _, r := range h.seen() {
		method, _, _ := strings.Cut(r, " ")
		count[method]++
	}
	return fmt.Sprint(count)
}

// latest is what the device was told last.
func (d *device) latest() string {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watched[len(d.watched)-1]
}

// order writes the watched document and returns what the device should be told then.
func (h *fakeHub) order(n int) string {
	data := fmt.Sprintf(`{"n":%d}`, n)
	h.set("desired", data)
	return fmt.Sprintf(`{"version":%d,"data":%s}`, h.doc("desired").Version, data)
}

func TestNoticesOfConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		c := dial(t, h)
		if _, err := c.Notices("a/b"); err == nil {
			t.Error("asked for notices of a document that can't be")
		}
		noticed, err := c.Notices("desired")
		if err != nil {
			t.Fatal(err)
		}
		want := func(what string, want bool) {
			t.Helper()
			synctest.Wait()
			select {
			case <-noticed:
				if !want {
					t.Errorf("%s: got a notice", what)
				}
			default:
				if want {
					t.Errorf("%s: got no notice", what)
				}
			}
		}
		want("at first", true)
		want("then", false)
		for n := range 3 {
			h.order(n)
		}
		want("three changes", true)
		want("after them", false)
		h.set("current", `{}`)
		want("another document", false)
		for _, payload := range []string{"", "{", `{"version":-1}`} {
			h.say("$SCW/twins/me/desired/changed", payload)
			want(fmt.Sprintf("payload %q", payload), true)
		}
		for _, topic := range []string{"$SCW/twins/me/current/changed", "$SCW/twins/" + string(deviceID) + "/desired/changed", "desired/changed"} {
			h.say(topic, `{"version":1}`)
			want(topic, false)
		}
		if doc, err := c.Get(t.Context(), "desired"); err != nil || doc.Version != 3 {
			t.Errorf("get: got version %d, %v", doc.Version, err)
		}
		c.Close()
		if _, err := c.Notices("desired"); !errors.Is(err, ErrClosed) {
			t.Errorf("on a connection that has ended: got error %v", err)
		}
	})
}

// Where the hub tells of changes, they are known at once, and each change leads to a get.
func TestSyncIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		d := start(t, h, `{}`)
		synctest.Wait()
		if got, want := h.seen(), []string{"get desired", "put current", "get desired"}; !slices.Equal(got, want) {
			t.Errorf("after connecting the hub got %q, want %q", got, want)
		}
		for n := range 100 {
			time.Sleep(3700 * time.Millisecond)
			if want := h.order(n); d.latest() != want {
				t.Fatalf("got %s, want %s at once", d.latest(), want)
			}
		}
		time.Sleep(minInterval)
		h.set("desired", "")
		if got, want := d.latest(), "get desired: document not found"; got != want {
			t.Errorf("after a delete: got %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		h.do(func() { h.notices = without })
		h.order(1)
		h.set("desired", "")
		h.do(func() { h.notices = with })
		if want := h.order(2); d.latest() != want { // version 1, as before
			t.Errorf("deleted and created again: got %s, want %s", d.latest(), want)
		}
	})
}

// The budget of an idle hour with notices, to the packet.
func TestSyncIdleHourWithNotices(t *testing.T) {
	for _, test := range []struct {
		poll time.Duration
		gets int
	}{{0, 120}, {minInterval, 120}, {noticedPoll, 120}, {time.Minute, 60}} {
		synctest.Test(t, func(t *testing.T) {
			h := newFakeHub(t)
			h.notices = with
			start(t, h, `{}`, func(c *SyncConfig) { c.Poll = test.poll })
			time.Sleep(time.Second)
			h.seen()
			h.do(func() { clear(h.packets) })
			time.Sleep(time.Hour)
			if got, want := h.count(), fmt.Sprint(map[string]int{"get": test.gets, "patch": 108, "put": 12}); got != want {
				t.Errorf("poll %v: got requests %v, want %v", test.poll, got, want)
			}
			if got, want := fmt.Sprint(h.packets), fmt.Sprint(map[byte]int{3: test.gets + 120}); got != want {
				t.Errorf("poll %v: got packets by type %v, want %v", test.poll, got, want)
			}
		})
	}
}

// The answer to a get that was on its way when the document changed may be the old document.
func TestSyncNoticeDuringGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		h.latency = 500 * time.Millisecond
		d := start(t, h, `{}`)
		time.Sleep(5 * time.Second)
		old := h.order(1)
		time.Sleep(100 * time.Millisecond)
		h.seen()
		h.order(2)
		want := h.order(3)
		time.Sleep(400 * time.Millisecond)
		if got := d.latest(); got != old {
			t.Errorf("got %s, want %s", got, old)
		}
		time.Sleep(500 * time.Millisecond)
		if got := d.latest(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(5 * time.Second)
		if got, want := h.seen(), []string{"get desired"}; !slices.Equal(got, want) {
			t.Errorf("hub got %q, want %q", got, want)
		}
	})
}

// A storm of notices is at most ten gets a second, never two in flight, and the last one counts.
func TestSyncStormOfNotices(t *testing.T) {
	for _, latency := range []time.Duration{0, 30 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := newFakeHub(t) // which checks that there is one request at a time
			h.notices = with
			h.latency = latency
			d := start(t, h, `{}`)
			time.Sleep(5 * time.Second)
			h.seen()
			var want string
			for n := range 2000 {
				want = h.order(n)
				time.Sleep(time.Millisecond)
			}
			time.Sleep(minInterval + 2*latency)
			if got := len(h.seen()); got < 2 || got > 22 {
				t.Errorf("latency %v: hub got %d requests in 2 s, want 2 to 22", latency, got)
			}
			if got := d.latest(); got != want {
				t.Errorf("latency %v: got %s, want %s", latency, got, want)
			}
		})
	}
}

// Notices that stop coming are noticed at the next change, and trusted again at the next notice.
func TestSyncNoticesStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		d := start(t, h, `{}`)
		time.Sleep(time.Hour)
		h.do(func() { h.notices = without })
		time.Sleep(time.Hour) // nothing changes, so nothing is missed
		h.seen()
		want := h.order(1)
		time.Sleep(noticedPoll)
		if got := d.latest(); got != want {
			t.Errorf("missed a notice: got %s, want %s after %v", got, want, noticedPoll)
		}
		for n := range 10 {
			want := h.order(n)
			time.Sleep(DefaultPoll)
			if got := d.latest(); got != want {
				t.Errorf("without notices: got %s, want %s after %v", got, want, DefaultPoll)
			}
		}
		h.do(func() { h.notices = with })
		if want := h.order(11); d.latest() != want {
			t.Errorf("with notices again: got %s, want %s at once", d.latest(), want)
		}
		h.seen()
		time.Sleep(time.Minute)
		if got, want := h.count(), "map[get:2 patch:2]"; got != want {
			t.Errorf("with notices again: got %s a minute, want %s", got, want)
		}
		if got := strings.Count(d.logged(), "hub did not tell of a change"); got != 1 {
			t.Errorf("logged %d times, want once:\n%s", got, d.logged())
		}
	})
}

// A hub without notices, whatever it makes of the question, is polled as ever, and no device is
// kept off it by asking.
func TestSyncWithoutNotices(t *testing.T) {
	for _, test := range []struct {
		notices      notices
		asked, dials int // in an hour that begins without a connection
	}{
		{without, 1, 1},
		{denies, 1, 1},
		{ignores, 1, 1},
		{hangsUp, 1, 2},
		{deniesAndHangsUp, 1, 2},
	} {
		t.Run(string(test.notices), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub(t)
				h.notices = test.notices
				d := start(t, h, `{"n":0}`)
				for hour := range 2 {
					if hour > 0 {
						h.do(func() { h.asked, h.dials = 0, 0 })
						h.takeOver()
					}
					time.Sleep(5 * time.Second)
					h.seen()
					time.Sleep(time.Hour)
					if h.asked != test.asked || h.dialled() != test.dials {
						t.Errorf("hour %d: asked %d times on %d connections, want %d on %d", hour, h.asked, h.dialled(), test.asked, test.dials)
					}
					if got, want := h.count(), fmt.Sprint(map[string]int{"get": 1800, "patch": 108, "put": 12}); got != want {
						t.Errorf("hour %d: got requests %v, want %v", hour, got, want)
					}
					want := h.order(hour)
					time.Sleep(DefaultPoll)
					if got := d.latest(); got != want {
						t.Errorf("hour %d: got %s, want %s after %v", hour, got, want, DefaultPoll)
					}
				}
			})
		})
	}
}

// A hub that has notices is asked on each connection, however short these are.
func TestSyncAsksOnEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		d := start(t, h, `{}`)
		for n := range 20 {
			time.Sleep(50 * time.Second)
			if want := h.order(n); d.latest() != want {
				t.Fatalf("connection %d: got %s, want %s at once", n, d.latest(), want)
			}
			h.takeOver()
			time.Sleep(longestRetry)
		}
	})
}

// A get that the hub refuses is tried again as soon as without notices.
func TestSyncHubRefusesGetAfterNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		d := start(t, h, `{}`)
		time.Sleep(time.Second)
		h.do(func() { h.fault = func(string) fault { return refuse } })
		want := h.order(1)
		if got := d.latest(); got != "get desired: internal" {
			t.Errorf("got %s, want the hub's error", got)
		}
		h.do(func() { h.fault = nil })
		time.Sleep(DefaultPoll)
		if got := d.latest(); got != want {
			t.Errorf("got %s, want %s after %v", got, want, DefaultPoll)
		}
		h.seen()
		time.Sleep(time.Minute)
		if got, want := h.count(), "map[get:2 patch:2]"; got != want {
			t.Errorf("then: got %s a minute, want %s", got, want)
		}
	})
}

// Where notices come, a change that the hub refuses for a moment isn't hidden for longer than where they don't.
func TestSyncHubRefusesWithNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		d := start(t, h, `{"n":0}`)
		time.Sleep(time.Second)
		h.do(func() {
			h.fault = func(request string) fault {
				if strings.HasPrefix(request, "get") {
					return none
				}
				return refuse
			}
		})
		d.set(`{"n":1}`)
		for n := range 3 * 40 { // with a notice twice a poll
			time.Sleep(DefaultPoll / 2)
			h.order(n)
		}
		h.do(func() { h.fault = nil })
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if got, want := published(t, h), `{"n":1}`; got != want {
			t.Errorf("published %s a poll after the hub accepts again, want %s", got, want)
		}
		h.seen()
		time.Sleep(time.Minute)
		if got, want := h.count(), "map[get:2 patch:2]"; got != want {
			t.Errorf("then: got %s a minute, want %s", got, want)
		}
	})
}

// Polls are not put off by a hub that refuses what is published now and then.
func TestSyncPollsWhereHubRefusesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.notices = with
		d := start(t, h, `{"n":0}`, func(c *SyncConfig) { c.Heartbeat = DefaultPoll / 2 })
		time.Sleep(5 * time.Second)
		began := time.Now()
		h.do(func() {
			h.notices = without
			h.fault = func(request string) fault {
				if strings.HasPrefix(request, "get") || time.Since(began)/(DefaultPoll/2)%2 == 0 {
					return none
				}
				return refuse
			}
		})
		want := h.order(1)
		time.Sleep(noticedPoll + time.Second)
		if got := d.latest(); got != want {
			t.Errorf("got %s, want %s after %v", got, want, noticedPoll)
		}
	})
}
