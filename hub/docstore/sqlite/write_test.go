package sqlite

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/storetest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func get(t *testing.T, s docstore.Store, name twin.Name) docstore.Document {
	t.Helper()
	doc, err := s.Get(t.Context(), docstore.Key{Twin: storetest.Panel, Name: name})
	if err != nil {
		t.Errorf("Get(%s): %v", name, err)
	}
	return doc
}

// One batch holds writes that build on each other and refusals in between.
func TestRefusalsDontDisturbTheirBatch(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	insert := func(name twin.Name, cond docstore.If) *write {
		return &write{apply: func(tx *tx) error {
			key := docstore.Key{Twin: storetest.Panel, Name: name}
			_, err := tx.put(key, cond, []byte("{}"))
			return err
		}}
	}
	batch := []*write{
		insert("a", docstore.Absent),
		insert("a", 5),
		insert("b", 1),
		insert("a", 1),
		insert("c", docstore.Any),
	}
	if err := db.tx.commitBatch(batch); err != nil {
		t.Fatal(err)
	}
	for i, want := range []*twin.VersionError{nil, {Expected: 5, Actual: 1}, {Expected: 1, Actual: 0}, nil, nil} {
		got, _ := errors.AsType[*twin.VersionError](batch[i].refused)
		if (got == nil) != (want == nil) || got != nil && *got != *want || got == nil && batch[i].refused != nil {
			t.Errorf("write %d: %v, want %v", i, batch[i].refused, want)
		}
	}
	if a, c := get(t, db, "a"), get(t, db, "c"); a.Version != 2 || c.Version != 1 {
		t.Errorf("versions of a and c: %d and %d, want 2 and 1", a.Version, c.Version)
	}
}

// What nobody waits for any more is not begun; what panics takes its batch along, and no more.
func TestLeftAndPanickingWrites(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	put := func(tx *tx) error {
		_, err := tx.put(desired, docstore.Any, []byte("{}"))
		return err
	}
	left := &write{apply: put, left: true}
	if err := db.tx.commitBatch([]*write{left, {apply: put}}); err != nil {
		t.Fatal(err)
	}
	if doc := get(t, db, "desired"); doc.Version != 1 {
		t.Errorf("version %d, want 1: one write of two had been left", doc.Version)
	}
	broken := &write{apply: func(tx *tx) error {
		_ = put(tx)
		panic("by a test")
	}}
	err := db.tx.commitBatch([]*write{{apply: put}, broken, {apply: put}})
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); err == nil || unknown {
		t.Errorf("a batch with a panic: %v, want an error that says that nothing was written", err)
	}
	if !strings.HasPrefix(broken.panicked, "by a test\n") || !strings.Contains(broken.panicked, "write_test.go") {
		t.Errorf("the panic's caller gets %q, want its value and where it was", broken.panicked)
	}
	if doc := get(t, db, "desired"); doc.Version != 1 {
		t.Errorf("version %d after a batch that panicked, want 1", doc.Version)
	}
	if version, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}")); version != 2 || err != nil {
		t.Errorf("after the panic: version %d, %v; want 2", version, err)
	}
}

func TestLastVersion(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	db.tx.exec("INSERT INTO documents (twin, name, version, data) VALUES (?, 'desired', ?, x'7b7d')", string(storetest.Panel), int64(twin.MaxVersion))
	if db.tx.err != nil {
		t.Fatal(db.tx.err)
	}
	version, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}"))
	if invalid, ok := errors.AsType[*twin.InvalidError](err); !ok || invalid.Argument != "version" {
		t.Errorf("version %d after the last one, %v; want the version refused", version, err)
	}
	if err := db.Delete(t.Context(), desired, twin.MaxVersion); err != nil {
		t.Errorf("Delete at the last version: %v", err)
	}
}

// A database without room refuses what needs some; nothing else suffers.
func TestFullDatabase(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	put := func(name twin.Name, size int) error {
		_, err := db.Put(t.Context(), docstore.Key{Twin: storetest.Panel, Name: name}, docstore.Any, make([]byte, size))
		return err
	}
	if err := put("small", 10); err != nil {
		t.Fatal(err)
	}
	var limit int
	db.tx.row("PRAGMA max_page_count = 30", nil, &limit)
	if db.tx.err != nil || limit != 30 {
		t.Fatalf("max_page_count = %d, %v", limit, db.tx.err)
	}
	err := put("large", 200_000)
	if _, ok := errors.AsType[*docstore.OutcomeError](err); err == nil || ok {
		t.Fatalf("a document that doesn't fit: %v, want an error that says that nothing was written", err)
	}
	if doc, err := db.Get(t.Context(), docstore.Key{Twin: storetest.Panel, Name: "large"}); !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Errorf("the document that didn't fit: %d bytes, %v; want %v", len(doc.Data), err, twin.ErrDocumentNotFound)
	}
	if doc := get(t, db, "small"); doc.Version != 1 {
		t.Errorf("version %d of the document before, want 1", doc.Version)
	}
	if err := put("small", 20); err != nil {
		t.Errorf("a document that fits: %v", err)
	}
}

