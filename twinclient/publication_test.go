package twinclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A diary is a further document, "events", of a device.
type diary struct {
	mu   sync.Mutex
	doc  string
	err  error  // of Document
	read func() // called by Document, once; nil = nothing
}

// put changes the diary and tells nobody.
func (b *diary) put(doc string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doc, b.err = doc, nil
}

// keeping adds a diary to what a device publishes.
func keeping(b *diary) func(*SyncConfig) {
	return func(c *SyncConfig) {
		c.Further = append(c.Further, Publication{Name: "events", Document: func(context.Context) (json.RawMessage, error) {
			b.mu.Lock()
			read := b.read
			b.read = nil
			b.mu.Unlock()
			if read != nil {
				read()
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			return json.RawMessage(b.doc), b.err
		}})
	}
}

// write changes the diary and tells the device.
func (b *diary) write(d *device, doc string) {
	b.put(doc)
	d.sync.Changed()
	synctest.Wait()
}

// want compares the requests to the hub since the last time, but for gets.
func (h *fakeHub) want(t *testing.T, what string, want ...string) {
	t.Helper()
	synctest.Wait()
	got := slices.DeleteFunc(h.seen(), func(r string) bool { return strings.HasPrefix(r, "get") })
	if !slices.Equal(got, want) {
		t.Errorf("%s: hub got %q, want %q", what, got, want)
	}
}

func TestNewSyncRefusesFurtherDocuments(t *testing.T) {
	document := func(context.Context) (json.RawMessage, error) { return nil, nil }
	for _, test := range []struct {
		name    string
		further []Publication
		want    string
	}{
		{"no name", []Publication{{"", document}}, "name of a further document: "},
		{"bad name", []Publication{{"a/b", document}}, "name of a further document: "},
		{"the watched one", []Publication{{"desired", document}}, `further document "desired" is watched or published already: give another name`},
		{"the main one", []Publication{{"current", document}}, `further document "current" is watched or published already`},
		{"twice", []Publication{{"events", document}, {"events", document}}, `further document "events" is watched or published already`},
		{"no Document", []Publication{{"events", nil}}, `further document "events" has no function Document: give one`},
		{"good", []Publication{{"events", document}, {"log", document}}, ""},
	} {
		_, err := NewSync(SyncConfig{
			Connect: Options{Hub: "mqtt://localhost", DeviceID: deviceID}, Watch: "desired", Publish: "current",
			Document: document, Watched: func(twin.Document, error) {}, Further: test.further,
		})
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.want)
		}
	}
}

// One put on each connection and one for each change, after the main document.
func TestSyncPublishesFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		b := &diary{doc: `{"events":[]}`}
		d := start(t, h, `{"n":0}`, keeping(b))
		synctest.Wait()
		h.want(t, "after connecting", "put current", "put events")
		if got, want := string(h.doc("events").Data), `{"last_update":"2000-01-01T00:00:00.001Z","events":[]}`; got != want {
			t.Errorf("published %s, want %s", got, want)
		}
		time.Sleep(time.Second)
		b.write(d, `{"events":["alone"]}`)
		h.want(t, "a further document changed alone", "put events")
		time.Sleep(time.Second)
		b.put(`{"events":["both"]}`)
		d.set(`{"n":1}`)
		h.want(t, "both changed", "patch current 1", "put events")
		time.Sleep(time.Second)
		d.set(`{"n":2}`)
		h.want(t, "the main document changed alone", "patch current 2")
		d.sync.Changed()
		time.Sleep(time.Second)
		h.want(t, "nothing changed")
		b.put(`{"events":["while away"]}`)
		h.takeOver()
		time.Sleep(2 * time.Second)
		h.want(t, "on the next connection", "put current", "put events")
		h.takeOver()
		time.Sleep(2 * time.Second)
		h.want(t, "and on the one after that", "put current", "put events")
		if got, want := string(h.doc("events").Data), `"events":["while away"]}`; !strings.HasSuffix(got, want) {
			t.Errorf("published %s, want …%s", got, want)
		}
	})
}

// An idle hour costs what it costs without further documents.
func TestSyncIdleHourWithFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		start(t, h, `{}`, keeping(&diary{doc: `{}`}))
		time.Sleep(time.Second)
		h.seen()
		h.do(func() { clear(h.packets) })
		time.Sleep(time.Hour)
		if got, want := h.count(), fmt.Sprint(map[string]int{"get": 1800, "patch": 108, "put": 12}); got != want {
			t.Errorf("requests: got %v, want %v", got, want)
		}
		if got, want := fmt.Sprint(h.packets), fmt.Sprint(map[byte]int{3: 1920}); got != want {
			t.Errorf("packets by type: got %v, want %v", got, want)
		}
	})
}

// A further document that changes all the time is put ten times a second at most.
func TestSyncBusyFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		b := &diary{doc: `{"n":-1}`}
		d := start(t, h, `{}`, keeping(b))
		time.Sleep(time.Second)
		h.seen()
		for n := range 1000 {
			b.write(d, fmt.Sprintf(`{"n":%d}`, n))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(minInterval)
		if got := len(h.seen()); got < 5 || got > 12 {
			t.Errorf("hub got %d requests in a second, want 5 to 12", got)
		}
		if got, want := string(h.doc("events").Data), `"n":999}`; !strings.HasSuffix(got, want) {
			t.Errorf("published %s, want …%s", got, want)
		}
	})
}

