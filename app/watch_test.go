package app

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// watched is a watcher of a fake hub, and what it told.
type watched struct {
	*Watcher
	*fakeHub
	t    *testing.T
	stop func()

	mu   sync.Mutex
	told []View
}

// hears are the views told since it was called last.
func (w *watched) hears() []View {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

// watch starts a watcher in a bubble. It ends with the test.
func watch(t *testing.T, h *fakeHub, poll time.Duration) *watched {
	t.Helper()
	return watchWith(t, h, WatchConfig{Poll: poll})
}

// watchWith is watch with a config that has neither API nor Changed.
func watchWith(t *testing.T, h *fakeHub, c WatchConfig) *watched {
	t.Helper()
	api, err := NewAPI(Options{URL: "http://127.0.0.1", Device: testDevice, Token: "secret", Transport: h})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{fakeHub: h, t: t}
	c.API, c.Changed = api, func(v View) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, v)
	}
	w.Watcher = NewWatcher(c)
	ctx, cancel := context.WithCancel(t.Context())
	w.stop = func() {
		cancel()
		<-w.ended
	}
	go w.Run(ctx)
	return w
}

// want checks the row shown now.
func (w *watched) want(row Row) View {
	w.t.Helper()
	synctest.Wait()
	v := w.View()
	if v.Row != row {
		w.t.Fatalf("got row %q, want %q: %s", v.Row, row, asJSON(v))
	}
	return v
}

// wantWish checks the wish shown now.
func (w *watched) wantWish(armed bool, by string, outcome Outcome) {
	w.t.Helper()
	synctest.Wait()
	v := w.View()
	if v.Wish == nil || v.Wish.Armed != armed || v.Wish.By != by || v.Wish.Outcome != outcome {
		w.t.Fatalf("got wish %s, want armed %t by %q, %s", asJSON(v.Wish), armed, by, outcome)
	}
}

// wish wishes and fails the test if that fails.
func (w *watched) wish(armed bool, by string) {
	w.t.Helper()
	if err := w.Wish(w.t.Context(), armed, by); err != nil {
		w.t.Fatalf("wish: %v", err)
	}
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestWatcherShowsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.put(currentName, disarmed)
		w := watch(t, h, 0)
		time.Sleep(time.Minute + time.Second)
		h.put(currentName, armed)
		// Nobody looks, but then somebody comes.
		changed, leave := w.Join()
		synctest.Wait()
		w.want(Armed)
		<-changed

		h.put(currentName, ringing)
		start := time.Now()
		<-changed
		if took := time.Since(start); took > DefaultPoll || w.View().Row != Ringing {
			t.Errorf("after %v: %s", took, w.View().Row)
		}
		// What led to it comes a moment later.
		time.Sleep(100 * time.Millisecond)
		h.put(eventsName, `{"events":[{"time":"2026-11-22T12:00:00.000Z","what":"ring started","contact":"front"}]}`)
		time.Sleep(3 * time.Second)
		if v := w.want(Ringing); v.Known.RangBy != "front" {
			t.Errorf("rang by %q", v.Known.RangBy)
		}
		leave()

		h.put(currentName, armed)
		time.Sleep(armedPace)
		w.want(Armed)
	})
}

// TestWhoComesSeesEverythingAnew: also what nobody was watching for.
func TestWhoComesSeesEverythingAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.put(currentName, disarmed)
		w := watch(t, h, 0)
		time.Sleep(time.Minute + time.Second)
		h.put(eventsName, `{"events":[{"what":"panel started"}]}`)
		h.put(desiredName, wishOff)
		_, leave := w.Join()
		defer leave()
		synctest.Wait()
		if v := w.View(); len(v.Events) != 1 || v.Wish == nil {
			t.Errorf("shows %s", asJSON(v))
		}
	})
}

func TestDiffersIsNotForCounters(t *testing.T) {
	for _, tt := range []struct {
		before, after string
		want          bool
	}{
		{"", "{}", true},
		{"{}", "", true},
		{"[]", "null", true},
		{`{"a":1}`, `{"a":2}`, true},
		{`{"a":1}`, `{"a":1,"b":1}`, true},
		{`{"a":1,"b":1}`, `{"a":1}`, true},
		{`{"left_s":30,"state":"armed"}`, `{"state":"disarmed"}`, true},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, false},
		{`{"left_s":30,"last_update":"x"}`, `{"left_s":29}`, false},
	} {
		if got := differs([]byte(tt.before), []byte(tt.after)); got != tt.want {
			t.Errorf("%s, then %s: got %t", tt.before, tt.after, got)
		}
	}
}

func TestWatcherTellsAllViewersTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.put(currentName, disarmed)
		w := watch(t, h, 0)
		one, leaveOne := w.Join()
		two, leaveTwo := w.Join()
		time.Sleep(time.Minute)
		synctest.Wait()
		<-one
		// The second one doesn't fetch: its slot holds one change, and the newest view is what it will see.
		h.put(currentName, armed)
		time.Sleep(time.Second)
		<-one
		h.put(currentName, ringing)
		time.Sleep(time.Second)
		<-one
		<-two
		select {
		case <-two:
			t.Error("two changes were kept for somebody who fetches none")
		default:
		}
		leaveTwo()
		leaveTwo()
		h.put(currentName, disarmed)
		time.Sleep(time.Second)
		<-one
		select {
		case <-two:
			t.Error("told somebody who has left")
		default:
		}
		leaveOne()
	})
}

func TestChangedIsNotForCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.put(desiredName, wishOff)
		h.beats(t, func() string { return says("alarm_armed=true", `state="exit_delay"`, "left_s=1000") })
		w := watch(t, h, 0)
		_, leave := w.Join()
		defer leave()
		time.Sleep(5*time.Minute + 10*time.Second)
		w.hears()
		time.Sleep(10 * time.Minute)
		if n := len(w.hears()); n != 20 { // the heartbeats
			t.Errorf("told %d views, want 20", n)
		}
	})
}

func TestOneFailureIsNoTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.beats(t, func() string { return disarmed })
		w := watch(t, h, 0)
		_, leave := w.Join()
		defer leave()
		time.Sleep(time.Minute)
		w.want(Disarmed)

		// One read that fails.
		w.hears()
		h.fault(refused)
		time.Sleep(600 * time.Millisecond)
		h.fault(nil)
		time.Sleep(10 * time.Second)
		// One that takes too long.
		h.fault(hangs)
		time.Sleep(600 * time.Millisecond)
		h.fault(nil)
		time.Sleep(10 * time.Second)
		// A hub that takes 4 s for each.
		h.fault(slow(4 * time.Second))
		time.Sleep(5 * time.Minute)
		for _, v := range w.hears() {
			if v.Row != Disarmed || v.Hub != nil {
				t.Errorf("showed %s", asJSON(v))
			}
		}

		h.fault(refused)
		time.Sleep(4 * time.Second) // one may still be under way
		start := time.Now()
		time.Sleep(3 * time.Second)
		v := w.want(HubAway)
		if v.Hub.Why != WhyUnreachable || v.Hub.Since.Sub(start).Abs() > 4*time.Second || v.Known == nil {
			t.Errorf("showed %s", asJSON(v))
		}
		time.Sleep(20 * time.Second) // for longer, it would have to be checked whether the panel lives
		h.fault(nil)
		time.Sleep(lookedBackoff * 6 / 5)
		if v := w.want(Disarmed); v.Hub != nil {
			t.Errorf("showed %s", asJSON(v))
		}
	})
}

func TestTroubleChangesItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		w := watch(t, h, 0)
		answers := func(status int, body string) func(request) (*http.Response, error) {
			return func(request) (*http.Response, error) { return answerWith(status, body), nil }
		}
		_, leave := w.Join()
		defer leave()
		for _, tt := range []struct {
			fault func(request) (*http.Response, error)
			why   string
		}{
			{refused, WhyUnreachable},
			{hangs, WhySlow},
			{answers(401, `{"type":"denied_authentication"}`), WhyDenied},
			{answers(429, `{"type":"too_many_requests"}`), WhyRefused},
			{answers(200, `<html>`), WhyNonsense},
		} {
			h.fault(tt.fault)
			time.Sleep(20 * time.Second)
			if v := w.want(HubAway); v.Hub.Why != tt.why {
				t.Errorf("got %s, want %s", asJSON(v.Hub), tt.why)
			}
		}
		since := w.View().Hub.Since
		if ago := time.Since(since); ago < 95*time.Second {
			t.Errorf("away since %v ago only", ago)
		}
		w.hears()
		time.Sleep(time.Hour)
		if n := len(w.hears()); n != 0 {
			t.Errorf("told %d views of the same trouble", n)
		}
	})
}

func TestWatcherDoesWithoutEvents(t *testing.T) {
	for _, fault := range []func(request) (*http.Response, error){nil, refused, hangs} {
		synctest.Test(t, func(t *testing.T) {
			h := newFakeHub()
			if fault != nil {
				h.fault(only("GET", eventsName, fault))
			}
			h.beats(t, func() string { return disarmed })
			w := watch(t, h, 0)
			_, leave := w.Join()
			defer leave()
			time.Sleep(time.Minute)
			if v := w.want(Disarmed); v.Events == nil || len(v.Events) != 0 {
				t.Errorf("events are %v", v.Events)
			}
			h.forget()
			time.Sleep(10 * time.Minute)
			w.want(Disarmed)
			if n := len(h.seen("GET", eventsName)); n == 0 || n > 12 {
				t.Errorf("%d reads of a document that isn't there", n)
			}
		})
	}
}

func TestWatcherSurvivesStrangeDocuments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		w := watch(t, h, 0)
		_, leave := w.Join()
		defer leave()
		for _, data := range []string{
			`{}`, `{"alarm_armed":[]}`, `{"alarm_armed":true}`, `{"events":{}}`, `{"events":[null,1,{"what":[]}]}`,
			`{"alarm_armed":"true","siren_ringing":false,"door_open":false}`, `{"heartbeat_s":-1}`,
		} {
			for _, name := range []twin.Name{currentName, desiredName, eventsName} {
				h.put(name, data)
			}
			time.Sleep(10 * time.Second)
			w.want(Unintelligible)
		}
		h.put(currentName, says("heartbeat_s=0", `doors=[]`, `faults={}`, `left_s="x"`, `desired_version=-1`, `last_update=7`))
		time.Sleep(time.Second)
		w.want(Disarmed)
	})
}

func TestWatcherEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.fault(hangs)
		w := watch(t, h, 0)
		time.Sleep(time.Second)
		failed := make(chan error)
		go func() { failed <- w.Wish(t.Context(), true, "Anna") }()
		time.Sleep(time.Second)
		start := time.Now()
		w.stop()
		if took := time.Since(start); took != 0 {
			t.Errorf("ended after %v", took)
		}
		if err := <-failed; err != ErrEnding {
			t.Errorf("a wish under way: %v", err)
		}
		if err := w.Wish(t.Context(), true, "Ben"); err != ErrEnding {
			t.Errorf("a wish afterwards: %v", err)
		}
		if v := w.View(); !strings.Contains(string(v.Row), "checking") {
			t.Errorf("view afterwards: %s", asJSON(v))
		}
	})
}
