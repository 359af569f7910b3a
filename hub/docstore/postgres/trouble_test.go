package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

func panelKey(name string) docstore.Key { return docstore.Key{Twin: panelID, Name: twin.Name(name)} }

func mustPut(t *testing.T, db *DB, key docstore.Key) uint32 {
	t.Helper()
	version, err := db.Put(t.Context(), key, docstore.Any, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func wantPlain(t *testing.T, err error, want string) {
	t.Helper()
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); err == nil || unknown || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q that says that nothing was written", err, want)
	}
}

func wantUnknown(t *testing.T, err error) {
	t.Helper()
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); !unknown {
		t.Errorf("got error %v, want an unknown outcome", err)
	}
}

// trouble makes the database raise an error in every change of a table, or only in the first n.
func trouble(t *testing.T, database, table, sqlstate string, n int) {
	t.Helper()
	mustExec(t, database, "CREATE SEQUENCE twinpanel.troubles", fmt.Sprintf(`CREATE FUNCTION twinpanel.trouble() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF nextval('twinpanel.troubles') <= %d THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '%s'; END IF; RETURN NEW; END $$`, n, sqlstate),
		"CREATE TRIGGER trouble BEFORE INSERT OR UPDATE ON twinpanel."+table+" FOR EACH ROW EXECUTE FUNCTION twinpanel.trouble()")
}

func TestDiskOfTheServerIsFull(t *testing.T) {
	database := pgtest.URL(t)
	db := mustOpen(t, database)
	mustPut(t, db, panelKey("current"))
	trouble(t, database, "documents", diskFull, 2)
	for range 2 {
		_, err := db.Put(t.Context(), panelKey("current"), 1, []byte("{}"))
		wantPlain(t, err, "trouble")
		if !strings.Contains(hintOf(err), "make room") {
			t.Errorf("hint %q", hintOf(err))
		}
		if doc, err := db.Get(t.Context(), panelKey("current")); err != nil || doc.Version != 1 {
			t.Errorf("on a full disk, Get = version %d, %v; want 1", doc.Version, err)
		}
	}
	if version := mustPut(t, db, panelKey("current")); version != 2 {
		t.Errorf("with room again, version %d, want 2", version)
	}
}

// A server that has become a standby takes no writes; the hub finds out when another one does.
func TestServerTakesNoWritesAnyMore(t *testing.T) {
	database := pgtest.URL(t)
	withUser(t, database, "moved")
	mustExec(t, database, "CREATE SCHEMA twinpanel AUTHORIZATION moved")
	db := mustOpen(t, as(t, database, "moved"))
	mustPut(t, db, panelKey("current"))
	mustExec(t, database, "ALTER ROLE moved SET default_transaction_read_only = on")
	db.reset()
	_, err := db.Put(t.Context(), panelKey("current"), docstore.Any, []byte("{}"))
	wantPlain(t, err, "read-only")
	if !strings.Contains(hintOf(err), "takes writes") {
		t.Errorf("hint %q", hintOf(err))
	}
	if doc, err := db.Get(t.Context(), panelKey("current")); err != nil || doc.Version != 1 {
		t.Errorf("Get = version %d, %v; want 1", doc.Version, err)
	}
	wantPlain(t, db.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}), "read-only")
	mustExec(t, database, "ALTER ROLE moved SET default_transaction_read_only = off")
	if version := mustPut(t, db, panelKey("current")); version != 2 {
		t.Errorf("on a server that takes writes again, version %d, want 2", version)
	}
}

// What transactions of others have undone is tried again, unseen, unless somebody's function would be called twice.
func TestConflictsAreTriedAgain(t *testing.T) {
	for _, sqlstate := range []string{serializationFailure, deadlockDetected} {
		t.Run(sqlstate, func(t *testing.T) {
			database := pgtest.URL(t)
			db := mustOpen(t, database)
			if err := db.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}); err != nil {
				t.Fatal(err)
			}
			mustPut(t, db, panelKey("current"))
			trouble(t, database, "documents", sqlstate, 2)
			if version, err := db.Put(t.Context(), panelKey("current"), 1, []byte("{}")); version != 2 || err != nil {
				t.Errorf("Put = version %d, %v; want 2", version, err)
			}
			mustExec(t, database, "DROP SEQUENCE twinpanel.troubles; DROP FUNCTION twinpanel.trouble CASCADE")
			trouble(t, database, "tokens", sqlstate, 2)
			if err := db.AddToken(t.Context(), registry.Token{Name: "phone"}); err != nil {
				t.Errorf("AddToken: %v", err)
			}
			mustExec(t, database, "DROP SEQUENCE twinpanel.troubles; DROP FUNCTION twinpanel.trouble CASCADE")
			trouble(t, database, "devices", sqlstate, 1)
			calls := 0
			_, err := db.UpdateDevice(t.Context(), panelID, func(d *registry.Device) error {
				calls++
				d.Disabled = true
				return nil
			})
			wantPlain(t, err, "trouble")
			if calls != 1 {
				t.Errorf("the function of an update was called %d times", calls)
			}
			if d, err := db.Device(t.Context(), panelID); err != nil || d.Disabled {
				t.Errorf("after a failed update: disabled %t, %v", d.Disabled, err)
			}
		})
	}
}

