package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

func TestSecondConnectionDropsTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		first, other := s.connect(panelID), s.connect(otherID)
		second := s.dial()
		second.send(packet(0x10, "MQTT", 4, 0x82, uint16(60), "another client id", string(panelID)))
		second.want("20020000")
		first.want("closed")
		other.want("")
		if log := s.log.take(); !strings.Contains(log, errTakenOver.Error()) {
			t.Errorf("log is %q", log)
		}
		second.send(packet(0xc0))
		second.want("d000")
	})
}

func TestSeveralConnectionsOfOneDevice(t *testing.T) {
	dial := func(s *testServer, clientID string) *rawClient {
		c := s.dial()
		c.send(packet(0x10, "MQTT", 4, 0x82, uint16(600), clientID, string(multiID)))
		c.want("20020000")
		return c
	}
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		a, b := dial(s, "a"), dial(s, "b")
		none1, none2 := dial(s, ""), dial(s, "")
		again := dial(s, "a") // the same client id is the same client [MQTT-3.1.4-2]
		a.want("closed")
		for _, c := range []*rawClient{b, none1, none2, again} {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// A device that may have several connections, and opens them without end, ends its own.
func TestOneDeviceCannotTakeAllPlaces(t *testing.T) {
	const each = 3
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.maxConns = each * deviceShare
		other := s.connect(otherID)
		var all []*rawClient
		for n := range 3 * each * deviceShare {
			all = append(all, s.connectAs(fmt.Sprint("client ", n), multiID))
			if want := min(n+1, each) + 1; s.sessions() != want {
				t.Fatalf("%d connections after %d, want %d", s.sessions(), n+1, want)
			}
		}
		if log := s.log.take(); !strings.Contains(log, errOldest.Error()) {
			t.Errorf("log is %q", log)
		}
		all[len(all)-each-1].want("closed")
		for _, c := range append(all[len(all)-each:], other) {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// slowStore takes a second for each put.
type slowStore struct{ docstore.Store }

func (s slowStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	time.Sleep(time.Second)
	return s.Store.Put(ctx, key, cond, data)
}

// What the first connection asked for is done before the second is accepted, and
// answered on the first. What it had sent after that is not done at all.
func TestTakeOverWaitsForTheRequestUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Documents = slowStore{c.Documents} })
		first := s.connect(panelID)
		put := publishPacket("$SCW/twins/me/a/put", 7, `{"data":{}}`)
		first.send(append(put, put...))
		second := s.dial()
		second.send(connectPacket(string(panelID), 60))
		second.want("")
		time.Sleep(time.Second)
		second.want("20020000")
		first.want("40020007" + answer("$SCW/twins/me/a/put/response/success", `{"version":1,"data":{}}`) + " closed")
		time.Sleep(time.Minute)
		if doc, err := s.documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "a"}); err != nil || doc.Version != 1 {
			t.Errorf("got version %d, %v, want 1", doc.Version, err)
		}
	})
}

func TestSixthTakeOverInAMinuteWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		last := s.connect(panelID)
		for range freeTakeOvers {
			time.Sleep(time.Second)
			next := s.connect(panelID)
			last.want("closed")
			last = next
		}
		other := s.connect(otherID)

		sixth := s.dial()
		sixth.send(connectPacket(string(panelID), 60))
		time.Sleep(takeOverPause - time.Millisecond)
		sixth.want("")
		last.send(packet(0xc0)) // works on until it is taken over
		last.want("d000")
		other.send(packet(0xc0))
		other.want("d000")
		time.Sleep(time.Millisecond)
		sixth.want("20020000")
		last.want("closed")

		time.Sleep(takeOverWindow)
		s.connect(panelID) // free again
		sixth.want("closed")
	})
}

// takenOverOften connects a device as often as it may without a pause.
func takenOverOften(s *testServer) *rawClient {
	last := s.connect(panelID)
	for range freeTakeOvers {
		last = s.connect(panelID)
	}
	return last
}

// sessions counts the connections that the hub still has.
func (s *testServer) sessions() int {
	s.endpoint.mu.Lock()
	defer s.endpoint.mu.Unlock()
	return len(s.endpoint.sessions)
}

