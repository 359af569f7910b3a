package main

import (
	"io"
	"net"
	"slices"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

// TestTapPassesOnWhateverComes sends MQTT and what is none, and finds it as it was on the other side.
func TestTapPassesOnWhateverComes(t *testing.T) {
	const id = "11111111-2222-4333-8444-555555555555"
	connect := string(frame(0x10, text("MQTT")+"\x04\xc2\x00\x3c"+text(id)+text(id)+text("hush")))
	for _, tt := range []struct {
		name, in, out string
		want          []string
	}{
		{"no MQTT", "GET / HTTP/1.1\r\n\r\n", "\xff\xff\xff\xff\xff\xff", nil},
		{"packets before CONNECT", string(frame(0x30, text("t")+"{}")), string(frame(0x30, text("t")+"{}")), nil},
		{"a CONNECT that is cut", string(frame(0x10, text("MQTT"))), "", nil},
		{"a stranger", string(frame(0x10, text("MQTT")+"\x04\x02\x00\x3c"+text("who"))), "\x20\x02\x00\x05",
			[]string{"a device CONNECT as who x1", "hub CONNACK refused, code 5 x1", "a device connection closed x1"}},
		{"a panel", connect + string(frame(0x82, "\x00\x01"+text("f")+"\x00")) + "\xc0\x00" + string(frame(0x30, text("t")+"{}")) + "\xe0\x00",
			"\x20\x02\x00\x00\x90\x03\x00\x01\x00" + string(frame(0x30, text("t")+"{}")) + "\xd0\x00",
			[]string{"panel CONNECT as " + id + ", with a secret x1", "panel SUBSCRIBE f x1", "panel PUBLISH t x1 {}", "panel DISCONNECT x1",
				"hub CONNACK accepted x1", "hub PUBLISH t x1 {}", "panel connection closed x1"}},
	} {
		device, hub := net.Pipe()
		w := newWire()
		conn := newTapped(hub, &tap{wire: w, names: map[twin.ID]string{id: "panel"}})
		heard := make(chan string)
		go func() {
			io.WriteString(device, tt.in)
			got, _ := io.ReadAll(device)
			heard <- string(got)
		}()
		got := make([]byte, len(tt.in))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != tt.in {
			t.Errorf("%s: the hub got %q and error %v, want %q", tt.name, got, err, tt.in)
		}
		if _, err := io.WriteString(conn, tt.out); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		conn.Close()
		conn.Close() // a connection may be closed twice, and ends once
		if got := <-heard; got != tt.out {
			t.Errorf("%s: the device got %q, want %q", tt.name, got, tt.out)
		}
		if got := lines(w); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
