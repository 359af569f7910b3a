package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A joinedServer is one of several hubs on one registry and one store.
type joinedServer struct {
	*testServer
	link *testLink
}

// A testLink has the faults of a link.
type testLink struct {
	*peers.MemoryLink
	mu    sync.Mutex
	fail  error         // of everything that can fail
	slow  time.Duration // that a Raise takes, half of it before it happens
	asked int           // calls of Elsewhere
}

func (l *testLink) setFail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *testLink) failing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail
}

func (l *testLink) Raise(ctx context.Context, id twin.ID) (int64, error) {
	if l.slow > 0 {
		time.Sleep(rand.N(l.slow))
		defer func() { time.Sleep(rand.N(l.slow)) }()
	}
	if err := l.failing(); err != nil {
		return 0, err
	}
	return l.MemoryLink.Raise(ctx, id)
}

func (l *testLink) Epochs(ctx context.Context, ids []twin.ID) (map[twin.ID]int64, error) {
	if err := l.failing(); err != nil {
		return nil, err
	}
	return l.MemoryLink.Epochs(ctx, ids)
}

func (l *testLink) Elsewhere(ctx context.Context, ids []twin.ID) (map[twin.ID]bool, error) {
	l.asked++
	if err := l.failing(); err != nil {
		return nil, err
	}
	return l.MemoryLink.Elsewhere(ctx, ids)
}

// newJoinedServers starts two hubs that are one to their clients.
func newJoinedServers(t *testing.T) (a, b *joinedServer) {
	t.Helper()
	devices, documents := registry.NewMemory(), docstore.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	all := peers.NewMemory(devices)
	start := func() *joinedServer {
		link := &testLink{MemoryLink: all.Link()}
		s := newTestServer(t, func(c *Config) {
			list, err := c.Registry.Devices(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				if err := devices.AddDevice(t.Context(), d); err != nil && !errors.Is(err, registry.ErrIDTaken) {
					t.Fatal(err)
				}
			}
			c.Registry, c.Documents, c.Peers = devices, documents, link
		})
		s.registry, s.documents = devices, documents
		return &joinedServer{s, link}
	}
	a, b = start(), start()
	if err := devices.AddToken(t.Context(), registry.Token{Name: "app", Hash: registry.HashSecret(restToken)}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return a, b
}

// A connection to one hub ends the one to another, at once when that hears of it.
func TestTakeOverAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		first, bystander := a.connect(panelID), a.connect(otherID)
		second := b.connect(panelID)
		first.want("closed")
		if log := a.log.take(); !strings.Contains(log, `level=INFO msg="device disconnected"`) || !strings.Contains(log, errOld.Error()) {
			t.Errorf("log is %q", log)
		}
		third := a.connect(panelID)
		second.want("closed")
		fourth := a.connect(panelID)
		third.want("closed")
		for _, c := range []*rawClient{fourth, bystander} {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// Where the news is lost, the older connection ends at whatever it asks for next, and nothing of that is done.
func TestOldConnectionIsRefused(t *testing.T) {
	for _, occasion := range append(occasions, occasion{"write", func(c *rawClient) {
		c.send(publishPacket("$SCW/twins/me/a/put", 7, `{"data":{}}`))
	}}, occasion{"change notice", nil}) {
		t.Run(occasion.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newJoinedServers(t)
				a.put(panelID, "desired", `{"data":{}}`)
				first, second := a.dial(), b.dial()
				first.send(connectPacket(string(panelID), 0), subscribePacket(1, "$SCW/twins/me/desired/changed"))
				first.want("20020000" + "9003000100" + notice("desired", 1))
				a.link.Deafen(true)
				second.send(connectPacket(string(panelID), 0))
				second.want("20020000")
				first.want("")
				a.log.take()
				if occasion.then != nil {
					occasion.then(first)
				} else {
					a.put(panelID, "desired", `{"data":{}}`)
				}
				a.wantEnd(first, errOld.Error())
				if _, err := b.documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "a"}); !errors.Is(err, twin.ErrDocumentNotFound) {
					t.Errorf("reading what the old connection wrote: got %v, want %v", err, twin.ErrDocumentNotFound)
				}
				second.send(packet(0xc0))
				second.want("d000")
			})
		})
	}
}

