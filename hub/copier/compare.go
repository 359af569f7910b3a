package copier

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"iter"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// A Report is what was read at the end, on both sides.
type Report struct {
	From Content `json:"from"`
	To   Content `json:"to"`
}

// Content is what a store holds, in numbers.
type Content struct {
	Documents   int64  `json:"documents"`
	Devices     int64  `json:"devices"`
	Tokens      int64  `json:"tokens"`
	Authorities int64  `json:"authorities"`
	SHA256      string `json:"sha256"` // of everything: two stores with the same one hold the same
}

// A DifferenceError says that source and destination don't hold the same.
type DifferenceError struct {
	What string // one thing that is different, and how
	More int    // number of others
}

func (e *DifferenceError) Error() string {
	text := "source and destination differ: " + e.What
	if e.More > 0 {
		text += fmt.Sprintf(" (and %d more)", e.More)
	}
	return text
}

// A kind of things that a store keeps, in the order in which they are compared: last what commands may change beside a
// copy, as beside a hub, so that it is compared as it is when all else has been.
type kind int

const (
	documentKind kind = iota
	hubKind
	authorityKind
	deviceKind
	tokenKind
)

// An item is one thing that a store keeps, in a form that can be ordered, compared and summed up.
type item struct {
	kind kind
	key  [2]string // orders the items of a kind
	name string    // for a person
	line []byte    // everything there is to know about it
}

func (i item) compare(other item) int {
	return cmp.Or(cmp.Compare(i.kind, other.kind), slices.Compare(i.key[:], other.key[:]))
}

// newItem makes an item from a value that JSON can hold as it is.
func newItem(k kind, key [2]string, name string, value any) (item, error) {
	line, err := json.Marshal(value)
	return item{k, key, name, append(line, '\n')}, err
}

// items are all that a store holds, in order, read piece by piece. An error is the last element. An unfinished copy is
// read as if it had the id.
func items(ctx context.Context, s Store, id string) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for e, err := range documents(ctx, s) {
			var i item
			if err == nil {
				e.Data = append([]byte{}, e.Data...) // nil and empty are the same
				i, err = newItem(documentKind, [2]string{string(e.Twin), string(e.Name)}, fmt.Sprintf("document %s of twin %s (version %d)", e.Name, e.Twin, e.Version), e)
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
		small, err := smallItems(ctx, s, id)
		if err != nil {
			yield(item{}, err)
			return
		}
		for _, i := range small {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// smallItems are all but the documents.
func smallItems(ctx context.Context, s Store, id string) (small []item, err error) {
	add := func(k kind, key, name string, value any) {
		i, e := newItem(k, [2]string{key}, name, value)
		small, err = append(small, i), cmp.Or(err, e)
	}
	h, err := s.Hub(ctx)
	if err != nil {
		return nil, err
	}
	authorities, err := s.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	devices, err := s.Devices(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	if Unfinished(h) {
		h.ID = id
	}
	inUTC(&h.Created, &h.Updated)
	add(hubKind, "", "the hub's record", h)
	for n, a := range authorities { // their order counts
		inUTC(&a.Created)
		add(authorityKind, fmt.Sprintf("%09d", n), fmt.Sprintf("authority no. %d", n+1), a)
	}
	for _, d := range devices {
		inUTC(&d.Created, &d.Updated, &d.LastActivity)
		d.Epoch = 0
		if len(d.ReadOnly) == 0 {
			d.ReadOnly = nil
		}
		add(deviceKind, string(d.ID), fmt.Sprintf("device %q", d.Name), struct {
			registry.Device
			MessageFilters []byte // byte for byte: JSON in JSON would lose its spaces
		}{d, d.MessageFilters})
	}
	for _, t := range tokens {
		inUTC(&t.Created, &t.LastUsed)
		add(tokenKind, t.Name, fmt.Sprintf("token %q", t.Name), t)
	}
	slices.SortFunc(small, item.compare)
	return small, err
}

func inUTC(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC()
	}
}

// A side is one of two stores that are compared.
type side struct {
	next    func() (item, error, bool)
	item    item
	more    bool // item is one
	content Content
	sum     hash.Hash
}

// advance goes to the next item.
func (s *side) advance() (err error) {
	s.item, err, s.more = s.next()
	if !s.more || err != nil {
		s.content.SHA256 = hex.EncodeToString(s.sum.Sum(nil))
		return err
	}
	s.sum.Write(s.item.line)
	switch s.item.kind {
	case authorityKind:
		s.content.Authorities++
	case deviceKind:
		s.content.Devices++
	case tokenKind:
		s.content.Tokens++
	case documentKind:
		s.content.Documents++
	}
	return nil
}

// compare reads both sides completely.
func compare(ctx context.Context, from, to Store) (Report, error) {
	h, err := from.Hub(ctx)
	if err != nil {
		return Report{}, atSource(err)
	}
	var a, b side
	for s, store := range map[*side]Store{&a: from, &b: to} {
		next, stop := iter.Pull2(items(ctx, store, h.ID))
		defer stop()
		s.next, s.sum = next, sha256.New()
	}
	var first item // that is different
	var what string
	different := 0
	note := func(i item, how string) {
		if different == 0 || first.kind == documentKind && i.kind != documentKind { // a device says more than its documents
			first, what = i, i.name+how
		}
		different++
	}
	goOnA, goOnB := true, true
	for {
		if goOnA {
			err = atSource(a.advance())
		}
		if goOnB && err == nil {
			err = atDestination(b.advance())
		}
		if err != nil {
			return Report{}, err
		}
		order := a.item.compare(b.item)
		switch {
		case !a.more && !b.more:
			if different > 0 {
				return Report{a.content, b.content}, &DifferenceError{what, different - 1}
			}
			return Report{a.content, b.content}, nil
		case !b.more || a.more && order < 0:
			note(a.item, " is missing at the destination")
			goOnA, goOnB = true, false
		case !a.more || order > 0:
			note(b.item, " is at the destination alone")
			goOnA, goOnB = false, true
		default:
			if !bytes.Equal(a.item.line, b.item.line) {
				note(a.item, " has another content at the destination")
			}
			goOnA, goOnB = true, true
		}
	}
}
