package hub

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMQTTConns(t *testing.T) {
	tests := []struct{ files, want int }{
		{-1, 1},
		{0, 1},
		{fileReserve, 1},
		{fileReserve + 1, 1},
		{256, (256 - fileReserve) / 2},
		{1024, (1024 - fileReserve) / 2},
		{fileReserve + 2*restMaxConns, restMaxConns},
		{4096, 4096 - fileReserve - restMaxConns},
		{fileReserve + restMaxConns + maxMQTTConns - 1, maxMQTTConns - 1},
		{fileReserve + restMaxConns + maxMQTTConns, maxMQTTConns},
		{math.MaxInt, maxMQTTConns},
	}
	for _, tt := range tests {
		if got := mqttConns(tt.files); got != tt.want {
			t.Errorf("with %d files: %d connections, want %d", tt.files, got, tt.want)
		}
	}
}

func TestTooManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.maxConns = 2
		first, second := s.connect(panelID), s.connect(otherID)
		s.log.take()
		for range 100 {
			third := s.dial()
			third.want("closed")
		}
		log := s.log.take()
		if n := strings.Count(log, "\n"); n != linesPerSubject || !strings.Contains(log, `level=WARN msg="connection closed: there are too many" remote=pipe connections=2 before_connect=0`) {
			t.Errorf("log has %d lines, want %d: %s", n, linesPerSubject, log)
		}
		first.send(packet(0xc0))
		first.want("d000")
		second.send(packet(0xe0))
		second.want("closed")
		s.connectAs("third", multiID)
	})
}

// Whoever is connected doesn't count as a newcomer, however a newcomer ends its
// place is free again, and the devices that are connected notice nothing.
func TestTooManyNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.maxNewcomers = 3
		var devices []*rawClient
		for _, name := range []string{"a", "b", "c", "d"} {
			devices = append(devices, s.connectAs(name, multiID))
		}
		s.dial().conn.Close()                              // gone
		s.dial().send(packet(0xc0))                        // no CONNECT
		s.dial().send(connectPacket(string(nobodyID), 60)) // refused
		s.connect(panelID).send(packet(0xe0))              // came and went
		synctest.Wait()

		silent, slow, half := s.dial(), s.dial(), s.dial()
		slow.send([]byte{0x10, 0x80, 0x80, 4, 0}) // 64 KiB to come
		half.send(connectPacket(string(panelID), 60)[:9])
		late := s.dial()
		late.want("closed")
		if log := s.log.take(); !strings.Contains(log, "connections=7 before_connect=3") {
			t.Errorf("log is %q", log)
		}

		half.send(connectPacket(string(panelID), 60)[9:])
		half.want("20020000")
		s.dial().want("") // in its place
		time.Sleep(connectTime)
		silent.want("closed")
		slow.want("closed")
		for _, c := range append(devices, half, s.connectAs("e", multiID)) {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// A client that waits for a take-over is a newcomer, also when it leaves.
func TestWaitingForATakeOverCountsAsNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.maxNewcomers = 1
		takenOverOften(s)
		for range 2 {
			waiting := s.dial()
			waiting.send(connectPacket(string(panelID), 60))
			s.dial().want("closed")
			waiting.conn.Close()
			synctest.Wait()
		}
		s.connect(otherID)
	})
}
