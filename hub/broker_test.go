package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeBroker is the far end of the hub's connections to a broker: each is bytes over a pipe,
// as a rawClient is, and the test says what a broker would.
type fakeBroker struct {
	t testing.TB

	mu    sync.Mutex
	conns []*rawClient
	away  error // of dials
	deaf  bool  // new connections are not read
}

// newPassThrough starts a hub in front of a broker. change may alter what the hub is told of that.
func newPassThrough(t testing.TB, change func(*Upstream)) (*testServer, *fakeBroker) {
	t.Helper()
	u := &Upstream{Address: "broker.example:1883"}
	if change != nil {
		change(u)
	}
	s, b := newTestServer(t, func(c *Config) { c.Upstream = u }), &fakeBroker{t: t}
	s.endpoint.broker.open = b.open
	return s, b
}

func (b *fakeBroker) open(context.Context) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away != nil {
		return nil, b.away
	}
	ours, theirs := net.Pipe()
	b.t.Cleanup(func() { ours.Close() })
	c := &rawClient{t: b.t, conn: ours}
	if !b.deaf {
		go c.read()
	}
	b.conns = append(b.conns, c)
	return theirs, nil
}

// last is the newest connection, once everything is quiet.
func (b *fakeBroker) last() *rawClient {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.conns) == 0 {
		b.t.Fatal("the hub did not dial the broker")
	}
	return b.conns[len(b.conns)-1]
}

// dials counts the connections so far.
func (b *fakeBroker) dials() int {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

// through connects a client with a CONNECT that goes on as it is, and returns it with its
// connection to the broker.
func (s *testServer) through(b *fakeBroker, connect []byte) (c, up *rawClient) {
	s.t.Helper()
	c = s.dial()
	c.send(connect)
	up = b.last()
	up.want(fmt.Sprintf("%x", connect))
	up.send(connackOf(0, 0))
	c.want("20020000")
	return c, up
}

// dialFrom is dial from an address that counts.
func (s *testServer) dialFrom(remote net.Addr) *rawClient {
	ours, theirs := net.Pipe()
	go s.ServeConn(remoteConn{theirs, remote})
	s.t.Cleanup(func() { ours.Close() })
	c := &rawClient{t: s.t, conn: ours}
	go c.read()
	return c
}

// connackOf is a broker's CONNACK.
func connackOf(present, code int) []byte { return packet(0x20, present, code) }

// hubsOwn gives the hub credentials of its own.
func hubsOwn(u *Upstream) { u.Username, u.Password = "hub", "s3cret" }

// What of a CONNECT reaches the broker.
func TestConnectUpstream(t *testing.T) {
	panel := string(panelID)
	const forged = "$SCW/twins/me/desired/get/response/success"
	for _, tt := range []struct {
		name     string
		change   func(*Upstream)
		sent     []byte
		upstream []byte // nil = the same
	}{
		{"device", nil, connectPacket(panel, 60), nil},
		{"device, 3.1", nil, packet(0x10, "MQIsdp", 3, 2, uint16(60), panel), nil},
		{"device, everything", nil, packet(0x10, "MQTT", 4, 0xf4, uint16(7), panel, "house/will", "gone", "user", "p\x00ss"), nil},
		{"device by its user name", nil, packet(0x10, "MQTT", 4, 0x82, uint16(60), "any", panel), nil},
		{"plain", nil, connectPacket("meter", 60), nil},
		{"plain, session to be kept", nil, packet(0x10, "MQTT", 4, 0x00, uint16(0), "meter"), nil},
		{"plain, without a name", nil, packet(0x10, "MQTT", 4, 0x02, uint16(0), ""), nil},
		{"plain, without a name, session to be kept", nil, packet(0x10, "MQTT", 4, 0, uint16(0), ""), nil},
		{"plain, with a login", nil, packet(0x10, "MQTT", 4, 0xc2, uint16(0), "", "anna", "her password"), nil},
		{"plain, an id that no device has", nil, connectPacket(string(nobodyID), 60), nil},
		{"plain, empty fields", nil, packet(0x10, "MQTT", 4, 0xc6, uint16(0), "x", "w", "", "", ""), nil},
		{"will beside twins", nil, packet(0x10, "MQTT", 4, 0x0e, uint16(0), "x", "$SCW/twins", "gone"), nil},
		{"will about twins", nil, packet(0x10, "MQTT", 4, 0xee, uint16(0), "x", forged, "{}", "anna", "pw"),
			packet(0x10, "MQTT", 4, 0xc2, uint16(0), "x", "anna", "pw")},
		{"will about twins, device", nil, packet(0x10, "MQTT", 4, 0x16, uint16(9), panel, "$SCW/twins/", ""), packet(0x10, "MQTT", 4, 0x02, uint16(9), panel)},

		{"hub's login", hubsOwn, connectPacket(panel, 60), packet(0x10, "MQTT", 4, 0xc2, uint16(60), panel, "hub", "s3cret")},
		{"hub's login for another", hubsOwn, packet(0x10, "MQIsdp", 3, 0xc0, uint16(60), "any", panel, "pw"), packet(0x10, "MQIsdp", 3, 0xc0, uint16(60), "any", "hub", "s3cret")},
		{"hub's user name alone", func(u *Upstream) { u.Username = "hub" }, packet(0x10, "MQTT", 4, 0xf6, uint16(60), "any", "w", "gone", panel, "pw"),
			packet(0x10, "MQTT", 4, 0xb6, uint16(60), "any", "w", "gone", "hub")},
		{"hub's login, will about twins", hubsOwn, packet(0x10, "MQTT", 4, 0x2e, uint16(60), panel, forged, "{}"), packet(0x10, "MQTT", 4, 0xc2, uint16(60), panel, "hub", "s3cret")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, tt.change)
				c := s.dial()
				c.send(tt.sent)
				want := tt.upstream
				if want == nil {
					want = tt.sent
				}
				b.last().want(fmt.Sprintf("%x", want))
				c.want("")
				b.last().send(connackOf(0, 0))
				c.want("20020000")
				if log := s.log.take(); strings.Count(log, "\n") != 1 || strings.Contains(log, "s3cret") {
					t.Errorf("log is %q, want one line without the password", log)
				}
			})
		})
	}
}

