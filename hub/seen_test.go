package hub

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A seenRegistry takes its time for Seen, fails it, and counts it.
type seenRegistry struct {
	registry.Registry
	mu    sync.Mutex
	calls int
	err   error
	takes time.Duration
}

func (r *seenRegistry) Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error {
	r.mu.Lock()
	r.calls++
	err, takes := r.err, r.takes
	r.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return r.Registry.Seen(ctx, devices, tokens)
}

func (r *seenRegistry) called() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

func (r *seenRegistry) set(err error, takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err, r.takes = err, takes
}

// stored is what the registry has of a device.
func (s *testServer) stored(id twin.ID) time.Time {
	s.t.Helper()
	d, err := s.registry.Device(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return d.LastActivity
}

// Each packet is activity; the registry has it within a minute, or at the end of the hub.
func TestLastActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		refusedOne := s.dial()
		refusedOne.send(connectPacket(string(secureID), 60))
		refusedOne.want(refused)
		start := time.Now()
		c := s.connect(panelID)
		if connected, last := s.endpoint.presence(panelID); !connected || !last.Equal(start) || last.Location() != time.UTC {
			t.Errorf("presence: got %v, %v, want true, %v", connected, last, start)
		}
		time.Sleep(40 * time.Second)
		c.send(packet(0xc0))
		c.want("d000")
		pinged := time.Now()
		if _, last := s.endpoint.presence(panelID); !last.Equal(pinged) {
			t.Errorf("after a ping: got %v, want %v", last, pinged)
		}
		if got := s.stored(panelID); !got.IsZero() {
			t.Errorf("stored %v after 40 s", got)
		}
		time.Sleep(seenInterval - 40*time.Second)
		synctest.Wait()
		if got := s.stored(panelID); !got.Equal(pinged) {
			t.Errorf("stored %v after a minute, want %v", got, pinged)
		}
		c.send(packet(0xe0))
		c.want("closed")
		left := time.Now()
		if connected, last := s.endpoint.presence(panelID); connected || !last.Equal(left) {
			t.Errorf("presence: got %v, %v, want false, %v", connected, last, left)
		}
		for _, id := range []twin.ID{secureID, otherID, nobodyID} {
			if connected, last := s.endpoint.presence(id); connected || !last.IsZero() {
				t.Errorf("a device that never connected: got %v, %v", connected, last)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := s.stored(panelID); !got.Equal(left) {
			t.Errorf("stored %v at the end, want %v", got, left)
		}
		if got := s.stored(secureID); !got.IsZero() {
			t.Errorf("a refused device was active: %v", got)
		}
	})
}

func TestTokensLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		token, secret, err := registry.NewToken("app")
		if err == nil {
			err = s.registry.AddToken(t.Context(), token)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		r := httptest.NewRequest("GET", "/iot/v1/regions/fr-par/twins/"+string(panelID), nil)
		r.Header.Set("X-Auth-Token", secret)
		s.REST().ServeHTTP(httptest.NewRecorder(), r)
		used := time.Now()
		time.Sleep(seenInterval)
		synctest.Wait()
		if all, err := s.registry.Tokens(t.Context()); err != nil || len(all) != 1 || !all[0].LastUsed.Equal(used) {
			t.Errorf("got %+v, %v, want last use %v", all, err, used)
		}
	})
}

// A registry in trouble costs nothing but time: what it doesn't take is kept for later, requests
// go on meanwhile, and the end of the hub is bounded.
func TestLastActivityWhileTheRegistryHasTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *seenRegistry
		s := newTestServer(t, func(c *Config) {
			r = &seenRegistry{Registry: c.Registry, err: errors.New("disk on fire")}
			c.Registry = r
		})
		c := s.connect(panelID)
		was := time.Now()
		time.Sleep(3*seenInterval + time.Second)
		if log := s.log.take(); r.called() != 3 || strings.Count(log, "level=WARN") != 3 || !strings.Contains(log, "disk on fire") {
			t.Errorf("%d tries, log is %q, want 3", r.called(), log)
		}
		r.set(nil, time.Hour) // hangs
		time.Sleep(seenInterval)
		c.send(packet(0xc0))
		c.want("closed") // by its keep-alive, long ago
		s.connect(panelID)
		again := time.Now()
		if _, last := s.endpoint.presence(panelID); !last.Equal(again) || last.Equal(was) {
			t.Errorf("got %v, want %v", last, again)
		}
		start := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2*seenTime {
			t.Errorf("closing took %v", took)
		}
		if r.called() != 5 {
			t.Errorf("%d tries, want 5", r.called())
		}
	})
}

// Nothing to tell, nothing to do: a hub that nobody uses writes nothing.
func TestNobodySeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *seenRegistry
		s := newTestServer(t, func(c *Config) {
			r = &seenRegistry{Registry: c.Registry}
			c.Registry = r
		})
		c := s.connect(panelID)
		c.send(packet(0xe0))
		time.Sleep(24 * time.Hour)
		if r.called() != 1 {
			t.Errorf("%d writes in a day with one connection, want 1", r.called())
		}
	})
}

// Only those count as connected that have their CONNACK.
func TestConnectedDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		want := func(n int) {
			t.Helper()
			synctest.Wait()
			if got := len(s.endpoint.connectedDevices()); got != n {
				t.Errorf("got %d connected devices, want %d", got, n)
			}
		}
		want(0)
		s.dial()
		want(0)
		last := takenOverOften(s)
		s.connectAs("a", multiID)
		s.connectAs("b", multiID)
		want(2)
		last.send(packet(0xe0))
		last.want("closed")
		want(1)
		if connected, _ := s.endpoint.presence(panelID); connected {
			t.Error("the panel has left")
		}
		s.endpoint.kick(multiID, errors.New("somebody said so"))
		want(0)
		if log := s.log.take(); strings.Count(log, `level=INFO msg="device disconnected" device=multi`) != 2 || !strings.Contains(log, "somebody said so") {
			t.Errorf("log is %q", log)
		}
	})
}
