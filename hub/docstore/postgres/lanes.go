package postgres

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/internal/groupcommit"
	"github.com/twinpanel/twinpanel/twin"
)

const lanes = 4 // that commit at the same time

// A lane commits together the writes that wait in it. Those of one twin are all in the same lane, in their order.
type lane struct {
	*groupcommit.Writer[*write]
}

func newLane(db *DB) lane { return lane{groupcommit.New(db.commit, (*write).size)} }

func (l lane) close() {
	if l.Writer != nil {
		l.Close()
	}
}

// A rank says what a write locks first. Every transaction locks in the order of ranks, and within one
// in the order of keys, so that none waits for another that waits for it.
type rank int

const (
	lockDevice rank = iota
	lockTwin
	lockDocument
)

// A write is an operation that goes to the server together with others, without a look at what
// is there: its statements say themselves what they are conditional on. The last one returns one number, or no
// row when the write is refused; who was refused looks for the reason.
type write struct {
	locks rank
	key   docstore.Key // only the twin, for a device
	steps []step

	number int64
	ok     bool // there was a row
}

// A step is one statement.
type step struct {
	sql  string
	args []any
}

// do hands over a write and waits until it is committed. It returns the number, and whether there was one.
func (db *DB) do(ctx context.Context, w *write) (number int64, ok bool, err error) {
	if err := db.lanes[laneOf(w.key.Twin)].Do(ctx, w); err != nil {
		return 0, false, err
	}
	return w.number, w.ok, nil
}

func laneOf(id twin.ID) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % lanes)
}

func inLockOrder(a, b *write) int {
	return cmp.Or(cmp.Compare(a.locks, b.locks), cmp.Compare(a.key.Twin, b.key.Twin), cmp.Compare(a.key.Name, b.key.Name))
}

// size is about how many bytes the write sends.
func (w *write) size() (n int) {
	for _, s := range w.steps {
		for _, arg := range s.args {
			if data, ok := arg.([]byte); ok {
				n += len(data)
			}
		}
	}
	return n
}

// commit sends writes with BEGIN and COMMIT around them in one go, and reads the answers.
func (db *DB) commit(batch []*write) error {
	slices.SortStableFunc(batch, inLockOrder)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := retry(ctx, func() error {
		err := db.tryCommit(ctx, batch)
		if err != nil && lost(err) {
			db.reset()
		}
		return err
	})
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); err == nil || unknown {
		return err
	}
	return explainWrite(err)
}

func (db *DB) tryCommit(ctx context.Context, batch []*write) error {
	conn, err := db.acquire(ctx, db.batches)
	if err != nil {
		return err
	}
	defer giveBack(conn)
	var b pgx.Batch
	b.Queue(begin)
	for _, w := range batch {
		for _, s := range w.steps {
			b.Queue(s.sql, s.args...)
		}
	}
	b.Queue("COMMIT")
	_ = takeWarning(conn.Conn().PgConn())
	results := conn.SendBatch(ctx, &b)
	err = readResults(results, batch)
	if e := results.Close(); err == nil {
		err = e
	}
	switch warning := takeWarning(conn.Conn().PgConn()); {
	case err == nil && warning != nil:
		return &docstore.OutcomeError{Err: warning}
	case err == nil || pgconn.SafeToRetry(err):
		return err
	case refused(err):
		_, _ = conn.Exec(ctx, "ROLLBACK") // otherwise the connection is given up
	}
	return commitError(err)
}

// readResults notes in the writes what their last statements returned.
func readResults(results pgx.BatchResults, batch []*write) error {
	if _, err := results.Exec(); err != nil {
		return err
	}
	for _, w := range batch {
		for range len(w.steps) - 1 {
			if _, err := results.Exec(); err != nil {
				return err
			}
		}
		err := results.QueryRow().Scan(&w.number)
		w.ok = err == nil
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
	}
	tag, err := results.Exec()
	if err == nil && tag.String() != "COMMIT" {
		return pgx.ErrTxCommitRollback
	}
	return err
}
