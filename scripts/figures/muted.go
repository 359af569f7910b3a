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
)

// A mutedWay is a way to a hub on which change notices get lost, so that the hub is like one that has none.
type mutedWay struct {
	listener net.Listener
	hub      string // host:port
	carrying sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn // to be closed at the end
}

// openMutedWay listens on loopback. hub is mqtt://HOST:PORT.
func openMutedWay(hub string) (*mutedWay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a way to the hub without notices: %w", err)
	}
	w := &mutedWay{listener: l, hub: strings.TrimPrefix(hub, "mqtt://")}
	w.carrying.Go(w.accept)
	return w, nil
}

func (w *mutedWay) url() string { return "mqtt://" + w.listener.Addr().String() }

// close ends all connections and waits until they have ended.
func (w *mutedWay) close() error {
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

func (w *mutedWay) accept() {
	for {
		panel, err := w.listener.Accept()
		if err != nil {
			return
		}
		hub, err := net.Dial("tcp", w.hub)
		if err != nil {
			panel.Close() // which tries again
			continue
		}
		w.carry(panel, hub)
	}
}

// carry carries what the two say to each other until one of them ends.
func (w *mutedWay) carry(panel, hub net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		panel.Close()
		hub.Close()
		return
	}
	w.conns = append(w.conns, panel, hub)
	w.carrying.Go(func() {
		defer hub.Close()
		io.Copy(hub, panel)
	})
	w.carrying.Go(func() {
		defer panel.Close()
		mute(panel, hub)
	})
}

// longestPacket is in bytes after the header: what a hub answers is far shorter.
const longestPacket = 1 << 20

// mute carries MQTT packets until one end is closed, and leaves out every PUBLISH whose topic ends in /changed.
func mute(panel io.Writer, hub io.Reader) error {
	for r := bufio.NewReader(hub); ; {
		first, err := r.ReadByte()
		if err != nil {
			return err
		}
		length, err := binary.ReadUvarint(r) // MQTT's remaining length has the same form
		if err != nil {
			return err
		}
		if length > longestPacket {
			return errors.New("hub sent a packet that is too long")
		}
		packet := binary.AppendUvarint([]byte{first}, length)
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		if first>>4 == 3 && isNotice(body) {
			continue
		}
		if _, err := panel.Write(append(packet, body...)); err != nil {
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
