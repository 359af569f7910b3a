package hub

import (
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
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
// place is the next one's, and the devices that are connected notice nothing.
func TestTooManyNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.places, s.endpoint.maxWaiting = make(chan struct{}, 3), 1
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
		go late.send(connectPacket(string(otherID), 60)) // read in its turn
		late.want("")
		s.dial().want("closed")
		if log := s.log.take(); !strings.Contains(log, "connections=8 before_connect=4") {
			t.Errorf("log is %q", log)
		}

		half.send(connectPacket(string(panelID), 60)[9:])
		half.want("20020000")
		late.want("20020000")
		s.dial().want("") // in its place
		time.Sleep(connectTime)
		silent.want("closed")
		slow.want("closed")
		for _, c := range append(devices, half, late, s.connectAs("e", multiID)) {
			c.send(packet(0xc0))
			c.want("d000")
		}
	})
}

// A client that waits for a take-over is a newcomer, also when it leaves.
func TestWaitingForATakeOverCountsAsNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.places, s.endpoint.maxWaiting = make(chan struct{}, 1), 0
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

// After a restart all devices come at once. None of them has to come twice.
func TestDevicesThatComeAtOnceTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.places = make(chan struct{}, 3)
		var devices []*rawClient
		for n := range 100 {
			c := s.dial()
			devices = append(devices, c)
			go c.send(loginPacket(fmt.Sprint(n), string(multiID), ""))
		}
		for n, c := range devices {
			if got := c.take(); got != "20020000" {
				t.Errorf("device %d: got %q, want its CONNACK", n, got)
			}
		}
		if _, _, newcomers := s.endpoint.connections(); newcomers != 0 || len(s.endpoint.places) != 0 {
			t.Errorf("when all are connected: %d newcomers, %d places taken; want none", newcomers, len(s.endpoint.places))
		}
	})
}

// Half as many clients again as are served at a time connect, say nothing, and come again as soon as they are closed.
// Who has something to say is served by his second attempt.
func TestSilentCrowdKeepsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, crowd = 8, 12
		s := newTestServer(t, nil)
		s.endpoint.places = make(chan struct{}, places)
		var clients sync.WaitGroup
		for range crowd {
			time.Sleep(connectTime / crowd)
			clients.Go(func() {
				for !s.endpoint.isClosed() {
					ours, theirs := net.Pipe()
					go s.ServeConn(theirs)
					io.Copy(io.Discard, ours)
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(time.Minute)
		for n := range 50 {
			time.Sleep(700 * time.Millisecond)
			if _, _, newcomers := s.endpoint.connections(); newcomers <= places {
				t.Errorf("there are %d newcomers: this is no crowd", newcomers)
			}
			var got string
			for range 2 {
				c := s.dial()
				go c.send(connectPacket(string(panelID), 60))
				time.Sleep(placeTime)
				if got = c.take(); got == "20020000" {
					c.send(packet(0xe0))
					break
				}
			}
			if got != "20020000" {
				t.Errorf("device %d: got %q, want its CONNACK", n, got)
			}
		}
		s.Close()
		clients.Wait()
	})
}

// Who waits in vain is closed in time. The log says so as of those who are too many from the beginning.
func TestPlaceThatNobodyLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.places = make(chan struct{}, 1)
		silent := s.dial()
		synctest.Wait() // has its place
		waiting := s.dial()
		synctest.Wait()
		time.Sleep(placeTime - 1)
		waiting.want("")
		time.Sleep(time.Nanosecond)
		waiting.want("closed")
		silent.want("")
		if log := s.log.take(); !strings.Contains(log, `msg="connection closed: there are too many" remote=pipe connections=2 before_connect=2`) {
			t.Errorf("log is %q", log)
		}
	})
}

// Close ends those that wait, too.
func TestCloseWhileNewcomersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.endpoint.places = make(chan struct{}, 1)
		clients := []*rawClient{s.dial(), s.dial(), s.dial()}
		synctest.Wait()
		began := time.Now()
		s.Close()
		for _, c := range clients {
			c.want("closed")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v, want no time", took)
		}
	})
}
