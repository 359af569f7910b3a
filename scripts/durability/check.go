//go:build linux

package main

import (
	"fmt"
	"strings"
)

// A tally counts what histories were made of.
type tally struct {
	acknowledged, refused, failed int
	there, notThere               int // of unknown outcome, once looked for
}

func (t *tally) add(u tally) {
	t.acknowledged += u.acknowledged
	t.refused += u.refused
	t.failed += u.failed
	t.there += u.there
	t.notThere += u.notThere
}

// settle holds the history against the document as it is found when no write can be under way any more, and
// begins a new one. The error says what cannot be, and has the history's end.
//
// What is found must be the end of a chain that begins with what was found before, in which each version comes
// from the one before it by a write that was sent: the acknowledged ones at the very versions they were
// acknowledged with, in between and at the end such of unknown outcome, and each of them once. All that was ever shown must be part of the chain.
func (h *history) settle(found state) (tally, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, err := h.check(found)
	if err != nil {
		return tally{}, fmt.Errorf("document %s of device %s: %w\nfound: %v\nshown last: %v\n%s", h.name, h.device, err, found, h.shown[h.latest], h.tail(found))
	}
	h.found, h.shown, h.latest, h.writes = found, map[uint32]state{found.version: found}, found.version, nil
	return t, nil
}

func (h *history) check(found state) (t tally, err error) {
	if h.err != nil {
		return t, h.err
	}
	if found.version < h.latest {
		return t, fmt.Errorf("lost: version %d was there, and there is %d", h.latest, found.version)
	}
	c := chain{acknowledged: map[uint32]*write{}, shown: h.shown, found: found}
	for _, w := range h.writes {
		switch w.outcome {
		case unknown:
			c.unknown = append(c.unknown, w)
		case refused:
			t.refused++
		case failed:
			t.failed++
		case acknowledged:
			t.acknowledged++
			if other, twice := c.acknowledged[w.answer.version]; twice {
				return t, fmt.Errorf("one version for two writes:\n%v\n%v", other, w)
			}
			c.acknowledged[w.answer.version] = w
		}
	}
	c.used = make([]bool, len(c.unknown))
	if !c.extend(h.found) {
		return t, c.err
	}
	for _, used := range c.used {
		if used {
			t.there++
		} else {
			t.notThere++
		}
	}
	return t, nil
}

// A chain is the search for the order in which writes were done.
type chain struct {
	acknowledged map[uint32]*write // by the version they made
	unknown      []*write
	used         []bool // of unknown
	shown        map[uint32]state
	found        state // where it has to end

	reached uint32 // version of the longest try
	err     error  // and why it ended there
}

// extend tells whether the chain can be led on from s to its end.
func (c *chain) extend(s state) bool {
	for s.version < c.found.version {
		w := c.acknowledged[s.version+1]
		if w == nil {
			return c.guess(s)
		}
		next := w.after(s)
		switch {
		case !w.fits(s):
			return c.fail(next, "%v\ncannot have been done on %v", w, s)
		case next != w.answer:
			return c.fail(next, "%v\nmust have made %v", w, next)
		case !c.agrees(next):
			return false
		}
		s = next
	}
	return s == c.found || c.fail(s, "found %v; the writes lead to %v", c.found, s)
}

// guess leads the chain on with a write of unknown outcome.
func (c *chain) guess(s state) bool {
	c.fail(state{version: s.version + 1}, "version %d is by no write that was sent", s.version+1)
	for i, w := range c.unknown {
		if c.used[i] || !w.fits(s) || !c.agrees(w.after(s)) {
			continue
		}
		c.used[i] = true
		if c.extend(w.after(s)) {
			return true
		}
		c.used[i] = false
	}
	return false
}

// agrees tells whether a state is the one that was shown with its version, if any was.
func (c *chain) agrees(s state) bool {
	shown, ok := c.shown[s.version]
	return !ok || shown == s || c.fail(s, "the hub has shown %v; the writes lead to %v", shown, s)
}

// fail notes why the chain cannot be led on, if no try came as far. It is false.
func (c *chain) fail(at state, format string, args ...any) bool {
	if at.version >= c.reached {
		c.reached, c.err = at.version, fmt.Errorf(format, args...)
	}
	return false
}

// tailLength is how many versions before and after the found one an error shows.
const tailLength = 8

// tail is the part of the history that may have to do with what was found.
func (h *history) tail(found state) string {
	var lines []string
	for _, w := range h.writes {
		near := w.answer.version+tailLength > found.version && w.answer.version < found.version+tailLength
		if w.outcome == unknown || w.outcome == acknowledged && near {
			lines = append(lines, w.String())
		}
	}
	return strings.Join(lines, "\n")
}