// Commands of other processes and the hub write at the same time; both wait for each other.
func TestTwoWriters(t *testing.T) {
	dir := t.TempDir()
	hub := mustOpen(t, dir)
	command, err := OpenRegistry(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	const writes = 50
	var wg sync.WaitGroup
	wg.Go(func() {
		for range writes {
			if _, err := hub.Put(t.Context(), desired, docstore.Any, []byte("{}")); err != nil {
				t.Errorf("hub: %v", err)
			}
		}
	})
	wg.Go(func() {
		for i := range writes {
			d, err := registry.NewDevice("panel")
			if err == nil {
				err = errors.Join(command.AddDevice(t.Context(), d), command.RemoveDevice(t.Context(), d.ID))
			}
			if err != nil {
				t.Errorf("command %d: %v", i, err)
			}
		}
	})
	wg.Wait()
	if doc := get(t, hub, "desired"); doc.Version != writes {
		t.Errorf("version %d after %d writes", doc.Version, writes)
	}
}

// A program that sits on the database keeps a write from beginning. The hub says that
// nothing was written while its request still has time, and writes again afterwards.
func TestWriteBesideALock(t *testing.T) {
	const requestTimeout = 10 * time.Second // of package hub
	if limit := busyTimeout * time.Millisecond; 2*limit >= requestTimeout {
		t.Errorf("a write waits for %v, and one behind it as long again; a request ends after %v", limit, requestTimeout)
	}
	dir := t.TempDir()
	db := mustOpen(t, dir)
	other, err := OpenRegistry(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.tx.exec("BEGIN IMMEDIATE"); other.tx.err != nil {
		t.Fatal(other.tx.err)
	}
	db.tx.patience = 10 * time.Millisecond // the test need not wait for real
	_, err = db.Put(t.Context(), desired, docstore.Any, []byte("{}"))
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); err == nil || unknown {
		t.Errorf("beside a lock: %v, want an error that says that nothing was written", err)
	}
	if hint := hintOf(err); !strings.Contains(hint, "try again") {
		t.Errorf("beside a lock: hint %q, want one to try again", hint)
	}
	other.tx.rollback()
	if version, err := db.Put(t.Context(), desired, docstore.Absent, []byte("{}")); version != 1 || err != nil {
		t.Errorf("afterwards: version %d, %v; want 1", version, err)
	}
}

// endsOnceTaken is a context that ends when the writer has taken the operation.
type endsOnceTaken struct {
	context.Context
	asked int // times for Done: first by who waits for the writer, then by who waits for the commit
}

func (c *endsOnceTaken) Done() <-chan struct{} {
	if c.asked++; c.asked == 1 {
		return nil
	}
	done := make(chan struct{})
	close(done)
	return done
}

func (c *endsOnceTaken) Err() error {
	if c.asked <= 1 {
		return nil
	}
	return context.Canceled
}

// An update whose caller leaves while it waits for its turn is never begun: its function may
// use what the caller has by now given to others.
func TestUpdateIsNotBegunOnceItsCallerHasLeft(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	if err := db.AddDevice(t.Context(), registry.Device{ID: storetest.Panel, Name: "panel"}); err != nil {
		t.Fatal(err)
	}
	other, err := OpenRegistry(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.tx.exec("BEGIN IMMEDIATE"); other.tx.err != nil {
		t.Fatal(other.tx.err)
	}
	_, err = db.UpdateDevice(&endsOnceTaken{Context: t.Context()}, storetest.Panel, func(*registry.Device) error {
		t.Error("the function is called")
		return nil
	})
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); !unknown {
		t.Errorf("got error %v, want an unknown outcome", err)
	}
	other.tx.rollback()
	if _, err := db.Put(t.Context(), desired, docstore.Any, []byte("{}")); err != nil {
		t.Error(err)
	}
}

func hintOf(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return e.Hint()
	}
	return ""
}
