package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"
)

func TestReaderRefuses(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	c, err := openConn(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	ended, end := context.WithCancel(t.Context())
	end()
	busy := make(readers) // none is free
	tests := []struct {
		name string
		run  func() error
		want string
	}{
		{"a write", func() error { return scanOne(c, "DELETE FROM documents") }, "readonly"},
		{"what is no SQL", func() error { return scanOne(c, "SELEC 1") }, "syntax error"},
		{"an unknown table", func() error { return scanOne(c, "SELECT 1 FROM cats") }, "no such table: cats"},
		{"too many arguments", func() error { return scanOne(c, "SELECT 1", "a") }, "out of range"},
		{"a long argument", func() error { return scanOne(c, "SELECT ?", strings.Repeat("x", argumentRoom+1)) }, errLongArgument.Error()},
		{"arguments that are long together", func() error { return scanOne(c, "SELECT ?, ?", "x", make([]byte, argumentRoom)) }, errLongArgument.Error()},
		{"an argument of another type", func() error { return scanOne(c, "SELECT ?", 1.5) }, "float64"},
		{"a column of another type", func() error {
			_, err := c.row("SELECT 1.5", func(row scanner) error { return row.Scan(new(float64)) })
			return err
		}, "float64"},
		{"to wait when the context has ended", func() error {
			_, err := busy.row(ended, "SELECT 1", nil)
			return err
		}, context.Canceled.Error()},
	}
	for _, tt := range tests {
		if err := tt.run(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
		}
		if err := scanOne(c, "SELECT count(*) FROM documents"); err != nil {
			t.Errorf("after %s: %v", tt.name, err)
		}
	}
	if _, err := openConn(filepath.Join(dir, "none")); resultCode(err) != sqlite3.SQLITE_CANTOPEN {
		t.Errorf("a file that is not there: got error %v, want SQLITE_CANTOPEN", err)
	}
}

func scanOne(c *conn, query string, args ...any) error {
	var n int64
	found, err := c.row(query, func(row scanner) error { return row.Scan(&n) }, args...)
	if err == nil && !found {
		err = errors.New("no row")
	}
	return err
}

// What is NULL, empty or holds a NUL comes out as it is, and none of it changes with the next row.
func TestReaderReadsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir)
	c, err := openConn(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var text string
	var empty, null, blob []byte
	var big int64
	var version uint32
	var yes, no bool
	scan := func(row scanner) error { return row.Scan(&text, &empty, &null, &blob, &big, &version, &yes, &no) }
	const query = "SELECT ?, x'', NULL, ?, -9223372036854775808, 4294967295, 1, 0"
	if found, err := c.row(query, scan, "Tür\x00", []byte{0, 255}); err != nil || !found {
		t.Fatal(found, err)
	}
	kept := blob
	if _, err := c.row(query, scan, "other", []byte{7, 7}); err != nil {
		t.Fatal(err)
	}
	if string(kept) != "\x00\xff" {
		t.Errorf("the first row's blob is %q after the second, want it unchanged", kept)
	}
	if _, err := c.row(query, scan, "Tür\x00", []byte{0, 255}); err != nil {
		t.Fatal(err)
	}
	if text != "Tür\x00" || empty == nil || len(empty) > 0 || null != nil || string(blob) != "\x00\xff" {
		t.Errorf("got %q, %#v, %#v, %q", text, empty, null, blob)
	}
	if big != -1<<63 || version != 1<<32-1 || !yes || no {
		t.Errorf("got %d, %d, %v, %v", big, version, yes, no)
	}
}
