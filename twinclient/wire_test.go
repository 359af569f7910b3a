package twinclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// A canned connection: reads give the bytes, writes go nowhere.
type canned struct {
	net.Conn
	io.Reader
}

func (c canned) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func readWire(r io.Reader) (out []byte, err, failed error) {
	w := newWire(canned{Reader: r}, time.Second, func(err error) { failed = err })
	out, err = io.ReadAll(w)
	return out, err, failed
}

func TestWireChecksPackets(t *testing.T) {
	for _, test := range []struct {
		name, in string
		passes   string // what paho gets to see
		err      string
	}{
		{"nothing", "", "", "hub closed the connection (EOF)"},
		{"half a header", "\x30", "", "hub closed the connection (EOF)"},
		{"half a packet", "\x30\x05\x00", "\x30\x05\x00", "hub closed the connection (EOF)"},
		{"half a CONNACK", "\x20\x02\x00", "", "hub closed the connection (EOF)"},
		{"long CONNACK", "\x20\x03\x00\x00\x00", "", "starts with 0x20 and is 3 bytes long"},
		{"unknown CONNACK code", "\x20\x02\x00\x06", "", "unknown code 6"},
		{"SUBACK of no filter", "\x90\x02\x00\x01", "", "starts with 0x90 and is 2 bytes long"},
		{"SUBACK of two filters", "\x90\x04\x00\x01\x00\x00", "", "starts with 0x90 and is 4 bytes long"},
		{"long PINGRESP", "\xd0\x01\x00", "", "starts with 0xd0 and is 1 bytes long"},
		{"PUBLISH without a topic", "\x30\x01\x00", "", "starts with 0x30 and is 1 bytes long"},
		{"PUBLISH at QoS 2", "\x34\x05\x00\x01a\x00\x01", "", "unexpected packet, which starts with 0x34"},
		{"PUBACK", "\x40\x02\x00\x01", "", "unexpected packet, which starts with 0x40"},
		{"CONNECT", "\x10\x02\x00\x01", "", "unexpected packet, which starts with 0x10"},
		{"packet of 1 MiB and a byte", "\x30\x81\x80\x40", "", "is 1048577 bytes long"},
		{"length of five bytes", "\x30\xff\xff\xff\xff\x01", "", "packet length of more than four bytes"},
		{"TLS alert", "\x15\x03\x01\x00\x02\x02\x28", "", "unexpected packet, which starts with 0x15"},
		{"PUBACK with flags", "\x48\x02\x00\x01", "", "unexpected packet, which starts with 0x48"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "", "a web server answers"},
		{"good packets",
			"\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x04\x00\x01ab\xd0\x00",
			"\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x04\x00\x01ab\xd0\x00",
			"hub closed the connection (EOF)"},
	} {
		for _, r := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
			out, err, failed := readWire(r)
			if string(out) != test.passes || err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: got %q, %v, want %q, %s", test.name, out, err, test.passes, test.err)
			}
			if failed != err {
				t.Errorf("%s: reported %v, returned %v", test.name, failed, err)
			}
		}
	}
}

// Whatever a hub sends, what paho sees is the beginning of it, made of packets
// that are allowed and not too long, and then comes an error that is reported.
func FuzzWire(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x90\x03\x00\x01\x00\x30\x04\x00\x01ab\xd0\x00"))
	f.Add([]byte("\x30\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err, failed := readWire(bytes.NewReader(in))
		if err == nil || failed != err || !bytes.HasPrefix(in, out) {
			t.Fatalf("got %x, error %v, reported %v", out, err, failed)
		}
		for rest := out; len(rest) > 0; {
			length, n := 0, 1
			for shift := 0; ; shift += 7 {
				length |= int(rest[n]&0x7f) << shift
				if n++; rest[n-1] < 0x80 {
					break
				}
			}
			if length > maxPacket || !strings.ContainsRune("\x20\x30\x31\u0090\u00d0", rune(rest[0])) {
				t.Fatalf("let a packet through that starts with %#02x and is %d bytes long", rest[0], length)
			}
			rest = rest[min(n+length, len(rest)):]
		}
		if len(out) < len(in) && errors.Is(err, errHubClosed) && len(in)-len(out) > 5 {
			t.Fatalf("got %d of %d bytes and then %v", len(out), len(in), err)
		}
	})
}

// The REST port of a hub, in place of that for MQTT.
func TestDialMeetsAWebServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Hub: "mqtt://localhost:8081", DeviceID: deviceID, Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				defer far.Close()
				if _, err := packets.ReadPacket(far); err != nil {
					t.Error(err)
				}
				io.WriteString(far, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			}()
			return near, nil
		}}
		c, err := Dial(t.Context(), o)
		if err == nil {
			c.Close()
		}
		trust, ok := errors.AsType[*TrustError](err)
		if !ok || trust.Problem != "a web server answers on this port, perhaps the hub's REST API" ||
			trust.Next != "give the port of hub --mqtts, or with mqtt:// that of hub --mqtt" {
			t.Errorf("got %v", err)
		}
	})
}
