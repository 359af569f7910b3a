package hub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/twin"
)

// A fakeCarbon is what the hub pushes to, over net.Pipe.
type fakeCarbon struct {
	hangs bool // it accepts connections and reads nothing

	mu    sync.Mutex
	lines []string
}

func (c *fakeCarbon) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	if c.hangs {
		return ours, nil
	}
	go func() {
		defer theirs.Close()
		for r := bufio.NewScanner(theirs); r.Scan(); {
			c.mu.Lock()
			c.lines = append(c.lines, strings.TrimPrefix(r.Text(), "twins."+string(panelID)+"."))
			c.mu.Unlock()
		}
	}()
	return ours, nil
}

// got are the lines, without the panel's id, after a moment in which all is sent.
func (c *fakeCarbon) got() []string {
	time.Sleep(2 * time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	c.lines = nil
	return lines
}

// newSeriesServer is a hub that pushes to carbon.
func newSeriesServer(t *testing.T, carbon *fakeCarbon, documents docstore.Store) *testServer {
	t.Helper()
	s := newTestServer(t, func(c *Config) { c.Documents = documents })
	var err error
	if s.series.pusher, err = graphite.New(graphite.Config{URI: "tcp://carbon", Dial: carbon.dial}); err != nil {
		t.Fatal(err)
	}
	return s
}

// pushChanges is a _config that pushes every number of the document current on change.
const pushChanges = `{"documents":{"current":{"_tsdb_trigger":"on-change"}}}`

func checkLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// The time of a point is that of the write, whenever it is sent.
func TestSeriesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		carbon := &fakeCarbon{}
		s := newSeriesServer(t, carbon, docstore.NewMemory())
		s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
		time.Sleep(300 * time.Millisecond)
		first := time.Now().Unix()
		s.put(panelID, "current", `{"data":{"a":1,"b":{"c":true}}}`)
		time.Sleep(900 * time.Millisecond)
		second := time.Now().Unix()
		s.put(panelID, "current", `{"data":{"a":2,"b":{"c":true}}}`)
		checkLines(t, "points", carbon.got(),
			fmt.Sprintf("current;json_path=a 1 %d", first), fmt.Sprintf("current;json_path=b.c 1 %d", first), fmt.Sprintf("current;json_path=a 2 %d", second))
		if first == second {
			t.Error("both writes are in the same second")
		}
	})
}

// What holds is the _config at the time of the write.
func TestSeriesFollowConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		carbon := &fakeCarbon{}
		s := newSeriesServer(t, carbon, docstore.NewMemory())
		now := time.Now().Unix()
		s.put(panelID, "current", `{"data":{"a":1}}`)
		s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
		s.put(panelID, "current", `{"data":{"a":2}}`)
		s.put(otherID, "current", `{"data":{"a":3}}`)
		if _, err := s.Do(t.Context(), panelID, "_config", twin.Patch, []byte(`{"data":{"documents":{"current":{"_tags":{"site":"my home"}}}}}`)); err != nil {
			t.Fatal(err)
		}
		s.put(panelID, "current", `{"data":{"a":4}}`)
		s.put(panelID, "_config", `{}`)
		s.put(panelID, "current", `{"data":{"a":5}}`)
		s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
		if err := s.delete(t.Context(), panelID, "_config"); err != nil {
			t.Fatal(err)
		}
		s.put(panelID, "current", `{"data":{"a":6}}`)
		checkLines(t, "points", carbon.got(),
			fmt.Sprintf("current;json_path=a 2 %d", now), fmt.Sprintf("current;json_path=a;site=my%%20home 4 %d", now))
	})
}

// A refused write pushes nothing.
func TestSeriesOfRefusedWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		carbon := &fakeCarbon{}
		s := newSeriesServer(t, carbon, docstore.NewMemory())
		s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
		for _, payload := range []string{`{"version":7,"data":{"a":1}}`, `{"data":[1]}`} {
			if _, err := s.Do(t.Context(), panelID, "current", twin.Put, []byte(payload)); err == nil {
				t.Errorf("%s was accepted", payload)
			}
		}
		checkLines(t, "points", carbon.got())
	})
}

func TestWritesDoNotWaitForCarbon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeriesServer(t, &fakeCarbon{hangs: true}, docstore.NewMemory())
		s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
		began := time.Now()
		const writes = 3000
		for i := range writes {
			s.put(panelID, "current", fmt.Sprintf(`{"data":{"a":%d}}`, i))
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the writes took %v", took)
		}
		time.Sleep(time.Hour)
		s.put(panelID, "current", `{"data":{"a":-1}}`)
		if got := s.SeriesStats(); got != (graphite.Stats{Queued: writes + 1}) {
			t.Errorf("stats are %+v", got)
		}
		closing := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// An attempt that is under way may come to its own end before that.
		if took := time.Since(closing); took > 3*time.Second {
			t.Errorf("closing took %v, want 3 s at most", took)
		}
		if got := s.SeriesStats(); got != (graphite.Stats{Dropped: writes + 1}) {
			t.Errorf("stats are %+v", got)
		}
	})
}

// A moodyStore fails to read some documents, and lets others write before a put.
type moodyStore struct {
	*docstore.Memory
	unreadable twin.Name
	rival      string // put before the next put
}

func (s *moodyStore) Get(ctx context.Context, key docstore.Key) (docstore.Document, error) {
	if key.Name == s.unreadable {
		return docstore.Document{}, errors.New("disk on fire")
	}
	return s.Memory.Get(ctx, key)
}

