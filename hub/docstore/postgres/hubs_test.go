package postgres

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// twoHubs opens a database twice.
func twoHubs(t *testing.T) [2]*DB {
	url := pgtest.URL(t)
	return [2]*DB{mustOpen(t, url), mustOpen(t, url)}
}

// Both fill the same twin, which must not have one document more than it may.
func TestTwoHubsFillATwin(t *testing.T) {
	hubs := twoHubs(t)
	var made atomic.Int32
	var wg sync.WaitGroup
	for i, db := range hubs {
		for n := range twin.MaxDocuments * 3 / 4 {
			wg.Go(func() {
				_, err := db.Put(t.Context(), panelKey(fmt.Sprintf("document-%d-%d", i, n)), docstore.If(-n%2), []byte("{}"))
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, twin.ErrTooManyDocuments):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	names, err := hubs[0].List(t.Context(), panelID)
	if n := int(made.Load()); err != nil || n != twin.MaxDocuments || len(names) != n {
		t.Errorf("%d puts were accepted, the twin has %d documents, %v; want %d", n, len(names), err, twin.MaxDocuments)
	}
}

// Both make the same documents, with versions that never skip and are never given twice.
func TestTwoHubsMakeAndRemoveADocument(t *testing.T) {
	hubs := twoHubs(t)
	for round := range 10 {
		for _, cond := range []docstore.If{docstore.Any, docstore.Absent} {
			const writers = 8
			versions := make(chan uint32, writers)
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					version, err := hubs[w%2].Put(t.Context(), panelKey("desired"), cond, []byte("{}"))
					switch mismatch, ok := errors.AsType[*twin.VersionError](err); {
					case err == nil:
						versions <- version
					case !ok || cond != docstore.Absent || mismatch.Actual != 1:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			close(versions)
			want := writers
			if cond == docstore.Absent {
				want = 1
			}
			seen := map[uint32]bool{}
			for version := range versions {
				if seen[version] || version < 1 || int(version) > want {
					t.Errorf("version %d, twice or out of 1 to %d", version, want)
				}
				seen[version] = true
			}
			if len(seen) != want {
				t.Errorf("%d puts were accepted, want %d", len(seen), want)
			}
			removed := make(chan bool, 2)
			for _, db := range hubs {
				wg.Go(func() {
					err := db.Delete(t.Context(), panelKey("desired"), docstore.If(want))
					if err != nil && !errors.Is(err, twin.ErrDocumentNotFound) {
						t.Errorf("round %d: %v", round, err)
					}
					removed <- err == nil
				})
			}
			wg.Wait()
			if one, other := <-removed, <-removed; one == other {
				t.Error("a document was removed by both hubs, or by none")
			}
		}
	}
}

// Everything that locks rows goes on at once on both hubs, in all orders. None may fail or wait for ever, and
// no count may be lost.
func TestTwoHubsGetAlong(t *testing.T) {
	hubs := twoHubs(t)
	const rounds = 15
	var ids []twin.ID
	for i := range 6 {
		ids = append(ids, twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012x", i)))
		if err := hubs[0].AddDevice(t.Context(), registry.Device{ID: ids[i], Name: fmt.Sprint("device ", i)}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	repeat := func(what string, call func(db *DB, round int) error) {
		for i := range 4 {
			wg.Go(func() {
				for round := range rounds {
					if err := call(hubs[i%2], (i*7+round)%len(ids)); err != nil {
						t.Errorf("%s: %v", what, err)
						return
					}
				}
			})
		}
	}
	repeat("Put", func(db *DB, n int) error {
		for i := range ids {
			if _, err := db.Put(t.Context(), docstore.Key{Twin: ids[(n+i)%len(ids)], Name: "kept"}, docstore.Any, nil); err != nil {
				return err
			}
		}
		return nil
	})
	repeat("Put of what is removed", func(db *DB, n int) error {
		_, err := db.Put(t.Context(), docstore.Key{Twin: "left-over", Name: twin.Name(fmt.Sprint("document-", n))}, docstore.Any, nil)
		return err
	})
	repeat("Set", func(db *DB, n int) error {
		return db.Set(t.Context(), docstore.Key{Twin: "left-over", Name: twin.Name(fmt.Sprint("document-", n))}, docstore.Document{Version: 7})
	})
	repeat("DeleteAll", func(db *DB, _ int) error { return db.DeleteAll(t.Context(), "left-over") })
	repeat("Seen", func(db *DB, n int) error {
		seen := make(map[twin.ID]time.Time)
		for _, id := range ids {
			seen[id] = time.Unix(int64(n), 0)
		}
		return db.Seen(t.Context(), seen, map[string]time.Time{"phone": time.Now()})
	})
	repeat("UpdateDevice", func(db *DB, n int) error {
		_, err := db.UpdateDevice(t.Context(), ids[n], func(d *registry.Device) error {
			d.Description += "x"
			return nil
		})
		return err
	})
	repeat("a device that comes and goes", func(db *DB, n int) error {
		name := fmt.Sprint("guest ", n)
		err := db.AddDevice(t.Context(), registry.Device{ID: twin.ID(name), Name: name})
		if err == nil {
			err = db.AddToken(t.Context(), registry.Token{Name: name, Device: twin.ID(name), Hash: registry.HashSecret(name)})
		}
		if err == nil || errors.Is(err, registry.ErrIDTaken) || errors.Is(err, registry.ErrNameTaken) || errors.Is(err, registry.ErrNoDevice) {
			err = db.RemoveDevice(t.Context(), twin.ID(name)) // others do the same with it: they have added it, or its token, or have removed it
		}
		if errors.Is(err, registry.ErrNoDevice) {
			err = nil
		}
		return err
	})
	wg.Wait()
	letters := 0
	for _, id := range ids {
		doc, err := hubs[1].Get(t.Context(), docstore.Key{Twin: id, Name: "kept"})
		if err != nil || doc.Version != 4*rounds {
			t.Errorf("a document has version %d, %v; want %d", doc.Version, err, 4*rounds)
		}
		d, err := hubs[1].Device(t.Context(), id)
		if err != nil {
			t.Error(err)
		}
		letters += len(d.Description)
	}
	if letters != 4*rounds {
		t.Errorf("%d updates of devices are kept, want %d", letters, 4*rounds)
	}
	if tokens, err := hubs[0].Tokens(t.Context()); err != nil || len(tokens) != 0 {
		t.Errorf("tokens of removed devices: %v, %v", tokens, err)
	}
	var deadlocks int
	if err := hubs[0].reads.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks); err != nil || deadlocks != 0 {
		t.Errorf("%d deadlocks, %v: somebody locks out of order", deadlocks, err)
	}
}

// One that is refused leaves the others of its batch as they are.
func TestRefusedWriteInABatch(t *testing.T) {
	db := mustOpen(t, pgtest.URL(t))
	mustPut(t, db, panelKey("there"))
	put := func(name string, cond docstore.If) *write {
		k := panelKey(name)
		return &write{locks: lockDocument, key: k, steps: []step{{putDocument, []any{string(k.Twin), string(k.Name), []byte("{}"), int64(cond)}}}}
	}
	good, wrong, missing, again := put("there", 1), put("there", 7), put("missing", docstore.Any), put("there", 2)
	if err := db.commit([]*write{wrong, good, missing, again}); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]*write{"wrong version": wrong, "missing document": missing} {
		if w.ok {
			t.Errorf("%s: got %d, want no row", name, w.number)
		}
	}
	if !good.ok || good.number != 2 || !again.ok || again.number != 3 {
		t.Errorf("version %d, then %d; want 2, 3", good.number, again.number)
	}
}

// Documents of many megabytes that wait together are all written, but not in one transaction.
func TestLargeBatch(t *testing.T) {
	url := pgtest.URL(t)
	db := mustOpen(t, url)
	mustPut(t, db, panelKey("first"))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	holding, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holding.Exec(t.Context(), "SELECT FROM twinpanel.twins FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	const documents = 40 // 10 MiB
	var wg sync.WaitGroup
	for n := range documents {
		wg.Go(func() {
			if _, err := db.Put(t.Context(), panelKey(fmt.Sprint("document-", n)), docstore.Absent, make([]byte, twin.MaxDataSize)); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "a transaction waits, and so do all others behind it", func() bool {
		var waiting int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE NOT granted").Scan(&waiting)
		return err == nil && waiting > 0
	})
	if err := holding.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	var written, most int
	err = conn.QueryRow(t.Context(), "SELECT sum(n), max(size) FROM (SELECT count(*) AS n, sum(length(data)) AS size FROM twinpanel.documents GROUP BY xmin::text) AS transactions").Scan(&written, &most)
	if err != nil || written != documents+1 || most > 4<<20+twin.MaxDataSize {
		t.Errorf("%d documents, up to %d bytes in one transaction, %v; want %d, and 4 MiB and one more document at most", written, most, err, documents+1)
	}
}

// A connection from before a device was removed is not taken for one of the device that has its id now.
func TestEpochsGoOnWhenADeviceIsAddedAgain(t *testing.T) {
	db := mustOpen(t, pgtest.URL(t))
	last := int64(0)
	for range 3 {
		if err := db.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			epoch, err := db.Raise(t.Context(), panelID)
			if err != nil || epoch <= last {
				t.Errorf("epoch %d after %d, %v", epoch, last, err)
			}
			last = epoch
		}
		if err := db.RemoveDevice(t.Context(), panelID); err != nil {
			t.Fatal(err)
		}
	}
}
