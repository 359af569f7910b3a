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
