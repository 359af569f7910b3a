//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/twinpanel/twinpanel/interop/faults/history"
	"github.com/twinpanel/twinpanel/twin"
)

// lifeLength is how many requests a document that is to be deleted gets before that.
const lifeLength = 400

// A document is one that the load works on.
type document struct {
	device twin.ID
	name   twin.Name
	of     string // its name in the history
	known  atomic.Uint32
	uses   atomic.Int32
}

// A twinBook has the documents of one device.
//
//	current  the device writes it most of the time, as panels do
//	desired  only apps write it; the device gets it when a notice comes
//	shared   everybody writes it
//	life-N   everybody writes it until an app deletes it and life-N+1 takes its place
type twinBook struct {
	id                       twin.ID
	number                   int
	current, desired, shared *document
	life, before             atomic.Pointer[document]
	lives                    atomic.Int32
}

func newTwinBook(id twin.ID, number int) *twinBook {
	b := &twinBook{id: id, number: number}
	b.current, b.desired, b.shared = b.document("current"), b.document("desired"), b.document("shared")
	b.life.Store(b.nextLife())
	return b
}

func (b *twinBook) document(name string) *document {
	return &document{device: b.id, name: twin.Name(name), of: fmt.Sprintf("%d/%s", b.number, name)}
}

func (b *twinBook) nextLife() *document { return b.document(fmt.Sprintf("life-%d", b.lives.Add(1))) }

// all are those that there may be, and the one that was deleted last.
func (b *twinBook) all() []*document {
	all := []*document{b.current, b.desired, b.shared, b.life.Load()}
	if d := b.before.Load(); d != nil {
		all = append(all, d)
	}
	return all
}

// A request is one that a client is about to send.
type request struct {
	document *document
	kind     history.Kind
	id       uint32 // of a write
	version  uint32 // that it asks for; 0 = any
	noticed  bool
}

// A share is how often a kind of request is sent, of 100.
type share struct {
	kind      history.Kind
	versioned bool
	of100     int
}

var shares = []share{
	{history.Get, false, 30},
	{history.Put, true, 20},
	{history.Patch, true, 20},
	{history.Patch, false, 20},
	{history.Put, false, 10},
}

// newRequest is some request about a document.
func (l *load) newRequest(d *document, random *rand.Rand) request {
	n := random.IntN(100)
	for _, s := range shares {
		if n -= s.of100; n >= 0 {
			continue
		}
		r := request{document: d, kind: s.kind}
		if s.versioned {
			r.version = d.known.Load()
		}
		return l.numbered(r)
	}
	panic("shares don't add up to 100")
}

// numbered gives a write its number.
func (l *load) numbered(r request) request {
	if r.kind.IsWrite() {
		r.id = l.lastID.Add(1)
	}
	return r
}

// update is what a write sends; see [history.Data] for its meaning.
func (r request) update() twin.Update {
	u := twin.Update{Version: r.version}
	if r.kind == history.Put {
		u.Data = fmt.Appendf(nil, `{"of":%q,"put":%d,"last":%d}`, r.document.of, r.id, r.id)
	} else {
		u.Data = fmt.Appendf(nil, `{"last":%d,"s%d":%d}`, r.id, history.Slot(r.id), r.id)
	}
	return u
}

// readData reads what an update, or several, have made of a document.
func readData(b json.RawMessage) (history.Data, error) {
	var d struct {
		Of             string
		Put, Last      uint32
		S0, S1, S2, S3 uint32
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return history.Data{}, err
	}
	return history.Data{Of: d.Of, Put: d.Put, Last: d.Last, Slots: [history.Slots]uint32{d.S0, d.S1, d.S2, d.S3}}, nil
}

// An answer is what a client was told.
type answer struct {
	outcome history.Outcome
	version uint32
	data    history.Data
	note    string
}

// answered makes an answer of a document.
func (r request) answered(doc twin.Document) answer {
	data, err := readData(doc.Data)
	switch {
	case err != nil:
		return answer{outcome: history.Wrong, version: doc.Version, note: err.Error()}
	case data.Of != r.document.of:
		return answer{outcome: history.Wrong, version: doc.Version, note: fmt.Sprintf("it is document %q", data.Of)}
	}
	return answer{outcome: history.OK, version: doc.Version, data: data}
}

// learn remembers the version of a document for the versioned writes to come. Right or wrong, late or early: the
// hub has to find out.
func (d *document) learn(a answer) {
	if a.outcome == history.OK || a.outcome == history.Mismatch {
		d.known.Store(a.version)
	}
}
