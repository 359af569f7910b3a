package hub

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"
)

// TCP probes are on exactly where MQTT's keep-alive is off.
func TestTCPKeepAlive(t *testing.T) {
	ways := map[string]struct {
		serve func(*Hub, net.Listener) error
		send  func([]byte) []byte // what goes before a CONNECT and around it
	}{
		"TCP":       {(*Hub).ServeMQTT, func(p []byte) []byte { return p }},
		"WebSocket": {(*Hub).ServeWS, func(p []byte) []byte { return append([]byte(upgradeRequest), frame(p)...) }},
	}
	for name, way := range ways {
		for keepAlive, want := range map[uint16]int{0: 1, 60: 0} {
			s := newTestServer(t, nil)
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := &watchedListener{tcp, make(chan *net.TCPConn, 1)}
			served := make(chan error)
			go func() { served <- way.serve(s.Hub, l) }()
			client, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write(way.send(connectPacket(string(panelID), keepAlive))); err != nil {
				t.Fatal(err)
			}
			var got []byte
			for !bytes.HasSuffix(got, []byte{0x20, 2, 0, 0}) {
				b := make([]byte, 1)
				if _, err := io.ReadFull(client, b); err != nil {
					t.Fatalf("%s: got %q, %v, want a CONNACK", name, got, err)
				}
				got = append(got, b...)
			}
			if got := keepAliveOf(t, <-l.accepted); got != want {
				t.Errorf("%s, keep-alive %d: SO_KEEPALIVE is %d, want %d", name, keepAlive, got, want)
			}
			client.Close()
			s.Close()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
}

// A watchedListener shows what it accepts.
type watchedListener struct {
	net.Listener
	accepted chan *net.TCPConn
}

func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- conn.(*net.TCPConn)
	}
	return conn, err
}

// keepAliveOf is the connection's SO_KEEPALIVE.
func keepAliveOf(t *testing.T, conn *net.TCPConn) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	failed := raw.Control(func(fd uintptr) {
		got, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	})
	if failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	return got
}
