package hub

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/netgroup"
	"github.com/twinpanel/twinpanel/twin"
)

func TestLogins(t *testing.T) {
	const one, other, network = "192.0.2.7:1", "192.0.2.8:1", "[2001:db8::1]:1"
	hash := func(n int) [32]byte { return registry.HashSecret(fmt.Sprint(n)) }
	wait := func(t *testing.T, l *logins, remote string, want time.Duration) {
		t.Helper()
		if got := l.wait(remote); got != want {
			t.Errorf("%s waits for %v, want %v", remote, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLogins()
		for n := range freeGuesses {
			wait(t, l, one, 0)
			l.failed(one, hash(n))
		}
		wait(t, l, one, guessInterval)
		wait(t, l, "192.0.2.7:2", guessInterval) // the same address
		wait(t, l, other, 0)
		time.Sleep(guessInterval)
		wait(t, l, one, 0) // one more
		l.failed(one, hash(100))
		wait(t, l, one, guessInterval)
		time.Sleep(freeGuesses * guessInterval) // all places are free again, and no more than those
		for n := range freeGuesses {
			wait(t, l, one, 0)
			l.failed(one, hash(200+n))
		}
		wait(t, l, one, guessInterval)
	})
	synctest.Test(t, func(t *testing.T) { // who makes the same mistake for ever is no guesser
		l := newLogins()
		for n := range 1000 {
			l.failed(one, hash(n%freeGuesses/2))
		}
		wait(t, l, one, 0)
	})
	synctest.Test(t, func(t *testing.T) { // but more mistakes than can be remembered are guesses
		l := newLogins()
		for n := range 1000 {
			l.failed(one, hash(n%(freeGuesses+1)))
		}
		if l.wait(one) == 0 {
			t.Error("a thousand guesses in turn were free")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := newLogins()
		for n := range 1000 {
			l.failed("127.0.0.1:1", hash(n))
			l.failed("pipe", hash(n))
			l.failed(fmt.Sprintf("[2001:db8::%x]:1", n+2), hash(n))
		}
		wait(t, l, "127.0.0.1:2", 0)
		wait(t, l, "pipe", 0)
		wait(t, l, "[2001:db8:0:1::1]:1", 0)
		if l.wait(network) == 0 {
			t.Error("a thousand addresses of one network guess for free")
		}
	})
}

// What is remembered stays bounded, and who goes on guessing isn't forgotten for others.
func TestLoginsForgetTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogins()
		guess := func(address int) {
			ip := netip.AddrFrom4([4]byte{10, byte(address >> 16), byte(address >> 8), byte(address)})
			l.failed(netip.AddrPortFrom(ip, 1).String(), registry.HashSecret(fmt.Sprint(time.Now(), address)))
		}
		for n := range 5 * guessAddresses {
			guess(n + 1)
			if n%100 == 0 {
				guess(0)
				time.Sleep(guessInterval / 2)
			}
			if got := len(l.young) + len(l.old); got > guessAddresses {
				t.Fatalf("%d addresses are remembered", got)
			}
		}
		if l.wait("10.0.0.0:1") == 0 {
			t.Error("the address that guesses all the time is forgotten")
		}
		if l.find(netgroup.OfRemote("10.0.0.1:1")) != nil {
			t.Error("the oldest address is remembered")
		}
	})
}

// A lookRegistry counts the looks for an id or a token.
type lookRegistry struct {
	registry.Registry
	mu sync.Mutex
	n  int
}

func (r *lookRegistry) count() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
}

func (r *lookRegistry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	r.count()
	return r.Registry.Device(ctx, id)
}

func (r *lookRegistry) TokenByHash(ctx context.Context, hash [32]byte) (registry.Token, error) {
	r.count()
	return r.Registry.TokenByHash(ctx, hash)
}

