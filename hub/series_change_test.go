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

	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// carbons are databases by their host.
type carbons map[string]*fakeCarbon

func (c carbons) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || c[host] == nil {
		return nil, errors.Join(errors.New("no such host"), err)
	}
	return c[host].dial(ctx, network, address)
}

// newSwappingServer has the carbons one, two and deaf, which reads nothing, and pushes to none yet.
func newSwappingServer(t *testing.T) (s *testServer, c carbons, hubPath string) {
	t.Helper()
	s, c = newRESTServer(t), carbons{"one": {}, "two": {}, "deaf": {hangs: true}}
	s.series.config.Dial = c.dial
	s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
	record, err := s.registry.Hub(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, c, "/hubs/" + record.ID
}

func pushURI(uri string) string {
	return fmt.Sprintf(`{"twins_graphite_config":{"push_uri":%q}}`, uri)
}

// Time series go where the hub's record says, from the next write on. What waits for the database
// before still gets there.
func TestSeriesMoveToAnotherDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, hub := newSwappingServer(t)
		now := time.Now().Unix()
		s.put(panelID, "current", `{"data":{"a":1}}`)
		s.ask("PATCH", hub, pushURI("tcp://one"))
		s.put(panelID, "current", `{"data":{"a":2}}`)
		s.ask("PATCH", hub, pushURI("tcp://two"))
		s.put(panelID, "current", `{"data":{"a":3}}`)
		s.ask("PATCH", hub, pushURI("tcp://two"))
		s.put(panelID, "current", `{"data":{"a":4}}`)
		s.ask("PATCH", hub, pushURI(""))
		s.put(panelID, "current", `{"data":{"a":5}}`)
		line := func(a int) string { return fmt.Sprintf("current;json_path=a %d %d", a, now) }
		checkLines(t, "the first database", c["one"].got(), line(2))
		checkLines(t, "the second database", c["two"].got(), line(3), line(4))
		if got, want := s.SeriesStats(), (graphite.Stats{Pushed: 3}); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
		s.ask("PATCH", hub, pushURI("tcp://one"))
		s.put(panelID, "current", `{"data":{"a":6}}`)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := s.SeriesStats(), (graphite.Stats{Pushed: 4}); got != want {
			t.Errorf("after the end stats are %+v, want %+v", got, want)
		}
	})
}

// A database that takes nothing delays neither its successor nor the request; its points are given up
// as they are at the hub's end.
func TestSeriesLeaveADeafDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, hub := newSwappingServer(t)
		s.ask("PATCH", hub, pushURI("tcp://deaf"))
		s.put(panelID, "current", `{"data":{"a":1}}`)
		time.Sleep(time.Minute)
		began := time.Now()
		s.ask("PATCH", hub, pushURI("tcp://one"))
		s.put(panelID, "current", `{"data":{"a":2}}`)
		if took := time.Since(began); took != 0 {
			t.Errorf("the change took %v", took)
		}
		if got, want := s.SeriesStats(), (graphite.Stats{Queued: 2}); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
		checkLines(t, "the next database", c["one"].got(), fmt.Sprintf("current;json_path=a 2 %d", began.Unix()))
		time.Sleep(time.Minute)
		if got, want := s.SeriesStats(), (graphite.Stats{Pushed: 1, Dropped: 1}); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
		if len(s.series.leaving) > 0 {
			t.Errorf("%d databases have not been left", len(s.series.leaving))
		}
	})
}

// A hub that is closed while a database is being left waits for that no longer than for the one it has.
func TestSeriesCloseWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, hub := newSwappingServer(t)
		s.ask("PATCH", hub, pushURI("tcp://deaf"))
		s.put(panelID, "current", `{"data":{"a":1}}`)
		time.Sleep(time.Minute)
		s.ask("PATCH", hub, pushURI(""))
		closing := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(closing); took > 3*time.Second {
			t.Errorf("closing took %v, want 3 s at most", took)
		}
		if got, want := s.SeriesStats(), (graphite.Stats{Dropped: 1}); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
	})
}

// Whatever order changes and writes come in, each number that is pushed is counted, and time
// series end up where the record says.
func TestSeriesChangeWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, hub := newSwappingServer(t)
		s.ask("PATCH", hub, pushURI("tcp://one"))
		var writers sync.WaitGroup
		const writes = 50
		for _, id := range []twin.ID{panelID, otherID} {
			s.put(id, "_config", `{"data":`+pushChanges+`}`)
			writers.Go(func() {
				for i := range writes {
					s.put(id, "current", fmt.Sprintf(`{"data":{"a":%d}}`, i))
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		writers.Go(func() {
			for i := range 40 {
				s.ask("PATCH", hub, pushURI([]string{"tcp://two", "tcp://one"}[i%2]))
				time.Sleep(7 * time.Millisecond)
			}
		})
		writers.Wait()
		record, err := s.registry.Hub(t.Context())
		if err != nil || record.Graphite != "tcp://one" || s.series.uri != record.Graphite {
			t.Errorf("the record has %q, %v; pushed to %q", record.Graphite, err, s.series.uri)
		}
		got := len(c["one"].got()) + len(c["two"].got())
		if stats := s.SeriesStats(); stats != (graphite.Stats{Pushed: uint64(got)}) || got < writes {
			t.Errorf("the databases have %d points, and stats are %+v", got, stats)
		}
	})
}

// A hub starts with the database of its record, unless the configuration names one.
func TestSeriesStartWithTheRecord(t *testing.T) {
	for _, tt := range []struct{ stored, flag, want, err string }{
		{"", "", "", ""},
		{"tcp://127.0.0.1:9", "", "tcp://127.0.0.1:9", ""},
		{"tcp://127.0.0.1:9", "tcp://127.0.0.1:10", "tcp://127.0.0.1:10", ""},
		{"mqtt://carbon", "tcp://127.0.0.1:10", "tcp://127.0.0.1:10", ""},
		{"mqtt://u:s3cret@carbon", "", "", "time series: the hub's record has no URI to push to"},
	} {
		devices := registry.NewMemory()
		if _, err := devices.UpdateHub(t.Context(), func(h *registry.Hub) error { h.Graphite = tt.stored; return nil }); err != nil {
			t.Fatal(err)
		}
		s := newTestServer(t, func(c *Config) { c.Registry, c.Graphite = devices, tt.flag })
		if s.series.uri != tt.want || s.series.isOn() != (tt.want != "") {
			t.Errorf("stored %q, flag %q: pushes to %q", tt.stored, tt.flag, s.series.uri)
		}
		if log := s.log.take(); !strings.Contains(log, tt.err) || strings.Contains(log, "s3cret") {
			t.Errorf("stored %q, flag %q: got log %s", tt.stored, tt.flag, log)
		}
	}
}