// Who doesn't even get to the broker.
func TestRefusedBeforeTheBroker(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Upstream)
		packet []byte
		want   string
	}{
		{"MQTT 5", nil, packet(0x10, "MQTT", 5, 2, uint16(0), 0, "x"), "2003008400 closed"},
		{"reserved flag", nil, packet(0x10, "MQTT", 4, 3, uint16(0), "x"), "closed"},
		{"a device's id without its proof", nil, connectPacket(string(secureID), 60), "20020005 closed"},
		{"a device's id as user name without its proof", nil, packet(0x10, "MQTT", 4, 0xc2, uint16(60), "any", string(secureID), "guess"), "20020005 closed"},
		{"no device, where the hub logs in", hubsOwn, connectPacket("meter", 60), "20020005 closed"},
		{"an id that no device has, where the hub logs in", hubsOwn, connectPacket(string(nobodyID), 60), "20020005 closed"},
		{"the hub's own login", hubsOwn, packet(0x10, "MQTT", 4, 0xc2, uint16(60), "x", "hub", "s3cret"), "20020005 closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, tt.change)
				c := s.dial()
				c.send(tt.packet)
				c.want(tt.want)
				if n := b.dials(); n != 0 {
					t.Errorf("the hub dialed %d times", n)
				}
			})
		})
	}
}