// Twenty guesses, and then one in three seconds, over MQTT and REST together. Meanwhile nothing
// else that the address shows is looked at, but for a certificate; other addresses notice nothing.
func TestGuessingIsSlowedDown(t *testing.T) {
	for _, way := range []string{"mqtts", "wss"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var looks *lookRegistry
				s := newDoorServer(t, func(c *Config) {
					looks = &lookRegistry{Registry: c.Registry}
					c.Registry = looks
				})
				victim, secret := s.addSecret("victim")
				neighbour, pair := s.addCertified("neighbour")
				token, tokenSecret, err := registry.NewToken("app")
				if err == nil {
					err = s.registry.AddToken(t.Context(), token)
				}
				if err != nil {
					t.Fatal(err)
				}
				id := string(victim.ID)
				rest := func(remote, token string) *httptest.ResponseRecorder {
					r := httptest.NewRequest("GET", "/iot/v1/regions/fr-par/twins/"+id, nil)
					r.RemoteAddr = remote
					r.Header.Set("X-Auth-Token", token)
					answer := httptest.NewRecorder()
					s.REST().ServeHTTP(answer, r)
					return answer
				}
				guess := func(login []byte) {
					t.Helper()
					c := s.dialBy(way)
					c.send(login)
					time.Sleep(2 * stopTime) // see wantRefused
					if got := c.take(); got != refused {
						t.Errorf("got %s, want %s", got, refused)
					}
				}
				start := time.Now()
				for n := range 100 {
					switch n % 3 {
					case 0:
						guess(loginPacket(id, "x", fmt.Sprintf("guess %d", n)))
					case 1:
						guess(loginPacket("x", string(newID(t)), ""))
					case 2:
						if answer := rest(from.String(), string(newID(t))); answer.Code != 401 && answer.Code != 429 {
							t.Errorf("guess %d: %d %s", n, answer.Code, answer.Body)
						}
					}
				}
				elapsed := time.Since(start)
				if most := freeGuesses + int(elapsed/guessInterval) + 1; looks.n > most || looks.n < freeGuesses {
					t.Errorf("%d guesses of 100 were looked at in %v, want %d at most", looks.n, elapsed, most)
				}

				for range freeGuesses { // as fast as it goes
					rest(from.String(), string(newID(t)))
				}
				answer := rest(from.String(), tokenSecret) // the right one
				seconds := answer.Header().Get("Retry-After")
				body := `{"help_message":"wait ` + seconds + ` s, and correct the token of whoever shows a wrong one","limit":{"quota":20,"window_seconds":60},` +
					`"message":"too many failed logins from this address","reset_seconds":` + seconds + `,"type":"too_many_requests"}`
				if answer.Code != 429 || strings.TrimSpace(answer.Body.String()) != body || seconds < "1" || seconds > "3" {
					t.Errorf("got %d %s, Retry-After %q, want 429 %s", answer.Code, answer.Body, seconds, body)
				}
				guess(loginPacket(id, "x", secret)) // the right one, too
				if log := s.log.take(); !strings.Contains(log, errGuessing.Error()+": looked at again in ") {
					t.Errorf("log is %q", log)
				}
				for range 2 * freeGuesses {
					rest(from.String(), string(newID(t)))
				}
				certified := s.dialBy(way, pair)
				certified.send(loginPacket(string(neighbour.ID), "", ""))
				certified.want("20020000")
				if answer := rest("192.0.2.8:1", tokenSecret); answer.Code != 200 {
					t.Errorf("another address: got %d %s", answer.Code, answer.Body)
				}
				if answer := rest("127.0.0.1:1", tokenSecret); answer.Code != 200 {
					t.Errorf("this computer: got %d %s", answer.Code, answer.Body)
				}

				time.Sleep(freeGuesses * guessInterval)
				if answer := rest(from.String(), tokenSecret); answer.Code != 200 {
					t.Errorf("after a while: got %d %s", answer.Code, answer.Body)
				}
				s.connectBy(way, loginPacket(id, "x", secret))
			})
		})
	}
}

