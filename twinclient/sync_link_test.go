package twinclient

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// An hour without a hub: few attempts, few lines, and back within a minute.
func TestSyncHubAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.down = &net.DNSError{Err: "no such host", Name: "hub", IsNotFound: true}
		d := start(t, h, `{"n":0}`)
		time.Sleep(time.Second)
		if n := h.dialled(); n < 2 {
			t.Errorf("got %d attempts in the first second, want at least 2", n)
		}
		time.Sleep(time.Hour)
		if n := h.dialled(); n < 60 || n > 140 {
			t.Errorf("got %d attempts in an hour, want one a minute or two", n)
		}
		h.do(func() { h.down = syscall.ECONNREFUSED })
		time.Sleep(time.Hour)
		h.do(func() { h.down = nil })
		time.Sleep(longestRetry)
		if got, want := published(t, h), `{"n":0}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		want := []string{
			"down: connecting to mqtt://localhost:1883: lookup hub: no such host",
			"down: connecting to mqtt://localhost:1883: connection refused",
			"up",
		}
		if !slices.Equal(d.links, want) {
			t.Errorf("link: got %q, want %q", d.links, want)
		}
		if got := strings.Count(d.logged(), "\n"); got != 3 {
			t.Errorf("got %d log lines, want 3:\n%s", got, d.logged())
		}
	})
}

// The pause after a lost connection starts at a second again after a minute of life.
func TestSyncRetryStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		start(t, h, `{}`)
		for range 50 {
			time.Sleep(longLife + time.Second)
			before := h.dialled()
			h.takeOver()
			time.Sleep(firstRetry)
			if n := h.dialled() - before; n != 1 {
				t.Fatalf("got %d attempts in the first second, want 1", n)
			}
		}
	})
}

// Two clients with one device id.
func TestSyncTakenOverAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{}`)
		for range 3600 {
			time.Sleep(time.Second)
			h.takeOver()
		}
		if n := h.dialled(); n < 60 || n > 140 {
			t.Errorf("connected %d times in an hour, want one a minute or two", n)
		}
		if got := strings.Count(d.logged(), "is there a second client with this device id?"); got != 1 {
			t.Errorf("the suspicion is logged %d times, want once:\n%s", got, d.logged())
		}
		// After a quiet time, the next trouble is news.
		time.Sleep(time.Hour)
		for range 10 {
			h.takeOver()
			time.Sleep(longestRetry)
		}
		if got := strings.Count(d.logged(), "is there a second client with this device id?"); got != 2 {
			t.Errorf("the second time: logged %d times, want 2", got)
		}
	})
}

