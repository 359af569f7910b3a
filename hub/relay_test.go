package hub

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

// publishAt is a PUBLISH at any QoS, with further flags.
func publishAt(qos byte, flags byte, topic string, id uint16, payload string) []byte {
	fields := []any{topic}
	if qos > 0 {
		fields = append(fields, id)
	}
	return packet(0x30|qos<<1|flags, append(fields, []byte(payload))...)
}

// What goes both ways, byte for byte and in order, for a device and for a client that is none.
func TestWhatIsNotAboutTwinsPassesThrough(t *testing.T) {
	const topic = "house/door"
	up := [][]byte{
		publishAt(0, 0, topic, 0, "open"),
		publishAt(0, 1, topic, 0, "retained"),
		publishAt(1, 0, topic, 7, ""),
		publishAt(1, 9, topic, 7, "again"),
		publishAt(2, 1, topic, 65535, "exactly once"),
		publishAt(0, 0, "$SCW/twins", 0, "only looks like a twin's"),
		publishAt(0, 0, "$SCW/twin/me/a/put", 0, "{}"),
		publishAt(0, 0, "$SCW/Twins/me/a/put", 0, "{}"),
		publishAt(0, 0, "/$SCW/twins/me/a/put", 0, "{}"),
		publishAt(0, 0, "$", 0, "SCW/twins/me/a/put"),
		publishAt(0, 0, strings.Repeat("long/", 13000), 0, "topic"),
		publishAt(2, 0, strings.Repeat("x", smallPacket-2), 3, "head of the buffer's size"),
		publishAt(1, 0, topic, 8, strings.Repeat("large ", maxPacket/4)),
		packet(0x40, uint16(1)), packet(0x50, uint16(2)), packet(0x62, uint16(3)), packet(0x70, uint16(4)),
		{0x30, 0x83, 0x80, 0x00, 0, 1, 't'}, // a length that is not written in the shortest way
		packet(0x82, uint16(9), "house/#", 2, "+", 0, "#", 1, "$SYS/#", 1, "$SCW/twins", 0, "not/#/valid", 0, "", 1),
		packet(0xa2, uint16(9), "house/#", "", "a+"),
		packet(0xc0),
	}
	down := [][]byte{
		publishAt(0, 0, topic, 0, "open"),
		publishAt(1, 9, topic, 65535, "again"),
		publishAt(2, 1, topic, 7, "retained"),
		publishAt(0, 0, "$SYS/broker/version", 0, "1"),
		publishAt(0, 0, "$SCW/twins", 0, ""),
		publishAt(1, 0, strings.Repeat("long/", 13000), 1, "topic"),
		publishAt(1, 0, topic, 8, strings.Repeat("large ", maxPacket/4)),
		packet(0x40, uint16(7)), packet(0x50, uint16(65535)), packet(0x62, uint16(3)), packet(0x70, uint16(65535)),
		packet(0x90, uint16(9), 2, 0, 1, 128, 0, 128, 128), packet(0xb0, uint16(9)), packet(0xd0),
	}
	for name, id := range map[string]string{"device": string(panelID), "plain": "meter"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, broker := s.through(b, connectPacket(id, 0))
				for _, p := range up {
					c.send(p)
					broker.want(fmt.Sprintf("%x", p))
				}
				c.send(up...)
				broker.want(fmt.Sprintf("%x", bytes.Join(up, nil)))
				c.want("")
				for _, p := range down {
					broker.send(p)
					c.want(fmt.Sprintf("%x", p))
				}
				broker.send(bytes.Join(down, nil))
				c.want(fmt.Sprintf("%x", bytes.Join(down, nil)))
				broker.want("")
				if sent, received := s.endpoint.broker.sent.Load(), s.endpoint.broker.received.Load(); sent < 2*maxPacket || received < 2*maxPacket {
					t.Errorf("counted %d bytes sent, %d received", sent, received)
				}
			})
		})
	}
}

// Twins are answered in place, between messages that pass through, and the broker hears nothing of it.
func TestTwinsInFrontOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 60))
		c.send(subscribePacket(1, "$SCW/twins/me/#"))
		c.want("9003000100")
		c.send(publishPacket("$SCW/twins/me/a/put", 5, `{"data":{"n":1}}`))
		c.want("40020005" + answer("$SCW/twins/me/a/put/response/success", `{"version":1,"data":{"n":1}}`))
		c.send(publishPacket("$SCW/twins/me/a/get", 0, ""), publishPacket("$SCW/twins/"+string(otherID)+"/a/get", 0, ""), publishPacket("$SCW/twins/", 6, ""))
		c.want(answer("$SCW/twins/me/a/get/response/success", `{"version":1,"data":{"n":1}}`) + "40020006")
		s.put(panelID, "a", `{"data":{"n":2}}`)
		up.want("")
		c.send(publishPacket("$SCW/twins/me/a/put", 0, strings.Repeat(" ", maxPacket)))
		c.want("closed")
		up.want("closed")
	})
}

