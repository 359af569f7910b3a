package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

// Statements on documents. Where one is conditional, it finds no row if the condition doesn't hold.
const (
	selectDocument = "SELECT version, data FROM twinpanel.documents WHERE twin = $1 AND name = $2"
	selectVersion  = "SELECT version FROM twinpanel.documents WHERE twin = $1 AND name = $2"

	putDocument = `UPDATE twinpanel.documents SET version = version + 1, data = $3
		WHERE twin = $1 AND name = $2 AND (version = $4 OR $4 < 0) AND version < 4294967295 RETURNING version`
	setDocument    = "UPDATE twinpanel.documents SET version = $4, data = $3 WHERE twin = $1 AND name = $2 RETURNING version"
	deleteDocument = "DELETE FROM twinpanel.documents WHERE twin = $1 AND name = $2 AND (version = $3 OR $3 < 0) RETURNING version"

	// Who makes documents of a twin takes turns, so that they can be counted.
	lockTwinRow    = "INSERT INTO twinpanel.twins (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = excluded.id"
	insertDocument = `INSERT INTO twinpanel.documents (twin, name, version, data) SELECT $1::text, $2::text, $4::bigint, $3::bytea
		WHERE (SELECT count(*) FROM twinpanel.documents WHERE twin = $1::text) < $5 ON CONFLICT (twin, name) DO NOTHING RETURNING version`

	lockDocuments   = "SELECT name FROM twinpanel.documents WHERE twin = $1 ORDER BY name FOR UPDATE"
	deleteDocuments = "DELETE FROM twinpanel.documents WHERE twin = $1"
	deleteTwinRow   = "DELETE FROM twinpanel.twins WHERE id = $1"
)

func scanDocument(row pgx.CollectableRow) (doc docstore.Document, err error) {
	return doc, row.Scan(&doc.Version, &doc.Data)
}

// Get implements [docstore.Store].
func (db *DB) Get(ctx context.Context, key docstore.Key) (docstore.Document, error) {
	return one(ctx, db, "a document", twin.ErrDocumentNotFound, scanDocument, selectDocument, string(key.Twin), string(key.Name))
}

// version is what the document has, 0 if there is none.
func (db *DB) version(ctx context.Context, key docstore.Key) (uint32, error) {
	all, err := list(ctx, db, "a document's version", pgx.RowTo[uint32], selectVersion, string(key.Twin), string(key.Name))
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[0], nil
}

// Put implements [docstore.Store]. It is an update, which most puts are, or an insert if there turns out to be no
// document. When neither finds what it needs, somebody was faster, and it begins again.
func (db *DB) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	data = stored(data)
	for {
		if cond != docstore.Absent {
			version, ok, err := db.do(ctx, &write{locks: lockDocument, key: key, steps: []step{
				{putDocument, []any{string(key.Twin), string(key.Name), data, int64(cond)}},
			}})
			if err != nil || ok {
				return uint32(version), err
			}
		}
		actual, err := db.version(ctx, key)
		if err != nil {
			return 0, err
		}
		if _, err := cond.Next(actual); err != nil {
			return 0, err
		}
		if actual > 0 {
			continue
		}
		switch ok, err := db.insert(ctx, key, 1, data); {
		case err != nil:
			return 0, err
		case ok:
			return 1, nil
		}
	}
}

// Set implements [docstore.Store].
func (db *DB) Set(ctx context.Context, key docstore.Key, doc docstore.Document) error {
	if doc.Version == 0 {
		return docstore.ErrNoVersion
	}
	data := stored(doc.Data)
	for {
		_, ok, err := db.do(ctx, &write{locks: lockDocument, key: key, steps: []step{
			{setDocument, []any{string(key.Twin), string(key.Name), data, int64(doc.Version)}},
		}})
		if err != nil || ok {
			return err
		}
		if ok, err := db.insert(ctx, key, doc.Version, data); err != nil || ok {
			return err
		}
	}
}

// insert makes a document unless there is one.
func (db *DB) insert(ctx context.Context, key docstore.Key, version uint32, data []byte) (ok bool, err error) {
	_, ok, err = db.do(ctx, &write{locks: lockTwin, key: key, steps: []step{
		{lockTwinRow, []any{string(key.Twin)}},
		{insertDocument, []any{string(key.Twin), string(key.Name), data, int64(version), twin.MaxDocuments}},
	}})
	if err != nil || ok {
		return ok, err
	}
	names, err := db.List(ctx, key.Twin)
	if err != nil {
		return false, err
	}
	if !slices.Contains(names, key.Name) && len(names) >= twin.MaxDocuments {
		return false, twin.ErrTooManyDocuments
	}
	return false, nil
}

// stored is a copy of data, which its caller may change as soon as it waits no longer. It is not nil, which would be NULL.
func stored(data []byte) []byte { return append([]byte{}, data...) }

// Delete implements [docstore.Store].
func (db *DB) Delete(ctx context.Context, key docstore.Key, cond docstore.If) error {
	for {
		_, ok, err := db.do(ctx, &write{locks: lockDocument, key: key, steps: []step{
			{deleteDocument, []any{string(key.Twin), string(key.Name), int64(cond)}},
		}})
		if err != nil || ok {
			return err
		}
		actual, err := db.version(ctx, key)
		switch {
		case err != nil:
			return err
		case actual == 0:
			return twin.ErrDocumentNotFound
		}
		if err := cond.Check(actual); err != nil {
			return err
		}
	}
}

// DeleteAll implements [docstore.Store].
func (db *DB) DeleteAll(ctx context.Context, id twin.ID) error {
	return db.transact(ctx, func(t *transaction) error { return t.deleteDocuments(id) })
}

// deleteDocuments removes what a twin has. Nobody makes a document of it meanwhile.
func (t *transaction) deleteDocuments(id twin.ID) error {
	for _, sql := range []string{lockTwinRow, lockDocuments, deleteDocuments, deleteTwinRow} {
		if _, err := t.exec(sql, string(id)); err != nil {
			return err
		}
	}
	return nil
}

// List implements [docstore.Store].
func (db *DB) List(ctx context.Context, id twin.ID) ([]twin.Name, error) {
	const query = "SELECT name FROM twinpanel.documents WHERE twin = $1 ORDER BY name"
	return list(ctx, db, "document names", pgx.RowTo[twin.Name], query, string(id))
}

// Page implements [docstore.Store].
func (db *DB) Page(ctx context.Context, after docstore.Key, limit int) ([]docstore.Entry, error) {
	const query = "SELECT twin, name, version, data FROM twinpanel.documents WHERE (twin, name) > ($1, $2) ORDER BY twin, name LIMIT $3"
	return list(ctx, db, "documents", func(row pgx.CollectableRow) (e docstore.Entry, err error) {
		return e, row.Scan(&e.Twin, &e.Name, &e.Version, &e.Data)
	}, query, string(after.Twin), string(after.Name), limit)
}
