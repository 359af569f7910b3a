package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// cutAt feeds bytes in pieces of a size, and returns what packets they make.
func cutAt(size int, stream []byte) []packet {
	var got []packet
	p := packets{take: func(p packet) { got = append(got, p) }}
	for piece := range slices.Chunk(stream, size) {
		p.write(piece)
	}
	return got
}

// frame is a packet as it is on a connection.
func frame(first byte, body string) []byte {
	b := []byte{first}
	for n := len(body); ; {
		digit := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			b = append(b, digit|0x80)
			continue
		}
		return append(append(b, digit), body...)
	}
}

func text(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func TestPacketsComeInAnyPieces(t *testing.T) {
	long := strings.Repeat("x", maxPacket+1)
	stream := slices.Concat(frame(0xc0, ""), frame(0x30, text("a")+"hello"), frame(0x30, text("b")+long), frame(0xe0, ""))
	for _, size := range []int{1, 2, 3, 7, 100, maxPacket, len(stream)} {
		got := cutAt(size, stream)
		if len(got) != 4 {
			t.Fatalf("pieces of %d: got %d packets, want 4", size, len(got))
		}
		if topic, payload, ok := got[1].publish(); topic != "a" || string(payload) != "hello" || !ok || got[1].cut {
			t.Errorf("pieces of %d: got %q %q, want a whole hello to a", size, topic, payload)
		}
		if topic, _, _ := got[2].publish(); topic != "b" || len(got[2].body) != maxPacket || !got[2].cut {
			t.Errorf("pieces of %d: got %d bytes to %q, cut %v, want %d bytes to b, cut", size, len(got[2].body), topic, got[2].cut, maxPacket)
		}
	}
}

func TestPacketsOfNoMQTT(t *testing.T) {
	for _, tt := range []struct {
		name, stream string
		want         int // packets before interest ends
	}{
		{"nothing", "", 0},
		{"half a packet", "\x30\x7fabc", 0},
		{"a length of five bytes", "\xc0\x00\x10\xff\xff\xff\xff\xff\xc0\x00", 1},
		{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 0},
		{"TLS", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 3}, // which reads as packets, of no kind that is shown
	} {
		if got := cutAt(1, []byte(tt.stream)); len(got) != tt.want {
			t.Errorf("%s: got %d packets, want %d", tt.name, len(got), tt.want)
		}
	}
}

func TestConnectTellsWhoAndNoPassword(t *testing.T) {
	head := text("MQTT") + "\x04"
	for _, tt := range []struct{ name, body, want string }{
		{"empty", "", `"" "" false false`},
		{"cut in its client id", head + "\x02\x00\x3c\x00\x09abc", `"" "" false false`},
		{"cut before its user name", head + "\x80\x00\x3c" + text("me"), `"me" "" false false`},
		{"client id", head + "\x02\x00\x3c" + text("me"), `"me" "" false true`},
		{"user name and password", head + "\xc2\x00\x3c" + text("me") + text("you") + text("hush"), `"me" "you" true true`},
		{"a will before them", head + "\xc6\x00\x3c" + text("") + text("topic") + text("gone") + text("you") + text("hush"), `"" "you" true true`},
	} {
		clientID, username, password, ok := packet{body: []byte(tt.body)}.connect()
		if got := fmt.Sprintf("%q %q %v %v", clientID, username, password, ok); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestPublishAndSubscribe(t *testing.T) {
	if topic, payload, ok := (packet{first: 0x32, body: []byte(text("t") + "\x00\x01{}")}).publish(); topic != "t" || string(payload) != "{}" || !ok {
		t.Errorf("QoS 1: got %q %q %v, want t and {} without the id", topic, payload, ok)
	}
	if _, _, ok := (packet{first: 0x30, body: []byte("\x00\x09abc")}).publish(); ok {
		t.Error("a topic that is cut: got a message, want none")
	}
	if got := (packet{body: []byte("\x00\x01" + text("a/#") + "\x00" + text("b") + "\x00")}).subscribe(); got != "a/# b" {
		t.Errorf("got filters %q, want a/# and b", got)
	}
	for code, want := range map[string]string{"\x00\x00": "accepted", "\x00\x05": "refused, code 5", "\x01": "not understood", "": "not understood"} {
		if got := (packet{body: []byte(code)}).connack(); got != want {
			t.Errorf("CONNACK %q: got %q, want %q", code, got, want)
		}
	}
}

// FuzzPackets: whatever comes, in whatever pieces, makes the same packets, and nothing in them brings a reader down.
func FuzzPackets(f *testing.F) {
	f.Add(slices.Concat(frame(0x10, text("MQTT")+"\x04\xc2\x00\x3c"+text("me")+text("you")+text("hush")), frame(0x82, "\x00\x01"+text("a")+"\x00")), 3)
	f.Add(frame(0x30, text("a")+strings.Repeat("x", 300)), 100)
	f.Add([]byte("\x20\x02\x00\x05\x30\xff\xff\xff\xff"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		same := func(a, b packet) bool { return a.first == b.first && a.cut == b.cut && bytes.Equal(a.body, b.body) }
		whole := cutAt(len(stream)+1, stream)
		if got := cutAt(max(size, 1), stream); !slices.EqualFunc(got, whole, same) {
			t.Errorf("got %d packets, want the %d of one piece", len(got), len(whole))
		}
		for _, p := range whole {
			p.connect()
			p.connack()
			p.publish()
			p.subscribe()
		}
	})
}
