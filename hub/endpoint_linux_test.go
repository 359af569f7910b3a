package hub

import (
	"net"
	"syscall"
	"testing"
)

// TCP probes are on exactly where MQTT's keep-alive is off.
func TestTCPKeepAlive(t *testing.T) {
	for keepAlive, want := range map[uint16]int{0: 1, 60: 0} {
		s := newTestServer(t, nil)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		go s.ServeConn(conn)
		if _, err := client.Write(connectPacket(string(panelID), keepAlive)); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Read(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if err := raw.Control(func(fd uintptr) {
			got, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		}); err != nil {
			t.Fatal(err)
		}
		if err != nil || got != want {
			t.Errorf("keep-alive %d: SO_KEEPALIVE is %d, %v, want %d", keepAlive, got, err, want)
		}
	}
}
