// Package groupcommit is the front of a durable store: many callers write, one
// goroutine takes whatever is waiting and commits it together. What a disk or a
// database can sync in a second then limits the batches, not the writes, and no
// timer holds anybody back.
//
// The package knows nothing of the store behind it but the function that
// commits a batch.
package groupcommit

import (
	"context"
	"fmt"
	"sync"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// Limits of one commit. They bound how long the first operation waits for the last, and how many may have an
// unknown outcome together.
const (
	maxBatch      = 512     // operations
	maxBatchBytes = 4 << 20 // with which no more operations are taken
)

// A Writer commits operations in the order in which it takes them.
type Writer[Op any] struct {
	commit  func(ops []Op) error
	size    func(Op) int
	queue   chan request[Op] // unbuffered: who waits here has not been taken
	closing chan struct{}
	close   func()
	done    chan struct{}
}

type request[Op any] struct {
	op   Op
	done chan error
}

// New starts a writer; Close ends it. The function commit gets one batch at a
// time and applies its operations in their order. It returns nil when the batch is
// durable; an operation that was refused is no error of the batch and says so
// in a place of its own. Any other error speaks for every operation of the
// batch and means that nothing was written, unless it is a
// [*docstore.OutcomeError]. Whether anything may be written after such a one
// is for commit to say.
//
// The function size returns how many bytes an operation writes; nil = they don't matter.
func New[Op any](commit func(ops []Op) error, size func(Op) int) *Writer[Op] {
	if size == nil {
		size = func(Op) int { return 0 }
	}
	w := &Writer[Op]{
		commit:  commit,
		size:    size,
		queue:   make(chan request[Op]),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	w.close = sync.OnceFunc(func() { close(w.closing) })
	go w.run()
	return w
}

// Do hands over op and returns when its batch has been committed. With a nil
// error, what commit noted in op may be read. After any other, op may still be
// in use.
//
// A context that ends while op waits for the batch before it is an ordinary
// error: nothing was written. One that ends during the commit makes a
// [*docstore.OutcomeError]. After Close, Do returns [docstore.ErrClosed].
func (w *Writer[Op]) Do(ctx context.Context, op Op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := request[Op]{op, make(chan error, 1)}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return docstore.ErrClosed
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-r.done: // both happened: the answer says more
		return err
	default:
		return &docstore.OutcomeError{Err: fmt.Errorf("waiting for the commit: %w", ctx.Err())}
	}
}

// Close waits for the commit under way and refuses everything after it.
func (w *Writer[Op]) Close() {
	w.close()
	<-w.done
}

func (w *Writer[Op]) run() {
	defer close(w.done)
	var batch []request[Op]
	var ops []Op
	for {
		clear(batch)
		clear(ops)
		batch, ops = batch[:0], ops[:0]
		select {
		case r := <-w.queue:
			batch = append(batch, r)
		case <-w.closing:
			return
		}
		batch = w.takeWaiting(batch)
		for _, r := range batch {
			ops = append(ops, r.op)
		}

		err := w.commit(ops)
		for _, r := range batch {
			r.done <- err
		}
	}
}

func (w *Writer[Op]) takeWaiting(batch []request[Op]) []request[Op] {
	for size := w.size(batch[0].op); len(batch) < maxBatch && size < maxBatchBytes; {
		select {
		case r := <-w.queue:
			batch = append(batch, r)
			size += w.size(r.op)
		default:
			return batch
		}
	}
	return batch
}
