package panels

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"
)

// A hostile is a client that no server can wish for. It calls dial for each connection and returns when it has lost it, or
// is through with it.
type hostile func(ctx context.Context, dial func() (net.Conn, error), number int) error

// hostiles are the kinds, of which there are as many each.
var hostiles = []hostile{deaf, flood, malformed, vanish, silent}

// harass is a hostile client until ctx ends. done counts its connections.
func harass(ctx context.Context, dial func() (net.Conn, error), number int, done *atomic.Int64) {
	be := hostiles[number%len(hostiles)]
	for ctx.Err() == nil {
		_ = be(ctx, dial, number) // it is closed, most likely
		done.Add(1)
		if sleep(ctx, 20*time.Millisecond+rand.N(20*time.Millisecond)) != nil {
			return
		}
	}
}

// deaf asks and asks, and takes no answer.
func deaf(ctx context.Context, dial func() (net.Conn, error), number int) error {
	return pipeline(ctx, dial, number, func(net.Conn) {})
}

// flood asks as fast as it can, and takes the answers without a look.
func flood(ctx context.Context, dial func() (net.Conn, error), number int) error {
	return pipeline(ctx, dial, number, func(conn net.Conn) { io.Copy(io.Discard, conn) })
}

// pipeline sends requests without waiting for an answer, while read reads.
func pipeline(ctx context.Context, dial func() (net.Conn, error), number int, read func(net.Conn)) error {
	conn, err := dial()
	if err != nil {
		return err
	}
	self := string(ID(number))
	p, err := newPanel(ctx, conn, number, self, 0)
	if err != nil {
		return err
	}
	defer p.drop()
	go read(conn) // ends with the connection
	var requests []byte
	for range 16 {
		requests = appendPublish(requests, p.getDesired.topic, 0, 0, nil)
	}
	for {
		if _, err := conn.Write(requests); err != nil {
			return err
		}
	}
}

// malformed connects and then sends what is no packet: a PUBLISH at QoS 3 whose topic is longer than itself.
func malformed(ctx context.Context, dial func() (net.Conn, error), number int) error {
	conn, err := dial()
	if err != nil {
		return err
	}
	c, err := newClient(ctx, conn, string(ID(number)), bufferSize)
	if err != nil {
		return err
	}
	defer c.drop()
	if _, err := conn.Write([]byte{publishPacket | 3<<1, 4, 0xff, 0xff, '+', 0}); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// vanish sends half a CONNECT and resets the connection.
func vanish(_ context.Context, dial func() (net.Conn, error), number int) error {
	conn, err := dial()
	if err != nil {
		return err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	packet := appendConnect(nil, string(ID(number)))
	_, err = conn.Write(packet[:len(packet)/2])
	conn.Close()
	return err
}

// silent connects, and says nothing at all.
func silent(ctx context.Context, dial func() (net.Conn, error), _ int) error {
	conn, err := dial()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}