// A hub that hears again looks at all its connections, as often as that takes.
func TestOldConnectionEndsAfterMissedNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		taken, removed, several, bystander := a.connect(panelID), a.connect(otherID), a.connect(multiID), (*rawClient)(nil)
		if _, err := a.registry.UpdateDevice(t.Context(), secureID, func(d *registry.Device) error { d.AllowInsecure = true; return nil }); err != nil {
			t.Fatal(err)
		}
		bystander = a.connect(secureID)
		a.link.Deafen(true)
		again := b.connect(panelID)
		if err := b.registry.RemoveDevice(t.Context(), otherID); err != nil {
			t.Fatal(err)
		}
		b.ask("PATCH", "/devices/"+string(multiID), `{"allow_multiple_connections":false}`)
		for _, c := range []*rawClient{taken, removed, several} {
			c.want("")
		}
		a.link.setFail(errors.New("database is away"))
		a.link.Deafen(false)
		time.Sleep(10 * time.Second)
		taken.want("")
		if log := a.log.take(); !strings.Contains(log, "can't be read: trying again") {
			t.Errorf("log is %q", log)
		}
		a.link.setFail(nil)
		time.Sleep(catchUpAgain)
		for _, c := range []*rawClient{taken, removed, several} {
			c.want("closed")
		}
		for _, c := range []*rawClient{again, bystander} {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// Of connections that are made at the same time one survives, however the hubs' work falls into each other and
// whatever they hear of each other.
func TestOneOfManyConnectionsSurvives(t *testing.T) {
	for round := range 100 {
		deaf := round%2 == 0
		t.Run(fmt.Sprintf("%d, deaf %v", round, deaf), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newJoinedServers(t)
				for _, s := range []*joinedServer{a, b} {
					s.link.slow = 50 * time.Millisecond
					s.link.Deafen(deaf)
				}
				var clients []*rawClient
				for _, s := range []*joinedServer{a, b, a, b, b, a} {
					c := s.dial()
					c.send(connectPacket(string(panelID), 60))
					clients = append(clients, c)
					time.Sleep(rand.N(20 * time.Millisecond))
				}
				time.Sleep(time.Second)
				var alive int
				for _, c := range clients {
					c.send(packet(0xc0))
					if got := c.take(); strings.HasSuffix(got, "d000") {
						alive++
					} else if !strings.HasSuffix(got, "closed") {
						t.Errorf("got %s", got)
					}
				}
				if alive != 1 {
					t.Errorf("%d connections survive, want 1", alive)
				}
			})
		})
	}
}

// A hub that can't tell the others accepts nobody, and ends nobody.
func TestConnectWithoutOtherHubs(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
		log  string
	}{
		{errors.New("database is away"), "20020003 closed", "level=ERROR"},
		{&docstore.OutcomeError{Err: errors.New("database went away")}, "20020003 closed", "level=ERROR"},
		{fmt.Errorf("raising: %w", registry.ErrNoDevice), "20020005 closed", errRemoved.Error()},
	} {
		t.Run(tt.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, _ := newJoinedServers(t)
				first, several := a.connect(panelID), a.connect(multiID)
				a.link.setFail(tt.err)
				a.log.take()
				second := a.dial()
				second.send(connectPacket(string(panelID), 60))
				second.want(tt.want)
				if log := a.log.take(); !strings.Contains(log, tt.log) {
					t.Errorf("log is %q, want %q", log, tt.log)
				}
				for _, c := range []*rawClient{first, several, a.connectAs("another", multiID)} {
					c.send(packet(0xc0))
					c.want("d000")
				}
			})
		})
	}
}

