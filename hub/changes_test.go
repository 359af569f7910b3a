package hub

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// notice is a change notice about a document of the device itself, as take has it.
func notice(name twin.Name, version int) string {
	return noticeTo(twin.Me, name, version)
}

func noticeTo(id string, name twin.Name, version int) string {
	return answer("$SCW/twins/"+id+"/"+string(name)+"/changed", fmt.Sprintf(`{"version":%d}`, version))
}

// asking connects as a device and asks for notices of the document desired, which is at version 1.
func (s *testServer) asking(id twin.ID) *rawClient {
	s.t.Helper()
	s.put(id, "desired", `{"data":{}}`)
	c := s.dial()
	c.send(connectPacket(string(id), 60), subscribePacket(1, "$SCW/twins/me/desired/changed"))
	c.want("20020000" + "9003000100" + notice("desired", 1))
	return c
}

// Which filters ask for notices, and of what: at the SUBSCRIBE, and at the next change.
func TestNoticesNeedAFilterOfTheirOwn(t *testing.T) {
	const own, other, nobody = "$SCW/twins/" + string(panelID), "$SCW/twins/" + string(otherID), "$SCW/twins/" + string(nobodyID)
	const none = ""
	me := func(names ...twin.Name) string {
		var all strings.Builder
		for _, name := range names {
			all.WriteString(notice(name, 1))
		}
		return all.String()
	}
	tests := []struct {
		filter         string
		suback         string
		begin, changed string // changed: after the creation of another document, "new"
	}{
		{"+/twins/me/desired/changed", "80", none, none},
		{"$SCW/twins/me/desired/changed/#/", "80", none, none},
		{"house/changed", "80", none, none},
		{"$SCW/#", "00", none, none},
		{"$SCW/twins/#", "00", none, none},
		{"$SCW/twins/me/#", "00", none, none},
		{"$SCW/twins/me/desired/#", "00", none, none},
		{"$SCW/twins/me/desired/+", "00", none, none},
		{"$SCW/twins/me/desired/changed/#", "00", none, none},
		{"$SCW/twins/me/desired/changed/changed", "00", none, none},
		{"$SCW/twins/me/desired/get/response/changed", "00", none, none},
		{"$SCW/twins/me/desired/Changed", "00", none, none},
		{"$SCW/twins/me/desired/unchanged", "00", none, none},
		{"$SCW/twins/me/changed", "00", none, none},
		{"$SCW/twins/changed", "00", none, none},
		{"$SCW/twins//desired/changed", "00", none, none},
		{"$SCW/twins/me//changed", "00", none, none},
		{"$SCW/twins/me/a b/changed", "00", none, none},
		{"$SCW/twins/me/../changed", "00", none, none},
		{"$SCW/twins/you/desired/changed", "00", none, none},
		{other + "/desired/changed", "00", none, none},
		{other + "/+/changed", "00", none, none},
		{nobody + "/desired/changed", "00", none, none},

		{"$SCW/twins/me/desired/changed", "00", me("desired"), none},
		{"$SCW/twins/me/nothing/changed", "00", notice("nothing", 0), none},
		{"$SCW/twins/me/new/changed", "00", notice("new", 0), me("new")},
		{"$SCW/twins/me/_config/changed", "00", notice("_config", 0), none},
		{"$SCW/twins/me/changed/changed", "00", notice("changed", 0), none},
		{"$SCW/twins/me/+/changed", "00", me("current", "desired"), me("new")},
		{"$SCW/twins/+/+/changed", "00", me("current", "desired"), me("new")},
		{"$SCW/+/+/+/changed", "00", me("current", "desired"), me("new")},
		{"$SCW/twins/+/desired/changed", "00", me("desired"), none},
		{own + "/desired/changed", "00", noticeTo(string(panelID), "desired", 1), none},
		{own + "/new/changed", "00", noticeTo(string(panelID), "new", 0), noticeTo(string(panelID), "new", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				for _, name := range []twin.Name{"current", "desired"} {
					s.put(panelID, name, `{"data":{}}`)
					s.put(otherID, name, `{"data":{}}`)
				}
				c := s.dial()
				c.send(connectPacket(string(panelID), 60), subscribePacket(1, tt.filter))
				c.want("20020000" + "90030001" + tt.suback + tt.begin)
				s.put(otherID, "desired", `{"data":{}}`)
				s.put(otherID, "new", `{"data":{}}`)
				c.want("")
				s.put(panelID, "new", `{"data":{}}`)
				c.want(tt.changed)
			})
		})
	}
}

// However many filters mean a document, there is one notice, in the form that says me if
// one of them does.
func TestNoticesComeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const own = "$SCW/twins/" + string(panelID)
		s := newTestServer(t, nil)
		s.put(panelID, "desired", `{"data":{}}`)
		c := s.dial()
		c.send(connectPacket(string(panelID), 60), subscribePacket(1, own+"/+/changed", own+"/desired/changed", "$SCW/twins/me/desired/changed", "$SCW/#"))
		c.want("20020000" + "9006000100000000" + notice("desired", 1))
		s.put(panelID, "desired", `{"data":{}}`)
		c.want(notice("desired", 2))
		s.put(panelID, "current", `{"data":{}}`)
		c.want(noticeTo(string(panelID), "current", 1))

		// Who subscribes again is told again, of what that filter means.
		c.send(subscribePacket(2, "$SCW/twins/me/desired/changed"))
		c.want("9003000200" + notice("desired", 2))
		c.send(packet(0xa2, uint16(3), "$SCW/twins/me/desired/changed", own+"/+/changed"))
		c.want("b0020003")
		s.put(panelID, "desired", `{"data":{}}`)
		c.want(noticeTo(string(panelID), "desired", 3))
		c.send(packet(0xa2, uint16(4), own+"/desired/changed"))
		c.want("b0020004")
		s.put(panelID, "desired", `{"data":{}}`)
		c.want("")
	})
}

