package hub

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestWebSocketSilentBeforeConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWebServer(t, nil).dialWeb()
		time.Sleep(connectTime - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("1008 no complete CONNECT within 5s")
	})
}

// A session looks now and then whether its device still exists, which interrupts its reader.
func TestWebSocketIdles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		c := s.connectWeb(panelID, 0)
		half := publishPacket("$SCW/twins/me/a/get", 0, "")
		c.send(packet(0xc0), half[:9])
		c.want("d000")
		time.Sleep(packetTime - time.Second)
		c.send(half[9:], packet(0xc0))
		c.want(answer("$SCW/twins/me/a/get/response/error", `{"error":"document not found"}`) + "d000")
		time.Sleep(24 * time.Hour)
		c.send(packet(0xc0))
		c.want("d000")
		if err := s.registry.RemoveDevice(t.Context(), panelID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(recheckTime)
		c.want("1008 device was removed")
	})
}

func TestWebSocketSilentBeyondItsKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWebServer(t, nil).connectWeb(panelID, 60)
		time.Sleep(90*time.Second - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("1008 nothing heard for one and a half keep-alive intervals")
	})
}

func TestWebSocketClientVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		c := s.connectWeb(panelID, 60)
		s.log.take()
		c.wire.Close()
		synctest.Wait()
		if log := s.log.take(); !strings.Contains(log, `msg="device disconnected" device=panel id=11111111… reason="connection lost`) {
			t.Errorf("log is %q", log)
		}
		s.connectWeb(panelID, 60)
	})
}

func TestWebSocketThatReadsNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		c := s.dialDeafWeb()
		c.send(connectPacket(string(panelID), 60))
		time.Sleep(writeTime - time.Millisecond)
		synctest.Wait()
		if log := s.log.take(); log != "" {
			t.Errorf("log is %q, want nothing yet", log)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if log := s.log.take(); !strings.Contains(log, errNotReading.Error()) {
			t.Errorf("log is %q", log)
		}
		time.Sleep(stopTime)
		synctest.Wait()
		if _, err := c.wire.Write([]byte{0}); err == nil {
			t.Error("the connection is still open")
		}
	})
}

// Pings of WebSocket are answered however long ago the hub has written anything.
func TestWebSocketPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWebServer(t, nil).connectWeb(panelID, 0)
		for range 5 {
			time.Sleep(2 * writeTime)
			if err := c.ws.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.send(packet(0xc0))
		c.want("d000")
	})
}

func TestWebSocketIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		old := s.connectWeb(panelID, 60)
		s.connect(panelID) // over TCP
		old.want("1008 taken over by another connection of the same device")
	})
}

// The client that comes next waits for the old one's last request, but not for its good-bye.
func TestWebSocketTakeOverDoesNotWaitForAGoodBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		old := s.connectWeb(panelID, 60)
		if err := old.wire.SetWriteDeadline(time.Unix(1, 0)); err != nil { // its good-bye never comes
			t.Fatal(err)
		}
		start := time.Now()
		s.connectWeb(panelID, 60)
		if took := time.Since(start); took != 0 {
			t.Errorf("the take-over took %v", took)
		}
	})
}

func TestWebSocketWaitsForATakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		takenOverOften(s.testServer)
		left, waits := s.dialWeb(), s.dialWeb()
		left.send(connectPacket(string(panelID), 60))
		synctest.Wait()
		left.ws.CloseNow()
		synctest.Wait()
		waits.send(connectPacket(string(panelID), 60), packet(0xc0))
		time.Sleep(takeOverPause - time.Millisecond)
		waits.want("")
		time.Sleep(time.Millisecond)
		waits.want("20020000" + "d000")
	})
}

func TestTooManyWebSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		s.endpoint.maxConns = 1
		s.connectWeb(panelID, 60)
		s.dialWeb().want("1013 there are too many connections")
	})
}

// A client may send before it has seen that it may.
func TestWebSocketInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		ours, theirs := net.Pipe()
		defer ours.Close()
		s.door <- theirs
		go func() {
			_, _ = ours.Write(append([]byte(upgradeRequest), frame(connectPacket(string(panelID), 60))...))
		}()
		r := bufio.NewReader(ours)
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %v, %v", answer, err)
		}
		got := make([]byte, 6)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != "\x82\x04\x20\x02\x00\x00" {
			t.Errorf("got %x, %v, want a CONNACK in a frame", got, err)
		}
	})
}

// A WebSocket doesn't count among the HTTP connections any more.
func TestManyWebSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		for range webMaxConns + 10 {
			s.dialWeb().send(packet(0x10, "MQTT", 4, 2, uint16(60), "", string(multiID))[:5])
		}
	})
}

func TestCloseEndsWebSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, func(c *Config) { c.Documents = slowStore{c.Documents} })
		silent, idle, busy := s.dialWeb(), s.connectWeb(panelID, 60), s.connectWeb(otherID, 60)
		busy.send(publishPacket("$SCW/twins/me/a/put", 7, `{"data":{}}`))
		synctest.Wait()
		start := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Close took %v, want 1s: as long as the request under way", took)
		}
		for _, c := range []*webClient{silent, idle} {
			c.want("1001 hub is closed")
		}
		busy.want("40020007" + answer("$SCW/twins/me/a/put/response/success", `{"version":1,"data":{}}`) + " 1001 hub is closed")
	})
}

