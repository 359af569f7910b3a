package hub

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Documents = slowStore{c.Documents} })
		silent, idle, busy, paused := s.dial(), s.connect(panelID), s.connect(otherID), (*rawClient)(nil)
		for range freeTakeOvers {
			idle = s.connect(panelID)
		}
		paused = s.dial()
		paused.send(connectPacket(string(panelID), 60))
		busy.send(publishPacket("$SCW/twins/me/a/put", 7, `{"data":{}}`))
		synctest.Wait()

		start := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Close took %v, want 1s: as long as the request under way", took)
		}
		for _, c := range []*rawClient{silent, idle, paused} {
			c.want("closed")
		}
		busy.want("40020007" + answer("$SCW/twins/me/a/put/response/success", `{"version":1,"data":{}}`) + " closed")

		late := s.dial()
		late.want("closed")
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestCloseDoesNotWaitForAPeerThatReadsNothing(t *testing.T) {
	t.Run("at its CONNACK", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, nil)
			c := s.dialDeaf()
			c.send(connectPacket(string(panelID), 60))
			synctest.Wait()
			start := time.Now()
			s.Close()
			if took := time.Since(start); took != stopTime {
				t.Errorf("Close took %v, want %v", took, stopTime)
			}
		})
	})
	t.Run("with a request under way", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newTestServer(t, func(c *Config) { c.Documents = slowStore{c.Documents} })
			c := s.dialDeaf()
			c.send(connectPacket(string(panelID), 60))
			if _, err := c.conn.Read(make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
			c.send(publishPacket("$SCW/twins/me/a/put", 7, `{"data":{}}`))
			synctest.Wait()
			start := time.Now()
			s.Close()
			if took, want := time.Since(start), time.Second+stopTime; took != want {
				t.Errorf("Close took %v, want %v", took, want)
			}
		})
	})
}

func TestPeerThatReadsNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.dialDeaf()
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
	})
}

// Others notice nothing of clients that are silent, slow, deaf, oversized,
// malformed or in a great hurry.
func TestHostileClientsDoNotDisturb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		s.put(panelID, "desired", `{"data":{"alarm_armed":true}}`)
		panel := s.connect(panelID)
		var hostile sync.WaitGroup
		run := func(f func()) { hostile.Go(f) }

		s.dial()                                         // silent
		s.dial().send([]byte{0x10, 0xff, 0xff})          // half a header
		s.dial().send([]byte{0x10, 0xff, 0xff, 0xff, 8}) // a CONNECT of 16 MiB
		deaf := s.dialDeaf()
		run(func() {
			deaf.send(packet(0x10, "MQTT", 4, 0x82, uint16(0), "deaf", string(multiID)))
			for range 1000 {
				deaf.send(packet(0xc0))
			}
		})
		trickle := s.connectAs("trickle", multiID)
		run(func() {
			for _, b := range publishPacket("$SCW/twins/me/a/put", 0, strings.Repeat(" ", 600)) {
				trickle.send([]byte{b})
				time.Sleep(100 * time.Millisecond)
			}
		})
		flood := s.connectAs("flood", multiID)
		run(func() {
			for range 5000 {
				flood.send(publishPacket("$SCW/twins/me/a/put", 1, `{"data":{}}`))
			}
		})
		big := s.connectAs("big", multiID)
		run(func() {
			for range 20 {
				big.send(publishPacket("$SCW/twins/me/b/put", 0, strings.Repeat("[", 400<<10)))
			}
		})
		for i := range 200 { // in and out again, with nonsense
			c := s.dial()
			c.send([]byte{byte(i), byte(i), byte(i), 0})
			c.conn.Close()
		}

		for range 100 {
			start := time.Now()
			panel.send(publishPacket("$SCW/twins/me/desired/get", 0, ""))
			panel.want(answer("$SCW/twins/me/desired/get/response/success", `{"version":1,"data":{"alarm_armed":true}}`))
			if took := time.Since(start); took != 0 {
				t.Fatalf("round trip took %v of virtual time: it waited for another client", took)
			}
			time.Sleep(time.Second)
		}
		hostile.Wait()
	})
}

