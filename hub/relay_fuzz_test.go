package hub

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// FuzzBroker: whatever a broker sends, and in whatever pieces, the hub doesn't panic, and what the client gets is
// the packets that are well formed and not about twins, byte for byte and in order, and nothing else. With or without them the next
// client is served.
func FuzzBroker(f *testing.F) {
	large := strings.Repeat("x", 3*passPiece)
	f.Add(bytes.Join([][]byte{
		publishAt(1, 9, "house/door", 1, "open"), publishAt(2, 0, "$SCW/twins/me/a/get/response/success", 7, "{}"), packet(0x62, uint16(7)),
		publishAt(0, 1, "$SCW/twins/", 0, large), publishAt(0, 0, "$SCW/twins", 0, large), packet(0x40, uint16(1)), packet(0x50, uint16(2)),
		packet(0x90, uint16(1), 0, 128), packet(0xb0, uint16(1)), packet(0xd0),
	}, nil), 7)
	for _, tt := range badPackets {
		f.Add(append(publishAt(0, 0, "a", 0, "b"), tt.packet...), 1)
	}
	f.Add([]byte{0x30, 0x8d, 0x80, 0x00, 0, 11, '$', 'S', 'C', 'W', '/', 't', 'w', 'i', 'n', 's', '/'}, 3)
	f.Add(publishAt(0, 0, "$SCW/twin", 0, "s/me/a/changed"), 100)
	f.Fuzz(func(t *testing.T, sent []byte, chunk int) {
		synctest.Test(t, func(t *testing.T) {
			s, b := newPassThrough(t, nil)
			c, up := s.through(b, connectPacket(string(panelID), 0))
			for piece := range slices.Chunk(sent, 1+max(0, chunk)%4096) {
				up.send(piece)
			}
			want, cut := forClient(sent)
			text, closed := strings.CutSuffix(c.take(), "closed")
			got, err := hex.DecodeString(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			// Of a large packet that isn't whole, the pieces that are have been passed on.
			if !bytes.HasPrefix(got, want) || !bytes.HasPrefix(cut, got[len(want):]) || len(got)-len(want) > len(cut)/passPiece*passPiece {
				t.Errorf("the client got %x\nwant %x\nand perhaps a part of %x", got, want, cut)
			}
			if log := s.log.take(); strings.Contains(log, "level=ERROR") || closed != (strings.Contains(log, "malformed") || strings.Contains(log, errBrokerGoodBye.Error())) {
				t.Errorf("closed is %v, log is %s", closed, log)
			}
			up.conn.Close()
			time.Sleep(time.Second)
			if _, up := s.through(b, connectPacket(string(panelID), 0)); up.take() != "" {
				t.Error("the next connection begins with something")
			}
		})
	})
}

// forClient cuts what a broker sends into packets in the plainest way, and returns those for the client, one after the
// other, and what follows if that is the beginning of one for the client.
func forClient(b []byte) (whole, cut []byte) {
	dropped := map[uint16]bool{}
	for {
		head, length, ok := plainHeader(b)
		if !ok {
			return whole, nil
		}
		packet := b[:min(len(b), head+length)]
		isWhole, pass := len(packet) == head+length, true
		if kind := packet[0] >> 4; kind == packetPublish {
			p, ok := plainPublish(packet[0], packet[head:], length)
			if !ok {
				return whole, nil
			}
			twins := bytes.HasPrefix(p.topic, []byte(twin.Prefix))
			switch pass = !twins; {
			case pass && !isWhole:
				return whole, packet
			case p.qos == 2:
				dropped[p.id] = twins
			case p.qos == 1 && !twins:
				dropped[p.id] = false
			}
		} else if !isWhole || !plainAnswer(packet[0], packet[head:]) {
			return whole, nil
		} else if kind == packetPubrel {
			id, _, _ := cutPacketID(packet[head:])
			pass = !dropped[id]
			dropped[id] = false
		}
		if !isWhole {
			return whole, nil
		}
		if pass {
			whole = append(whole, packet...)
		}
		b = b[len(packet):]
	}
}

// plainHeader is the length of a packet's header and of what follows, if there is a header.
func plainHeader(b []byte) (head, length int, ok bool) {
	for i := range 4 {
		if len(b) < i+2 {
			return 0, 0, false
		}
		length |= int(b[i+1]&0x7f) << (7 * i)
		if b[i+1] < 0x80 {
			return i + 2, length, true
		}
	}
	return 0, 0, false
}

// plainPublish reads a PUBLISH of this length, of which perhaps not everything is there. It must be good up to its payload.
func plainPublish(first byte, body []byte, length int) (p publish, ok bool) {
	if len(body) < 2 {
		return p, false
	}
	n := 2 + int(binary.BigEndian.Uint16(body))
	if first&6 != 0 {
		n += 2
	}
	if n > length || n > len(body) {
		return p, false
	}
	p, err := decodePublish(first&15, body[:n])
	return p, err == nil
}

func plainAnswer(first byte, body []byte) bool {
	switch first >> 4 {
	case packetPuback, packetPubrec, packetPubrel, packetPubcomp, packetUnsuback:
		_, err := decodeAck(first, body)
		return err == nil
	case packetSuback:
		_, codes, err := cutPacketID(body)
		return first&15 == 0 && err == nil && len(codes) > 0 && len(body) <= maxPacket
	case packetPingresp:
		return decodeEmpty(first&15, body) == nil
	}
	return false
}
