package hub

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// BenchmarkIdleWebSockets is BenchmarkIdleConnections over WebSocket. The client's end is a
// bare net.Conn here, too.
func BenchmarkIdleWebSockets(b *testing.B) {
	const n = 1000
	s := newTestServer(b, nil)
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		d := registry.Device{ID: twin.ID(ids[i]), Name: fmt.Sprintf("panel %d", i), AllowInsecure: true}
		if err := s.registry.AddDevice(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go s.ServeWS(l)
	conns := make([]net.Conn, n)
	missing := answerSize("$SCW/twins/me/desired/get/response/error", `{"error":"document not found"}`)
	for b.Loop() {
		before := memoryInUse()
		for i := range conns {
			if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
				b.Fatal(err)
			}
			upgradeByHand(b, conns[i])
			exchange(b, conns[i], frame(connectPacket(ids[i], 60)), 2+4)
			exchange(b, conns[i], frame(subscribePacket(1, "$SCW/twins/me/#")), 2+5)
			exchange(b, conns[i], frame(publishPacket("$SCW/twins/me/desired/get", 0, "")), 2+missing)
		}
		b.ReportMetric(float64(memoryInUse()-before)/n, "B/connection")
		for i := range conns {
			exchange(b, conns[i], frame(packet(0xe0)), 4) // the hub's close frame
			conns[i].Close()
		}
	}
}

// upgradeByHand makes a WebSocket of a connection, byte by byte, without a buffer that stays.
func upgradeByHand(b *testing.B, conn net.Conn) {
	b.Helper()
	_, err := io.WriteString(conn, upgradeRequest)
	if err != nil {
		b.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("got %v, %v", answer, err)
	}
}