// The answer to a COMMIT is lost. The write may have happened, as here; the next one is sent over a new connection.
func TestAnswerIsLost(t *testing.T) {
	p, url := startProxy(t, pgtest.URL(t))
	db := mustOpen(t, url)
	if err := db.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}); err != nil {
		t.Fatal(err)
	}
	mustPut(t, db, panelKey("current"))
	p.set(severs)
	_, err := db.Put(t.Context(), panelKey("current"), 1, []byte("{}"))
	wantUnknown(t, err)
	p.set(passes)
	if version := mustPut(t, db, panelKey("current")); version < 2 {
		t.Errorf("version %d", version)
	}

	_, err = db.UpdateDevice(t.Context(), panelID, func(d *registry.Device) error {
		p.set(refuses) // before COMMIT
		return nil
	})
	wantPlain(t, err, "")
	wantPlain(t, db.RemoveDevice(t.Context(), panelID), "")
	_, err = db.Put(t.Context(), panelKey("current"), docstore.Any, nil)
	wantPlain(t, err, "")
	_, err = db.Get(t.Context(), panelKey("current"))
	wantPlain(t, err, "reading a document")
	p.set(passes)
	if _, err := db.Get(t.Context(), panelKey("current")); err != nil {
		t.Errorf("the first read when the server is back: %v", err)
	}
	if _, err := db.Device(t.Context(), panelID); err != nil {
		t.Error(err)
	}
	mustPut(t, db, panelKey("current"))
}