// Each way to change a document, and what the others and the connection itself hear of it.
func TestNoticesOfEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.put(multiID, "desired", `{"data":{}}`)
		first, second := s.connectAs("first", multiID), s.connectAs("second", multiID)
		for _, c := range []*rawClient{first, second} {
			c.send(subscribePacket(2, "$SCW/twins/#", "$SCW/twins/me/+/changed"))
			c.want("900400020000" + notice("desired", 1))
		}
		token, secret, err := registry.NewToken("phone")
		if err == nil {
			err = s.registry.AddToken(t.Context(), token)
		}
		if err != nil {
			t.Fatal(err)
		}
		rest := func(method, path, body string, want int) {
			t.Helper()
			r := httptest.NewRequest(method, "/iot/v1/regions/fr-par/twins/"+string(multiID)+path, strings.NewReader(body))
			r.Header.Set("X-Auth-Token", secret)
			w := httptest.NewRecorder()
			s.REST().ServeHTTP(w, r)
			if w.Code != want {
				t.Fatalf("%s %s: got %d %s, want %d", method, path, w.Code, w.Body, want)
			}
		}
		both := func(want string) {
			t.Helper()
			first.want(want)
			second.want(want)
		}
		rest("GET", "/documents/desired", "", 200)
		rest("PUT", "/documents/desired", `{"version":9,"data":{}}`, 400)
		rest("PATCH", "/documents/nothing", `{"data":{}}`, 404)
		rest("DELETE", "/documents/nothing", "", 404)
		both("")
		rest("PUT", "/documents/desired", `{"data":{}}`, 200)
		both(notice("desired", 2))
		rest("PATCH", "/documents/desired", `{"data":{}}`, 200) // no difference, but a new version
		both(notice("desired", 3))
		rest("DELETE", "/documents/desired", "", 204)
		both(notice("desired", 0))
		rest("PUT", "/documents/desired", `{"data":{}}`, 200)
		both(notice("desired", 1))

		first.send(publishPacket("$SCW/twins/me/current/put", 0, `{"data":{}}`))
		first.want(answer("$SCW/twins/me/current/put/response/success", `{"version":1,"data":{}}`))
		second.want(notice("current", 1))
		second.send(publishPacket("$SCW/twins/me/current/patch", 0, `{"data":{"a":1}}`))
		second.want(answer("$SCW/twins/me/current/patch/response/success", `{"version":2,"data":{"a":1}}`))
		first.want(notice("current", 2))

		rest("DELETE", "", "", 204)
		both(notice("current", 0) + notice("desired", 0))
		rest("DELETE", "", "", 204)
		both("")

		// A client that publishes where the notices come from reaches nobody.
		first.send(publishPacket("$SCW/twins/me/desired/changed", 0, `{"version":7}`))
		both("")
	})
}

// A writer doesn't wait for a client that takes its time, and that client isn't told of what is over.
func TestNoticesNeverHoldUpAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.askingDeaf(subscribePacket(1, "$SCW/twins/me/desired/changed"))
		began := time.Now()
		for range 1000 {
			s.put(panelID, "desired", `{"data":{}}`)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("writing took %v", waited)
		}
		c.readNext(notice("desired", 0)) // was being sent
		c.readNext(notice("desired", 1000))
		go c.read()
		c.want("")
		s.put(panelID, "desired", `{"data":{}}`)
		c.want(notice("desired", 1001))
	})
}

// askingDeaf connects as the panel, subscribes and reads nothing after the SUBACK.
func (s *testServer) askingDeaf(subscribe []byte) *rawClient {
	s.t.Helper()
	c := s.dialDeaf()
	c.send(connectPacket(string(panelID), 60))
	c.readNext("20020000")
	c.send(subscribe)
	c.readNext("9003000100")
	synctest.Wait()
	return c
}

// readNext reads as many bytes as are wanted.
func (c *rawClient) readNext(want string) {
	c.t.Helper()
	b := make([]byte, len(want)/2)
	if _, err := io.ReadFull(c.conn, b); err != nil || fmt.Sprintf("%x", b) != want {
		c.t.Fatalf("got  %x, %v\nwant %s", b, err, want)
	}
}

// latecomers is a store whose puts return in another order than they were committed in.
type latecomers struct{ docstore.Store }

func (l latecomers) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	version, err := l.Store.Put(ctx, key, cond, data)
	time.Sleep(rand.N(time.Second))
	return version, err
}

// The last notice says what the last write made, whichever writer speaks last.
func TestLastNoticeIsTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Documents = latecomers{c.Documents} })
		c := s.asking(panelID)
		for round := range 20 {
			var writers sync.WaitGroup
			for range 10 {
				writers.Go(func() { s.put(panelID, "desired", `{"data":{}}`) })
			}
			writers.Wait()
			want := notice("desired", 1+10*(round+1))
			if got := c.take(); !strings.HasSuffix(got, want) {
				t.Fatalf("got %s, want %s at the end", got, want)
			}
		}
	})
}
