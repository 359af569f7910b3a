package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// A conn is a connection that reads rows by their key, straight through SQLite's own API. Every request does
// that, and database/sql with its driver took three quarters of the time: a goroutine for each context, the
// names and types of all columns for each row.
//
// It is for one goroutine at a time.
type conn struct {
	tls      *libc.TLS
	db       uintptr            // its sqlite3
	prepared map[string]uintptr // a sqlite3_stmt by its query
	memory   uintptr            // of SQLite's kind, for arguments and for what is returned by address
	room     []byte             // the same memory: what libc calls GoBytes copies nothing
}

// argumentRoom is in bytes, more than any key has.
const argumentRoom = 1 << 10

// openConn opens a connection to a database file that exists and only reads it.
func openConn(path string) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), prepared: make(map[string]uintptr)}
	c.memory = libc.Xmalloc(c.tls, argumentRoom)
	if c.memory == 0 {
		c.tls.Close()
		return nil, errors.New("out of memory")
	}
	c.room = libc.GoBytes(c.memory, argumentRoom)
	if err := c.open(path); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *conn) open(path string) error {
	name, err := libc.CString(path)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, name)
	// No mutex: nobody else uses it meanwhile. To write to the WAL's index, as every reader does, it has to be opened for writing.
	rc := sqlite3.Xsqlite3_open_v2(c.tls, name, c.memory, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	c.db = libc.AtomicLoadPUintptr(c.memory)
	if err := c.check(rc); err != nil {
		return err
	}
	sqlite3.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	if err := c.check(sqlite3.Xsqlite3_busy_timeout(c.tls, c.db, busyTimeout)); err != nil {
		return err
	}
	_, err = c.row("PRAGMA query_only = 1", nil)
	return err
}

func (c *conn) close() error {
	for _, stmt := range c.prepared {
		sqlite3.Xsqlite3_finalize(c.tls, stmt) // says again what its last step said
	}
	err := c.check(sqlite3.Xsqlite3_close_v2(c.tls, c.db))
	libc.Xfree(c.tls, c.memory)
	c.tls.Close()
	return err
}

// row has the first row of a query scanned and says whether there is one. Arguments are texts and blobs.
func (c *conn) row(query string, scan func(scanner) error, args ...any) (found bool, err error) {
	stmt, err := c.stmt(query)
	if err != nil {
		return false, err
	}
	defer sqlite3.Xsqlite3_reset(c.tls, stmt) // says again what step said
	if err := c.bind(stmt, args); err != nil {
		return false, err
	}
	switch rc := sqlite3.Xsqlite3_step(c.tls, stmt); rc {
	case sqlite3.SQLITE_ROW:
		return true, scan(row{c, stmt})
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, c.check(rc)
	}
}

// stmt prepares a query once.
func (c *conn) stmt(query string) (uintptr, error) {
	if stmt, ok := c.prepared[query]; ok {
		return stmt, nil
	}
	text, err := libc.CString(query)
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(c.tls, text)
	if err := c.check(sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, c.memory, 0)); err != nil {
		return 0, err
	}
	stmt := libc.AtomicLoadPUintptr(c.memory)
	c.prepared[query] = stmt
	return stmt, nil
}

// bind copies the arguments into the room, where they are good until the next ones.
func (c *conn) bind(stmt uintptr, args []any) error {
	used := 0
	for i, arg := range args {
		var n, length int
		bind := sqlite3.Xsqlite3_bind_text
		switch arg := arg.(type) {
		case string:
			n, length = copy(c.room[used:], arg), len(arg)
		case []byte:
			n, length = copy(c.room[used:], arg), len(arg)
			bind = sqlite3.Xsqlite3_bind_blob
		default:
			return fmt.Errorf("no query has an argument of type %T", arg)
		}
		if n < length {
			return errLongArgument
		}
		if err := c.check(bind(c.tls, stmt, int32(i+1), c.memory+uintptr(used), int32(n), sqlite3.SQLITE_STATIC)); err != nil {
			return err
		}
		used += n
	}
	return nil
}

var errLongArgument = fmt.Errorf("arguments of a query have more than %d bytes", argumentRoom)

// check makes an error of a result code that is one.
func (c *conn) check(rc int32) error {
	if rc == sqlite3.SQLITE_OK {
		return nil
	}
	return &codeError{int(rc), libc.GoString(sqlite3.Xsqlite3_errmsg(c.tls, c.db))}
}

// A codeError is what SQLite says of a call that failed.
type codeError struct {
	code int // extended
	text string
}

func (e *codeError) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }

// A row is the one that a statement stands at.
type row struct {
	conn *conn
	stmt uintptr
}

// Scan implements [scanner]. What it hands out is the caller's.
func (r row) Scan(dest ...any) error {
	for i, d := range dest {
		i := int32(i)
		switch d := d.(type) {
		case *string:
			*d = string(r.bytes(i))
		case *[]byte:
			*d = bytes.Clone(r.bytes(i))
		case *int64:
			*d = sqlite3.Xsqlite3_column_int64(r.conn.tls, r.stmt, i)
		case *uint32:
			*d = uint32(sqlite3.Xsqlite3_column_int64(r.conn.tls, r.stmt, i))
		case *bool:
			*d = sqlite3.Xsqlite3_column_int64(r.conn.tls, r.stmt, i) != 0
		default:
			return fmt.Errorf("no column is of type %T", d)
		}
	}
	return nil
}

// bytes are a text or a blob as long as the statement stands there; nil = NULL.
func (r row) bytes(i int32) []byte {
	if sqlite3.Xsqlite3_column_type(r.conn.tls, r.stmt, i) == sqlite3.SQLITE_NULL {
		return nil
	}
	p := sqlite3.Xsqlite3_column_blob(r.conn.tls, r.stmt, i) // 0 where it is empty
	if p == 0 {
		return []byte{}
	}
	return libc.GoBytes(p, int(sqlite3.Xsqlite3_column_bytes(r.conn.tls, r.stmt, i)))
}

// readers are connections that nobody uses at the moment. The channel is closed when they are.
type readers chan *conn

// openReaders opens them all now: when a flood of clients has taken every file that
// the process may open, requests have to wait for a reader, and not to fail.
func openReaders(path string, n int) (readers, error) {
	all := make(readers, n)
	for range n {
		c, err := openConn(path)
		if err != nil {
			close(all)
			for c := range all {
				err = errors.Join(err, c.close())
			}
			return nil, err
		}
		all <- c
	}
	return all, nil
}

// row is [conn.row] on the next reader that is free. A context ends only the wait for it.
func (all readers) row(ctx context.Context, query string, scan func(scanner) error, args ...any) (found bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	var c *conn
	select {
	case c = <-all:
	default: // only now, since it takes memory to be told of a context's end
		select {
		case c = <-all:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if c == nil {
		return false, docstore.ErrClosed
	}
	defer func() { all <- c }()
	return c.row(query, scan, args...)
}

// close waits for those in use.
func (all readers) close() error {
	var errs []error
	for range cap(all) {
		c := <-all
		errs = append(errs, c.close())
	}
	close(all)
	return errors.Join(errs...)
}