// A hub that is restarted now and then is no second client.
func TestSyncHubRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{}`)
		for range 10 {
			time.Sleep(6 * time.Minute)
			h.takeOver()
		}
		if strings.Contains(d.logged(), "second client") {
			t.Errorf("suspects a second client:\n%s", d.logged())
		}
	})
}

// Run ends at once, whatever it is at.
func TestSyncEnds(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func(*fakeHub)
		limit time.Duration
	}{
		{"connected", func(*fakeHub) {}, disconnectWait},
		{"waiting to retry", func(h *fakeHub) { h.down = errors.New("away") }, 0},
		{"connecting", func(h *fakeHub) { h.silent = true }, disconnectWait},
		{"request in flight", func(h *fakeHub) { h.fault = func(string) fault { return lose } }, disconnectWait},
		{"frozen", func(h *fakeHub) { h.fault = func(string) fault { return freeze } }, disconnectWait},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub(t)
				test.setup(h)
				d := start(t, h, `{}`)
				time.Sleep(3 * time.Second)
				began := time.Now()
				d.stop()
				if took := time.Since(began); took > test.limit {
					t.Errorf("took %v, want %v at most", took, test.limit)
				}
			})
		})
	}
}

// For each fault: an hour in which it strikes every tenth request, then peace.
// What the device has then is what the hub has, within a heartbeat.
func TestSyncSurvivesEachFault(t *testing.T) {
	for _, what := range append(allFaults, refuse) {
		for _, mode := range []notices{without, with} {
			t.Run(strings.TrimSuffix(string(what+", "+fault(mode)), ", "), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newFakeHub(t)
					h.notices = mode
					n := 0
					h.fault = func(string) fault {
						if n++; n%10 == 0 {
							return what
						}
						return none
					}
					d := start(t, h, `{"n":0}`)
					var last string
					for n := range 200 {
						time.Sleep(6 * time.Second)
						d.set(fmt.Sprintf(`{"n":%d}`, n))
						last = h.order(n)
					}
					h.do(func() { h.fault = nil })
					time.Sleep(DefaultTimeout + longestRetry + DefaultHeartbeat)
					if got, want := published(t, h), `{"n":199}`; got != want {
						t.Errorf("published %s, want %s", got, want)
					}
					if got := d.latest(); got != last {
						t.Errorf("watched %s, want %s", got, last)
					}
				})
			})
		}
	}
}

// Half a day with random faults, outages, meddling and changes.
func TestSyncSurvivesHalfADay(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { halfADay(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func halfADay(t *testing.T, r *rand.Rand) {
	h := newFakeHub(t)
	rate := 0                                    // of faults, in a thousand requests
	dice := rand.New(rand.NewPCG(r.Uint64(), 2)) // belongs to the hub
	h.fault = func(string) fault {
		if dice.IntN(1000) < rate {
			return allFaults[dice.IntN(len(allFaults))]
		}
		return none
	}
	d := start(t, h, `{"n":0}`)
	last := `{"n":0}`
	armed := ""
	for hour := range 12 {
		h.do(func() { rate = []int{0, 5, 50, 500}[hour%4] })
		for began := time.Now(); time.Since(began) < time.Hour; {
			time.Sleep(time.Duration(r.Int64N(int64(2 * time.Minute))))
			switch r.IntN(9) {
			case 0:
				h.do(func() { h.down = errors.New("no route") })
				h.takeOver()
			case 1, 2:
				h.do(func() { h.down = nil })
			case 3:
				h.do(func() { h.latency = time.Duration(r.Int64N(int64(2 * time.Second))) })
			case 4:
				h.set("current", "")
			case 5:
				armed = fmt.Sprintf(`{"alarm_armed":%t}`, r.IntN(2) == 0)
				h.set("desired", armed)
			case 6:
				modes := []notices{without, with, with, with, denies, ignores, hangsUp, deniesAndHangsUp}
				h.do(func() { h.notices = modes[r.IntN(len(modes))] })
			default:
				for range r.IntN(20) {
					last = fmt.Sprintf(`{"n":%d,"deep":{"door %d":%t}}`, r.IntN(1000), r.IntN(3), r.IntN(2) == 0)
					d.set(last)
				}
			}
		}
		// Polls and heartbeats, twice over for retries, and at most ten publications a second for each change.
		if got := len(h.seen()); got > 2*(1800+120)+600 {
			t.Errorf("hour %d: hub got %d requests", hour, got)
		}
	}
	h.do(func() { rate, h.down, h.latency = 0, nil, 0 })
	time.Sleep(2*longestRetry + DefaultHeartbeat)
	if got := published(t, h); got != last {
		// Patches leave keys where they were, so compare the content.
		if diff, err := twin.Diff([]byte(got), []byte(last)); err != nil || string(diff) != "{}" {
			t.Errorf("published %s, want %s", got, last)
		}
	}
	d.stop()
	if got := d.watched[len(d.watched)-1]; !strings.HasSuffix(got, `"data":`+armed+`}`) {
		t.Errorf("last watched %s, want %s", got, armed)
	}
	for i, link := range d.links {
		if up := link == "up"; up && i > 0 && d.links[i-1] == "up" {
			t.Errorf("link went up twice: %q", d.links[i-1:i+1])
		}
	}
}

// What differs from attempt to attempt is no new reason.
func TestReason(t *testing.T) {
	at := func(port int, err error) error {
		return fmt.Errorf("connecting: %w", &net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Err: err})
	}
	invalid := x509.CertificateInvalidError{Reason: x509.Expired} // which says expired or not valid yet
	trust := func(problem, next string) error {
		return fmt.Errorf("connecting: %w", &TrustError{Problem: problem, Next: next, Err: invalid})
	}
	for _, test := range []struct {
		a, b error
		same bool
	}{
		{at(1, syscall.ECONNRESET), at(2, syscall.ECONNRESET), true},
		{at(1, syscall.ECONNRESET), at(1, syscall.ECONNREFUSED), false},
		{trust("not valid yet", "the clock says noon"), trust("not valid yet", "the clock says one"), true},
		{trust("not valid yet", "the clock says noon"), trust("expired", "the clock says noon"), false},
		{trust("not valid yet", ""), invalid, false},
		{&net.DNSError{Err: "no such host", Server: "a"}, &net.DNSError{Err: "no such host", Server: "b"}, true},
		{&net.DNSError{Err: "no such host"}, &net.DNSError{Err: "i/o timeout"}, false},
		{context.Canceled, errHubClosed, false},
	} {
		if same := reason(test.a) == reason(test.b); same != test.same {
			t.Errorf("%v and %v: same reason %t, want %t", test.a, test.b, same, test.same)
		}
	}
}