func TestTwinsOfAPlainClient(t *testing.T) {
	for _, tt := range []struct {
		name string
		last []byte
	}{
		{"put", publishPacket("$SCW/twins/me/a/put", 5, `{"data":{"n":1}}`)},
		{"put of a device's by its id", publishPacket("$SCW/twins/"+string(panelID)+"/a/put", 5, `{"data":{"n":1}}`)},
		{"get", publishPacket("$SCW/twins/me/a/get", 0, "")},
		{"at QoS 2", packet(0x34, "$SCW/twins/me/a/put", uint16(1))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				s.put(panelID, "a", `{"data":{}}`)
				c, up := s.through(b, connectPacket("meter", 60))
				c.send(subscribePacket(1, "$SCW/twins/me/#", "$SCW/twins/"+string(panelID)+"/a/changed"))
				c.want("900400018080")
				devices, plain, newcomers := s.endpoint.connections()
				if devices != 0 || plain != 1 || newcomers != 0 {
					t.Errorf("counted %d devices, %d plain, %d newcomers", devices, plain, newcomers)
				}
				c.send(tt.last)
				c.want("closed") // an acknowledgement would say that something was done
				up.want("closed")
				if doc, err := s.documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "a"}); err != nil || doc.Version != 1 {
					t.Errorf("got version %d, %v, want 1", doc.Version, err)
				}
				if _, plain, _ := s.endpoint.connections(); plain != 0 {
					t.Errorf("counted %d plain, want none", plain)
				}
			})
		})
	}
}

// Nobody speaks about twins but the hub: a broker's messages about them end here, and the broker
// is told that they have arrived.
func TestBrokersMessagesAboutTwinsEndHere(t *testing.T) {
	const topic = "$SCW/twins/me/desired/get/response/success"
	large := strings.Repeat("x", 2*passPiece)
	for _, tt := range []struct {
		name string
		down []byte
		up   string
	}{
		{"QoS 0", publishAt(0, 0, topic, 0, "{}"), ""},
		{"retained", publishAt(0, 1, topic, 0, "{}"), ""},
		{"prefix alone", publishAt(0, 0, twin.Prefix, 0, ""), ""},
		{"large", publishAt(0, 0, topic, 0, large), ""},
		{"QoS 1", publishAt(1, 0, topic, 7, "{}"), "40020007"},
		{"QoS 1, large, again", publishAt(1, 8, topic, 65535, large), "4002ffff"},
		{"QoS 2", publishAt(2, 0, topic, 7, "{}"), "50020007"},
		{"QoS 2, released", append(publishAt(2, 0, topic, 7, large), packet(0x62, uint16(7))...), "5002000770020007"},
		{"QoS 2, again, released twice", append(publishAt(2, 8, topic, 7, ""), append(packet(0x62, uint16(7)), publishAt(2, 0, topic, 7, "")...)...), "500200077002000750020007"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, up := s.through(b, connectPacket(string(panelID), 60))
				c.send(subscribePacket(1, "$SCW/twins/me/#"))
				c.want("9003000100")
				for _, piece := range [][]byte{tt.down[:1], tt.down[1:4], tt.down[4:]} {
					up.send(piece)
				}
				up.want(tt.up)
				after := publishAt(2, 0, "house/door", 7, "")
				up.send(after, packet(0x62, uint16(7)))
				c.want(fmt.Sprintf("%x", after) + "62020007")
			})
		})
	}
}

// Half a message is passed on before the other half is there, and what the hub itself has to say waits until it is whole.
func TestAnswersDoNotLandInAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 0))
		c.send(subscribePacket(1, "$SCW/twins/me/#"))
		c.want("9003000100")
		message := publishAt(1, 0, "house/camera", 9, strings.Repeat("picture", 10000))
		up.send(message[:40000])
		c.want(fmt.Sprintf("%x", message[:40000/passPiece*passPiece]))
		go c.send(publishPacket("$SCW/twins/me/a/get", 3, ""), packet(0xc0))
		time.Sleep(packetTime / 2)
		c.want("")
		up.want("")
		up.send(message[40000:])
		c.want(fmt.Sprintf("%x", message[40000/passPiece*passPiece:]) + "40020003" + answer("$SCW/twins/me/a/get/response/error", `{"error":"document not found"}`))
		up.want("c000")
	})
}

// Of a message that isn't whole nothing is passed on, if it is a small one, and nothing waits for it.
func TestAnswersDoNotWaitForASmallMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 0))
		message := publishAt(1, 0, "house/camera", 9, strings.Repeat("x", passPiece/2))
		up.send(message[:1000])
		c.send(publishPacket("$SCW/twins/me/a/get", 3, ""))
		c.want("40020003")
		up.send(message[1000:])
		c.want(fmt.Sprintf("%x", message))

		c.send(message[:1000])
		up.send(publishAt(1, 0, "$SCW/twins/me/a/changed", 5, "{}"))
		up.want("40020005")
		c.send(message[1000:])
		up.want(fmt.Sprintf("%x", message))
	})
}

