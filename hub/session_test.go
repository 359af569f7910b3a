package hub

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Every rule of the standard that a connected client can break ends its
// connection, with the rule in the log and no further answer.
func TestBadPacketsCloseTheConnection(t *testing.T) {
	for _, tt := range badPackets {
		if tt.packet[0]>>4 == packetConnect {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.connect(panelID)
				s.log.take()
				c.send(tt.packet)
				c.want("closed")
				if log := s.log.take(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, tt.want.Error()) {
					t.Errorf("log is %q, want a warning with %q", log, tt.want)
				}
			})
		})
	}
}

func TestRefusedPacketsCloseTheConnection(t *testing.T) {
	topic := "$SCW/twins/me/desired/put"
	tests := []struct {
		name   string
		packet []byte
		log    string
	}{
		{"second CONNECT", connectPacket(string(panelID), 60), errUnexpected.Error()},
		{"CONNACK", packet(0x20, 0, 0), errUnexpected.Error()},
		{"PUBACK for what was never sent", packet(0x40, uint16(1)), errUnexpected.Error()},
		{"PUBREC", packet(0x50, uint16(1)), errUnexpected.Error()},
		{"PUBREL", packet(0x62, uint16(1)), errUnexpected.Error()},
		{"PUBCOMP", packet(0x70, uint16(1)), errUnexpected.Error()},
		{"SUBACK", packet(0x90, uint16(1), 0), errUnexpected.Error()},
		{"UNSUBACK", packet(0xb0, uint16(1)), errUnexpected.Error()},
		{"PINGRESP", packet(0xd0), errUnexpected.Error()},
		{"type 0", packet(0x00), errUnexpected.Error()},
		{"type 15", packet(0xf0), errUnexpected.Error()},
		{"QoS 2", packet(0x34, topic, uint16(1), []byte(`{"data":{}}`)), errQoS2.Error()},
		{"retain", packet(0x31, topic, []byte(`{"data":{}}`)), errRetain.Error()},
		{"retain at QoS 1", packet(0x33, topic, uint16(1), []byte(`{"data":{}}`)), errRetain.Error()},
		{"other topic", publishPacket("house/door", 0, "open"), "--other-topics drop"},
		{"other topic at QoS 1", publishPacket("house/door", 1, "open"), "house/door"},
		{"topic that only looks like a twin's", publishPacket("$SCW/twins", 0, ""), "--other-topics drop"},
		{"too long", []byte{0x30, 0x81, 0x80, 0x20}, "packet longer than 524288 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.connect(panelID)
				s.log.take()
				c.send(tt.packet)
				c.want("closed")
				if log := s.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.log) {
					t.Errorf("log is %q, want one line with %q", log, tt.log)
				}
			})
		})
	}
}

func TestPingAndDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.connect(panelID)
		c.send(packet(0xc0), packet(0xc0))
		c.want("d000d000")
		c.send(packet(0xe0))
		c.want("closed")
		if log := s.log.take(); !strings.Contains(log, `level=INFO msg="device disconnected" device=panel id=11111111… `) || !strings.Contains(log, errBye.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.dial()
		c.send(connectPacket(string(panelID), 60))
		c.want("20020000")
		for range 3 {
			time.Sleep(90*time.Second - time.Millisecond)
			c.send(packet(0xc0))
			c.want("d000")
		}
		time.Sleep(45 * time.Second)
		c.send([]byte{0xc0}) // a part of a packet doesn't count
		time.Sleep(45*time.Second - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("closed")
	})
}

func TestKeepAliveOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.dial()
		c.send(connectPacket(string(panelID), 0))
		c.want("20020000")
		time.Sleep(30 * 24 * time.Hour)
		c.send(packet(0xc0))
		c.want("d000")

		c.send([]byte{0xc0}) // a packet once begun has to be completed
		time.Sleep(packetTime - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("closed")
		if log := s.log.take(); !strings.Contains(log, errSlowPacket.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

// Looking after a silent client's device takes nothing from its next packet: that
// has its whole time, also when it begins just before a look is due.
func TestPacketBegunBeforeALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.dial()
		c.send(connectPacket(string(panelID), 0))
		c.want("20020000")
		time.Sleep(recheckTime - time.Second)
		request := publishPacket("$SCW/twins/me/a/get", 3, "")
		c.send(request[:1])
		time.Sleep(packetTime - time.Millisecond)
		c.want("")
		c.send(request[1:])
		c.want("40020003")
	})
}