// The connections lead nowhere any more, and nobody says so: the next request finds out, and takes new ones.
func TestConnectionsLeadNowhere(t *testing.T) {
	t.Parallel()
	p, url := startProxy(t, pgtest.URL(t))
	db := mustOpen(t, url)
	db.pingAfter = 0
	var wg sync.WaitGroup
	for n := range 4 * lanes { // as many connections as there may be
		wg.Go(func() {
			key := docstore.Key{Twin: twin.ID(fmt.Sprint("twin ", n)), Name: "current"}
			if _, err := db.Put(t.Context(), key, docstore.Any, nil); err != nil {
				t.Error(err)
			}
			if _, err := db.Get(t.Context(), key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.set(forgets)
	mustPut(t, db, panelKey("current"))
	if doc, err := db.Get(t.Context(), panelKey("current")); err != nil || doc.Version != 1 {
		t.Errorf("Get = version %d, %v; want 1", doc.Version, err)
	}
	if err := db.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}); err != nil {
		t.Error(err)
	}
}

// Somebody keeps a row locked. The server gives up before the hub does, and so the outcome is known.
func TestRowIsLocked(t *testing.T) {
	url := pgtest.URL(t)
	db := mustOpen(t, url)
	if err := db.AddDevice(t.Context(), registry.Device{ID: panelID, Name: "panel"}); err != nil {
		t.Fatal(err)
	}
	mustPut(t, db, panelKey("current"))
	mustPut(t, db, panelKey("desired"))
	for _, pool := range []*pgxpool.Pool{db.batches, db.updates} {
		for _, conn := range pool.AcquireAllIdle(t.Context()) {
			if _, err := conn.Exec(t.Context(), "SET statement_timeout = 50"); err != nil {
				t.Fatal(err)
			}
			conn.Release()
		}
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM twinpanel.documents, twinpanel.devices WHERE documents.name = 'current' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	_, put := db.Put(t.Context(), panelKey("current"), docstore.Any, nil)
	_, update := db.UpdateDevice(t.Context(), panelID, func(*registry.Device) error {
		t.Error("the function of an update is called for a device that others have")
		return nil
	})
	for call, err := range map[string]error{"Put": put, "UpdateDevice": update, "RemoveDevice": db.RemoveDevice(t.Context(), panelID)} {
		wantPlain(t, err, "timeout")
		if !strings.Contains(hintOf(err), "pg_stat_activity") {
			t.Errorf("%s: hint %q", call, hintOf(err))
		}
	}
	if version := mustPut(t, db, panelKey("desired")); version != 2 {
		t.Errorf("a document that nobody has locked got version %d, want 2", version)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if version := mustPut(t, db, panelKey("current")); version != 2 {
		t.Errorf("when the lock is gone, version %d, want 2", version)
	}
}

// A server that says nothing holds nobody longer than its context.
func TestServerIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	brief := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if _, err := Open(brief(), "postgres://hub:"+secret+"@"+l.Addr().String()+"/hub", Options{}); err == nil {
		t.Error("a server that says nothing was opened")
	}

	p, url := startProxy(t, pgtest.URL(t))
	db := mustOpen(t, url)
	mustPut(t, db, panelKey("current"))
	p.set(forgets)
	_, put := db.Put(brief(), panelKey("current"), docstore.Any, nil)
	wantUnknown(t, put)
	_, get := db.Get(brief(), panelKey("current"))
	wantPlain(t, get, "")
	wantPlain(t, db.AddDevice(brief(), registry.Device{ID: panelID, Name: "panel"}), "")
	p.set(refuses) // ends the commit under way, for which Close waits
}

// An operator who ends a commit that waits for a standby gets a success with a warning. For the hub it is none.
// The server is killed under writes afterwards, and has every one that was answered when it is back.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, pgtest.Options{Sync: true})
	url, err := server.NewDatabase("hub")
	if err != nil {
		t.Fatal(err)
	}
	db := mustOpen(t, url)
	mustPut(t, db, panelKey("current"))
	mustExec(t, url, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	awaitSetting(t, url, "synchronous_standby_names", "nobody")
	answer := make(chan error)
	go func() {
		_, err := db.Put(t.Context(), panelKey("current"), docstore.Any, []byte("{}"))
		answer <- err
	}()
	cancelWaitForStandby(t, url)
	wantUnknown(t, <-answer)
	mustExec(t, url, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	awaitSetting(t, url, "synchronous_standby_names", "")

	const writers = 16
	var answered [writers]atomic.Uint32
	var enough sync.WaitGroup // each writer has had some answers
	var all sync.WaitGroup
	enough.Add(writers)
	for w := range writers {
		all.Go(func() {
			key := docstore.Key{Twin: twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012x", w)), Name: "current"}
			for {
				version, err := db.Put(t.Context(), key, docstore.Any, fmt.Append(nil, answered[w].Load()+1))
				if err != nil {
					return
				}
				if version != answered[w].Add(1) {
					t.Errorf("writer %d: version %d after %d", w, version, answered[w].Load()-1)
				}
				if version == 20 {
					enough.Done()
				}
			}
		})
	}
	enough.Wait()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	_, err = db.Put(t.Context(), panelKey("current"), docstore.Any, nil)
	wantPlain(t, err, "connect")
	_, err = db.Get(t.Context(), panelKey("current"))
	wantPlain(t, err, "reading a document")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		key := docstore.Key{Twin: twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012x", w)), Name: "current"}
		doc, err := db.Get(t.Context(), key)
		if least := answered[w].Load(); err != nil || doc.Version < least || doc.Version > least+1 || string(doc.Data) != fmt.Sprint(doc.Version) {
			t.Errorf("writer %d: version %d with %q, %v; want %d, which was answered, or the next one", w, doc.Version, doc.Data, err, least)
		}
	}
	mustPut(t, db, panelKey("current"))
}

// awaitSetting returns when new statements see a setting that was reloaded.
func awaitSetting(t *testing.T, url, name, want string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for got := "?"; got != want; {
		if err := conn.QueryRow(t.Context(), "SELECT current_setting($1) FROM pg_sleep(0.01)", name).Scan(&got); err != nil {
			t.Fatal(err)
		}
	}
}

// cancelWaitForStandby ends the wait of the first commit that waits.
func cancelWaitForStandby(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for n := 0; n == 0; {
		if err := conn.QueryRow(t.Context(), "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity, pg_sleep(0.01) WHERE wait_event = 'SyncRep'").Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}