// A device that may have several connections may have them on several hubs, until somebody changes it.
func TestSeveralConnectionsAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		clients := []*rawClient{a.connectAs("1", multiID), b.connectAs("2", multiID), a.connectAs("3", multiID)}
		for _, c := range clients {
			c.send(packet(0xc0))
			c.want("d000")
		}
		b.ask("PATCH", "/devices/"+string(multiID), `{"allow_multiple_connections":false}`)
		for _, c := range clients {
			c.want("closed")
		}
		first := a.connect(multiID)
		second := b.connect(multiID)
		first.want("closed")
		second.want("")
		b.ask("PATCH", "/devices/"+string(multiID), `{"allow_multiple_connections":true}`)
		third := a.connectAs("3", multiID)
		for _, c := range []*rawClient{second, third} {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// Whatever ends a device's connections on one hub ends them on the others.
func TestRESTEndsConnectionsOfOtherHubs(t *testing.T) {
	for _, tt := range []struct {
		method, path, body string
		device             twin.ID
		after              string // answers a new CONNECT
	}{
		{"POST", "/disable", `{}`, panelID, "20020005 closed"},
		{"DELETE", "", ``, panelID, "20020005 closed"},
		{"PATCH", "", `{"allow_insecure":false}`, panelID, "20020005 closed"},
		{"PATCH", "", `{"allow_multiple_connections":false}`, multiID, "20020000"},
		{"POST", "/renew-certificate", `{}`, panelID, "20020000"},
	} {
		t.Run(tt.method+tt.path+tt.body, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newJoinedServers(t)
				mine, others := b.connect(tt.device), b.connect(otherID)
				a.ask(tt.method, "/devices/"+string(tt.device)+tt.path, tt.body)
				mine.want("closed")
				again := b.dial()
				again.send(connectPacket(string(tt.device), 60))
				again.want(tt.after)
				others.send(packet(0xc0))
				others.want("d000")
			})
		})
	}
	t.Run("and says so where it can't", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := newJoinedServers(t)
			mine := b.connect(panelID)
			a.link.setFail(errors.New("database is away"))
			a.ask("POST", "/devices/"+string(panelID)+"/disable", `{}`)
			if log := a.log.take(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "database is away") {
				t.Errorf("log is %q", log)
			}
			mine.want("")
			mine.send(packet(0xc0))
			mine.want("closed")
		})
	})
}

// A change on one hub is told to the connections of the others that asked, and to nobody twice.
func TestNoticesAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		a.put(multiID, "desired", `{"data":{}}`)
		var clients []*rawClient
		for i, s := range []*joinedServer{a, a, b} {
			c := s.connectAs(fmt.Sprint(i), multiID)
			c.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
			c.want("9003000200" + notice("desired", 1))
			clients = append(clients, c)
		}
		bystander := b.connect(otherID)
		check := func(want ...string) {
			t.Helper()
			for i, c := range clients {
				c.want(want[i])
			}
		}
		clients[0].send(publishPacket("$SCW/twins/me/desired/put", 0, `{"data":{}}`))
		check("", notice("desired", 2), notice("desired", 2))
		clients[2].send(publishPacket("$SCW/twins/me/desired/patch", 0, `{"data":{}}`))
		check(notice("desired", 3), notice("desired", 3), "")
		all := func(want string) { t.Helper(); check(want, want, want) }
		b.ask("PUT", "/twins/"+string(multiID)+"/documents/new", `{"data":{}}`)
		all(notice("new", 1))
		b.ask("DELETE", "/twins/"+string(multiID)+"/documents/desired", "")
		all(notice("desired", 0))
		b.ask("DELETE", "/twins/"+string(multiID), "")
		all(notice("new", 0))
		b.ask("DELETE", "/twins/"+string(multiID), "")
		all("")
		bystander.want("")
	})
}

// After news was missed, each client hears of everything that it asked for: also of documents that are
// gone meanwhile, and of those that it never heard of.
func TestNoticesAfterMissedNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		for _, name := range []twin.Name{"deleted", "stays", "written"} {
			a.put(multiID, name, `{"data":{}}`)
		}
		wide, one, deaf, none := a.connectAs("wide", multiID), a.connectAs("one", multiID), a.dialDeaf(), a.connectAs("none", multiID)
		wide.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
		wide.want("9003000200" + notice("deleted", 1) + notice("stays", 1) + notice("written", 1))
		one.send(subscribePacket(2, "$SCW/twins/me/deleted/changed", "$SCW/twins/me/never/changed"))
		one.want("900400020000" + notice("deleted", 1) + notice("never", 0))
		deaf.send(packet(0x10, "MQTT", 4, 0x82, uint16(60), "deaf", string(multiID)))
		deaf.readNext("20020000")
		deaf.send(subscribePacket(1, "$SCW/twins/me/stays/changed"))
		deaf.readNext("9003000100" + notice("stays", 1))
		none.send(subscribePacket(2, "$SCW/twins/#"))
		none.want("9003000200")

		a.link.Deafen(true)
		b.put(multiID, "written", `{"data":{}}`)
		b.put(multiID, "new", `{"data":{}}`)
		b.ask("DELETE", "/twins/"+string(multiID)+"/documents/deleted", "")
		wide.want("")
		a.link.Deafen(false)
		wide.want(notice("deleted", 0) + notice("stays", 1) + notice("written", 2) + notice("new", 1))
		one.want(notice("deleted", 0) + notice("never", 0))
		none.want("")

		// Nobody has waited for the deaf one.
		b.put(multiID, "written", `{"data":{}}`)
		wide.want(notice("written", 3))
		a.link.Deafen(true)
		a.link.Deafen(false)
		wide.want(notice("stays", 1) + notice("written", 3) + notice("new", 1))
		one.want(notice("deleted", 0) + notice("never", 0))
		deaf.readNext(notice("stays", 1) + notice("stays", 1))
	})
}

