//go:build linux

package main

import (
	"fmt"
	"sync"
)

// A cycle is the history of a document that is put and deleted again and again, by one writer: versions begin
// anew with each deletion, so that they tell nothing about the order of writes of many.
type cycle struct {
	device, name string

	mu           sync.Mutex
	now          state
	next         *state // what the write under way makes of it, or the one of unknown outcome; nil = there is none
	acknowledged int
	failed       int
	err          error // the first thing that cannot be
}

// exists tells whether there is something to delete.
func (c *cycle) exists() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.version > 0
}

// begin notes that a write is about to be sent: a put, or a deletion if id is 0. It is false when the
// outcome of the last one is unknown, so that no other may be sent.
func (c *cycle) begin(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		return false
	}
	c.next = &state{}
	if id != 0 {
		c.next = &state{c.now.version + 1, id, id}
	}
	return true
}

// end notes what became of it. answer is of no use for a deletion.
func (c *cycle) end(o outcome, answer state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o {
	case unknown:
	case acknowledged:
		if c.next.version != 0 && answer != *c.next && c.err == nil {
			c.err = fmt.Errorf("%v is answered to a write that makes %v", answer, *c.next)
		}
		c.acknowledged++
		c.now, c.next = *c.next, nil
	case refused:
		c.err = fmt.Errorf("the write that makes %v of %v is refused", *c.next, c.now)
		c.next = nil
	case failed:
		c.failed++
		c.next = nil
	}
}

// settle is like that of [history].
func (c *cycle) settle(found state) (t tally, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && found != c.now && (c.next == nil || found != *c.next) {
		c.err = fmt.Errorf("found: %v; acknowledged: %v; of unknown outcome: %v", found, c.now, c.next)
	}
	if c.err != nil {
		return tally{}, fmt.Errorf("document %s of device %s, which is put and deleted by one writer: %w", c.name, c.device, c.err)
	}
	t = tally{acknowledged: c.acknowledged, failed: c.failed}
	if c.next != nil && found == *c.next {
		t.there++
	} else if c.next != nil {
		t.notThere++
	}
	c.now, c.next, c.acknowledged, c.failed = found, nil, 0, 0
	return t, nil
}