// panicStore panics at one document.
type panicStore struct{ docstore.Store }

func (p panicStore) Get(ctx context.Context, key docstore.Key) (docstore.Document, error) {
	if key.Name == "panic" {
		panic("a fault of the hub")
	}
	return p.Store.Get(ctx, key)
}

func TestPanicEndsOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Documents = panicStore{c.Documents} })
		b := s.connect(otherID)
		for requests := range 2 { // before it
			a := s.connect(panelID)
			for range requests {
				a.send(publishPacket("$SCW/twins/me/no/get", 0, ""))
				a.take()
			}
			s.log.take()
			a.send(publishPacket("$SCW/twins/me/panic/get", 0, ""))
			a.want("closed")
			if log := s.log.take(); strings.Count(log, "level=") != 1 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "panicStore") {
				t.Errorf("after %d requests the log is %q; want one line, with the place of the fault", requests, log)
			}
			b.send(packet(0xc0))
			b.want("d000")
		}
		s.connect(panelID)
	})
}

// panicRegistry panics at one device.
type panicRegistry struct{ registry.Registry }

func (p panicRegistry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	if id == panelID {
		panic("a fault of the hub")
	}
	return p.Registry.Device(ctx, id)
}

func TestPanicAtConnectEndsOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Registry = panicRegistry{c.Registry} })
		b := s.connect(otherID)
		s.log.take()
		a := s.dial()
		a.send(connectPacket(string(panelID), 0))
		a.want("closed")
		if log := s.log.take(); strings.Count(log, "level=") != 1 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "panicRegistry") {
			t.Errorf("log is %q; want one line, with the place of the fault", log)
		}
		b.send(packet(0xc0))
		b.want("d000")
	})
}

func TestServe(t *testing.T) {
	s := newTestServer(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServeMQTT(l) }()
	for _, keepAlive := range []uint16{0, 60} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(connectPacket(string(panelID), keepAlive)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := conn.Read(got); err != nil || got[0] != 0x20 {
			t.Errorf("got %x, %v, want a CONNACK", got, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("a closed hub: got %v, want nil", err)
	}
	if err := s.ServeMQTT(l); err != nil {
		t.Errorf("a hub closed before: got %v, want nil", err)
	}
}

// scriptedListener returns errors, one after the other, and then waits to be closed.
type scriptedListener struct {
	net.Listener
	errs   []error
	closed chan struct{}
	once   sync.Once
}

func (l *scriptedListener) Accept() (net.Conn, error) {
	if len(l.errs) == 0 {
		<-l.closed
		return nil, net.ErrClosed
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

func (l *scriptedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func TestServeOutlastsAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		var errs []error
		for range 20 {
			errs = append(errs, &net.OpError{Op: "accept", Err: syscall.EMFILE}, errors.New("an error nobody has heard of"))
		}
		l := &scriptedListener{errs: errs, closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.ServeMQTT(l) }()
		time.Sleep(acceptPause + time.Millisecond)
		if log := s.log.take(); strings.Count(log, `level=WARN msg="connection not accepted"`) != 2 {
			t.Errorf("log is %q, want the first two errors", log)
		}
		time.Sleep(30 * acceptPause)
		if log := s.log.take(); strings.Count(log, "\n") != linesPerSubject-2 {
			t.Errorf("log is %q, want %d lines", log, linesPerSubject-2)
		}
		start := time.Now()
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v, want no pause to be waited for", took)
		}
		<-l.closed
	})
}

func TestServeEndsWithItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		l := &scriptedListener{closed: make(chan struct{})}
		l.Close()
		if err := s.ServeMQTT(l); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want %v", err, net.ErrClosed)
		}
	})
}