// A house has one address. A device in it that was set up wrongly and tries for ever doesn't lock
// out the others.
func TestMisconfiguredDeviceLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		d, secret := s.addSecret("good")
		for n := range 1000 {
			c := s.dialBy("mqtt")
			c.send(loginPacket(fmt.Sprintf("client-%d", n), string(panelID[:35])+"9", "")) // an id of nobody
			c.want(refused)
			c = s.dialBy("mqtt")
			c.send(loginPacket(string(newID(t)), string(d.ID), "an old secret"))
			c.want(refused)
		}
		s.connectBy("mqtt", loginPacket(string(d.ID), "x", secret))
	})
}

func newID(t *testing.T) twin.ID {
	t.Helper()
	d, err := registry.NewDevice("any")
	if err != nil {
		t.Fatal(err)
	}
	return d.ID
}

// Who opens connections without end from one address leaves places for others.
func TestOneAddressCannotTakeAllPlaces(t *testing.T) {
	neighbour := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 8), Port: 1}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	dial := func(s *doorServer, way string, remote net.Addr) *rawClient {
		ours, theirs := net.Pipe()
		s.t.Cleanup(func() { ours.Close() })
		s.doors[way] <- remoteConn{theirs, remote}
		synctest.Wait() // two doors
		c := &rawClient{t: s.t, conn: ours}
		go c.read()
		return c
	}
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		d, secret := s.addSecret("at home")
		connected := dial(s, "mqtt", from) // is no newcomer any more
		connected.send(loginPacket(string(panelID), "", ""))
		connected.want("20020000")
		var held []*rawClient
		for n := range 2 * maxAtAddress {
			c := dial(s, []string{"mqtt", "mqtts"}[n%2], from)
			held = append(held, c)
			synctest.Wait() // two doors: whoever came first has to be counted first
		}
		for n, c := range held {
			if got, want := c.take(), strings.Repeat("closed", n/maxAtAddress); got != want {
				t.Fatalf("connection %d: got %q, want %q", n, got, want)
			}
		}
		if log := s.log.take(); strings.Count(log, `level=WARN msg="connection closed: too many of its address are before CONNECT" remote=192.0.2.7:4711 connections=64`) != linesPerSubject {
			t.Errorf("log is %q", log)
		}
		c := dial(s, "mqtt", neighbour)
		c.send(loginPacket(string(d.ID), "x", secret))
		c.want("20020000")
		for range 2 * maxAtAddress {
			dial(s, "mqtt", local).want("")
		}
		held[0].conn.Close()
		synctest.Wait()
		held[0] = dial(s, "mqtt", from)
		held[0].want("")
		held[1].conn.Close()
		synctest.Wait()
		time.Sleep(connectTime)
		if got := held[0].take(); got != "closed" {
			t.Errorf("a silent one: got %q", got)
		}
		synctest.Wait()
		if len(s.endpoint.addresses) != 0 || s.endpoint.newcomers != 0 {
			t.Errorf("counted after all have left: %v, %d", s.endpoint.addresses, s.endpoint.newcomers)
		}
	})
	for _, way := range []string{"http", "ws", "https", "wss"} {
		synctest.Test(t, func(t *testing.T) {
			s := newDoorServer(t, nil)
			server := s.web
			if strings.HasPrefix(way, "http") {
				server = s.rest
			}
			half := cap(server.slots) / 2
			var held []*rawClient
			for range half {
				held = append(held, dial(s, way, from))
			}
			dial(s, way, from).want("closed")
			dial(s, way, neighbour).want("")
			held[0].want("")
			held[0].conn.Close()
			synctest.Wait()
			dial(s, way, from).want("")
			time.Sleep(2 * restHeaderTimeout)
			synctest.Wait()
			if len(server.addresses) != 0 {
				t.Errorf("%s: counted after all have left: %v", way, server.addresses)
			}
		})
	}
}