// What a client gets of the broker's answer to its CONNECT, and the log's word for it.
func TestBrokersConnack(t *testing.T) {
	panel := connectPacket(string(panelID), 60)
	for _, tt := range []struct {
		name   string
		change func(*Upstream)
		sent   []byte
		answer []byte
		want   string
		log    string
	}{
		{"session present", nil, panel, connackOf(1, 0), "20020100", "device connected"},
		{"session present, plain", nil, connectPacket("meter", 0), connackOf(1, 0), "20020100", `msg="client connected" remote=pipe client_id=meter`},
		{"level", nil, panel, connackOf(0, 1), "20020001 closed", "code 1, protocol level"},
		{"client id", nil, panel, connackOf(0, 2), "20020002 closed", "code 2, client id"},
		{"unavailable", nil, panel, connackOf(0, 3), "20020003 closed", "code 3, unavailable"},
		{"login", nil, connectPacket("meter", 0), connackOf(0, 4), "20020004 closed", "code 4, bad user name or password"},
		{"not authorized", nil, panel, connackOf(0, 5), "20020005 closed", `code 5, not authorized" hint="the broker was shown the client's own user name and password, since --upstream has none"`},
		{"hub's login", hubsOwn, panel, connackOf(0, 4), "20020003 closed", "level=ERROR"},
		{"hub not authorized", hubsOwn, panel, connackOf(0, 5), "20020003 closed", "broker refuses the hub's own user name and password"},
		{"code of no MQTT", nil, panel, connackOf(0, 128), "20020080 closed", `code 128, which MQTT 3.1.1 doesn't have" hint="the broker's log says why"`},
		{"session present, refused", nil, panel, connackOf(1, 5), "20020003 closed", "CONNACK that is none"},
		{"reserved flag", nil, panel, connackOf(2, 0), "20020003 closed", "CONNACK that is none"},
		{"CONNACK of MQTT 5", nil, panel, packet(0x20, 0, 0, 0), "20020003 closed", "no CONNACK [MQTT-3.2.0-1]"},
		{"another packet", nil, panel, packet(0xd0), "20020003 closed", "no CONNACK [MQTT-3.2.0-1]"},
		{"no MQTT", nil, panel, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "20020003 closed", "no CONNACK [MQTT-3.2.0-1]"},
		{"closed", nil, panel, nil, "20020003 closed", "broker closed the connection"},
		{"half", nil, panel, []byte{0x20, 2, 0}, "20020003 closed", "broker sent no CONNACK within 10s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, tt.change)
				c := s.dial()
				c.send(tt.sent)
				up := b.last()
				if up.send(tt.answer); tt.answer == nil {
					up.conn.Close()
				}
				time.Sleep(connackTime)
				c.want(tt.want)
				if log := s.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.log) || strings.Contains(log, "s3cret") {
					t.Errorf("log is %q, want one line with %q", log, tt.log)
				}
				if got := up.take(); strings.HasSuffix(got, "closed") != strings.HasSuffix(tt.want, "closed") {
					t.Errorf("the broker sees %s", got)
				}
			})
		})
	}
}

// While the broker is away its clients are told to come back later; connections that work are left
// alone, and the log says it once.
func TestBrokerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		live, up := s.through(b, connectPacket(string(panelID), 60))
		s.log.take()
		b.away = errors.New("connection refused")
		for range 50 {
			c := s.dial()
			c.send(connectPacket(string(panelID), 60))
			c.want("20020003 closed")
		}
		live.send(packet(0xc0))
		up.want("c000")
		log := s.log.take()
		if n := strings.Count(log, "clients are refused until it can"); n != 1 {
			t.Errorf("the log says %d times that the broker can't be reached:\n%s", n, log)
		}
		if n := strings.Count(log, "\n"); n > 1+linesPerSubject {
			t.Errorf("log has %d lines:\n%s", n, log)
		}
		b.away = nil
		_, _ = s.through(b, connectPacket(string(otherID), 60))
		if log := s.log.take(); !strings.Contains(log, "broker can be reached again") {
			t.Errorf("log is %q", log)
		}
	})
}

func TestBrokerAwayAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, hubsOwn)
		b.away = errors.New("connection refused")
		s.TryUpstream(t.Context())
		if log := s.log.take(); !strings.Contains(log, `level=ERROR msg="broker can't be reached: clients are refused until it can" broker=mqtt://broker.example:1883 error="connection refused"`) {
			t.Errorf("log is %q", log)
		}
		if err := s.Ready(t.Context()); err != nil {
			t.Errorf("the hub isn't ready: %v", err)
		}
		b.away = nil
		up, tried := s.tryUpstream(t.Context(), b)
		up.want(fmt.Sprintf("%x", packet(0x10, "MQTT", 4, 0xc2, uint16(60), "", "hub", "s3cret")))
		up.send(connackOf(0, 0))
		<-tried
		up.want("e000 closed")
		if log := s.log.take(); strings.Count(log, "\n") != 1 || !strings.Contains(log, `level=INFO msg="broker can be reached again"`) {
			t.Errorf("log is %q", log)
		}
	})
}

