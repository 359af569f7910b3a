//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How much is written at the same time.
const (
	devices      = 4
	documents    = 64 // in all
	restWriters  = 16
	mqttWriters  = 16
	cycleWriters = 4 // each with a document of its own

	bigDocuments = 64      // that only [stage.grow] writes
	bigSize      = 200_000 // bytes
)

// troublePause is how long a client waits when its hub has trouble or is out of reach.
const troublePause = 5 * time.Millisecond

var errCut = errors.New("the power is being cut")

// A book has the histories of all documents.
type book struct {
	histories []*history
	big       []*history
	cycles    []*cycle
	lastID    atomic.Int64
}

func newBook(devices []string) *book {
	b := new(book)
	for i := range documents {
		b.histories = append(b.histories, newHistory(devices[i%len(devices)], fmt.Sprintf("document-%d", i)))
	}
	for i := range bigDocuments {
		b.big = append(b.big, newHistory(devices[i%len(devices)], fmt.Sprintf("big-%d", i)))
	}
	for i := range cycleWriters {
		b.cycles = append(b.cycles, &cycle{device: devices[i%len(devices)], name: fmt.Sprintf("cycle-%d", i)})
	}
	return b
}

// of returns the histories of a device's documents.
func (b *book) of(device string) (all []*history) {
	for _, h := range b.histories {
		if h.device == device {
			all = append(all, h)
		}
	}
	return all
}

// settle reads all documents, after a restart and before anybody writes, and holds their histories against them.
func (b *book) settle(c client) (sum tally, err error) {
	read := func(device, name string, settle func(state) (tally, error)) error {
		a := c.do("get", device, name, nil)
		if a.outcome != acknowledged || a.err != nil {
			return fmt.Errorf("reading document %s of device %s after the restart: %w", name, device, a.err)
		}
		t, err := settle(a.state)
		sum.add(t)
		return err
	}
	for _, h := range slices.Concat(b.histories, b.big) {
		if err := read(h.device, h.name, h.settle); err != nil {
			return tally{}, err
		}
	}
	for _, c := range b.cycles {
		if err := read(c.device, c.name, c.settle); err != nil {
			return tally{}, err
		}
	}
	return sum, nil
}

// A load is what writes and reads as fast as it can until it is stopped.
type load struct {
	book *book
	stop context.CancelFunc
	done <-chan struct{}
	wg   sync.WaitGroup

	// The power is being cut. The file system stops a moment before the hub does, and meanwhile may say that it has
	// synced what it has not: nobody outside would hear of that.
	cut atomic.Bool

	// How many times this has happened so far.
	writes, reads          atomic.Int64 // acknowledged
	restFailed, mqttFailed errorCount   // writes that were answered with the hub's trouble
	readsFailed            errorCount   // reads that were
	mustNot                errorCount   // answers that must not be
}

// An errorCount counts errors and keeps the first one.
type errorCount struct {
	mu    sync.Mutex
	n     int64
	first error
}

func (c *errorCount) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.first == nil {
		c.first = err
	}
}

func (c *errorCount) load() (n int64, first error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.first
}

// startLoad starts all writers on a hub.
func startLoad(h *hub, b *book, random *rand.Rand) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{book: b, stop: stop, done: ctx.Done()}
	start := func(run func(client, *rand.Rand), c client) {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		l.wg.Go(func() {
			defer c.close()
			for ctx.Err() == nil && !l.cut.Load() {
				run(c, own)
			}
		})
	}
	for range restWriters {
		start(l.step(b.histories, &l.restFailed), newRESTClient(h.rest, h.token))
	}
	for i := range mqttWriters {
		device := h.devices[i%len(h.devices)]
		start(l.step(b.of(device), &l.mqttFailed), newMQTTClient(h.mqtt, device, fmt.Sprint("writer-", i)))
	}
	for _, c := range b.cycles {
		start(l.turn(c), newRESTClient(h.rest, h.token))
	}
	return l
}

// end stops the load and waits until no request is under way.
func (l *load) end() error {
	l.stop()
	l.wg.Wait()
	_, err := l.mustNot.load()
	return err
}

// step is one request to one of the documents: a read, or a write of any kind.
func (l *load) step(of []*history, failures *errorCount) func(client, *rand.Rand) {
	return func(c client, random *rand.Rand) {
		h := of[random.IntN(len(of))]
		if random.IntN(8) == 0 {
			least := h.beginRead()
			a := l.do(c, "get", h.device, h.name, nil)
			if l.note(a, &l.reads, &l.readsFailed) {
				h.endRead(least, a.state)
			}
			return
		}
		method := "put"
		if random.IntN(2) == 0 && h.beginRead() > 0 {
			method = "patch"
		}
		w := h.begin(l.book.lastID.Add(1), method == "patch", random.IntN(2) == 0)
		a := l.do(c, method, h.device, h.name, w.body())
		h.end(w, a.outcome, a.state)
		l.note(a, &l.writes, failures)
	}
}

// turn is one request to a document that is also deleted.
func (l *load) turn(c *cycle) func(client, *rand.Rand) {
	return func(client client, random *rand.Rand) {
		method, w := "put", &write{id: l.book.lastID.Add(1)}
		if c.exists() && random.IntN(3) == 0 {
			method, w.id = "delete", 0
		}
		if !c.begin(w.id) {
			l.pause()
			return
		}
		a := l.do(client, method, c.device, c.name, w.body())
		c.end(a.outcome, a.state)
		l.note(a, &l.writes, &l.restFailed)
	}
}

// do sends a request. An answer that comes when the power is being cut says nothing.
func (l *load) do(c client, method, device, document string, body []byte) answer {
	a := c.do(method, device, document, body)
	if l.cut.Load() {
		return answer{unknown, state{}, errCut}
	}
	return a
}

// note counts an answer, and lets some time pass after trouble. It tells whether it was an acknowledgement.
func (l *load) note(a answer, done *atomic.Int64, failures *errorCount) bool {
	switch {
	case a.outcome == acknowledged && a.err == nil:
		done.Add(1)
		return true
	case a.outcome == refused:
		return false
	case a.outcome == acknowledged:
		l.mustNot.add(a.err)
	case a.outcome == failed && !errors.Is(a.err, errUnreachable):
		failures.add(a.err)
	}
	l.pause()
	return false
}

// pause lets some time pass, unless the load is to end.
func (l *load) pause() {
	select {
	case <-time.After(troublePause):
	case <-l.done:
	}
}