// The same on the way to the broker: an acknowledgement of the hub's own waits.
func TestAcknowledgementsDoNotLandInAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		c, up := s.through(b, connectPacket(string(panelID), 10))
		message := publishAt(0, 0, "house/camera", 0, strings.Repeat("picture", 10000))
		c.send(message[:40000])
		up.want(fmt.Sprintf("%x", message[:40000/passPiece*passPiece]))
		up.send(publishAt(1, 0, "$SCW/twins/me/a/changed", 5, "{}"))
		time.Sleep(packetTime / 2) // in which the hub has no PINGREQ of its own to send, either
		up.want("")
		c.send(message[40000:])
		up.want(fmt.Sprintf("%x", message[40000/passPiece*passPiece:]) + "40020005")
		c.want("")
	})
}

func TestBadPacketsOfAClientOfABroker(t *testing.T) {
	bad := []struct {
		name    string
		packet  []byte
		want    error
		lenient bool
	}{
		{"PUBACK: flags", packet(0x42, uint16(1)), errFlags, false},
		{"PUBACK: no id", packet(0x40, uint16(0)), errPacketID, false},
		{"PUBREC: long", packet(0x50, uint16(1), 0), errLong, false},
		{"PUBREL: flags", packet(0x60, uint16(1)), errFlags, false},
		{"PUBCOMP: short", packet(0x70, 1), errShort, false},
		{"second CONNECT", connectPacket(string(panelID), 60), errUnexpected, false},
		{"CONNACK", packet(0x20, 0, 0), errUnexpected, false},
		{"PINGRESP", packet(0xd0), errUnexpected, false},
		{"type 15", packet(0xf0), errUnexpected, false},
		{"SUBSCRIBE of 512 KiB", []byte{0x82, 0x81, 0x80, 0x20}, errTooLarge, false},
	}
	for _, tt := range append(badPackets, bad...) {
		if tt.packet[0]>>4 == packetConnect && tt.want != errUnexpected {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, up := s.through(b, connectPacket(string(panelID), 60))
				s.log.take()
				c.send(tt.packet)
				c.want("closed")
				up.want("closed")
				if log := s.log.take(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, tt.want.Error()) {
					t.Errorf("log is %q, want a warning with %q", log, tt.want)
				}
			})
		})
	}
}

func TestBadPacketsOfABroker(t *testing.T) {
	for _, tt := range []struct {
		name   string
		packet []byte
		want   string
	}{
		{"remaining length of five bytes", []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, errLength.Error()},
		{"publish: QoS 3", packet(0x36, "t", uint16(1)), errQoS3.Error()},
		{"publish: DUP at QoS 0", packet(0x38, "t"), errDup.Error()},
		{"publish: empty", packet(0x30), errShort.Error()},
		{"publish: topic longer than the packet", packet(0x30, []byte{0, 9, 't'}), errShort.Error()},
		{"publish: topic of twins longer than the packet", packet(0x30, []byte{0, 90}, []byte(twin.Prefix)), errShort.Error()},
		{"publish: no topic", packet(0x30, ""), errNoTopic.Error()},
		{"publish: wildcard", packet(0x30, "a/+"), errWildcard.Error()},
		{"publish: NUL", packet(0x30, "a\x00"), errNUL.Error()},
		{"publish: no id", packet(0x32, "t"), errShort.Error()},
		{"publish: id 0", packet(0x34, "t", uint16(0)), errPacketID.Error()},
		{"PUBREL: flags", packet(0x60, uint16(1)), errFlags.Error()},
		{"PUBACK: long", packet(0x40, uint16(1), 0), errLong.Error()},
		{"PUBREC: id 0", packet(0x50, uint16(0)), errPacketID.Error()},
		{"SUBACK: flags", packet(0x91, uint16(1), 0), errFlags.Error()},
		{"SUBACK: no code", packet(0x90, uint16(1)), errShort.Error()},
		{"UNSUBACK: short", packet(0xb0), errShort.Error()},
		{"PINGRESP: long", packet(0xd0, 0), errLong.Error()},
		{"CONNACK", packet(0x20, 0, 0), errBrokerType.Error()},
		{"SUBSCRIBE", subscribePacket(1, "#"), errBrokerType.Error()},
		{"PINGREQ", packet(0xc0), errBrokerType.Error()},
		{"DISCONNECT, as of MQTT 5", packet(0xe0, 0x8e, 0), errBrokerGoodBye.Error()},
		{"DISCONNECT", packet(0xe0), errBrokerGoodBye.Error()},
		{"SUBACK of 512 KiB", []byte{0x90, 0x81, 0x80, 0x20}, errBrokerLarge.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, nil)
				c, up := s.through(b, connectPacket(string(panelID), 60))
				s.log.take()
				up.send(tt.packet)
				c.want("closed")
				up.want("closed")
				if log := s.log.take(); !strings.Contains(log, `level=WARN msg="device disconnected" device=panel`) || !strings.Contains(log, tt.want) {
					t.Errorf("log is %q, want a warning with %q", log, tt.want)
				}
			})
		})
	}
}
