package hub

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

// Why a connection that asked for notices ends: it must not wait for what doesn't come.
func TestNoticesThatCannotBeSentEndTheConnection(t *testing.T) {
	tests := []struct {
		name   string
		happen func(*testServer, *rawClient)
		log    string
	}{
		{"client takes nothing", func(s *testServer, _ *rawClient) {
			s.put(panelID, "desired", `{"data":{}}`)
			time.Sleep(writeTime)
		}, errNotReading.Error()},
		{"client takes half a notice", func(s *testServer, c *rawClient) {
			s.put(panelID, "desired", `{"data":{}}`)
			io.ReadFull(c.conn, make([]byte, 9))
			c.send(packet(0xc0)) // whose answer would look like the rest of the notice
			time.Sleep(writeTime)
		}, errNotReading.Error()},
		{"too many notices wait", func(s *testServer, _ *rawClient) {
			for i := range maxDueNotices + 2 { // one is being sent
				name := twin.Name(fmt.Sprintf("n%d", i))
				s.put(panelID, name, `{"data":{}}`)
				if err := s.delete(context.Background(), panelID, name); err != nil {
					s.t.Error(err)
				}
			}
		}, errLateNotices.Error()},
		{"store cannot be read", func(s *testServer, _ *rawClient) {
			s.documents.Close()
			s.endpoint.changed(docstore.Key{Twin: panelID, Name: "desired"}, nil)
		}, "level=ERROR msg=\"change notice failed\" device=panel id=11111111… error=\"store is closed\"\n"},
		{"fault of the hub", func(s *testServer, _ *rawClient) {
			s.endpoint.do = func(context.Context, *session, twin.ID, twin.Name, twin.Method, []byte) (twin.Document, error) {
				panic("a fault")
			}
			s.endpoint.changed(docstore.Key{Twin: panelID, Name: "desired"}, nil)
		}, "please report it"},
		{"device is removed", func(s *testServer, _ *rawClient) {
			if err := s.registry.RemoveDevice(context.Background(), panelID); err != nil {
				s.t.Error(err)
			}
			s.endpoint.changed(docstore.Key{Twin: panelID, Name: "desired"}, nil)
		}, errRemoved.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.askingDeaf(subscribePacket(1, "$SCW/twins/me/+/changed"))
				tt.happen(s, c)
				synctest.Wait()
				if b, err := io.ReadAll(c.conn); err != nil || len(b) > 0 {
					t.Errorf("got %x, %v, want the end and nothing before it", b, err)
				}
				synctest.Wait()
				if log := s.log.take(); !strings.Contains(log, tt.log) || !strings.Contains(log, "device disconnected") {
					t.Errorf("log is %s, want %s", log, tt.log)
				}
				s.connect(otherID) // and nobody else
			})
		})
	}
}

// What a SUBSCRIBE asks for and the hub can't look up ends the connection, after the SUBACK.
func TestNoticesOfAllDocumentsNeedAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.connect(panelID)
		s.documents.Close()
		c.send(subscribePacket(2, "$SCW/twins/me/+/changed"))
		c.want("9003000200 closed")
		if log := s.log.take(); !strings.Contains(log, errNoVersion.Error()) {
			t.Errorf("log is %s", log)
		}
	})
}

// A change that is told while a connection ends starts nothing that would outlive it.
func TestNoticesEndWithTheConnection(t *testing.T) {
	s := newSession(newTestServer(t, nil).endpoint, nil)
	s.device = panelID
	s.notices.watch(filters{"$SCW/twins/me/desired/changed"})
	s.notices.close()
	s.notify("desired")
	if s.notices.sending || len(s.notices.due) > 0 {
		t.Errorf("sending %v, due %q", s.notices.sending, s.notices.due)
	}
}

// stuckStore takes its time for a read.
type stuckStore struct{ docstore.Store }

func (s stuckStore) Get(ctx context.Context, key docstore.Key) (docstore.Document, error) {
	time.Sleep(3 * time.Second)
	return s.Store.Get(ctx, key)
}

// The end of a connection, a take-over and the hub's end wait for a notice that is being made.
func TestEndWaitsForNotices(t *testing.T) {
	tests := []struct {
		name string
		end  func(*testServer, *rawClient)
	}{
		{"client leaves", func(s *testServer, c *rawClient) {
			c.send(packet(0xe0))
			s.endpoint.conns.Wait()
		}},
		{"take-over", func(s *testServer, _ *rawClient) {
			again := s.dialDeaf()
			again.send(connectPacket(string(panelID), 60))
			again.readNext("20020000")
		}},
		{"hub is closed", func(s *testServer, _ *rawClient) { s.Close() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, func(c *Config) { c.Documents = stuckStore{c.Documents} })
				c := s.askingDeaf(subscribePacket(1, "$SCW/twins/me/desired/changed"))
				time.Sleep(time.Second)
				began := time.Now()
				tt.end(s, c)
				if took, want := time.Since(began), 2*time.Second; took != want {
					t.Errorf("took %v, want %v, as long as the store", took, want)
				}
			})
		})
	}
}

// A lockWatcher notes whether the endpoint is locked when the hub wakes the reader to end
// the connection. Until then nobody else does anything.
type lockWatcher struct {
	net.Conn
	endpoint *endpoint
	locked   chan bool
}

func (c *lockWatcher) SetReadDeadline(by time.Time) error {
	if by.Unix() == 1 {
		free := c.endpoint.mu.TryLock()
		if free {
			c.endpoint.mu.Unlock()
		}
		c.locked <- !free
	}
	return c.Conn.SetReadDeadline(by)
}

// However many connections a device has, those of others can come and go while they are told.
func TestNoticesLeaveTheEndpointUnlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		ours, theirs := net.Pipe()
		defer ours.Close()
		conn := &lockWatcher{theirs, s.endpoint, make(chan bool, 1)}
		go s.ServeConn(conn)
		c := &rawClient{t: t, conn: ours}
		c.send(connectPacket(string(panelID), 60))
		c.readNext("20020000")
		c.send(subscribePacket(1, "$SCW/twins/me/+/changed"))
		c.readNext("9003000100")
		synctest.Wait()
		for n := range maxDueNotices + 2 { // one is being sent, and one is too many
			s.endpoint.changed(docstore.Key{Twin: panelID, Name: twin.Name(fmt.Sprintf("n%d", n))}, nil)
			synctest.Wait()
		}
		if <-conn.locked {
			t.Error("the endpoint was locked while a connection was told of a change")
		}
	})
}
