package twinclient

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// dial connects or fails the test. The connection is closed when the test ends.
func dial(t *testing.T, h *fakeHub) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDialFails(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func(*fakeHub)
		want  string
		after time.Duration
	}{
		{"hub unreachable", func(h *fakeHub) { h.down = errors.New("no route") }, "connecting to mqtt://localhost:1883: no route", 0},
		{"silent hub", func(h *fakeHub) { h.silent = true }, "no connection within 20s", 20 * time.Second},
		{"old protocol wanted", func(h *fakeHub) { h.connack = 1 }, "it has to speak MQTT 3.1.1", 0},
		{"client id refused", func(h *fakeHub) { h.connack = 2 }, "check the device id", 0},
		{"unavailable", func(h *fakeHub) { h.connack = 3 }, "hub says that it is unavailable", 0},
		{"user refused", func(h *fakeHub) { h.connack = 4 }, "hub refused the device, which shows nothing but its id: check the device id, and give", 0},
		{"not authorised", func(h *fakeHub) { h.connack = 5 }, "hub refused the device, which shows nothing but its id: check the device id, and give", 0},
		{"answers of MQTT 5", func(h *fakeHub) { h.connack = 0x84 }, "unknown code 132: does it speak MQTT 3.1.1?", 0},
		{"subscription refused", func(h *fakeHub) { h.suback = 0x80 }, "refused the subscription to $SCW/twins/me/#", 0},
		{"subscription granted at another level", func(h *fakeHub) { h.suback = 2 }, "refused the subscription to $SCW/twins/me/#", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub(t)
				test.setup(h)
				start := time.Now()
				c, err := Dial(t.Context(), h.options())
				if err == nil {
					c.Close()
					t.Fatal("connected")
				}
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got error %q, want it to contain %q", err, test.want)
				}
				if took := time.Since(start); took < test.after || took > test.after+disconnectWait {
					t.Errorf("took %v, want %v", took, test.after)
				}
			})
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.silent = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := Dial(ctx, h.options()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want that of the context", err)
		}
		if took := time.Since(start); took > time.Second+disconnectWait {
			t.Errorf("took %v, want 1s", took)
		}
	})
}

func TestConnAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		if _, err := c.Get(t.Context(), "desired"); !errors.Is(err, twin.ErrDocumentNotFound) || err.Error() != "get desired: document not found" {
			t.Errorf("get of nothing: got error %v", err)
		}
		if _, err := c.Patch(t.Context(), "current", twin.Update{Data: []byte(`{}`)}); !errors.Is(err, twin.ErrDocumentNotFound) {
			t.Errorf("patch of nothing: got error %v", err)
		}
		steps := []struct {
			do   func(context.Context, twin.Name, twin.Update) (twin.Document, error)
			u    twin.Update
			want string
		}{
			{c.Put, twin.Update{Data: []byte(`{"a": 1, "b": [1, 2]}`)}, `{"version":1,"data":{"a":1,"b":[1,2]}}`},
			{c.Put, twin.Update{Version: 1, Data: []byte(`{"a":2}`)}, `{"version":2,"data":{"a":2}}`},
			{c.Patch, twin.Update{Version: 2, Data: []byte(`{"a":null,"c":{"d":"<&>"}}`)}, `{"version":3,"data":{"c":{"d":"<&>"}}}`},
			{c.Patch, twin.Update{}, `{"version":4,"data":{"c":{"d":"<&>"}}}`},
		}
		for i, step := range steps {
			doc, err := step.do(t.Context(), "current", step.u)
			if got := string(doc.Encode()); err != nil || got != step.want {
				t.Errorf("step %d: got %s, %v, want %s", i, got, err, step.want)
			}
		}
		if doc, err := c.Get(t.Context(), "current"); err != nil || doc.Version != 4 {
			t.Errorf("get: got %v, %v, want version 4", doc, err)
		}
		_, err := c.Put(t.Context(), "current", twin.Update{Version: 1})
		if mismatch, ok := errors.AsType[*twin.VersionError](err); !ok || *mismatch != (twin.VersionError{Expected: 1, Actual: 4}) {
			t.Errorf("put of an old version: got error %#v", err)
		}
		if err := c.Err(); err != nil {
			t.Errorf("after all this the connection has ended: %v", err)
		}
	})
}

