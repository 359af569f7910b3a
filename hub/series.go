package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// series pushes what a twin's _config selects to a time series database, which can be exchanged
// while the hub runs.
type series struct {
	config graphite.Config // without URI
	log    *quietLog
	left   sync.WaitGroup // for those in leaving

	mu      sync.Mutex
	uri     string           // where pusher pushes to
	pusher  *graphite.Pusher // nil = there is no database
	leaving map[*graphite.Pusher]struct{}
	counts  graphite.Stats // of those that have left
	closed  bool
	latest  map[docstore.Key]*latestPush // of documents that are being written
}

// A latestPush is what was pushed for the highest version of a document, as long as it is
// being written. Writes that the store commits together push in any order.
type latestPush struct {
	writes  int // under way
	version uint32
	points  []graphite.Point
}

func newSeries(config graphite.Config, log *quietLog) *series {
	return &series{config: config, log: log, leaving: make(map[*graphite.Pusher]struct{}), latest: make(map[docstore.Key]*latestPush)}
}

// startSeries pushes to the database that the configuration names or, where it names none, the hub's record.
func (h *Hub) startSeries() error {
	if h.graphite != "" {
		return h.series.pushTo(h.graphite)
	}
	return h.readSeries(context.Background())
}

// readSeries pushes to the database that the hub's record names, unless the configuration names one.
func (h *Hub) readSeries(ctx context.Context) error {
	if h.graphite != "" {
		return nil
	}
	// One at a time, so that series go where the record says.
	h.changing <- struct{}{}
	defer func() { <-h.changing }()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	record, err := h.registry.Hub(ctx)
	if err != nil {
		return fmt.Errorf("reading what the hub knows about itself: %w", err)
	}
	if err := h.series.pushTo(record.Graphite); err != nil {
		h.log.error("", "time series: the hub's record has no URI to push to: set another one with PATCH …/hubs/"+record.ID, "error", err)
	}
	return nil
}

// pushTo has points go to another database from now on; empty = to none. Those that wait for the one
// before still go there, in the background, as far as that doesn't take longer than at the hub's end.
func (s *series) pushTo(uri string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || uri == s.uri {
		return nil
	}
	var next *graphite.Pusher
	if uri != "" {
		config := s.config
		config.URI = uri
		var err error
		if next, err = graphite.New(config); err != nil {
			return err
		}
	}
	if s.pusher != nil {
		s.leave(s.pusher)
	}
	s.pusher, s.uri = next, uri
	if next == nil {
		s.log.info("", "time series are pushed nowhere")
	} else {
		s.log.info("", "time series are pushed", "server", graphite.Config{URI: uri}.Server())
	}
	return nil
}

// leave closes a pusher in the background. It is called with mu held.
func (s *series) leave(p *graphite.Pusher) {
	s.leaving[p] = struct{}{}
	s.left.Go(func() {
		p.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.leaving, p)
		s.counts = addStats(s.counts, p.Stats())
	})
}

// close waits until what is pushed has been sent, or takes too long.
func (s *series) close() {
	s.mu.Lock()
	if s.pusher != nil && !s.closed {
		s.leave(s.pusher)
	}
	s.closed, s.pusher = true, nil
	s.mu.Unlock()
	s.left.Wait()
}

// isOn tells whether there is a database.
func (s *series) isOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pusher != nil
}

// A seriesWrite is what has to be known of a write before it happens. The zero value
// pushes nothing.
type seriesWrite struct {
	series *series
	config twinconfig.Config
	write  write
	old    docstore.Document // what it replaces; version 0 = nothing
	known  bool              // old is what was there
	latest *latestPush
}

