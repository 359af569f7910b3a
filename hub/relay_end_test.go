package hub

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// How a client's connection ends, and how the broker sees that: with a DISCONNECT it forgets the
// will, without one it publishes it.
func TestEndsInFrontOfABroker(t *testing.T) {
	large := publishPacket("house/camera", 0, strings.Repeat("picture", passPiece))
	for _, tt := range []struct {
		name     string
		end      func(*testServer, *rawClient)
		upstream string
	}{
		{"good-bye", func(_ *testServer, c *rawClient) { c.send(packet(0xe0)) }, "e000 closed"},
		{"good-bye after a message", func(_ *testServer, c *rawClient) { c.send(publishPacket("a", 0, "b"), packet(0xe0)) }, "300400016162e000 closed"},
		{"lost", func(_ *testServer, c *rawClient) { c.conn.Close() }, "closed"},
		{"lost in a message", func(_ *testServer, c *rawClient) { c.send(large[:passPiece+1]); c.conn.Close() }, fmt.Sprintf("%x closed", large[:passPiece])},
		{"lost in a small message", func(_ *testServer, c *rawClient) { c.send(large[:passPiece-1]); c.conn.Close() }, "closed"},
		{"malformed", func(_ *testServer, c *rawClient) { c.send(packet(0xf0)) }, "closed"},
		{"removed", func(s *testServer, c *rawClient) { s.endpoint.kick(panelID, errRemoved) }, "closed"},
		{"hub ends", func(s *testServer, c *rawClient) { s.Close() }, "closed"},
		{"hub ends in a message", func(s *testServer, c *rawClient) {
			c.send(large[:passPiece+1])
			synctest.Wait()
			s.Close()
		}, fmt.Sprintf("%x closed", large[:passPiece])},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, up := s.through(b, packet(0x10, "MQTT", 4, 0x06, uint16(60), string(panelID), "house/will", "gone"))
				start := time.Now()
				tt.end(s, c)
				up.want(tt.upstream)
				c.want("closed")
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v", took)
				}
				if n := s.endpoint.broker.connections.Load(); n != 0 {
					t.Errorf("%d connections upstream are left", n)
				}
			})
		})
	}
}

// The older connection to the broker is gone before the newer one's CONNECT is sent, so that the
// broker sees them in their order.
func TestTakeOverInFrontOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		first, up := s.through(b, connectPacket(string(panelID), 60))
		second := s.dial()
		packet := packet(0x10, "MQTT", 4, 0x82, uint16(60), "another", string(panelID))
		second.send(packet)
		up2 := b.last()
		up.want("closed")
		first.want("closed")
		up2.want(fmt.Sprintf("%x", packet))
		up2.send(connackOf(1, 0))
		second.want("20020100")
	})
}

// A broker that takes over by client id closes the older connection, and so does the hub.
func TestTakeOverByTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		first, up := s.through(b, connectPacket("meter", 60))
		second, _ := s.through(b, connectPacket("meter", 60))
		first.want("")
		up.conn.Close()
		first.want("closed")
		second.want("")
	})
}

// A pause before a take-over takes nothing from it.
func TestSixthTakeOverInFrontOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		connect := packet(0x10, "MQTT", 4, 0xc6, uint16(60), string(panelID), "house/will", strings.Repeat("gone", 50), "anna", "password")
		var last *rawClient
		for range 1 + freeTakeOvers {
			last, _ = s.through(b, connect)
		}
		c := s.dial()
		c.send(connect, publishPacket("a", 0, strings.Repeat("b", 300)))
		up := b.last()
		time.Sleep(takeOverPause - time.Millisecond)
		up.want("")
		last.want("")
		time.Sleep(time.Millisecond)
		up.want(fmt.Sprintf("%x", connect))
		last.want("closed")
		up.send(connackOf(0, 0))
		c.want("20020000")
		up.want(fmt.Sprintf("%x", publishPacket("a", 0, strings.Repeat("b", 300))))
	})
}

// What a broker had sent before it closed still arrives.
func TestBrokerThatCloses(t *testing.T) {
	message, large := publishPacket("house/door", 0, "open"), publishPacket("house/camera", 0, strings.Repeat("picture", passPiece))
	for _, tt := range []struct {
		name string
		sent []byte
		want string
	}{
		{"between packets", nil, "closed"},
		{"after a message", message, fmt.Sprintf("%x closed", message)},
		{"in a header", []byte{0x30, 0x80}, "closed"},
		{"in a topic", message[:5], "closed"},
		{"in a payload", message[:15], "closed"},
		{"in a large payload", large[:2*passPiece+1], fmt.Sprintf("%x closed", large[:2*passPiece])},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, up := s.through(b, connectPacket(string(panelID), 60))
				s.log.take()
				up.send(tt.sent)
				up.conn.Close()
				c.want(tt.want)
				if log := s.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `level=WARN msg="device disconnected" device=panel id=11111111… reason="broker closed the connection"`) {
					t.Errorf("log is %q", log)
				}
			})
		})
	}
}

func TestBrokerThatStopsInAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 0))
		up.send(publishPacket("house/door", 0, "open")[:15])
		time.Sleep(packetTime - time.Millisecond)
		if got := c.take(); strings.Contains(got, "closed") {
			t.Errorf("got %s too soon", got)
		}
		time.Sleep(time.Millisecond)
		c.want("closed")
		if log := s.log.take(); !strings.Contains(log, errBrokerStalled.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

// A broker that goes away takes all clients along, in a few lines of the log.
func TestBrokerThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		var clients, ups []*rawClient
		for i := range 100 {
			c, up := s.through(b, connectPacket(fmt.Sprint("meter ", i), 60))
			clients, ups = append(clients, c), append(ups, up)
		}
		s.log.take()
		for _, up := range ups {
			up.conn.Close()
		}
		for _, c := range clients {
			c.want("closed")
		}
		if log := s.log.take(); strings.Count(log, "\n") != linesPerSubject {
			t.Errorf("log is %s, want %d lines", log, linesPerSubject)
		}
	})
}

// A client that doesn't read holds up what is for it, and nobody else. Then it is dropped.
func TestSlowClientHoldsUpItsOwnMessagesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		deaf := s.dialDeaf()
		deaf.send(connectPacket("meter", 0))
		up := b.last()
		up.want(fmt.Sprintf("%x", connectPacket("meter", 0)))
		up.send(connackOf(0, 0))
		if _, err := deaf.conn.Read(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		other, otherUp := s.through(b, connectPacket(string(panelID), 60))

		message := publishPacket("house/door", 0, strings.Repeat("x", 1000))
		sent, done := 0, make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				if _, err := up.conn.Write(message); err != nil {
					return
				}
				sent++
			}
		}()
		for range 9 {
			time.Sleep(time.Second)
			otherUp.send(message)
			other.want(fmt.Sprintf("%x", message))
		}
		time.Sleep(writeTime)
		<-done
		if sent > 2 {
			t.Errorf("the hub took %d messages that the client didn't", sent)
		}
		if log := s.log.take(); !strings.Contains(log, errNotReading.Error()) {
			t.Errorf("log is %q", log)
		}
		up.want("closed")
		other.want("")
	})
}

// A broker that doesn't read holds up its client.
func TestSlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		b.deaf = true
		c := s.dial()
		connect := connectPacket("meter", 0)
		c.send(connect)
		up := b.last()
		if _, err := up.conn.Read(make([]byte, len(connect))); err != nil {
			t.Fatal(err)
		}
		up.send(connackOf(0, 0))
		c.want("20020000")
		sent, done := 0, make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				if _, err := c.conn.Write(publishPacket("house/door", 0, strings.Repeat("x", 1000))); err != nil {
					return
				}
				sent++
			}
		}()
		time.Sleep(writeTime - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		<-done
		c.want("closed")
		if sent > 2 {
			t.Errorf("the hub took %d messages that the broker didn't", sent)
		}
		if log := s.log.take(); !strings.Contains(log, errBrokerNotReading.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

// WebSocket clients reach the broker as well, and are told that it was the broker.
func TestWebSocketInFrontOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBroker{t: t}
		s := newWebServer(t, func(c *Config) { c.Upstream = &Upstream{Address: "broker.example:1883"} })
		s.endpoint.broker.open = b.open
		c := s.dialWeb()
		c.send(connectPacket("meter", 60))
		up := b.last()
		up.want(fmt.Sprintf("%x", connectPacket("meter", 60)))
		up.send(connackOf(1, 0))
		c.want("20020100")
		message := publishAt(2, 1, "house/camera", 7, strings.Repeat("picture", 10000))
		c.send(message)
		up.want(fmt.Sprintf("%x", message))
		up.send(message)
		c.want(fmt.Sprintf("%x", message))
		up.conn.Close()
		c.want("1014")
	})
}

// A panic in carrying ends one connection.
func TestPanicInARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		s.endpoint.broker.open = func(ctx context.Context) (net.Conn, error) {
			conn, err := b.open(ctx)
			return &panickingConn{Conn: conn}, err
		}
		c, up := s.through(b, connectPacket("meter", 60))
		up.send(packet(0xd0))
		c.want("closed")
		up.want("closed")
		if log := s.log.take(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "a fault of the hub") {
			t.Errorf("log is %q", log)
		}
	})
}

// A panickingConn panics when something comes after the CONNACK.
type panickingConn struct {
	net.Conn
	came int
}

func (c *panickingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.came += n; c.came > 4 {
		panic("a fault of the hub")
	}
	return n, err
}

// Of several hubs in front of one broker: a device that connects to another hub loses its older connection on both sides.
func TestSeveralHubsInFrontOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newJoinedServers(t)
		b := &fakeBroker{t: t}
		for _, s := range []*joinedServer{one, two} {
			s.endpoint.broker = newBroker(Upstream{Address: "broker.example:1883"}, s.endpoint.log)
			s.endpoint.broker.open = b.open
		}
		first, up := one.through(b, connectPacket(string(panelID), 60))
		second, up2 := two.through(b, connectPacket(string(panelID), 60))
		first.want("closed")
		up.want("closed")
		second.send(publishPacket("house/door", 0, "open"))
		up2.want(fmt.Sprintf("%x", publishPacket("house/door", 0, "open")))
		second.want("")
	})
}
