// Package copier copies all of a hub from one store to another, byte for byte, and compares both.
//
// A destination under way is marked: its hub has no id. Stores can have that mark from their first moment on. A copy that was cut off, at whatever moment, leaves
// that mark, and the next one clears what is there and starts over. The mark goes with the very last write, after
// everything has been read on both sides and found the same. So whoever opens a store can tell, by
// [Unfinished], whether a hub is whole.
//
// Nobody may write to either side meanwhile. Who did shows as a difference, and the mark stays. A destination in which
// somebody has made anything, if only an authority that devices may have been told to trust, is not overwritten.
package copier

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const (
	writers       = 256    // writes under way: a store commits together what waits
	pageSize      = 100    // documents that are read at once; 25 MiB at most
	progressEvery = 10_000 // documents
)

// Errors of [Copy].
var (
	ErrNotEmpty   = errors.New("the destination has a hub's data")
	ErrSame       = errors.New("source and destination are the same hub")
	ErrUnfinished = errors.New("the source is a copy that was not finished")
)

// A Store is all that a hub keeps.
type Store interface {
	docstore.Store
	registry.Registry
}

// Unfinished tells whether a hub's record is the mark of a copy that is under way, or was cut off.
func Unfinished(h registry.Hub) bool { return h.ID == "" }

// Copy copies everything from one store to another, which must be new, empty or an unfinished copy, and
// compares both. What devices have for their connections ([registry.Device.Epoch]) stays behind.
//
// Errors: [ErrNotEmpty], [ErrSame], [ErrUnfinished], a [*DifferenceError], with which the report is
// complete, what alone returns, or one of the stores'. After an error the destination is as it was or is marked.
//
// Progress gets lines for a person. Alone is asked before the mark goes: whether nobody else has come to either side.
func Copy(ctx context.Context, from, to Store, progress func(string), alone func(context.Context) error) (Report, error) {
	hub, err := from.Hub(ctx)
	if err != nil {
		return Report{}, atSource(err)
	}
	if Unfinished(hub) {
		return Report{}, ErrUnfinished
	}
	if err := prepare(ctx, hub, to, progress); err != nil {
		return Report{}, err
	}
	// AddDevice empties the device's twin, and a token may be for a device: that is the order.
	for _, part := range []func(context.Context, Store, Store, func(string)) error{copyAuthorities, copyDevices, copyTokens, copyDocuments} {
		if err := part(ctx, from, to, progress); err != nil {
			return Report{}, err
		}
	}
	progress("comparing source and destination")
	report, err := compare(ctx, from, to)
	if err != nil {
		return report, err
	}
	if err := alone(ctx); err != nil {
		return report, err
	}
	_, err = to.UpdateHub(ctx, func(h *registry.Hub) error {
		h.ID = hub.ID
		return nil
	})
	return report, atDestination(err)
}

func atSource(err error) error      { return wrap("source", err) }
func atDestination(err error) error { return wrap("destination", err) }

func wrap(side string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", side, err)
}

// prepare marks an empty destination, or clears one that was marked.
func prepare(ctx context.Context, hub registry.Hub, to Store, progress func(string)) error {
	there, err := to.Hub(ctx)
	if err != nil {
		return atDestination(err)
	}
	switch {
	case there.ID == hub.ID:
		return ErrSame
	case Unfinished(there):
		err := checkEmpty(ctx, there, to)
		if errors.Is(err, ErrNotEmpty) {
			progress("clearing what an unfinished copy left at the destination")
			err = atDestination(clearStore(ctx, to))
		}
		if err != nil {
			return err
		}
	default:
		if err := checkEmpty(ctx, there, to); err != nil {
			return err
		}
	}
	_, err = to.UpdateHub(ctx, func(h *registry.Hub) error {
		*h = hub
		h.ID = ""
		return nil
	})
	return atDestination(err)
}

// checkEmpty refuses a destination that has more than what a hub has when it is new.
func checkEmpty(ctx context.Context, hub registry.Hub, to Store) error {
	devices, err := to.Devices(ctx)
	if err != nil {
		return atDestination(err)
	}
	tokens, err := to.Tokens(ctx)
	if err != nil {
		return atDestination(err)
	}
	authorities, err := to.Authorities(ctx)
	if err != nil {
		return atDestination(err)
	}
	documents, err := to.Page(ctx, docstore.Key{}, 1)
	if err != nil {
		return atDestination(err)
	}
	if len(devices)+len(tokens)+len(authorities)+len(documents) > 0 || !hub.Updated.IsZero() {
		return fmt.Errorf("%w: %d devices, %d tokens, %d authorities", ErrNotEmpty, len(devices), len(tokens), len(authorities))
	}
	return nil
}

