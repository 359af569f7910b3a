// Package history records what clients asked and what they were told, one line of JSON for
// each, as it happens: memory doesn't grow with it. Times are nanoseconds on one monotonic clock.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Kind is what an event is.
type Kind string

// Requests, and what else happens on a connection.
const (
	Get    Kind = "get"
	Put    Kind = "put"
	Patch  Kind = "patch"
	Delete Kind = "delete"

	Connect Kind = "connect" // a device's connection, from the first byte to its last acknowledgement
	Closed  Kind = "closed"  // a device's connection was found to be over
	Stray   Kind = "stray"   // a message that nothing on this connection had asked for
	Fault   Kind = "fault"   // what was done to the system under test
)

// IsWrite tells whether a request of this kind gives a document a version.
func (k Kind) IsWrite() bool { return k == Put || k == Patch }

// An Outcome is what a client knows about its request.
type Outcome string

// The outcomes.
const (
	OK       Outcome = "ok"
	Mismatch Outcome = "mismatch" // not done: the document had Version, 0 = there was none
	Absent   Outcome = "absent"   // not done: there was no document
	Failed   Outcome = "failed"   // not done, says the hub: trouble of its own
	Unknown  Outcome = "unknown"  // no answer that says what became of it
	Denied   Outcome = "denied"   // the hub doesn't know a client that it has to know
	Wrong    Outcome = "wrong"    // an answer that fits no request, or not this one; Note says more
)

// Slots is how many keys the patches of one document share.
const Slots = 4

// Data are a document's data: which write made each key. A put replaces them all, with its own
// number as Put and Last and no slots. A patch sets Last and one slot.
type Data struct {
	Of    string        `json:"of"`   // the document, so that no other can be taken for it
	Put   uint32        `json:"put"`  // the last put
	Last  uint32        `json:"last"` // the last write
	Slots [Slots]uint32 `json:"slots,omitzero"`
}

// After is what a write makes of data.
func (d Data) After(k Kind, id uint32) Data {
	if k == Put {
		return Data{Of: d.Of, Put: id, Last: id}
	}
	d.Last = id
	d.Slots[Slot(id)] = id
	return d
}

// Slot is the slot that a patch sets.
func Slot(id uint32) int { return int(id % Slots) }

// An Event is a request with its outcome, or something else that happened.
type Event struct {
	Kind     Kind    `json:"kind"`
	ID       uint32  `json:"id,omitempty"`       // of a write: unlike any other, and the document then holds it
	Process  string  `json:"process"`            // who: panel-3, app-7
	Conn     uint64  `json:"conn,omitempty"`     // on which connection; 0 = none came about
	Device   string  `json:"device,omitempty"`   // whose document, or whose connection
	Document string  `json:"document,omitempty"` // the device's number and the name
	If       uint32  `json:"if,omitempty"`       // the version that a write asked for; 0 = any
	Noticed  bool    `json:"noticed,omitempty"`  // a get because of a change notice
	Watches  string  `json:"watches,omitempty"`  // of a connect: the document whose notices it asks for
	Outcome  Outcome `json:"outcome,omitempty"`
	Version  uint32  `json:"version,omitempty"`
	Data     Data    `json:"data,omitzero"`
	Note     string  `json:"note,omitempty"` // for people
	Call     int64   `json:"call"`
	Return   int64   `json:"return"`
}

// A Recorder writes events to a file. It is safe for concurrent use.
type Recorder struct {
	start time.Time

	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	enc  *json.Encoder
	err  error
}

// Create makes the file. The clock begins now.
func Create(name string) (*Recorder, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	return &Recorder{start: time.Now(), file: f, w: w, enc: json.NewEncoder(w)}, nil
}

// Now is the time on the history's clock.
func (r *Recorder) Now() int64 { return int64(time.Since(r.start)) }

// Add writes an event down. An error is kept for Close.
func (r *Recorder) Add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.enc.Encode(e)
	}
}

// Close ends the file. The error is the first one of all writes.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, r.w.Flush(), r.file.Close())
}

// Read hands over the events of a file in the order of their lines.
func Read(name string, event func(*Event)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	dec := json.NewDecoder(bufio.NewReaderSize(f, 1<<16))
	for n := 1; ; n++ {
		var e Event
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s, line %d: %w", name, n, err)
		}
		event(&e)
	}
}
