package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// A way is a way of devices to their hub on which packets are counted.
type way struct {
	listener net.Listener
	hub      string // host:port
	muted    bool   // change notices get lost, so that the hub is like one that has none
	carried  traffic
	carrying sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn // to be closed at the end
}

// traffic is what a way has carried, both ways together: MQTT's packets, without what TCP and IP add.
type traffic struct{ packets, bytes atomic.Int64 }

// openWay listens on loopback. hub is mqtt://HOST:PORT.
func openWay(hub string, muted bool) (*way, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a way to the hub: %w", err)
	}
	w := &way{listener: l, hub: strings.TrimPrefix(hub, "mqtt://"), muted: muted}
	w.carrying.Go(w.accept)
	return w, nil
}

func (w *way) url() string { return "mqtt://" + w.listener.Addr().String() }

// close ends all connections and waits until they have ended.
func (w *way) close() error {
	err := w.listener.Close()
	w.mu.Lock()
	w.closed = true
	for _, c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.carrying.Wait()
	return err
}

func (w *way) accept() {
	for {
		device, err := w.listener.Accept()
		if err != nil {
			return
		}
		hub, err := net.Dial("tcp", w.hub)
		if err != nil {
			device.Close() // which tries again
			continue
		}
		w.join(device, hub)
	}
}

// join carries what the two say to each other until one of them ends.
func (w *way) join(device, hub net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		device.Close()
		hub.Close()
		return
	}
	w.conns = append(w.conns, device, hub)
	w.carrying.Go(func() {
		defer hub.Close()
		w.carried.carry(hub, device, false)
	})
	w.carrying.Go(func() {
		defer device.Close()
		w.carried.carry(device, hub, w.muted)
	})
}

// longestPacket is in bytes after the header: what hub and devices send is far shorter.
const longestPacket = 1 << 20

// carry carries MQTT packets until one end is closed, and counts them. Muted, it leaves out every PUBLISH whose topic
// ends in /changed.
func (t *traffic) carry(to io.Writer, from io.Reader, muted bool) error {
	for r := bufio.NewReader(from); ; {
		first, err := r.ReadByte()
		if err != nil {
			return err
		}
		length, err := binary.ReadUvarint(r) // MQTT's remaining length has the same form
		if err != nil {
			return err
		}
		if length > longestPacket {
			return errors.New("packet is too long")
		}
		head := binary.AppendUvarint([]byte{first}, length)
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		if muted && first>>4 == 3 && isNotice(body) {
			continue
		}
		packet := append(head, body...)
		t.packets.Add(1)
		t.bytes.Add(int64(len(packet)))
		if _, err := to.Write(packet); err != nil {
			return err
		}
	}
}

// isNotice looks at the topic of a PUBLISH.
func isNotice(publish []byte) bool {
	if len(publish) < 2 {
		return false
	}
	topic := publish[2:]
	topic = topic[:min(len(topic), int(binary.BigEndian.Uint16(publish)))]
	return strings.HasSuffix(string(topic), "/changed")
}
