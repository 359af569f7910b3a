package hub

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// BenchmarkIdleConnections opens a thousand connections over loopback, lets each
// subscribe, ask for notices and do one get, and reports what each costs in heap and stacks. That
// counts the client's end as well: a bare net.Conn, or over TLS one of crypto/tls, which costs about
// as much as the hub's.
func BenchmarkIdleConnections(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkIdle(b, false) })
	b.Run("tls", func(b *testing.B) { benchmarkIdle(b, true) })
}

func benchmarkIdle(b *testing.B, secure bool) {
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
	address := l.Addr().String()
	dial := func() (net.Conn, error) { return net.Dial("tcp", address) }
	if secure {
		config, err := s.TLS(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		l = tls.NewListener(l, config)
		client := &tls.Config{InsecureSkipVerify: true}
		dial = func() (net.Conn, error) { return tls.Dial("tcp", address, client) }
	}
	go s.ServeMQTT(l)
	conns := make([]net.Conn, n)
	none := answerSize("$SCW/twins/me/desired/changed", `{"version":0}`)
	missing := answerSize("$SCW/twins/me/desired/get/response/error", `{"error":"document not found"}`)
	for b.Loop() {
		before := memoryInUse()
		for i := range conns {
			if conns[i], err = dial(); err != nil {
				b.Fatal(err)
			}
			exchange(b, conns[i], connectPacket(ids[i], 60), 4)
			exchange(b, conns[i], subscribePacket(1, "$SCW/twins/me/#"), 5)
			exchange(b, conns[i], subscribePacket(2, "$SCW/twins/me/desired/changed"), 5+none)
			exchange(b, conns[i], publishPacket("$SCW/twins/me/desired/get", 0, ""), missing)
		}
		b.ReportMetric(float64(memoryInUse()-before)/n, "B/connection")
		for i := range conns {
			exchange(b, conns[i], packet(0xe0), 0)
		}
	}
}

// BenchmarkPut is a put that nobody wants to hear of, that a client on loopback is told of,
// and that a client should be told of who reads nothing.
func BenchmarkPut(b *testing.B) {
	for _, subscriber := range []string{"none", "reading", "deaf"} {
		b.Run("subscriber="+subscriber, func(b *testing.B) {
			s := newTestServer(b, nil)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			go s.ServeMQTT(l)
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			exchange(b, conn, connectPacket(string(panelID), 0), 4)
			if subscriber != "none" {
				exchange(b, conn, subscribePacket(1, "$SCW/twins/me/desired/changed"), 5)
			}
			if subscriber == "reading" {
				go io.Copy(io.Discard, conn)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.put(panelID, "desired", `{"data":{"alarm_armed":true}}`)
			}
		})
	}
}

// exchange sends a packet and takes an answer of n bytes; 0 = the end.
func exchange(b *testing.B, conn net.Conn, p []byte, n int) {
	b.Helper()
	if _, err := conn.Write(p); err != nil {
		b.Fatal(err)
	}
	if n == 0 {
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			b.Fatalf("got %v, want the end", err)
		}
		conn.Close()
		return
	}
	if _, err := io.ReadFull(conn, make([]byte, n)); err != nil {
		b.Fatal(err)
	}
}

func answerSize(topic, payload string) int { return len(publishPacket(topic, 0, payload)) }

// memoryInUse is what the heap and the stacks hold after a collection.
func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC() // the first one only marks what pools hold
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
