// Package docstore keeps the documents of twins: bytes under a twin and a
// name, each with a version that rises by one with every write.
//
// A store knows no JSON and no patches: a patch is get, merge, and put with
// the exact version, tried again when somebody else was faster. Nothing may
// assume that it is a store's only writer.
package docstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/twinpanel/twinpanel/twin"
)

// A Key names one document.
type Key struct {
	Twin twin.ID
	Name twin.Name
}

// If is the condition of a write: [Any], [Absent], or the exact version the
// document must have (any positive value).
type If int64

// Conditions other than an exact version.
const (
	Any    If = -1 // whatever is there, also nothing
	Absent If = 0  // only if there is no such document
)

// Check says whether the condition holds for a document at version actual (0 =
// there is none). The error is a [*twin.VersionError].
func (c If) Check(actual uint32) error {
	if c == Any || c == If(actual) {
		return nil
	}
	return &twin.VersionError{Expected: uint32(c), Actual: actual}
}

// Next is [If.Check] followed by the version that a put gives. A document at
// [twin.MaxVersion] takes no more puts, which is a [*twin.InvalidError]: a version
// that starts over would tell its readers that nothing is newer than what they have.
func (c If) Next(actual uint32) (uint32, error) {
	if err := c.Check(actual); err != nil {
		return 0, err
	}
	if actual == twin.MaxVersion {
		return 0, errLastVersion
	}
	return actual + 1, nil
}

var errLastVersion = &twin.InvalidError{
	Argument: "version",
	Reason:   "constraint",
	Help:     fmt.Sprintf("the document is at %d, the last version there is: delete it and put it anew", uint32(twin.MaxVersion)),
}

// A Document is what a store keeps.
type Document struct {
	Version uint32
	Data    []byte // must not be changed by whoever gets it
}

// An Entry is a document with its key.
type Entry struct {
	Key
	Document
}

// A Store keeps documents. It is safe for concurrent use.
//
// Errors: [twin.ErrDocumentNotFound]; [*twin.VersionError] when a condition
// does not hold (Expected is the condition's version, Actual what is there, 0
// for nothing); [*twin.InvalidError] for a put at the last version ([If.Next]);
// [twin.ErrTooManyDocuments] when a put would make the twin's
// document number [twin.MaxDocuments]+1; [*OutcomeError] when the store cannot know
// whether the write happened; [ErrClosed] after Close. Any other error means
// that nothing was written. A context that ends before a write was begun is
// such an error; one that ends later makes an OutcomeError.
type Store interface {
	// Get returns a document.
	Get(ctx context.Context, key Key) (Document, error)
	// Put writes a document if the condition holds and returns its new version
	// once the write is durable. The caller may use data again when Put returns.
	Put(ctx context.Context, key Key, cond If, data []byte) (version uint32, err error)
	// Set writes a document with its version, which must not be 0 ([ErrNoVersion]), whatever is
	// there: for documents that move from another hub.
	Set(ctx context.Context, key Key, doc Document) error
	// Delete removes a document if the condition holds; one that is not there is
	// not found, whatever the condition. A document put again later starts at
	// version 1.
	Delete(ctx context.Context, key Key, cond If) error
	// DeleteAll removes every document of a twin; it is no error if there are none.
	DeleteAll(ctx context.Context, id twin.ID) error
	// List returns the names of a twin's documents in byte order.
	List(ctx context.Context, id twin.ID) ([]twin.Name, error)
	// Page returns the documents of all twins that come after a key, limit at most, in the byte order
	// of twin and name: for a look at everything, also at what no device owns. All keys come after
	// the zero Key; fewer than limit documents are the last ones.
	Page(ctx context.Context, after Key, limit int) ([]Entry, error)
	// Close waits for writes under way and releases what the store holds.
	Close() error
}

// Errors of a store, beside those of package twin.
var (
	ErrClosed    = errors.New("store is closed") // answers every call after [Store.Close]
	ErrNoVersion = errors.New("a document has a version from 1 on")
	ErrNoData    = errors.New("there is no hub's data") // is in the error of whoever opens a place that must have it, and named another
)

// An OutcomeError says that a write may or may not have happened: a commit failed or
// the caller's context ended while it was under way. The caller must not claim either.
type OutcomeError struct{ Err error }

func (e *OutcomeError) Error() string { return "outcome unknown: " + e.Err.Error() }

// Unwrap returns what went wrong.
func (e *OutcomeError) Unwrap() error { return e.Err }