// What no hub takes isn't sent.
func TestConnRefusesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		for _, test := range []struct {
			name string
			doc  twin.Name
			do   func(context.Context, twin.Name, twin.Update) (twin.Document, error)
			data string
			want string
		}{
			{"bad name", "a/b", c.Put, `{}`, "put a/b: document_name"},
			{"no name", "", c.Patch, `{}`, "patch : document_name"},
			{"no object", "current", c.Put, `[1]`, "put current: data"},
			{"no JSON", "current", c.Patch, `{"a":tru}`, "patch current: "},
			{"twice the same key", "current", c.Put, `{"a":1,"a":2}`, "put current: data"},
			{"null in an array", "current", c.Patch, `{"a":[null]}`, "patch current: data.a[0]"},
			{"too large", "current", c.Put, `{"a":"` + strings.Repeat("x", twin.MaxDataSize) + `"}`, "put current: data"},
		} {
			_, err := test.do(t.Context(), test.doc, twin.Update{Data: []byte(test.data)})
			if _, ok := errors.AsType[*twin.InvalidError](err); !ok || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%s: got error %v, want an InvalidError that begins with %q", test.name, err, test.want)
			}
		}
		if got := h.seen(); len(got) > 0 {
			t.Errorf("hub got %q", got)
		}
	})
}

// A fault costs the connection, or nothing; it never gives a wrong answer.
func TestConnFaults(t *testing.T) {
	ends := map[fault]string{
		lose: "no answer in time", loseRequest: "no answer in time", late: "no answer in time",
		wrongTopic: "no answer in time", idTopic: "no answer in time",
		cut: "hub closed the connection", cutMid: "hub closed the connection",
		freeze: "no answer in time", garbage: "something that is no document",
		huge: "starts with 0x30 and is 268435455 bytes long", qos1: "starts with 0x32",
	}
	for _, what := range allFaults {
		for _, method := range []twin.Method{twin.Get, twin.Put, twin.Patch} {
			t.Run(string(what)+"/"+string(method), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newFakeHub(t)
					h.set("current", `{"n":1}`)
					c := dial(t, h)
					h.fault = func(string) fault { return what }
					start := time.Now()
					doc, err := ask(t.Context(), c, method, `{"n":2}`)
					if took := time.Since(start); took > DefaultTimeout {
						t.Errorf("took %v", took)
					}
					want, bad := ends[what]
					if what == cutAfter && err != nil {
						want, bad = "hub closed the connection", true // the end may overtake the answer
					}
					if !bad {
						if err != nil || doc.Version == 77 {
							t.Errorf("got %v, %v, want the answer", doc, err)
						}
						return
					}
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("got %v, %v, want an error with %q", doc, err, want)
					}
					<-c.Done()
					if c.Err() == nil || !strings.Contains(err.Error(), c.Err().Error()) {
						t.Errorf("the connection ended because of %v, the request failed because of %v", c.Err(), err)
					}
					if _, err := c.Get(t.Context(), "current"); !errors.Is(err, c.Err()) {
						t.Errorf("the next request: got error %v, want %v", err, c.Err())
					}
				})
			})
		}
	}
}

// ask does something to the document current.
func ask(ctx context.Context, c *Conn, m twin.Method, data string) (twin.Document, error) {
	switch m {
	case twin.Put:
		return c.Put(ctx, "current", twin.Update{Data: []byte(data)})
	case twin.Patch:
		return c.Patch(ctx, "current", twin.Update{Data: []byte(data)})
	}
	return c.Get(ctx, "current")
}

// The second answer to one request comes while the next one is in flight.
func TestConnSecondAnswerIsNotTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		h.fault = func(string) fault { return echoLater }
		for version := range uint32(5) {
			doc, err := c.Put(t.Context(), "current", twin.Update{Version: version})
			if err != nil || doc.Version != version+1 {
				t.Fatalf("got %v, %v, want version %d", doc, err, version+1)
			}
		}
		// A refusal of another version isn't ours either.
		if _, err := c.Put(t.Context(), "current", twin.Update{Version: 3}); err == nil {
			t.Error("put of an old version: no error")
		}
		if doc, err := c.Put(t.Context(), "current", twin.Update{Version: 5}); err != nil || doc.Version != 6 {
			t.Errorf("got %v, %v, want version 6", doc, err)
		}
	})
}