func TestCloseDoesNotWaitForAWebSocketThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		c := s.dialDeafWeb()
		c.send(connectPacket(string(panelID), 60))
		synctest.Wait()
		start := time.Now()
		s.Close()
		if took := time.Since(start); took != stopTime {
			t.Errorf("Close took %v, want %v", took, stopTime)
		}
	})
}

// A frame may say that it goes on for ever; its bytes are passed on as they come.
func TestWebSocketEndlessFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		c := s.connectWeb(panelID, 60)
		header := []byte{0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // 2⁶³ bytes less some, mask 0
		pings := strings.Repeat("\xc0\x00", webSocketPiece/2)
		if _, err := c.wire.Write(append(header, pings...)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(webSocketPiece / 2 * aheadPace)
		c.want(strings.Repeat("d000", webSocketPiece/2))
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if log := s.log.take(); !strings.Contains(log, errSilent.Error()) {
			t.Errorf("log is %q", log)
		}
	})
}

// The TCP connection is found below, for the keep-alive of clients without MQTT's, and
// so is the place among the HTTP connections.
func TestBelowAWebSocket(t *testing.T) {
	tcp := new(net.TCPConn)
	slot := &slotConn{Conn: tcp}
	conn := &webSocketConn{tcp: slot}
	if got := below[*net.TCPConn](conn); got != tcp {
		t.Errorf("got %v, want the TCP connection", got)
	}
	if got := below[*slotConn](conn); got != slot {
		t.Errorf("got %v, want the slot", got)
	}
}

// Both ways into the hub speak with the same twin.
func TestWebSocketSeesWhatMQTTWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		tcp := s.connectAs("tcp", multiID)
		web := s.connectWeb(multiID, 60)
		tcp.send(publishPacket("$SCW/twins/me/a/put", 0, `{"data":{"n":1}}`))
		tcp.take()
		web.send(publishPacket("$SCW/twins/"+string(multiID)+"/a/get", 0, ""))
		web.want(answer("$SCW/twins/"+string(multiID)+"/a/get/response/success", `{"version":1,"data":{"n":1}}`))
		web.want("")
	})
}

// A WebSocket that the hub ends takes a place until the good-bye is over: that of an HTTP
// connection where it came to no session, else that of a newcomer. Who waits for the latter keeps the former.
func TestWebSocketGoodByesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		synctest.Wait()
		before := len(s.web.slots)
		count := func() (slots, newcomers int) {
			synctest.Wait()
			s.endpoint.mu.Lock()
			defer s.endpoint.mu.Unlock()
			return len(s.web.slots) - before, s.endpoint.newcomers
		}
		s.endpoint.places, s.endpoint.maxWaiting = make(chan struct{}, 10), 5
		for range 10 {
			s.dialDeafWeb().send(packet(0xc0))
		}
		synctest.Wait() // they have the places
		for range 5 + 7 {
			s.dialDeafWeb()
		}
		if slots, newcomers := count(); slots != 5+7 || newcomers != 10+5 {
			t.Errorf("during good-byes: got %d slots and %d newcomers, want 12 and 15", slots, newcomers)
		}
		time.Sleep(stopTime)
		if slots, newcomers := count(); slots != 0 || newcomers != 5 {
			t.Errorf("after them: got %d slots and %d newcomers, want none and the 5 that waited", slots, newcomers)
		}
		time.Sleep(connectTime + stopTime)
		if slots, newcomers := count(); slots != 0 || newcomers != 0 {
			t.Errorf("in the end: got %d slots and %d newcomers, want none", slots, newcomers)
		}
	})
}

// A panickyConn panics while it is read, once the time has come.
type panickyConn struct {
	net.Conn
	now atomic.Bool
}

func (c *panickyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.now.Load() {
		panic("a fault below")
	}
	return n, err
}

func TestPanicEndsOneWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newWebServer(t, nil)
		ours, theirs := net.Pipe()
		defer ours.Close()
		bad := &panickyConn{Conn: theirs}
		s.door <- bad
		if _, err := io.WriteString(ours, upgradeRequest); err != nil {
			t.Fatal(err)
		}
		if _, err := http.ReadResponse(bufio.NewReader(ours), nil); err != nil {
			t.Fatal(err)
		}
		other := s.connectWeb(otherID, 60)
		bad.now.Store(true)
		if _, err := ours.Write(frame(connectPacket(string(panelID), 60))); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(ours); err != nil || len(b) > 0 {
			t.Errorf("got %x, %v, want the end", b, err)
		}
		synctest.Wait()
		if log := s.log.take(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "a fault below") {
			t.Errorf("log is %q", log)
		}
		other.send(packet(0xc0))
		other.want("d000")
	})
}
