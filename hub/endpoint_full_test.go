package hub

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestShares(t *testing.T) {
	const most = restMaxConns + webMaxConns
	tests := []struct{ files, mqtt, rest, web int }{
		{-1, 1, 1, 1},
		{0, 1, 1, 1},
		{fileReserve, 1, 1, 1},
		{fileReserve + 1, 1, 1, 1},
		{fileReserve + 16, 7, 7, 2},
		{1024, 420, 420, 120},
		{fileReserve + 2*restMaxConns + webMaxConns, restMaxConns, restMaxConns, webMaxConns},
		{4096, 4096 - fileReserve - most, restMaxConns, webMaxConns},
		{fileReserve + most + maxMQTTConns - 1, maxMQTTConns - 1, restMaxConns, webMaxConns},
		{fileReserve + most + maxMQTTConns, maxMQTTConns, restMaxConns, webMaxConns},
		{math.MaxInt, maxMQTTConns, restMaxConns, webMaxConns},
	}
	for _, tt := range tests {
		if mqtt, rest, web := shares(tt.files, 1); mqtt != tt.mqtt || rest != tt.rest || web != tt.web {
			t.Errorf("with %d files: %d, %d and %d connections, want %d, %d and %d", tt.files, mqtt, rest, web, tt.mqtt, tt.rest, tt.web)
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
		synctest.Wait()
		s.connect(panelID).send(packet(0xe0)) // came and went
		synctest.Wait()

		silent, slow, half := s.dial(), s.dial(), s.dial()
		slow.send([]byte{0x10, 0x80, 0x80, 4, 0}) // 64 KiB to come
		half.send(connectPacket(string(panelID), 60)[:9])
		synctest.Wait() // the silent one has its place
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