// What changes while a further document is asked for is in the main document first.
func TestSyncMainDocumentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		b := &diary{doc: `{"events":[]}`}
		d := start(t, h, `{"n":0}`, keeping(b))
		time.Sleep(time.Second)
		h.want(t, "after connecting", "put current", "put events")
		b.mu.Lock()
		b.read = func() { // the door opens at that moment
			b.put(`{"events":["open"]}`)
			d.set(`{"n":1}`)
		}
		b.mu.Unlock()
		d.sync.Changed()
		time.Sleep(minInterval)
		h.want(t, "a change in between", "patch current 1", "put events")
	})
}

// Before the hub has the main document it gets no other.
func TestSyncFurtherWaitsForMain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		b := &diary{doc: `{"events":[]}`}
		d := start(t, h, `[]`, keeping(b))
		for range 10 {
			time.Sleep(10 * time.Second)
			d.sync.Changed()
		}
		h.want(t, "a main document that cannot be published")
		d.read(func() { d.doc, d.err = `{"n":0}`, errors.New("not known yet") })
		time.Sleep(time.Minute)
		h.want(t, "no main document")
		d.read(func() { d.err = nil })
		d.sync.Changed()
		time.Sleep(DefaultPoll)
		h.want(t, "a main document", "put current", "put events")
	})
}

// A further document that is not there, or that nobody would accept, keeps nothing else from being published.
func TestSyncBadFurther(t *testing.T) {
	large := `{"n":"` + strings.Repeat("x", twin.MaxDataSize) + `"}`
	for _, bad := range []string{"", large, `[1]`, `{`, `{"last_update":"mine"}`} {
		synctest.Test(t, func(t *testing.T) {
			h := newFakeHub(t)
			b := &diary{doc: bad}
			if bad == "" {
				b.err = errors.New("nothing to tell")
			}
			d := start(t, h, `{"n":0}`, keeping(b))
			time.Sleep(time.Hour + time.Second)
			if got, want := h.count(), fmt.Sprint(map[string]int{"get": 1801, "patch": 108, "put": 13}); got != want {
				t.Errorf("%.20s: got requests %v, want %v", bad, got, want)
			}
			want := 1
			if bad == "" {
				want = 0
			}
			if got := strings.Count(d.logged(), "further publication refused"); got != want {
				t.Errorf("%.20s: logged %d times, want %d:\n%s", bad, got, want, d.logged())
			}
			b.write(d, `{"n":1}`)
			h.want(t, "a good document", "put events")
		})
	}
}

// A hub that has no room for one more document, say: the main one goes on, it is asked 12 times an hour, and when there is room the
// document comes by itself.
func TestSyncHubRefusesFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		refuses := true
		h.fault = func(request string) fault {
			if refuses && request == "put events" {
				return refuse
			}
			return none
		}
		b := &diary{doc: `{"events":[]}`}
		d := start(t, h, `{"n":0}`, keeping(b))
		time.Sleep(time.Second)
		h.want(t, "after connecting", "put current", "put events")
		time.Sleep(time.Hour)
		if got, want := h.count(), fmt.Sprint(map[string]int{"get": 1800, "patch": 108, "put": 24}); got != want {
			t.Errorf("got requests %v, want %v", got, want)
		}
		d.set(`{"n":1}`)
		h.want(t, "the main document changed", "patch current 121")
		time.Sleep(time.Second)
		b.write(d, `{"events":["news"]}`)
		h.want(t, "the refused document changed", "put events")
		h.do(func() { refuses = false })
		time.Sleep(putEvery * DefaultHeartbeat)
		if got, want := string(h.doc("events").Data), `"events":["news"]}`; !strings.HasSuffix(got, want) {
			t.Errorf("published %s, want …%s", got, want)
		}
		for msg, want := range map[string]int{"further publication refused": 1, "further publication accepted again": 1} {
			if got := strings.Count(d.logged(), msg); got != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", msg, got, want, d.logged())
			}
		}
		if len(d.links) != 1 {
			t.Errorf("link: got %q, want it to stay up", d.links)
		}
	})
}

// A hub that ends the connection over a further document, or lets it time out, has the main one nearly always: the connection
// ends six times in an hour, then once in an hour.
func TestSyncConnectionEndsOverFurther(t *testing.T) {
	for _, what := range []fault{cut, cutMid, lose, loseRequest, freeze, garbage} {
		t.Run(string(what), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub(t)
				h.notices = with
				bad := true
				h.fault = func(request string) fault {
					if bad && request == "put events" {
						return what
					}
					return none
				}
				b := &diary{doc: `{"events":[]}`}
				d := start(t, h, `{"n":0}`, keeping(b))
				dead := 0 // in quarters of a minute
				for n := range 240 {
					time.Sleep(15 * time.Second)
					d.set(fmt.Sprintf(`{"n":%d}`, n))
					synctest.Wait()
					if published(t, h) != fmt.Sprintf(`{"n":%d}`, n) {
						dead++
					}
				}
				if got := h.dialled(); got != 7 {
					t.Errorf("connected %d times in the first hour, want 7", got)
				}
				if dead > 6 {
					t.Errorf("the main document was late %d times, want 6 at most", dead)
				}
				h.do(func() { bad = false })
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if string(h.doc("events").Data) == "" {
					t.Error("not published after the hub was mended")
				}
				h.do(func() { bad, h.dials = true, 0 }) // and when it breaks again, all begins anew
				b.write(d, `{"events":["news"]}`)
				time.Sleep(2 * time.Minute)
				if h.dialled() == 0 {
					t.Error("no connection ended over the change")
				}
				h.do(func() { bad = false })
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				if got, want := string(h.doc("events").Data), `"events":["news"]}`; !strings.HasSuffix(got, want) {
					t.Errorf("published %s, want …%s within minutes", got, want)
				}
			})
		})
	}
}