// begin reads what the push of a write needs. Trouble with that never fails the write. The
// caller calls end after the write, whatever became of it.
func (s *series) begin(ctx context.Context, documents docstore.Store, w write) seriesWrite {
	if w.key.Name == twin.ConfigName || !s.isOn() {
		return seriesWrite{}
	}
	config, err := readConfig(ctx, documents, w.key.Twin)
	if err != nil {
		s.warn(w.key, "time series: nothing is pushed, _config can't be read", err)
		return seriesWrite{}
	}
	sw := seriesWrite{series: s, config: config, write: w, latest: s.join(w.key)}
	switch {
	case !config.NeedsOld(w.key.Name):
	case w.old != nil:
		sw.old, sw.known = *w.old, true
	default:
		if sw.old, err = documents.Get(ctx, w.key); err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
			s.warn(w.key, "time series: all numbers count as changed, the document can't be read", err)
			break
		}
		sw.known = true
	}
	return sw
}

// readConfig reads a twin's _config; the zero Config if there is none.
func readConfig(ctx context.Context, documents docstore.Store, id twin.ID) (twinconfig.Config, error) {
	doc, err := documents.Get(ctx, docstore.Key{Twin: id, Name: twin.ConfigName})
	if errors.Is(err, twin.ErrDocumentNotFound) {
		return twinconfig.Config{}, nil
	} else if err != nil {
		return twinconfig.Config{}, err
	}
	return twinconfig.Parse(doc.Data)
}

func (s *series) warn(key docstore.Key, msg string, err error) {
	s.log.warn(string(key.Twin), msg, "device", shortID(key.Twin), "document", key.Name, "error", err)
}

// join counts a write of a document as under way.
func (s *series) join(key docstore.Key) *latestPush {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := s.latest[key]
	if latest == nil {
		latest = new(latestPush)
		s.latest[key] = latest
	}
	latest.writes++
	return latest
}

// end says that the write is no longer under way.
func (w seriesWrite) end() {
	if w.series == nil {
		return
	}
	w.series.mu.Lock()
	defer w.series.mu.Unlock()
	if w.latest.writes--; w.latest.writes == 0 {
		delete(w.series.latest, w.write.key)
	}
}

// push queues the points of a write that has happened and gave this version. It doesn't
// wait for anything.
func (w seriesWrite) push(version uint32) {
	if w.series == nil {
		return
	}
	points := w.points(version)
	w.series.mu.Lock()
	defer w.series.mu.Unlock()
	w.series.pushNow(points)
	if version < w.latest.version {
		// A newer one was faster. The last number that the database gets has to be its number.
		w.series.pushNow(w.latest.points)
		return
	}
	w.latest.version, w.latest.points = version, points
}

// pushNow queues points with the present time. It is called with mu held.
func (s *series) pushNow(points []graphite.Point) {
	now := time.Now()
	for i := range points {
		points[i].Time = now
	}
	if len(points) > 0 && s.pusher != nil {
		s.pusher.Push(points)
	}
}

// points are those of a write that gave this version, without their time.
func (w seriesWrite) points(version uint32) []graphite.Point {
	old := w.old.Data
	// When somebody came between, nobody knows what the write has replaced. A number pushed
	// again does no harm, a change that was missed does.
	if !w.known || version != w.old.Version+1 {
		old = nil
	}
	key := w.write.key
	values := w.config.Values(key.Name, old, w.write.sent)
	points := make([]graphite.Point, len(values))
	name := fmt.Sprintf("twins.%s.%s", key.Twin, key.Name)
	for i, v := range values {
		points[i] = graphite.Point{Name: name, Path: v.Path, Tags: v.Tags, Value: v.Number}
	}
	return points
}

// SeriesStats counts the points of time series since the start.
func (h *Hub) SeriesStats() graphite.Stats {
	s := h.series
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.counts
	for p := range s.leaving {
		all = addStats(all, p.Stats())
	}
	if s.pusher != nil {
		all = addStats(all, s.pusher.Stats())
	}
	return all
}

func addStats(a, b graphite.Stats) graphite.Stats {
	return graphite.Stats{Queued: a.Queued + b.Queued, Pushed: a.Pushed + b.Pushed, Dropped: a.Dropped + b.Dropped}
}
