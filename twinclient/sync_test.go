package twinclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

func TestNewSyncRefuses(t *testing.T) {
	good := SyncConfig{
		Connect:  Options{Hub: "mqtt://localhost", DeviceID: deviceID},
		Watch:    "desired",
		Publish:  "current",
		Document: func(context.Context) (json.RawMessage, error) { return nil, nil },
		Watched:  func(twin.Document, error) {},
	}
	if _, err := NewSync(good); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		spoil func(*SyncConfig)
		want  string
	}{
		{"no hub", func(c *SyncConfig) { c.Connect.Hub = "" }, "no hub: write mqtt://"},
		{"no watched document", func(c *SyncConfig) { c.Watch = "" }, "name of the watched document: "},
		{"bad name", func(c *SyncConfig) { c.Publish = "a/b" }, "name of the published document: "},
		{"same document", func(c *SyncConfig) { c.Watch = "current" }, `document "current" is both watched and published: each document has one writer, so give two names`},
		{"negative poll", func(c *SyncConfig) { c.Poll = -1 }, "poll interval -1ns is too short: give 100ms or more, or 0 for 2s"},
		{"short poll", func(c *SyncConfig) { c.Poll = time.Millisecond }, "poll interval 1ms is too short"},
		{"short heartbeat", func(c *SyncConfig) { c.Heartbeat = time.Millisecond }, "heartbeat interval 1ms is too short: give 100ms or more, or 0 for 30s"},
		{"no Document", func(c *SyncConfig) { c.Document = nil }, "functions Document and Watched are needed"},
		{"no Watched", func(c *SyncConfig) { c.Watched = nil }, "functions Document and Watched are needed"},
	} {
		c := good
		test.spoil(&c)
		if _, err := NewSync(c); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.want)
		}
	}
}

// Get, then a whole put; then patches with only what changed, and their version.
func TestSyncPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{"door_open":false,"siren_ringing":false}`)
		synctest.Wait()
		if got, want := h.seen(), []string{"get desired", "put current"}; !slices.Equal(got, want) {
			t.Errorf("after connecting the hub got %q, want %q", got, want)
		}
		if got, want := string(h.doc("current").Data), `{"last_update":"2000-01-01T00:00:00.000Z","door_open":false,"siren_ringing":false}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		d.set(`{"door_open":true,"siren_ringing":false}`)
		synctest.Wait()
		if got, want := h.seen(), []string{"patch current 1"}; !slices.Equal(got, want) {
			t.Errorf("after a change the hub got %q, want %q", got, want)
		}
		if got, want := string(h.doc("current").Data), `{"last_update":"2000-01-01T00:00:01.000Z","door_open":true,"siren_ringing":false}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		// Keys that go away go away at the hub, too.
		time.Sleep(500 * time.Millisecond)
		d.set(`{"door_open":true}`)
		synctest.Wait()
		if got, want := published(t, h), `{"door_open":true}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

func TestSyncWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{}`)
		time.Sleep(3 * time.Second)
		h.set("desired", `{"alarm_armed":true}`)
		time.Sleep(4 * time.Second)
		h.set("desired", "") // deleted and created again: the version goes back
		h.set("desired", `{"alarm_armed":false}`)
		time.Sleep(2 * time.Second)
		d.stop()
		want := []string{
			"get desired: document not found", "get desired: document not found",
			`{"version":1,"data":{"alarm_armed":true}}`, `{"version":1,"data":{"alarm_armed":true}}`,
			`{"version":1,"data":{"alarm_armed":false}}`,
		}
		if !slices.Equal(d.watched, want) {
			t.Errorf("got %q, want %q", d.watched, want)
		}
		if want := []string{"up"}; !slices.Equal(d.links, want) {
			t.Errorf("link: got %q, want %q", d.links, want)
		}
		if h.goodbyes != 1 {
			t.Errorf("hub got %d DISCONNECT, want 1", h.goodbyes)
		}
	})
}

// The budget of an idle hour, to the packet.
func TestSyncIdleHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		start(t, h, `{"door_open":false}`)
		time.Sleep(time.Second)
		h.seen()
		h.do(func() { clear(h.packets) })
		time.Sleep(time.Hour)
		count := map[string]int{}
		for _, r := range h.seen() {
			method, _, _ := strings.Cut(r, " ")
			count[method]++
		}
		if want := fmt.Sprint(map[string]int{"get": 1800, "patch": 108, "put": 12}); fmt.Sprint(count) != want {
			t.Errorf("requests: got %v, want %v", count, want)
		}
		if want := fmt.Sprint(map[byte]int{3: 1920}); fmt.Sprint(h.packets) != want {
			t.Errorf("packets by type: got %v, want %v: no ping, no second CONNECT", h.packets, want)
		}
	})
}

// Heartbeats count from the last publication.
func TestSyncHeartbeatRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{"n":0}`)
		for n := range 100 {
			time.Sleep(20 * time.Second)
			d.set(fmt.Sprintf(`{"n":%d}`, n+1))
		}
		synctest.Wait()
		if v := h.doc("current").Version; v != 101 {
			t.Errorf("got version %d, want 101: one for each change and none for a heartbeat", v)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if v := h.doc("current").Version; v != 102 {
			t.Errorf("got version %d, want 102, the heartbeat", v)
		}
	})
}

func TestSyncChangeDuringGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.latency = 500 * time.Millisecond
		d := start(t, h, `{"n":0}`)
		time.Sleep(3100 * time.Millisecond) // the get of 3 s is on its way
		h.seen()
		d.set(`{"n":1}`)
		d.set(`{"n":2}`)
		time.Sleep(300 * time.Millisecond)
		if got := h.seen(); len(got) > 0 {
			t.Errorf("during the get the hub got %q", got)
		}
		time.Sleep(200 * time.Millisecond)
		if got, want := h.seen(), []string{"patch current 1"}; !slices.Equal(got, want) {
			t.Errorf("after the get the hub got %q, want %q", got, want)
		}
		if got, want := published(t, h), `{"n":2}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// A contact that bounces every millisecond: at most ten publications a second, the
// last state is published, and a return to the old state isn't news.
func TestSyncBouncingContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{"door_open":false}`)
		time.Sleep(time.Second)
		h.seen()
		for n := range 2001 {
			d.set(fmt.Sprintf(`{"door_open":%t}`, n%2 == 0))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := len(h.seen()); got < 10 || got > 24 {
			t.Errorf("hub got %d requests in 3 s, want 10 to 24", got)
		}
		if got, want := published(t, h), `{"door_open":true}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		before := h.doc("current").Version
		d.sync.Changed()
		synctest.Wait()
		if after := h.doc("current").Version; after != before {
			t.Error("published though nothing has changed")
		}
	})
}

// last_update is never the same twice in a row, also when the clock stands.
func TestSyncStampsDiffer(t *testing.T) {
	s := &Sync{}
	seen := map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		for _, doc := range []string{`{}`, ` { } `, `{}`, `{"a":1}`, `{"a":1}`} {
			stamped, ours, err := s.stamp([]byte(doc))
			if err != nil || seen[string(stamped)] || !json.Valid(stamped) || !ours(twin.Document{Data: stamped}) {
				t.Errorf("stamped %s, %v", stamped, err)
			}
			seen[string(stamped)] = true
		}
	})
}

// Whatever else happened to the document at the hub, the next publication mends it at once.
func TestSyncDocumentMeddledWith(t *testing.T) {
	for _, test := range []struct {
		name   string
		meddle func(h *fakeHub)
		want   []string
	}{
		{"deleted", func(h *fakeHub) { h.set("current", "") }, []string{"patch current 1", "put current"}},
		{"written by another", func(h *fakeHub) { h.set("current", `{"n":7}`) }, []string{"patch current 1", "put current"}},
		{"patch answered with a version too high", func(h *fakeHub) {
			h.fault = func(r string) fault {
				if strings.HasPrefix(r, "patch") {
					h.docs["current"] = twin.Document{Version: 1, Data: h.docs["current"].Data}
				}
				return none
			}
		}, []string{"patch current 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub(t)
				d := start(t, h, `{"n":0}`)
				synctest.Wait()
				h.seen()
				test.meddle(h)
				d.set(`{"n":1}`)
				synctest.Wait()
				if got := h.seen(); !slices.Equal(got, test.want) {
					t.Errorf("hub got %q, want %q", got, test.want)
				}
				if got, want := published(t, h), `{"n":1}`; got != want {
					t.Errorf("published %s, want %s", got, want)
				}
			})
		})
	}
}

func TestSyncPatchCannotSayIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{"n":0}`)
		synctest.Wait()
		h.seen()
		d.set(`{"n":[null]}`)
		synctest.Wait()
		if got, want := h.seen(), []string{"put current"}; !slices.Equal(got, want) {
			t.Errorf("hub got %q, want %q", got, want)
		}
		if got, want := published(t, h), `{"n":[null]}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// A document that can't be published is tried at the pace of polls and logged once.
func TestSyncRefusedDocument(t *testing.T) {
	large := `{"n":"` + strings.Repeat("x", twin.MaxDataSize) + `"}`
	for _, bad := range []string{large, `[1]`, `{`, `{"last_update":"mine"}`, ``} {
		synctest.Test(t, func(t *testing.T) {
			h := newFakeHub(t)
			var calls atomic.Int32
			d := start(t, h, `{"n":0}`, func(c *SyncConfig) {
				document := c.Document
				c.Document = func(ctx context.Context) (json.RawMessage, error) {
					calls.Add(1)
					return document(ctx)
				}
			})
			time.Sleep(time.Second)
			calls.Store(0)
			for range 120 {
				d.set(bad)
				time.Sleep(time.Second)
			}
			if calls := calls.Load(); calls < 59 || calls > 61 {
				t.Errorf("%.20s: tried %d times in 2 minutes, want once every 2 s", bad, calls)
			}
			if got := strings.Count(d.logged(), "publication refused"); got != 1 {
				t.Errorf("%.20s: logged %d times:\n%s", bad, got, d.logged())
			}
			if len(d.links) != 1 {
				t.Errorf("%.20s: link: got %q, want it to stay up", bad, d.links)
			}
			d.set(`{"n":1}`)
			time.Sleep(DefaultPoll)
			if got, want := published(t, h), `{"n":1}`; got != want {
				t.Errorf("published %s, want %s", got, want)
			}
			if !strings.Contains(d.logged(), "publication accepted again") {
				t.Errorf("log doesn't say that it's good again:\n%s", d.logged())
			}
		})
	}
}

// A hub that refuses for a moment hides a change no longer than that and a poll. One that
// goes on refusing is asked once a poll, and once a heartbeat when nothing has changed.
func TestSyncHubRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{"n":0}`)
		synctest.Wait()
		refusing := func(on bool) {
			h.do(func() {
				h.fault = func(request string) fault {
					if on && !strings.HasPrefix(request, "get") {
						return refuse
					}
					return none
				}
			})
		}
		// tried returns how often the hub was asked to write since the last time.
		tried := func() int {
			synctest.Wait()
			return len(slices.DeleteFunc(h.seen(), func(r string) bool { return strings.HasPrefix(r, "get") }))
		}
		tried()
		refusing(true)
		d.set(`{"n":1}`)
		if got := tried(); got != 2 {
			t.Errorf("a change was tried %d times at once, want 2: as a patch and as a whole", got)
		}
		time.Sleep(10 * time.Minute)
		if got := tried(); got < 299 || got > 301 {
			t.Errorf("a change was tried %d times in 2 minutes, want once every 2 s", got)
		}
		for range 6000 {
			d.sync.Changed() // whatever the reason
			time.Sleep(100 * time.Millisecond)
		}
		if got := tried(); got < 299 || got > 301 {
			t.Errorf("told all the time, it tried %d times in 2 minutes, want once every 2 s", got)
		}
		refusing(false)
		time.Sleep(DefaultPoll)
		synctest.Wait()
		if got, want := published(t, h), `{"n":1}`; got != want {
			t.Errorf("published %s a poll after the hub accepts again, want %s", got, want)
		}
		tried()
		refusing(true)
		time.Sleep(10*time.Minute + time.Second)
		if got := tried(); got != 21 {
			t.Errorf("nothing new was tried %d times in 2 minutes, want 21: at each heartbeat, at first as a patch, too", got)
		}
		for msg, want := range map[string]int{"publication refused": 2, "publication accepted again": 1} {
			if got := strings.Count(d.logged(), msg); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", msg, got, want, d.logged())
			}
		}
	})
}