func TestClientThatLeavesWhileItWaitsTakesNothingOver(t *testing.T) {
	half := publishPacket("$SCW/twins/me/a/get", 3, "")
	for name, sent := range map[string][]byte{"silent": nil, "in the middle of a packet": half[:7], "after a packet": half} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				live := takenOverOften(s)
				waiting := s.dial()
				waiting.send(append(connectPacket(string(panelID), 60), sent...))
				time.Sleep(takeOverPause - time.Millisecond)
				waiting.conn.Close()
				synctest.Wait()
				if n := s.sessions(); n != 1 {
					t.Errorf("%d sessions, want the live one", n)
				}
				time.Sleep(takeOverPause)
				live.send(packet(0xc0))
				live.want("d000")

				again := s.dial() // it has left no trace
				again.send(connectPacket(string(panelID), 60))
				time.Sleep(takeOverPause)
				again.want("20020000")
				live.want("closed")
			})
		})
	}
}

// What a client sends before its CONNACK is done after it, in order, however long
// it is and in whatever pieces it comes.
func TestRequestsSentWhileWaiting(t *testing.T) {
	for _, size := range []int{10, smallPacket, 3 * smallPacket} {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			takenOverOften(s)
			topic, padding := "$SCW/twins/me/a/put", strings.Repeat(" ", size)
			c := s.dial()
			go func() { // a pipe takes no more than is read
				c.send(append(connectPacket(string(panelID), 60), subscribePacket(1, "$SCW/twins/me/#")...))
				time.Sleep(time.Second)
				c.send(publishPacket(topic, 2, padding+`{"data":{}}`))
				c.send(publishPacket(topic, 3, padding+`{"data":{}}`), packet(0xc0))
			}()
			time.Sleep(takeOverPause - time.Millisecond)
			c.want("")
			time.Sleep(time.Millisecond)
			c.want("20020000" + "9003000100" +
				"40020002" + answer(topic+"/response/success", `{"version":1,"data":{}}`) +
				"40020003" + answer(topic+"/response/success", `{"version":2,"data":{}}`) + "d000")
		})
	}
}

func TestOnlyTheNewestWaitsForATakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		var last *rawClient
		for range 1 + freeTakeOvers {
			last = s.connect(panelID)
		}
		var storm []*rawClient
		for range 100 {
			c := s.dial()
			c.send(connectPacket(string(panelID), 60))
			storm = append(storm, c)
			time.Sleep(takeOverWindow / 200)
		}
		for _, c := range storm[:99] {
			c.want("closed")
		}
		last.send(packet(0xc0))
		last.want("d000")
		time.Sleep(takeOverPause)
		storm[99].want("20020000")
		last.want("closed")
	})
}

// A device that comes back after a clean end takes nothing over.
func TestReconnectingIsNoTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		for range 20 {
			c := s.connect(panelID)
			c.send(packet(0xe0))
			c.want("closed")
		}
	})
}

func TestRemovedDevice(t *testing.T) {
	remove := func(t *testing.T, s *testServer) {
		if err := s.registry.RemoveDevice(t.Context(), panelID); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			c := s.connect(panelID)
			remove(t, s)
			c.send(publishPacket("$SCW/twins/me/a/put", 3, `{"data":{}}`))
			c.want("closed")
			if log := s.log.take(); !strings.Contains(log, errRemoved.Error()) {
				t.Errorf("log is %q", log)
			}
		})
	})
	t.Run("ping", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			c := s.connect(panelID)
			remove(t, s)
			c.send(packet(0xc0))
			c.want("closed")
		})
	})
	for _, keepAlive := range []uint16{0, 65535} {
		t.Run(fmt.Sprintf("silent, keep-alive %d", keepAlive), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.dial()
				c.send(connectPacket(string(panelID), keepAlive))
				c.want("20020000")
				time.Sleep(10*recheckTime + time.Second)
				c.want("")
				remove(t, s)
				time.Sleep(recheckTime - 2*time.Second)
				c.want("")
				time.Sleep(time.Second)
				c.want("closed")
				if log := s.log.take(); !strings.Contains(log, errRemoved.Error()) {
					t.Errorf("log is %q", log)
				}
			})
		})
	}
	t.Run("connect", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			remove(t, s)
			c := s.dial()
			c.send(connectPacket(string(panelID), 60))
			c.want("20020005 closed")
		})
	})
}

// connectAs connects with a client id of its own.
func (s *testServer) connectAs(clientID string, id twin.ID) *rawClient {
	c := s.dial()
	c.send(packet(0x10, "MQTT", 4, 0x82, uint16(60), clientID, string(id)))
	c.want("20020000")
	return c
}