// clearStore removes devices, tokens and documents. Authorities and the hub's record are written over.
func clearStore(ctx context.Context, s Store) error {
	devices, err := s.Devices(ctx)
	if err != nil {
		return err
	}
	if err := each(ctx, all(devices), func(ctx context.Context, d registry.Device) error { return s.RemoveDevice(ctx, d.ID) }); err != nil {
		return err
	}
	tokens, err := s.Tokens(ctx)
	if err != nil {
		return err
	}
	if err := each(ctx, all(tokens), func(ctx context.Context, t registry.Token) error { return s.RemoveToken(ctx, t.Name) }); err != nil {
		return err
	}
	return each(ctx, twins(ctx, s), s.DeleteAll)
}

func copyAuthorities(ctx context.Context, from, to Store, _ func(string)) error {
	authorities, err := from.Authorities(ctx)
	if err != nil {
		return atSource(err)
	}
	_, err = to.UpdateAuthorities(ctx, func([]registry.Authority) ([]registry.Authority, error) { return authorities, nil })
	return atDestination(err)
}

func copyDevices(ctx context.Context, from, to Store, progress func(string)) error {
	devices, err := from.Devices(ctx)
	if err != nil {
		return atSource(err)
	}
	progress(fmt.Sprintf("copying %d devices", len(devices)))
	return atDestination(each(ctx, all(devices), func(ctx context.Context, d registry.Device) error {
		d.Epoch = 0
		return to.AddDevice(ctx, d)
	}))
}

func copyTokens(ctx context.Context, from, to Store, progress func(string)) error {
	tokens, err := from.Tokens(ctx)
	if err != nil {
		return atSource(err)
	}
	progress(fmt.Sprintf("copying %d tokens", len(tokens)))
	return atDestination(each(ctx, all(tokens), to.AddToken))
}

func copyDocuments(ctx context.Context, from, to Store, progress func(string)) error {
	progress("copying documents")
	n := 0
	counted := func(yield func(docstore.Entry, error) bool) {
		for e, err := range documents(ctx, from) {
			if !yield(e, atSource(err)) {
				return
			}
			if n++; n%progressEvery == 0 {
				progress(fmt.Sprintf("copied %d documents", n))
			}
		}
	}
	return each(ctx, counted, func(ctx context.Context, e docstore.Entry) error {
		return atDestination(to.Set(ctx, e.Key, e.Document))
	})
}

// documents are all documents of a store. An error is the last element.
func documents(ctx context.Context, s Store) iter.Seq2[docstore.Entry, error] {
	return func(yield func(docstore.Entry, error) bool) {
		for after := (docstore.Key{}); ; {
			page, err := s.Page(ctx, after, pageSize)
			if err != nil {
				yield(docstore.Entry{}, err)
				return
			}
			for _, e := range page {
				if !yield(e, nil) {
					return
				}
			}
			if len(page) < pageSize {
				return
			}
			after = page[pageSize-1].Key
		}
	}
}

// twins are those that have documents.
func twins(ctx context.Context, s Store) iter.Seq2[twin.ID, error] {
	return func(yield func(twin.ID, error) bool) {
		var last twin.ID
		for e, err := range documents(ctx, s) {
			if err == nil && e.Twin == last {
				continue
			}
			last = e.Twin
			if !yield(e.Twin, err) {
				return
			}
		}
	}
}

// all is a slice as [each] takes it.
func all[T any](items []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item := range slices.Values(items) {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// each does something to all items, many at a time, and waits for it. The first error ends it.
func each[T any](ctx context.Context, items iter.Seq2[T, error], do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan T)
	var working sync.WaitGroup
	for range writers {
		working.Go(func() {
			for item := range queue {
				if err := do(ctx, item); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	for item, err := range items {
		if err != nil {
			stop(err)
		}
		select {
		case <-ctx.Done():
		case queue <- item:
			continue
		}
		break
	}
	close(queue)
	working.Wait()
	return context.Cause(ctx)
}
