package twinclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// A gauge is a device whose document has a number in it.
type gauge struct {
	*twinclient.Sync
	value   atomic.Int64
	up      atomic.Bool
	desired atomic.Value // the data of the watched document
	stop    func()
}

func (g *gauge) set(n int64) {
	g.value.Store(n)
	g.Changed()
}

// startGauge runs a gauge until the test ends.
func startGauge(t *testing.T, o twinclient.Options) *gauge {
	t.Helper()
	g := new(gauge)
	g.desired.Store("")
	s, err := twinclient.NewSync(twinclient.SyncConfig{
		Connect: o,
		Watch:   "desired",
		Publish: "current",
		Document: func(context.Context) (json.RawMessage, error) {
			return fmt.Appendf(nil, `{"value":%d}`, g.value.Load()), nil
		},
		Watched: func(doc twin.Document, err error) {
			if err == nil {
				g.desired.Store(string(doc.Data))
			}
		},
		Connected: func(up bool, _ error) { g.up.Store(up) },
	})
	if err != nil {
		t.Fatal(err)
	}
	g.Sync = s
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	g.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(g.stop)
	return g
}

// The real hub, with every fault that its test kit has.
func TestSyncWithHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id := h.AddDevice("gauge").ID
		g := startGauge(t, twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: func(ctx context.Context) (net.Conn, error) { return h.Dial(ctx) }})
		for i, fault := range []struct {
			name       string
			begin, end func()
		}{
			{"none", func() {}, func() {}},
			{"cut", h.CutConnections, func() {}},
			{"restart", h.Restart, func() {}},
			{"lost notices", func() { h.DropNotices(true) }, func() { h.DropNotices(false) }},
			{"hub away", h.Stop, h.Restart},
			{"black hole", func() { h.BlackHole(true) }, func() { h.BlackHole(false) }},
			{"lost answers", func() { h.DropAnswers(7) }, func() { h.DropAnswers(0) }},
			{"late answers", func() { h.DelayAnswers(6 * time.Second) }, func() { h.DelayAnswers(0) }},
			{"slow answers", func() { h.DelayAnswers(4 * time.Second) }, func() { h.DelayAnswers(0) }},
		} {
			n := int64(i+1) * 100
			for range 20 {
				n++
				g.set(n)
				time.Sleep(5 * time.Second)
			}
			fault.begin()
			for range 20 {
				n++
				g.set(n)
				time.Sleep(15 * time.Second)
			}
			fault.end()
			want := fmt.Sprintf(`{"target":%d}`, n)
			h.MustPut(id, "desired", want)
			time.Sleep(2 * time.Minute)
			if got := string(h.MustGet(id, "current").Data); !strings.HasSuffix(got, fmt.Sprintf(`,"value":%d}`, n)) {
				t.Errorf("%s: hub has %s, want value %d", fault.name, got, n)
			}
			if got := g.desired.Load(); got != want {
				t.Errorf("%s: device knows %s, want %s", fault.name, got, want)
			}
			if !g.up.Load() {
				t.Errorf("%s: not connected", fault.name)
			}
		}
		g.stop()
	})
}

