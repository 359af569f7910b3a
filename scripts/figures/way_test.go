package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

func TestMutedWayLeavesOutNotices(t *testing.T) {
	const (
		notice = "\x30\x10\x00\x09a/changed{\"n\":"
		long   = "\x30\x80\x01\x00\x09a/changed"
		answer = "\x30\x08\x00\x05a/get{"
		acks   = "\x20\x02\x00\x00\x90\x03\x00\x01\x00\xd0\x00"
	)
	fill := strings.Repeat("x", 128-11)
	tests := []struct {
		name, in, want string
		err            error // io.EOF is the end of what came; nil = another one
	}{
		{"nothing", "", "", io.EOF},
		{"half a packet", answer[:7], "", io.ErrUnexpectedEOF},
		{"no length", "\x30", "", io.EOF},
		{"longer than any", "\x30\x81\x80\x40" + strings.Repeat("x", longestPacket+1), "", nil},
		{"length without end", "\x30" + strings.Repeat("\xff", 20), "", nil},
		{"topic that is cut off", "\x30\x01\x00" + "\x30\x03\x00\x09a", "\x30\x01\x00" + "\x30\x03\x00\x09a", io.EOF},
		{"no notice", acks + answer, acks + answer, io.EOF},
		{"changed in the payload", "\x30\x0b\x00\x01a/changed", "\x30\x0b\x00\x01a/changed", io.EOF},
		{"SUBACK that looks like one", "\x90" + notice[1:], "\x90" + notice[1:], io.EOF},
		{"notice", notice, "", io.EOF},
		{"long notice", long + fill, "", io.EOF},
		{"among others", acks + notice + answer + long + fill + answer, acks + answer + answer, io.EOF},
	}
	for _, tt := range tests {
		for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			var got bytes.Buffer
			err := new(traffic).carry(&got, r, true)
			if got.String() != tt.want || err == nil || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%s: got %q, %v, want %q, %v", tt.name, &got, err, tt.want, tt.err)
			}
		}
	}
}

func TestPacketsAreCounted(t *testing.T) {
	const (
		ping   = "\xc0\x00"
		notice = "\x30\x10\x00\x09a/changed{\"n\":"
		half   = "\x30\x08\x00"
	)
	for _, tt := range []struct {
		in             string
		muted          bool
		packets, bytes int64
	}{
		{"", false, 0, 0},
		{half, false, 0, 0},
		{ping + notice + ping + half, false, 3, 22},
		{ping + notice + ping + half, true, 2, 4},
	} {
		var count traffic
		var got bytes.Buffer
		count.carry(&got, strings.NewReader(tt.in), tt.muted)
		packets, n := count.packets.Load(), count.bytes.Load()
		if packets != tt.packets || n != tt.bytes || int64(got.Len()) != n {
			t.Errorf("%q, muted %t: counted %d packets of %d bytes, passed on %d bytes, want %d and %d",
				tt.in, tt.muted, packets, n, got.Len(), tt.packets, tt.bytes)
		}
	}
}

func TestWayCarries(t *testing.T) {
	hub, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	way, err := openWay("mqtt://"+hub.Addr().String(), true)
	if err != nil {
		t.Fatal(err)
	}
	panel, err := net.Dial("tcp", strings.TrimPrefix(way.url(), "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	defer panel.Close()
	inside, err := hub.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	for _, way := range [][2]net.Conn{{panel, inside}, {inside, panel}} {
		got := make([]byte, 2)
		if _, err := io.WriteString(way[0], "\xc0\x00"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way[1], got); err != nil || string(got) != "\xc0\x00" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if err := way.close(); err != nil {
		t.Error(err)
	}
	for _, end := range []net.Conn{panel, inside} {
		if _, err := end.Read(make([]byte, 1)); err == nil {
			t.Error("the connection lives on after its way is closed")
		}
	}
}
