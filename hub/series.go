package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/graphite"
	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// series pushes what a twin's _config selects to a time series database.
type series struct {
	pusher *graphite.Pusher // nil = there is no database
	log    *quietLog
}

func newSeries(c Config, log *quietLog) (*series, error) {
	s := &series{log: log}
	if c.Graphite == "" {
		return s, nil
	}
	var err error
	s.pusher, err = graphite.New(graphite.Config{URI: c.Graphite, Logger: c.Logger})
	return s, err
}

func (s *series) close() {
	if s.pusher != nil {
		s.pusher.Close()
	}
}

// A seriesWrite is what has to be known of a write before it happens. The zero value
// pushes nothing.
type seriesWrite struct {
	pusher *graphite.Pusher
	config twinconfig.Config
	write  write
	old    docstore.Document // what it replaces; version 0 = nothing
	known  bool              // old is what was there
}

// begin reads what the push of a write needs. Trouble with that never fails the write.
func (s *series) begin(ctx context.Context, documents docstore.Store, w write) seriesWrite {
	if s.pusher == nil || w.key.Name == twin.ConfigName {
		return seriesWrite{}
	}
	config, err := readConfig(ctx, documents, w.key.Twin)
	if err != nil {
		s.warn(w.key, "time series: nothing is pushed, _config can't be read", err)
		return seriesWrite{}
	}
	sw := seriesWrite{pusher: s.pusher, config: config, write: w}
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

// push queues the points of a write that has happened and gave this version. It doesn't
// wait for anything.
func (w seriesWrite) push(version uint32) {
	if w.pusher == nil {
		return
	}
	old := w.old.Data
	// When somebody came between, nobody knows what the write has replaced. A number pushed
	// again does no harm, a change that was missed does.
	if !w.known || version != w.old.Version+1 {
		old = nil
	}
	key := w.write.key
	values := w.config.Values(key.Name, old, w.write.sent)
	if len(values) == 0 {
		return
	}
	points := make([]graphite.Point, len(values))
	name, now := fmt.Sprintf("twins.%s.%s", key.Twin, key.Name), time.Now()
	for i, v := range values {
		points[i] = graphite.Point{Name: name, Path: v.Path, Tags: v.Tags, Value: v.Number, Time: now}
	}
	w.pusher.Push(points)
}

// SeriesStats counts the points of time series since the start; nothing without
// [Config.Graphite].
func (h *Hub) SeriesStats() graphite.Stats {
	if h.series.pusher == nil {
		return graphite.Stats{}
	}
	return h.series.pusher.Stats()
}
