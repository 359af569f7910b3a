package hub

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/twin"
)

// FuzzClientOfABroker: whatever a client sends, with its CONNECT or after it, and in whatever pieces, the hub doesn't panic, and
// what the broker gets is packets that are well formed, none of them about twins.
func FuzzClientOfABroker(f *testing.F) {
	f.Add(connectPacket(string(panelID), 60), bytes.Join([][]byte{
		publishAt(1, 9, "house/door", 1, "open"), publishAt(1, 0, "$SCW/twins/me/a/put", 7, `{"data":{}}`), publishAt(0, 0, "$SCW/twins", 0, strings.Repeat("x", 3*passPiece)),
		subscribePacket(2, "$SCW/#", "a", "$SCW/twins/me/#"), packet(0xa2, uint16(3), "$SCW/#", "$SCW/twins/me/#", "b"), packet(0x62, uint16(7)), packet(0xc0), packet(0xe0),
	}, nil), 7)
	f.Add(packet(0x10, "MQTT", 4, 0xee, uint16(0), "x", "$SCW/twins/me/a/get/response/success", "{}", "anna", "pw"), packet(0xc0), 1)
	f.Add(packet(0x10, "MQIsdp", 3, 0x06, uint16(9), string(panelID), "house/will", ""), publishAt(0, 0, "$SCW/twin", 0, "s/me/a/put"), 3)
	for _, tt := range badPackets {
		f.Add(connectPacket("meter", 0), tt.packet, 1)
	}
	f.Fuzz(func(t *testing.T, connect, sent []byte, chunk int) {
		synctest.Test(t, func(t *testing.T) {
			s, b := newPassThrough(t, nil)
			c := s.dial()
			c.send(connect)
			if b.dials() == 0 {
				return
			}
			up := b.last()
			checkUpstream(t, up)
			up.send(connackOf(0, 0))
			for piece := range slices.Chunk(sent, 1+max(0, chunk)%4096) {
				c.send(piece)
			}
			checkUpstream(t, up)
			if log := s.log.take(); strings.Contains(log, "level=ERROR") {
				t.Errorf("log is %s", log)
			}
		})
	})
}

// checkUpstream fails the test if what a broker got is anything but packets of a client that are not about twins.
func checkUpstream(t *testing.T, up *rawClient) {
	t.Helper()
	text, _ := strings.CutSuffix(up.take(), "closed")
	got, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	isTwins := func(topic []byte) bool { return bytes.HasPrefix(topic, []byte(twin.Prefix)) }
	for len(got) > 0 {
		head, length, ok := plainHeader(got)
		if !ok {
			t.Fatalf("the broker got %x", got)
		}
		first, body := got[0], got[head:min(len(got), head+length)]
		isWhole := len(body) == length
		switch first >> 4 {
		case packetPublish: // a large one may be cut
			if p, ok := plainPublish(first, body, length); !ok || isTwins(p.topic) {
				t.Fatalf("the broker got %x", got)
			}
			isWhole = isWhole || length > passPiece-len(got[:head])
		case packetConnect:
			c, err := decodeConnect(first&15, body)
			if err != nil || isTwins([]byte(c.will.topic)) {
				t.Fatalf("the broker got %x, %v", got, err)
			}
		case packetSubscribe, packetUnsubscribe:
			decode := decodeSubscribe
			if first>>4 == packetUnsubscribe {
				decode = decodeUnsubscribe
			}
			p, err := decode(first&15, body)
			if err != nil {
				t.Fatalf("the broker got %x, %v", got, err)
			}
			for f := range p.filters {
				if isTwins(f) {
					t.Fatalf("the broker got %x", got)
				}
			}
		case packetPuback, packetPubrec, packetPubrel, packetPubcomp:
			if _, err := decodeAck(first, body); err != nil {
				t.Fatalf("the broker got %x, %v", got, err)
			}
		case packetPingreq, packetDisconnect:
			if err := decodeEmpty(first&15, body); err != nil {
				t.Fatalf("the broker got %x, %v", got, err)
			}
		default:
			t.Fatalf("the broker got %x", got)
		}
		if !isWhole {
			t.Fatalf("the broker got a part of a packet: %x", got)
		}
		got = got[head+len(body):]
	}
}
