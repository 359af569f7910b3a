package twinclient

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// maxPacket is the longest packet that is read, in bytes. A document of
// [twin.MaxDataSize] fits four times: hubs may indent.
const maxPacket = 1 << 20

// errHubClosed is how most connections end.
var errHubClosed = errors.New("hub closed the connection")

// errWebServer is HTTP in place of MQTT. A REST port hears CONNECT as a bad request, and says so after some seconds.
var errWebServer = errors.New("a web server answers")

// closings are the errors by which reads and writes learn of it.
var closings = []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE}

// A wire is the network connection below paho. It adds what paho lacks:
//
//   - every write has a deadline, also that of a ping; paho alone doesn't notice
//     a frozen link while the send buffer is full;
//   - only packets that answer what this package sends get through, each no longer
//     than it can be; paho would reserve 256 MB on the word of a rogue hub
//     (eclipse-paho/paho.mqtt.golang#739), panics on a SUBACK with more codes than
//     filters, and takes an unknown CONNACK code for success;
//   - the first error is reported at once; paho swallows some.
type wire struct {
	net.Conn
	r       *bufio.Reader
	head    []byte // of the packet being read: header bytes that paho hasn't taken yet
	body    int    // and bytes that follow them
	timeout time.Duration
	failed  func(error) // told each error of Read and Write
}

func newWire(conn net.Conn, timeout time.Duration, failed func(error)) *wire {
	return &wire{Conn: conn, r: bufio.NewReader(conn), timeout: timeout, failed: failed}
}

// Write sends one packet within the timeout.
func (w *wire) Write(p []byte) (int, error) {
	// Several goroutines of paho write. Each only ever moves the deadline forward.
	if err := w.Conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, w.fail(err)
	}
	n, err := w.Conn.Write(p)
	if err != nil {
		return n, w.fail(err)
	}
	return n, nil
}

// SetDeadline is paho's limit for the handshake. It holds for reading only.
func (w *wire) SetDeadline(t time.Time) error { return w.SetReadDeadline(t) }

// SetWriteDeadline does nothing: after a PUBLISH, paho would lift the deadline
// that a ping is being written under.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// Read hands out the bytes of packets whose header was found good.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.head) == 0 && w.body == 0 {
		if err := w.next(); err != nil {
			return 0, w.fail(err)
		}
	}
	if len(w.head) > 0 {
		n := copy(p, w.head)
		w.head = w.head[n:]
		return n, nil
	}
	n, err := w.r.Read(p[:min(len(p), w.body)])
	w.body -= n
	if err != nil {
		return n, w.fail(err)
	}
	return n, nil
}

// next reads the fixed header of a packet and checks that a hub may send it here.
func (w *wire) next() error {
	first, err := w.r.ReadByte()
	if err != nil {
		return err
	}
	head := []byte{first}
	length := 0
	for shift := 0; ; shift += 7 {
		b, err := w.r.ReadByte()
		if err != nil {
			return err
		}
		head = append(head, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
		if shift == 21 {
			return errors.New("hub sent a packet length of more than four bytes")
		}
	}
	ok := false
	switch first {
	case 0x20: // CONNACK
		if ok = length == 2; ok {
			body, err := w.r.Peek(2)
			if err != nil {
				return err
			}
			if body[1] > 5 {
				return fmt.Errorf("hub answered CONNECT with the unknown code %d: does it speak MQTT 3.1.1?", body[1])
			}
		}
	case 0x30, 0x31: // PUBLISH at QoS 0, which is what the subscription asks for
		ok = length >= 2
	case 0x90: // SUBACK of one filter
		ok = length == 3
	case 0xd0: // PINGRESP
		ok = length == 0
	default:
		if string(head) == "HT" { // HTTP/1.1 400
			return errWebServer
		}
		return fmt.Errorf("hub sent an unexpected packet, which starts with %#02x", first)
	}
	if !ok || length > maxPacket {
		return fmt.Errorf("hub sent a packet that starts with %#02x and is %d bytes long", first, length)
	}
	w.head, w.body = head, length
	return nil
}

// fail reports an error and returns it.
func (w *wire) fail(err error) error {
	if isClosing(err) {
		err = fmt.Errorf("%w (%v)", errHubClosed, err)
	}
	w.failed(err)
	return err
}

// isClosing tells whether an error says that the other end closed the connection.
func isClosing(err error) bool {
	return slices.ContainsFunc(closings, func(closed error) bool { return errors.Is(err, closed) })
}
