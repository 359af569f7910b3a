package postgres

import (
	"context"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
)

const (
	pairReaders = 4   // queries for pairs at the same time, each with a connection
	maxPairs    = 128 // of one query
)

const (
	// selectPair has a row for device $1, and its document $2, NULL where there is none.
	selectPair = "SELECT " + deviceColumns + `, epoch, version, data, 1::bigint FROM twinpanel.devices
		LEFT JOIN (SELECT twin, name AS document, version, data FROM twinpanel.documents) AS documents ON twin = id AND document = $2 WHERE id = $1`

	// selectPairs has such a row for each of many, whose devices and documents are in two arrays. It takes a quarter of the time of as many
	// queries, and thrice that of one. What is limited to one row can only be looked up by its key: a planner
	// that is free to may read all documents in their order.
	selectPairs = "SELECT " + deviceColumns + `, epoch, version, data, position
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (twin, document, position)
		CROSS JOIN LATERAL (SELECT * FROM twinpanel.devices WHERE id = wanted.twin LIMIT 1) AS device
		LEFT JOIN LATERAL (SELECT version, data FROM twinpanel.documents
			WHERE documents.twin = wanted.twin AND documents.name = wanted.document LIMIT 1) AS document ON true`
)

// A pair is a row of selectPair or selectPairs.
type pair struct {
	registry.Device
	docstore.Document
	position int64 // among those that were asked for, from 1
}

func scanPair(row pgx.CollectableRow) (p pair, err error) {
	var version *uint32
	if p.Device, err = scanDeviceAnd(row, &version, &p.Data, &p.position); version != nil {
		p.Version = *version
	}
	return p, err
}

// A pairRequest waits for a pair.
type pairRequest struct {
	key  docstore.Key
	done chan struct{} // closed when the rest is there

	pair
	err error
}

// A pairReader reads together the pairs that wait for it: every request to the hub is for one, and a round trip costs
// the server more than what it looks for.
type pairReader struct {
	db      *DB
	queue   chan *pairRequest // unbuffered: who waits here has not been taken
	closing chan struct{}
	running sync.WaitGroup
}

func newPairReader(db *DB) *pairReader {
	r := &pairReader{db: db, queue: make(chan *pairRequest), closing: make(chan struct{})}
	for range pairReaders {
		r.running.Go(r.run)
	}
	return r
}

// close waits for what is being read.
func (r *pairReader) close() {
	close(r.closing)
	r.running.Wait()
}

// DeviceAndDocument reads a device and a document of its twin in one round trip, both as they are at one moment. A document that is
// not there has version 0.
func (db *DB) DeviceAndDocument(ctx context.Context, key docstore.Key) (registry.Device, docstore.Document, error) {
	if err := ctx.Err(); err != nil {
		return registry.Device{}, docstore.Document{}, err
	}
	if !isText(string(key.Twin)) || !isText(string(key.Name)) {
		return registry.Device{}, docstore.Document{}, registry.ErrNoDevice
	}
	q := &pairRequest{key: key, done: make(chan struct{})}
	select {
	case db.pairs.queue <- q:
	case <-ctx.Done():
		return registry.Device{}, docstore.Document{}, ctx.Err()
	case <-db.pairs.closing:
		return registry.Device{}, docstore.Document{}, docstore.ErrClosed
	}
	select {
	case <-q.done:
		return q.Device, q.Document, q.err
	case <-ctx.Done():
		return registry.Device{}, docstore.Document{}, ctx.Err()
	}
}

// isText tells whether PostgreSQL takes s as a text. What is none would spoil the query for all others in it.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func (r *pairReader) run() {
	var batch []*pairRequest
	for {
		clear(batch)
		select {
		case q := <-r.queue:
			batch = append(batch[:0], q)
		case <-r.closing:
			return
		}
		r.read(r.takeWaiting(batch))
	}
}

func (r *pairReader) takeWaiting(batch []*pairRequest) []*pairRequest {
	for len(batch) < maxPairs {
		select {
		case q := <-r.queue:
			batch = append(batch, q)
		default:
			return batch
		}
	}
	return batch
}

// read answers a batch. All of it was asked for before the query begins, so that nobody gets what was older.
func (r *pairReader) read(batch []*pairRequest) {
	found, err := r.find(batch)
	for _, q := range batch {
		if q.err = registry.ErrNoDevice; err != nil {
			q.err = err
		}
	}
	for _, p := range found {
		q := batch[p.position-1]
		q.pair, q.err = p, nil
	}
	for _, q := range batch {
		close(q.done)
	}
}

func (r *pairReader) find(batch []*pairRequest) ([]pair, error) {
	ctx, what := context.Background(), "devices and documents"
	if len(batch) == 1 {
		return list(ctx, r.db, what, scanPair, selectPair, string(batch[0].key.Twin), string(batch[0].key.Name))
	}
	twins, names := make([]string, len(batch)), make([]string, len(batch))
	for i, q := range batch {
		twins[i], names[i] = string(q.key.Twin), string(q.key.Name)
	}
	return list(ctx, r.db, what, scanPair, selectPairs, twins, names)
}