// What a phone writes over REST is known at once where the hub tells of it, after a poll where it
// doesn't, and after two or so where it has stopped to.
func TestSyncIsToldByHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id := h.AddDevice("gauge").ID
		g := startGauge(t, twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: h.Dial})
		time.Sleep(time.Second)
		n := 0
		tap := func(what string, limit time.Duration) {
			t.Helper()
			n++
			want := fmt.Sprintf(`{"target":%d}`, n)
			r, err := http.NewRequestWithContext(t.Context(), "PUT", hubtest.BaseURL+"/twins/"+string(id)+"/documents/desired", strings.NewReader(`{"data":`+want+`}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Auth-Token", h.Token)
			answer, err := h.HTTPClient().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			time.Sleep(limit)
			synctest.Wait()
			if got := g.desired.Load(); got != want {
				t.Errorf("%s: after %v the device knows %s, want %s", what, limit, got, want)
			}
		}
		for range 10 {
			tap("with notices", 0)
			time.Sleep(time.Second)
		}
		h.DropNotices(true)
		tap("notices have just stopped", time.Minute/2)
		for range 10 {
			tap("notices have stopped", twinclient.DefaultPoll)
		}
		h.DropNotices(false)
		tap("notices are back", 0)
		h.DropNotices(true)
		h.Restart()
		time.Sleep(time.Minute)
		tap("a hub without notices", twinclient.DefaultPoll)
		h.DropNotices(false)
		h.Restart()
		time.Sleep(time.Minute)
		tap("a hub with notices", 0)
	})
}

// Two devices with one id drop each other, but not at once and for ever at full speed.
func TestSyncTwiceWithHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		id := h.AddDevice("gauge").ID
		var dials atomic.Int64
		o := twinclient.Options{Hub: "mqtt://localhost", DeviceID: id, Dial: func(ctx context.Context) (net.Conn, error) {
			dials.Add(1)
			return h.Dial(ctx)
		}}
		a, b := startGauge(t, o), startGauge(t, o)
		time.Sleep(time.Hour)
		if n := dials.Load(); n < 60 || n > 300 {
			t.Errorf("connected %d times in an hour, want about two a minute", n)
		}
		b.stop()
		a.set(7)
		time.Sleep(time.Minute)
		if got := string(h.MustGet(id, "current").Data); !strings.HasSuffix(got, `"value":7}`) {
			t.Errorf("hub has %s, want value 7", got)
		}
		a.stop()
	})
}

func TestConnWithHubOverTCP(t *testing.T) {
	h := hubtest.Start(t)
	id := h.AddDevice("gauge").ID
	o := twinclient.Options{Hub: h.MQTT(), DeviceID: id}
	conn, err := twinclient.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	large := `{"text":"` + strings.Repeat("x", twin.MaxDataSize-len(`{"text":""}`)) + `"}`
	doc, err := conn.Put(t.Context(), "large", twin.Update{Data: []byte(large)})
	if err != nil || doc.Version != 1 || string(doc.Data) != large {
		t.Errorf("put of the largest document: got version %d, %d bytes, %v", doc.Version, len(doc.Data), err)
	}
	_, err = conn.Patch(t.Context(), "large", twin.Update{Version: 9, Data: []byte(`{"a":1}`)})
	if mismatch, ok := errors.AsType[*twin.VersionError](err); !ok || *mismatch != (twin.VersionError{Expected: 9, Actual: 1}) {
		t.Errorf("patch of another version: got error %#v", err)
	}
	_, err = conn.Patch(t.Context(), "large", twin.Update{Data: []byte(`{"a":"too much"}`)})
	if refusal, ok := errors.AsType[*twin.RemoteError](err); !ok || !strings.Contains(refusal.Text, "larger than") {
		t.Errorf("patch that makes it too large: got error %#v", err)
	}
	if _, err := conn.Get(t.Context(), "nothing"); !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Errorf("get of nothing: got error %v", err)
	}
	h.Stop()
	<-conn.Done()
	if _, err := twinclient.Dial(t.Context(), o); err == nil {
		t.Error("connected to a hub that is stopped")
	}
	h.Restart()
	stranger := o
	stranger.DeviceID = "00000000-0000-4000-8000-000000000000"
	if _, err := twinclient.Dial(t.Context(), stranger); err == nil || !strings.Contains(err.Error(), "check the device id") {
		t.Errorf("device that the hub doesn't know: got error %v", err)
	}
	again, err := twinclient.Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if doc, err := again.Get(t.Context(), "large"); err != nil || doc.Version != 1 {
		t.Errorf("after the restart: got version %d, %v", doc.Version, err)
	}
}