// flakyRegistry fails as long as broken is set.
type flakyRegistry struct {
	registry.Registry
	broken atomic.Bool
}

func (r *flakyRegistry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	if r.broken.Load() {
		return registry.Device{}, errors.New("disk on fire")
	}
	return r.Registry.Device(ctx, id)
}

func TestSilentConnectionOutlastsTheRegistrysTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var devices flakyRegistry
		s := newTestServer(t, func(c *Config) { devices.Registry = c.Registry; c.Registry = &devices })
		c := s.dial()
		c.send(connectPacket(string(panelID), 0))
		c.want("20020000")
		devices.broken.Store(true)
		time.Sleep(3 * recheckTime)
		devices.broken.Store(false)
		c.send(packet(0xc0))
		c.want("d000")
	})
}

func TestPacketsInAnyPieces(t *testing.T) {
	stream := append(subscribePacket(2, "$SCW/twins/me/#"), publishPacket("$SCW/twins/me/a/get", 0, "")...)
	stream = append(stream, packet(0xc0)...)
	want := "9003000200" + answer("$SCW/twins/me/a/get/response/error", `{"error":"document not found"}`) + "d000"
	for _, size := range []int{1, 2, 3, 7, len(stream)} {
		synctest.Test(t, func(t *testing.T) {
			c := newTestServer(t, nil).connect(panelID)
			for rest := stream; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				c.send(rest[:min(size, len(rest))])
				time.Sleep(time.Millisecond)
			}
			c.want(want)
		})
	}
}

func TestSubscribe(t *testing.T) {
	long := strings.Repeat("x", maxFilterLen)
	tests := []struct {
		name    string
		filters []string
		codes   string
	}{
		{"invalid", []string{"", "a+", "a/#/b", "#x", "$SCW/twins/+x"}, "8080808080"},
		{"outside", []string{"#", "+", "+/twins/#", "$SYS/#", "house/door", "$SCW/events/#", "$SCW/twins"}, "80808080808080"},
		{"too long", []string{"$SCW/twins/" + long}, "80"},
		{"granted", []string{"$SCW/twins/me/#", "$SCW/twins/" + string(otherID) + "/#", "$SCW/#", "$SCW/twins/+/+/get/response/+"}, "00000000"},
		{"mixed", []string{"$SCW/twins/me/#", "#", "$SCW/twins/me/#"}, "008000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.dial()
				c.send(connectPacket(string(panelID), 60), subscribePacket(0x0102, tt.filters...))
				length := string("0123456789abcdef"[2+len(tt.filters)])
				c.want("20020000" + "900" + length + "0102" + tt.codes)
			})
		})
	}
}

func TestSubscribeGrantsQoSZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestServer(t, nil).connect(panelID)
		c.send(packet(0x82, uint16(9), "$SCW/twins/me/a/#", 1, "$SCW/twins/me/b/#", 2))
		c.want("900400090000")
	})
}

func TestSubscribeUpToAHundredFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestServer(t, nil).connect(panelID) // has one filter
		var names []string
		for i := range 102 {
			names = append(names, "$SCW/twins/me/"+strings.Repeat("x", i+1)+"/#")
		}
		c.send(subscribePacket(5, names...))
		c.want("90680005" + strings.Repeat("00", 99) + "808080")
		c.send(packet(0xa2, uint16(6), names[0]))
		c.want("b0020006")
		c.send(subscribePacket(7, names[101], names[50], names[100]))
		c.want("90050007" + "00" + "00" + "80")
	})
}

// A racingConn lets something happen at the worst moment: just before a read
// deadline is set.
type racingConn struct {
	net.Conn
	before func()
}

func (c *racingConn) SetReadDeadline(t time.Time) error {
	if f := c.before; f != nil {
		c.before = nil
		f()
	}
	return c.Conn.SetReadDeadline(t)
}

func TestStopIsNotLostToALaterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		ours, theirs := net.Pipe()
		conn := &racingConn{Conn: theirs}
		session := s.endpoint.begin(conn)
		go s.endpoint.run(session)
		c := &rawClient{t: t, conn: ours}
		go c.read()
		c.send(connectPacket(string(panelID), 60))
		c.want("20020000")
		conn.before = func() { session.stop(errClosed) }
		c.send(packet(0xc0))
		c.want("d000 closed")
	})
}
