//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// A state is what a document is at one moment: its version and whose writes made it.
type state struct {
	version    uint32 // 0 = there is no document
	put, patch int64  // ids of the last put, and of the last write of either kind
}

func (s state) String() string {
	if s.version == 0 {
		return "no document"
	}
	return fmt.Sprintf("version %d by put %d and write %d", s.version, s.put, s.patch)
}

// An outcome is what a client knows about its write.
type outcome int

const (
	unknown      outcome = iota // sent, and no answer that says what became of it
	acknowledged                // done
	refused                     // not done: the document had another version
	failed                      // not done: the hub had trouble
)

// A write is one put or patch that was sent.
type write struct {
	id      int64 // unlike any other; the document then holds it
	patch   bool
	version uint32 // that the document has to have; 0 = any
	newer   uint32 // somebody had been shown this version before the write was sent, so it makes a newer one
	outcome outcome
	answer  state // of an acknowledged one
}

func (w *write) String() string {
	kind, condition, end := "put", "", [...]string{"unknown", "acknowledged as ", "refused", "failed"}[w.outcome]
	if w.patch {
		kind = "patch"
	}
	if w.version != 0 {
		condition = fmt.Sprintf(" of version %d", w.version)
	}
	if w.outcome == acknowledged {
		end += w.answer.String()
	}
	return fmt.Sprintf("write %d: %s%s, sent after version %d was shown: %s", w.id, kind, condition, w.newer, end)
}

// after is what the write makes of a document.
func (w *write) after(s state) state {
	if w.patch {
		return state{s.version + 1, s.put, w.id}
	}
	return state{s.version + 1, w.id, w.id}
}

// fits tells whether the hub may have done the write on a document in state s.
func (w *write) fits(s state) bool {
	return s.version >= w.newer && (w.version == 0 || w.version == s.version) && (s.version > 0 || !w.patch)
}

// body is the request.
func (w *write) body() []byte {
	var b strings.Builder
	b.WriteByte('{')
	if w.version != 0 {
		fmt.Fprintf(&b, `"version":%d,`, w.version)
	}
	if w.patch {
		fmt.Fprintf(&b, `"data":{"patch":%d}}`, w.id)
	} else {
		fmt.Fprintf(&b, `"data":{"put":%d,"patch":%d,"fill":%q}}`, w.id, w.id, fill(w.id))
	}
	return []byte(b.String())
}

// firstBig is the lowest id of the puts that make big documents.
const firstBig = 1 << 40

// fill is what else a put puts into a document. Most are small; some are longer than a page of the database.
func fill(put int64) string {
	n := int(put * 7919 % 1500)
	switch {
	case put >= firstBig:
		n = bigSize
	case put%64 == 0:
		n = 20_000
	}
	digits := strconv.FormatInt(put, 10) + " "
	return strings.Repeat(digits, n/len(digits))
}

// parseState reads an answer of the hub, which has at least version and data.
func parseState(answer []byte) (state, error) {
	var doc struct {
		Version uint32
		Data    struct {
			Put, Patch int64
			Fill       string
		}
	}
	if err := json.Unmarshal(answer, &doc); err != nil {
		return state{}, fmt.Errorf("reading a document: %w: %.200s", err, answer)
	}
	s := state{doc.Version, doc.Data.Put, doc.Data.Patch}
	if s.version == 0 || doc.Data.Fill != fill(s.put) {
		return state{}, fmt.Errorf("a document was changed by nobody: %.200s", answer)
	}
	return s, nil
}

// A history is all that was sent to one document since it was last read after a restart, and what the hub
// said. It is safe for concurrent use.
type history struct {
	device, name string

	mu     sync.Mutex
	found  state            // by that read
	shown  map[uint32]state // what the hub has shown to anybody, in answers to reads and writes, by its version
	latest uint32           // version of these
	writes []*write
	err    error // the first thing that cannot be
}

func newHistory(device, name string) *history {
	return &history{device: device, name: name, shown: map[uint32]state{0: {}}}
}

// begin notes a write that is about to be sent. A versioned one names the version that was shown last.
func (h *history) begin(id int64, patch, versioned bool) *write {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &write{id: id, patch: patch, newer: h.latest}
	if versioned {
		w.version = h.latest
	}
	h.writes = append(h.writes, w)
	return w
}

// end notes what became of it.
func (h *history) end(w *write, o outcome, answer state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.outcome, w.answer = o, answer
	if o == acknowledged {
		h.show(w.newer+1, answer)
	}
}

// beginRead returns the oldest version that a read may show from now on.
func (h *history) beginRead() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latest
}

// endRead notes what a read has shown.
func (h *history) endRead(least uint32, s state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.show(least, s)
}

// show notes what the hub has shown.
func (h *history) show(least uint32, s state) {
	before, known := h.shown[s.version]
	switch {
	case h.err != nil:
	case s.version < least:
		h.err = fmt.Errorf("the hub shows %v when it has to show version %d or a later one", s, least)
	case known && before != s:
		h.err = fmt.Errorf("the hub shows %v, and has shown %v", s, before)
	}
	h.shown[s.version] = s
	h.latest = max(h.latest, s.version)
}