// tryUpstream tries the broker, and returns the connection to it and what is closed afterwards.
func (s *testServer) tryUpstream(ctx context.Context, b *fakeBroker) (up *rawClient, tried <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		s.TryUpstream(ctx)
		close(done)
	}()
	return b.last(), done
}

// What is wrong with a broker that can be reached stands in the log from the beginning.
func TestWrongBrokerAtTheStart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Upstream)
		answer []byte // nil = the connection is closed
		log    string // empty = none
	}{
		{"a broker", nil, connackOf(0, 0), ""},
		{"a broker that asks for passwords", nil, connackOf(0, 5), ""},
		{"a broker that asks for client ids", nil, connackOf(0, 2), ""},
		{"the hub's login", hubsOwn, connackOf(0, 4), `level=ERROR msg="broker refuses the hub's own user name and password" broker=mqtt://broker.example:1883 hint="look at user name`},
		{"the hub isn't authorized", hubsOwn, connackOf(0, 5), `level=ERROR msg="broker refuses the hub's own user name and password"`},
		{"no MQTT", nil, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), `level=WARN msg="broker gave no answer of MQTT 3.1.1" broker=mqtt://broker.example:1883 error="no CONNACK [MQTT-3.2.0-1]" hint="look at host, port and mqtt:// or mqtts:// in --upstream`},
		{"reserved flag", hubsOwn, connackOf(2, 0), `error="CONNACK that is none [section 3.2.2]"`},
		{"closed", nil, nil, `error="broker closed the connection"`},
		{"silent", hubsOwn, []byte{0x20}, `error="broker sent no CONNACK within 10s"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := newPassThrough(t, tt.change)
				up, tried := s.tryUpstream(t.Context(), b)
				if up.send(tt.answer); tt.answer == nil {
					up.conn.Close()
				}
				<-tried
				if log := s.log.take(); !strings.Contains(log, tt.log) || (tt.log == "") != (log == "") || strings.Count(log, "\n") > 1 || strings.Contains(log, "s3cret") {
					t.Errorf("log is %q, want %q", log, tt.log)
				}
				if err := s.Ready(t.Context()); err != nil {
					t.Errorf("the hub isn't ready: %v", err)
				}
			})
		})
	}
}

// A hub that ends doesn't wait for a broker that says nothing.
func TestTryingTheBrokerEndsWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		_, tried := s.tryUpstream(ctx, b)
		began := time.Now()
		cancel()
		<-tried
		if took := time.Since(began); took != 0 {
			t.Errorf("it takes %v", took)
		}
		if log := s.log.take(); log != "" {
			t.Errorf("log is %q", log)
		}
	})
}

// A dial has its time, and ends with the hub.
func TestDialIsBounded(t *testing.T) {
	hang := func(ctx context.Context) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		s, _ := newPassThrough(t, nil)
		s.endpoint.broker.open = hang
		c := s.dial()
		c.send(connectPacket("meter", 60))
		time.Sleep(dialTime - time.Millisecond)
		c.want("")
		time.Sleep(time.Millisecond)
		c.want("20020003 closed")

		c = s.dial()
		c.send(connectPacket("meter", 60))
		synctest.Wait()
		start := time.Now()
		s.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		c.want("closed")
	})
}

// Passwords that the broker refuses are guesses at the broker's users: the hub's address is all that it sees.
func TestGuessingAtTheBrokersUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		for i := range freeGuesses + 1 {
			c := s.dialFrom(from)
			c.send(packet(0x10, "MQTT", 4, 0xc2, uint16(60), "x", "anna", fmt.Sprint("guess ", i)))
			if i == freeGuesses {
				c.want("20020005 closed")
				break
			}
			b.last().send(connackOf(0, 5))
			c.want("20020005 closed")
		}
		if n := b.dials(); n != freeGuesses {
			t.Errorf("the broker was asked %d times, want %d", n, freeGuesses)
		}
	})
}
