package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// A write is one operation of a batch. Its statements run inside the batch's
// transaction. It decides before its first change whether it is refused, so that
// a refusal leaves nothing behind and disturbs no other operation.
type write struct {
	mu       sync.Mutex // held while apply runs
	apply    func(*tx) error
	left     bool // by its caller, who waits no longer: apply must not begin
	refused  error
	panicked string
}

// write hands an operation to the writer and waits until it is durable. When it returns,
// apply is not running and will not, so that what it uses is the caller's alone again.
func (r *Registry) write(ctx context.Context, apply func(*tx) error) error {
	w := &write{apply: apply}
	err := r.writer.Do(ctx, w)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = true
	if w.panicked != "" {
		panic(w.panicked)
	}
	return cmp.Or(err, w.refused)
}

// run applies the operation. One that panics breaks its caller and not the writer; its batch is not written.
func (w *write) run(t *tx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			w.panicked = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
			t.err = errors.New("another write of the same batch panicked")
		}
	}()
	if !w.left {
		w.refused = w.apply(t)
	}
}

// A tx is the connection that writes, and the transaction on it. The first
// statement that fails leaves its error in err; those after it do nothing.
type tx struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	patience time.Duration // for the write of another process
	maxPages int64         // of the WAL, before they are copied into the database
	broken   error         // why nothing is written any more
	err      error
}

func newTx(db *sql.DB) (*tx, error) {
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return &tx{conn: conn, prepared: make(map[string]*sql.Stmt), patience: busyTimeout * time.Millisecond, maxPages: checkpointPages}, nil
}

// close finalizes the statements first: a connection with a statement left stays open inside SQLite.
func (t *tx) close() error {
	var errs []error
	for _, stmt := range t.prepared {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, t.conn.Close())...)
}

// commitBatch applies the operations in one transaction, for a [groupcommit.Writer].
func (t *tx) commitBatch(batch []*write) error {
	if t.broken != nil {
		return t.broken
	}
	t.err = nil
	t.begin()
	for _, w := range batch {
		w.run(t)
	}
	if t.err != nil {
		err := t.err
		t.rollback()
		return explainWrite(err)
	}
	t.exec("COMMIT")
	if t.err == nil {
		t.checkpoint()
		return nil
	}
	err := t.err
	t.rollback()
	// A full disk cuts off the WAL before the end of the frame that would make the
	// transaction count, and SQLite rolls it back; one that fsync finds is an I/O error.
	if resultCode(err) == sqlite3.SQLITE_FULL {
		return explainWrite(err)
	}
	t.broken = fmt.Errorf("nothing is written any more since a commit failed; restart the hub: %w", err)
	return &docstore.OutcomeError{Err: fmt.Errorf("committing: %w; nothing more is written until the hub is restarted", err)}
}

// checkpoint copies a WAL that has grown long into the database, as SQLite would do by itself after a commit. But SQLite
// would keep it to itself when the database could not be synced, and try again later. Then the kernel says that
// all is well, SQLite begins the WAL anew, and what the disk never got is gone: see forgetCache. So after such a
// failure nothing more is written. The WAL has it all, and the next start copies it.
func (t *tx) checkpoint() {
	var busy, pages, copied int64
	t.row("PRAGMA wal_checkpoint(NOOP)", nil, &busy, &pages, &copied)
	if pages >= t.maxPages {
		t.row("PRAGMA wal_checkpoint(PASSIVE)", nil, &busy, &pages, &copied)
	}
	if t.err != nil && resultCode(t.err) != sqlite3.SQLITE_FULL { // which is said before anything is in the cache
		t.broken = fmt.Errorf("nothing is written any more since copying the WAL into the database failed; restart the hub: %w", t.err)
	}
}

// explainWrite says of a write that did not happen, where it is known, what to do.
func explainWrite(err error) error {
	err = fmt.Errorf("writing to the database: %w", err)
	switch resultCode(err) {
	case sqlite3.SQLITE_BUSY:
		return &Error{Err: err, hint: "another program keeps the database locked: try again, and look which one it is"}
	case sqlite3.SQLITE_FULL:
		return &Error{Err: err, hint: "make room on the disk that has the data folder"}
	}
	return err
}

// resultCode is SQLite's primary result code, 0 for errors that are not SQLite's.
func resultCode(err error) int {
	return extendedCode(err) & 0xff
}

// extendedCode says more than resultCode.
func extendedCode(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	if e, ok := errors.AsType[*codeError](err); ok {
		return e.code
	}
	return 0
}

// begin takes the lock first: what is read then cannot change before it is written.
//
// SQLite's own way to wait for another process looks less and less often, at last every
// 100 ms, and under a storm of writes finds the lock taken each time. So this looks
// every millisecond, and SQLite is told not to wait.
//
// While a computer or a virtual machine stands still, time passes and who has the lock can't go on. So
// what passes between two looks counts as no more than longestLook.
func (t *tx) begin() {
	const longestLook = 100 * time.Millisecond
	for waited := time.Duration(0); ; {
		last := time.Now()
		t.err = nil
		t.exec("BEGIN IMMEDIATE")
		if resultCode(t.err) != sqlite3.SQLITE_BUSY || waited > t.patience {
			return
		}
		time.Sleep(time.Millisecond)
		waited += min(time.Since(last), longestLook)
	}
}

// rollback ends a transaction that failed. SQLite may have ended it by itself,
// which makes ROLLBACK fail, too; if it is still open, the next BEGIN says so.
func (t *tx) rollback() {
	t.err = nil
	t.exec("ROLLBACK")
}

func (t *tx) exec(query string, args ...any) {
	stmt := t.stmt(query)
	if stmt == nil {
		return
	}
	_, t.err = stmt.Exec(args...)
}

// row scans the first row of a query into dest and says whether there is one.
func (t *tx) row(query string, args []any, dest ...any) bool {
	stmt := t.stmt(query)
	if stmt == nil {
		return false
	}
	err := stmt.QueryRow(args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false
	}
	t.err = err
	return err == nil
}

// queryAll scans all rows of a query.
func queryAll[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (all []T) {
	stmt := t.stmt(query)
	if stmt == nil {
		return nil
	}
	rows, err := stmt.Query(args...)
	if err != nil {
		t.err = err
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			t.err = err
			return nil
		}
		all = append(all, one)
	}
	t.err = rows.Err()
	return all
}

// queryRow scans the first row of a query and says whether there is one.
func queryRow[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (one T, ok bool) {
	all := queryAll(t, scan, query, args...)
	if len(all) == 0 {
		return one, false
	}
	return all[0], true
}

// exists says whether a query has a row.
func (t *tx) exists(query string, args ...any) bool {
	var found bool
	return t.row("SELECT EXISTS ("+query+")", args, &found) && found
}

// stmt prepares a query once. It is nil after an error.
func (t *tx) stmt(query string) *sql.Stmt {
	if t.err != nil {
		return nil
	}
	stmt, ok := t.prepared[query]
	if !ok {
		stmt, t.err = t.conn.PrepareContext(context.Background(), query)
		if t.err != nil {
			return nil
		}
		t.prepared[query] = stmt
	}
	return stmt
}