// While there is nothing to publish, watching goes on.
func TestSyncNothingToPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		var known atomic.Bool
		d := start(t, h, `{"n":0}`, func(c *SyncConfig) {
			document := c.Document
			c.Document = func(ctx context.Context) (json.RawMessage, error) {
				if known.Load() {
					return document(ctx)
				}
				<-ctx.Done() // a loop that doesn't answer
				return nil, ctx.Err()
			}
		})
		time.Sleep(10 * time.Minute)
		requests := h.seen()
		if h.doc("current").Version != 0 || slices.Contains(requests, "put current") {
			t.Errorf("published %s", h.doc("current").Data)
		}
		if len(requests) < 230 {
			t.Errorf("hub got %d requests, want it polled all the time", len(requests))
		}
		known.Store(true)
		d.sync.Changed()
		time.Sleep(DefaultTimeout)
		if got, want := published(t, h), `{"n":0}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
	})
}

// A context that has ended isn't taken for a refusal of the hub.
func TestSyncEndIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		d := start(t, h, `{"n":0}`)
		synctest.Wait()
		d.stop()
		seen, log := len(d.watched), d.logged()
		x := &session{Sync: d.sync, conn: dial(t, h)}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := x.read(ctx, false); !errors.Is(err, context.Canceled) || len(d.watched) != seen {
			t.Errorf("read: got %v, and Watched got %q", err, d.watched[seen:])
		}
		if err := x.publish(ctx, []byte(`{"n":1}`)); !errors.Is(err, context.Canceled) || d.logged() != log {
			t.Errorf("publish: got %v, and the log got %q", err, d.logged()[len(log):])
		}
	})
}
