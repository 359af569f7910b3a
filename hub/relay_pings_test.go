package hub

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A client's PINGREQs are the broker's to answer.
func TestPingsOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		for range 100 {
			time.Sleep(time.Minute)
			c.send(packet(0xc0))
			up.want("c000") // and none of the hub's own
			c.want("")
			up.send(packet(0xd0))
			c.want("d000")
		}
		c.send(packet(0xc0), packet(0xc0), packet(0xc0))
		up.want("c000c000c000")
		up.send(packet(0xd0), packet(0xd0), packet(0xd0), packet(0xd0)) // one more than asked for
		c.want("d000d000d000d000")
	})
}

// A client that does nothing but ask for documents says nothing to the broker. The hub says
// in time that the client is there, and keeps the answer to itself.
func TestPingsOfTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		for i := range 1000 {
			time.Sleep(5 * time.Second)
			c.send(publishPacket("$SCW/twins/me/a/put", 1, "{}"))
			c.want("40020001")
			if (i+1)%15 != 0 { // 75 s
				up.want("")
				continue
			}
			up.want("c000")
			up.send(packet(0xd0))
			c.want("")
		}
		time.Sleep(20 * time.Second)
		c.send(packet(0xc0))
		up.want("c000")
		up.send(packet(0xd0))
		c.want("d000")
	})
}

// Answers go to whose PINGREQ it was, in their order.
func TestPingsOfBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		time.Sleep(75 * time.Second)
		up.want("c000") // the hub's
		c.send(packet(0xc0))
		up.want("c000") // the client's
		up.send(packet(0xd0))
		c.want("")
		up.send(packet(0xd0))
		c.want("d000")
	})
}

func TestNoPingsOfTheHub(t *testing.T) {
	for name, tt := range map[string]struct {
		keepAlive uint16
		every     time.Duration
		message   []byte
	}{
		"keep-alive off":            {0, time.Hour, publishPacket("$SCW/twins/me/a/put", 0, "{}")},
		"messages for the broker":   {60, 61 * time.Second, publishPacket("house/door", 0, "open")},
		"answers to the broker":     {60, 74 * time.Second, packet(0x40, uint16(1))},
		"subscribing at the broker": {60, 74 * time.Second, subscribePacket(1, "a")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, up := s.through(b, connectPacket(string(panelID), tt.keepAlive))
				for range 10 {
					time.Sleep(tt.every)
					c.send(tt.message)
					if got := up.take(); strings.Contains(got, "c000") {
						t.Errorf("the broker got %s", got)
					}
				}
			})
		})
	}
}

// A broker that vanished without a word is noticed by clients that ask it nothing, too.
func TestBrokerThatAnswersNoPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		for range 15 * 2 { // 150 s
			c.want("")
			time.Sleep(5 * time.Second)
			c.send(publishPacket("$SCW/twins/me/a/put", 0, "{}"))
		}
		c.want("closed")
		up.want("c000 closed")
		if log := s.log.take(); !strings.Contains(log, errBrokerSilent.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

// A client that vanished is dropped by the hub as ever, and the broker can publish its will.
func TestSilentClientOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		time.Sleep(90*time.Second - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("closed")
		up.want("c000 closed")
	})
}

// However long a message takes on its way to the client, the broker hears from the hub.
func TestPingsBesideALongMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		message := publishAt(0, 0, "house/camera", 0, strings.Repeat("picture", 10000))
		for i, want := range []string{"", "", "c000", "", "c000"} { // at the first bytes that come after 75 s
			up.send(message[10000*i : 10000*(i+1)])
			up.want(want)
			time.Sleep(40 * time.Second)
			c.send(publishPacket("$SCW/twins/me/a/put", 0, "{}"))
		}
		up.send(message[50000:], packet(0xd0), packet(0xd0)) // no broker can answer sooner
		c.want(fmt.Sprintf("%x", message))
	})
}

// A client that takes a message slowly makes no silent broker: what it sends waits to be read.
func TestSlowClientIsNoSilentBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c := s.dialDeaf()
		c.send(connectPacket(string(panelID), 4))
		up := b.last()
		up.take()
		up.send(connackOf(0, 0))
		if _, err := c.conn.Read(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		alive := func(d time.Duration) {
			for range int(d / time.Second) {
				c.send(publishPacket("$SCW/twins/me/a/put", 0, "{}"))
				time.Sleep(time.Second)
			}
		}
		alive(6 * time.Second)
		up.want("c000")
		message := publishPacket("house/door", 0, "open")
		go func() {
			up.conn.Write(message)
			up.conn.Write(packet(0xd0))
		}()
		alive(6 * time.Second) // less than writeTime
		if _, err := c.conn.Read(make([]byte, len(message))); err != nil {
			t.Error(err)
		}
		alive(time.Second)
		if log := s.log.take(); strings.Contains(log, errBrokerSilent.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}