// A twin whose documents can't be listed when news was missed: the connection ends, so that its client reads anew.
func TestNoticesThatCannotBeCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := newJoinedServers(t)
		c := a.connect(panelID)
		c.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
		c.want("9003000200")
		if err := a.documents.Close(); err != nil {
			t.Fatal(err)
		}
		a.link.Deafen(false)
		c.want("closed")
		if log := a.log.take(); !strings.Contains(log, errNoVersion.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

func TestPresenceAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		hubs, _ := a.ask("GET", "/hubs", "")["hubs"].([]any)
		path := fmt.Sprint("/hubs/", hubs[0].(map[string]any)["id"])
		check := func(when string, count float64, connected ...twin.ID) {
			t.Helper()
			synctest.Wait()
			for name, s := range map[string]*joinedServer{"a": a, "b": b} {
				s.link.asked = 0
				list, _ := s.ask("GET", "/devices", "")["devices"].([]any)
				if s.link.asked != 1 {
					t.Errorf("%s: %s asked %d times for a list, want once", when, name, s.link.asked)
				}
				got := make(map[twin.ID]bool)
				for _, d := range list {
					d := d.(map[string]any)
					id, _ := d["id"].(string)
					got[twin.ID(id)], _ = d["is_connected"].(bool)
				}
				for _, id := range []twin.ID{panelID, otherID, multiID, secureID} {
					want := false
					for _, c := range connected {
						want = want || c == id
					}
					if one := s.ask("GET", "/devices/"+string(id), "")["is_connected"]; got[id] != want || one != want {
						t.Errorf("%s: %s says of %.1s… %v and %v, want %v", when, name, id, got[id], one, want)
					}
				}
				if n := s.ask("GET", path, "")["connected_device_count"]; n != count {
					t.Errorf("%s: %s counts %v, want %v", when, name, n, count)
				}
			}
		}
		check("before", 0)
		panel := a.connect(panelID)
		check("one", 1, panelID)
		several := []*rawClient{a.connectAs("1", multiID), a.connectAs("2", multiID), b.connectAs("3", multiID)}
		check("several", 2, panelID, multiID)
		several[0].conn.Close()
		several[2].conn.Close()
		check("several on one hub only", 2, panelID, multiID)
		several[1].conn.Close()
		check("none of the several", 1, panelID)
		moved := b.connect(panelID)
		panel.want("closed")
		check("moved", 1, panelID)
		b.link.setFail(errors.New("database is away"))
		if n := b.ask("GET", path, "")["connected_device_count"]; n != 1.0 {
			t.Errorf("without the others: got %v, want those of this hub", n)
		}
		b.link.setFail(nil)
		moved.conn.Close()
		check("after", 0)
	})
}

// Time series go where the hub's record says, whichever hub was asked to change it.
func TestHubRecordAcrossHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newJoinedServers(t)
		hubs, _ := a.ask("GET", "/hubs", "")["hubs"].([]any)
		path := fmt.Sprint("/hubs/", hubs[0].(map[string]any)["id"])
		pushesTo := func(s *joinedServer) string {
			synctest.Wait()
			s.series.mu.Lock()
			defer s.series.mu.Unlock()
			return s.series.uri
		}
		for _, uri := range []string{"http://127.0.0.1:1/one", "http://127.0.0.1:1/two", ""} {
			a.ask("PATCH", path, fmt.Sprintf(`{"twins_graphite_config":{"push_uri":%q}}`, uri))
			if got := pushesTo(b); got != uri {
				t.Errorf("by news: pushes to %q, want %q", got, uri)
			}
		}
		b.link.Deafen(true)
		a.ask("PATCH", path, `{"twins_graphite_config":{"push_uri":"http://127.0.0.1:1/three"}}`)
		if got := pushesTo(b); got != "" {
			t.Errorf("without news: pushes to %q, want nowhere", got)
		}
		b.link.Deafen(false)
		if got := pushesTo(b); got != "http://127.0.0.1:1/three" {
			t.Errorf("after missed news: pushes to %q", got)
		}
	})
}