func (s *moodyStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	if rival := s.rival; rival != "" {
		s.rival = ""
		if _, err := s.Memory.Put(ctx, key, docstore.Any, []byte(rival)); err != nil {
			return 0, err
		}
	}
	return s.Memory.Put(ctx, key, cond, data)
}

func TestSeriesTrouble(t *testing.T) {
	tests := []struct {
		name    string
		trouble func(*moodyStore)
		want    []string // pushed for a put of {"a":1,"b":3} over {"a":1,"b":2}
		log     string
	}{
		{"none", func(*moodyStore) {}, []string{"b 3"}, ""},
		{"_config can't be read", func(s *moodyStore) { s.unreadable = "_config" }, nil,
			`level=WARN msg="time series: nothing is pushed, _config can't be read" device=11111111… document=current error="disk on fire"`},
		{"a _config from before there were rules", func(s *moodyStore) {
			_, _ = s.Memory.Put(context.Background(), docstore.Key{Twin: panelID, Name: "_config"}, docstore.Any, []byte(`{"documents":[]}`))
		}, nil, `level=WARN msg="time series: nothing is pushed, _config can't be read" device=11111111… document=current error="data.documents: not an object: `},
		{"the document can't be read", func(s *moodyStore) { s.unreadable = "current" }, []string{"a 1", "b 3"},
			`level=WARN msg="time series: all numbers count as changed, the document can't be read" device=11111111… document=current error="disk on fire"`},
		// The other has changed b to 3, and a for a moment: what this put changed is not known.
		{"somebody comes between", func(s *moodyStore) { s.rival = `{"a":7,"b":3}` }, []string{"a 1", "b 3"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				carbon, store := &fakeCarbon{}, &moodyStore{Memory: docstore.NewMemory()}
				s := newSeriesServer(t, carbon, store)
				s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
				s.put(panelID, "current", `{"data":{"a":1,"b":2}}`)
				carbon.got()
				tt.trouble(store)
				now := time.Now().Unix()
				s.put(panelID, "current", `{"data":{"a":1,"b":3}}`)
				var want []string
				for _, w := range tt.want {
					want = append(want, fmt.Sprintf("current;json_path=%s %d", w, now))
				}
				checkLines(t, "points", carbon.got(), want...)
				if log := s.log.take(); !strings.Contains(log, tt.log) || tt.log == "" && strings.Contains(log, "time series") {
					t.Errorf("log is\n%s\nwant\n%s", log, tt.log)
				}
			})
		})
	}
}

// A lateStore answers a put later than the one that comes after it.
type lateStore struct {
	*docstore.Memory
	slow string // this data
}

func (s *lateStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	version, err := s.Memory.Put(ctx, key, cond, data)
	if string(data) == s.slow {
		time.Sleep(time.Second)
	}
	return version, err
}

// Whichever of two writers hears first that it has written, the last number in the database is
// that of the document.
func TestSeriesOfWritersAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		carbon, store := &fakeCarbon{}, &lateStore{docstore.NewMemory(), `{"a":1,"b":1}`}
		s := newSeriesServer(t, carbon, store)
		s.put(panelID, "_config", `{"data":`+pushChanges+`}`)
		now := time.Now().Unix()
		var first sync.WaitGroup
		first.Go(func() { s.put(panelID, "current", `{"data":{"a":1,"b":1}}`) })
		synctest.Wait()
		s.put(panelID, "current", `{"data":{"a":2}}`)
		first.Wait()
		checkLines(t, "points", carbon.got(),
			fmt.Sprintf("current;json_path=a 2 %d", now),
			fmt.Sprintf("current;json_path=a 1 %d", now+1), fmt.Sprintf("current;json_path=b 1 %d", now+1),
			fmt.Sprintf("current;json_path=a 2 %d", now+1))
		if len(s.series.latest) > 0 {
			t.Errorf("%d documents are still being written", len(s.series.latest))
		}
		if _, err := s.Do(t.Context(), panelID, "current", twin.Put, []byte(`{"version":9,"data":{"a":3}}`)); err == nil || len(s.series.latest) > 0 {
			t.Errorf("after a refused write, %v, %d documents are still being written", err, len(s.series.latest))
		}
	})
}

// BenchmarkPutWithSeries is the core's work for a put of a panel's current, on a store in memory: what
// the pushes add to it.
func BenchmarkPutWithSeries(b *testing.B) {
	for _, bb := range []struct{ name, config string }{
		{"no database", ""},
		{"nothing configured", `{}`},
		{"on-update", `{"documents":{"current":{"_tsdb_trigger":"on-update","_tags":{"site":"home"}}}}`},
		{"on-change", `{"documents":{"current":{"_tsdb_trigger":"on-change","_tags":{"site":"home"}}}}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newTestServer(b, nil)
			if bb.config != "" {
				var err error
				s.series.pusher, err = graphite.New(graphite.Config{URI: "tcp://carbon", Dial: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go io.Copy(io.Discard, theirs)
					return ours, nil
				}})
				if err != nil {
					b.Fatal(err)
				}
				s.put(panelID, "_config", `{"data":`+bb.config+`}`)
			}
			payloads := [2][]byte{
				[]byte(`{"data":{"last_update":"2026-01-01T00:00:00.000Z","alarm_armed":true,"siren_ringing":false,"door_open":true}}`),
				[]byte(`{"data":{"last_update":"2026-01-01T00:00:01.000Z","alarm_armed":true,"siren_ringing":true,"door_open":false}}`),
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Do(b.Context(), panelID, "current", twin.Put, payloads[i%2]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