// An answer that is late for one connection is lost; the next connection never sees it.
func TestConnLateAnswerDoesNotCross(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.set("current", `{"n":1}`)
		c := dial(t, h)
		h.fault = func(string) fault { return late }
		if _, err := c.Get(t.Context(), "current"); !errors.Is(err, ErrNoAnswer) {
			t.Fatalf("got error %v, want %v", err, ErrNoAnswer)
		}
		h.do(func() { h.fault, h.latency = nil, 2*time.Second })
		h.set("current", `{"n":2}`)
		c = dial(t, h)
		if doc, err := c.Get(t.Context(), "current"); err != nil || string(doc.Data) != `{"n":2}` {
			t.Errorf("got %s, %v, want the present document", doc.Data, err)
		}
	})
}

func TestConnFrozenLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		h.fault = func(string) fault { return freeze }
		// The hub reads the first request and nothing after it.
		if _, err := c.Get(t.Context(), "desired"); err == nil {
			t.Fatal("no error")
		}
		start := time.Now()
		c.Close()
		if took := time.Since(start); took > 2*disconnectWait {
			t.Errorf("Close took %v", took)
		}
	})
}

// Without requests it is the ping that finds out, and its write has a deadline, too.
func TestConnFrozenWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		h.fault = func(string) fault { return freeze }
		h.timeout = time.Hour
		go c.client.Publish("$SCW/twins/me/desired/get", 0, false, []byte{}) // stops the hub's reading, beside c's book-keeping
		start := time.Now()
		<-c.Done()
		if took := time.Since(start); took > keepAlive+3*DefaultTimeout {
			t.Errorf("noticed after %v", took)
		}
		h.takeOver()
	})
}

func TestConnIdleIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		time.Sleep(time.Hour)
		if _, err := c.Get(t.Context(), "desired"); !errors.Is(err, twin.ErrDocumentNotFound) {
			t.Errorf("after an hour: got error %v", err)
		}
		if got := h.packets[12]; got < 50 || got > 60 {
			t.Errorf("got %d pings in an hour, want 50 to 60", got)
		}
	})
}

func TestConnTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.exclusive = false
		first := dial(t, h)
		second := dial(t, h)
		<-first.Done()
		if !errors.Is(first.Err(), errHubClosed) {
			t.Errorf("first connection: got error %v, want %v", first.Err(), errHubClosed)
		}
		if err := second.Err(); err != nil {
			t.Errorf("second connection: got error %v", err)
		}
	})
}

func TestConnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		h.do(func() { h.fault = func(string) fault { return lose } })
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Get(t.Context(), "desired"); !errors.Is(err, ErrClosed) {
				t.Errorf("request in flight: got error %v, want %v", err, ErrClosed)
			}
		})
		synctest.Wait()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		select {
		case <-c.Done():
		default:
			t.Error("not done after Close")
		}
		if _, err := c.Get(t.Context(), "desired"); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: got error %v, want %v", err, ErrClosed)
		}
		synctest.Wait()
		if h.goodbyes != 1 {
			t.Errorf("hub got %d DISCONNECT, want 1", h.goodbyes)
		}
	})
}

func TestConnContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		c := dial(t, h)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Get(ended, "desired"); !errors.Is(err, context.Canceled) {
			t.Errorf("context that has ended: got error %v", err)
		}
		if err := c.Err(); err != nil {
			t.Errorf("nothing was sent, but the connection has ended: %v", err)
		}
		// In flight, the answer may still come, so the connection has to go.
		h.fault = func(string) fault { return lose }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "desired"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("context that ends in flight: got error %v", err)
		}
		if err := c.Err(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the connection ended with %v", err)
		}
	})
}

// The fake hub fails the test when a request comes while another is unanswered.
func TestConnOneRequestAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.latency = 100 * time.Millisecond
		c := dial(t, h)
		start := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := c.Put(t.Context(), "current", twin.Update{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 20*h.latency {
			t.Errorf("took %v, want one after the other: %v", took, 20*h.latency)
		}
		if v := h.doc("current").Version; v != 20 {
			t.Errorf("got version %d, want 20", v)
		}
	})
}
