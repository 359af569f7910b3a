package sqlite

import (
	"context"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const selectDocument = "SELECT version, data FROM documents WHERE twin = ? AND name = ?"

// Get implements [docstore.Store].
func (db *DB) Get(ctx context.Context, key docstore.Key) (docstore.Document, error) {
	return find(ctx, db.Registry, "a document", twin.ErrDocumentNotFound, selectDocument, scanDocument, string(key.Twin), string(key.Name))
}

// scanDocument reads a row of selectDocument.
func scanDocument(row scanner) (doc docstore.Document, err error) {
	err = row.Scan(&doc.Version, &doc.Data)
	return doc, err
}

// DeviceAndDocument reads a device and a document of its twin, both as they are at one moment. A document that is not
// there has version 0.
func (db *DB) DeviceAndDocument(ctx context.Context, key docstore.Key) (registry.Device, docstore.Document, error) {
	p, err := find(ctx, db.Registry, "a device and a document", registry.ErrNoDevice, selectPair, scanPair, string(key.Twin), string(key.Name))
	return p.Device, p.Document, err
}

// Put implements [docstore.Store].
func (db *DB) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	var version uint32
	err := db.write(ctx, func(tx *tx) (err error) {
		version, err = tx.put(key, cond, data)
		return err
	})
	if err != nil {
		return 0, err
	}
	return version, nil
}

// Set implements [docstore.Store].
func (db *DB) Set(ctx context.Context, key docstore.Key, doc docstore.Document) error {
	if doc.Version == 0 {
		return docstore.ErrNoVersion
	}
	return db.write(ctx, func(tx *tx) error {
		if tx.version(key) == 0 && tx.full(key.Twin) {
			return twin.ErrTooManyDocuments
		}
		tx.exec(`INSERT INTO documents (twin, name, version, data) VALUES (?, ?, ?, ?)
			ON CONFLICT (twin, name) DO UPDATE SET version = excluded.version, data = excluded.data`,
			string(key.Twin), string(key.Name), int64(doc.Version), blob(doc.Data))
		return nil
	})
}

// Delete implements [docstore.Store].
func (db *DB) Delete(ctx context.Context, key docstore.Key, cond docstore.If) error {
	return db.write(ctx, func(tx *tx) error {
		actual := tx.version(key)
		if actual == 0 {
			return twin.ErrDocumentNotFound
		}
		if err := cond.Check(actual); err != nil {
			return err
		}
		tx.exec("DELETE FROM documents WHERE twin = ? AND name = ?", string(key.Twin), string(key.Name))
		return nil
	})
}

// DeleteAll implements [docstore.Store].
func (db *DB) DeleteAll(ctx context.Context, id twin.ID) error {
	return db.write(ctx, func(tx *tx) error {
		tx.deleteAll(id)
		return nil
	})
}

// List implements [docstore.Store].
func (db *DB) List(ctx context.Context, id twin.ID) ([]twin.Name, error) {
	const query = "SELECT name FROM documents WHERE twin = ? ORDER BY name"
	return list(ctx, db.Registry, "document names", query, func(row scanner) (name twin.Name, err error) {
		err = row.Scan(&name)
		return name, err
	}, string(id))
}

// Page implements [docstore.Store].
func (db *DB) Page(ctx context.Context, after docstore.Key, limit int) ([]docstore.Entry, error) {
	const query = "SELECT twin, name, version, data FROM documents WHERE (twin, name) > (?, ?) ORDER BY twin, name LIMIT ?"
	return list(ctx, db.Registry, "documents", query, func(row scanner) (e docstore.Entry, err error) {
		err = row.Scan(&e.Twin, &e.Name, &e.Version, &e.Data)
		return e, err
	}, string(after.Twin), string(after.Name), limit)
}

// put writes a document if the condition holds, and returns its new version.
func (t *tx) put(key docstore.Key, cond docstore.If, data []byte) (next uint32, err error) {
	if cond != docstore.Absent && t.row(`UPDATE documents SET version = version + 1, data = ?3
		WHERE twin = ?1 AND name = ?2 AND (version = ?4 OR ?4 < 0) AND version < ?5 RETURNING version`,
		[]any{string(key.Twin), string(key.Name), blob(data), int64(cond), int64(twin.MaxVersion)}, &next) {
		return next, nil // most puts
	}
	next, err = cond.Next(t.version(key))
	switch {
	case err != nil:
		return 0, err
	case t.full(key.Twin):
		return 0, twin.ErrTooManyDocuments
	}
	t.exec("INSERT INTO documents (twin, name, version, data) VALUES (?, ?, ?, ?)",
		string(key.Twin), string(key.Name), int64(next), blob(data))
	return next, nil
}

// blob is data as it is stored: nil would be NULL.
func blob(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// version is what the document has, 0 if there is none.
func (t *tx) version(key docstore.Key) (version uint32) {
	t.row("SELECT version FROM documents WHERE twin = ? AND name = ?",
		[]any{string(key.Twin), string(key.Name)}, &version)
	return version
}

// full says whether a twin takes no further document.
func (t *tx) full(id twin.ID) bool {
	var n int
	t.row("SELECT count(*) FROM documents WHERE twin = ?", []any{string(id)}, &n)
	return n >= twin.MaxDocuments
}

func (t *tx) deleteAll(id twin.ID) {
	t.exec("DELETE FROM documents WHERE twin = ?", string(id))
}
