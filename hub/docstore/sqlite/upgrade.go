package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// upgrades are the steps from the format that is their key to the next one. A database that
// took them and a new one have the same schema.
var upgrades = map[int64]string{
	1: `
ALTER TABLE tokens ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1));
ALTER TABLE tokens ADD COLUMN device TEXT NOT NULL DEFAULT '';
`,
	2: `
ALTER TABLE devices ADD COLUMN updated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN last_activity INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1));
ALTER TABLE devices ADD COLUMN read_only TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN certificate BLOB;
ALTER TABLE devices ADD COLUMN fingerprint BLOB CHECK (length(fingerprint) = 32);
ALTER TABLE devices ADD COLUMN custom_certificate INTEGER NOT NULL DEFAULT 0 CHECK (custom_certificate IN (0, 1));
ALTER TABLE devices ADD COLUMN secret BLOB CHECK (length(secret) = 32);
ALTER TABLE devices ADD COLUMN message_filters TEXT;
CREATE UNIQUE INDEX devices_by_fingerprint ON devices (fingerprint);
ALTER TABLE tokens ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0;
` + schemaHub + schemaAuthorities,
}

// copyInfix stands between hub.db and the number of a format: the database as it was before
// it was upgraded from that format. A hub that knows that format opens the copy, once it has
// the name hub.db.
const copyInfix = ".format"

// upgrade brings the database to the present format and keeps a copy of it as it was. It
// returns the copy's path, or nothing when another process was faster.
//
// No hub may be at work on the folder: one of the old format would not heed what is new. So
// whoever doesn't have the folder's lock takes it meanwhile. When somebody else has it, that
// may be a hub or a command that upgrades right now, which is waited for, or a hub that is
// too old to do so.
func upgrade(t *tx, path string, locked bool) (kept string, err error) {
	if locked {
		return upgradeLocked(t, path)
	}
	dir := filepath.Dir(path)
	for end := time.Now().Add(t.patience); ; time.Sleep(10 * time.Millisecond) {
		lock, err := openLock(dir)
		if err == nil {
			kept, err := upgradeLocked(t, path)
			return kept, errors.Join(err, lock.Close())
		}
		if !errors.Is(err, errLocked) {
			return "", err
		}
		if now := readFormat(t); t.err != nil || now == format {
			return "", t.err
		}
		if time.Now().After(end) {
			return "", &Error{
				Err:  errors.New("the hub that runs on it is older than this program"),
				hint: "stop that hub, and start this version of it",
			}
		}
	}
}

// upgradeLocked upgrades in one transaction: whenever it is interrupted, the database has the
// old format or the new one, never something between.
func upgradeLocked(t *tx, path string) (kept string, err error) {
	t.begin()
	defer func() {
		if err != nil {
			t.rollback()
			err = fmt.Errorf("upgrading it to format %d: %w", format, err)
		}
	}()
	from := readFormat(t)
	if t.err == nil && from < format {
		kept = fmt.Sprint(path, copyInfix, from)
		if err := keepCopy(path, kept); err != nil {
			return "", fmt.Errorf("keeping a copy: %w", err)
		}
	}
	for ; t.err == nil && from < format; from++ {
		t.exec(upgrades[from])
		t.exec(fmt.Sprintf("PRAGMA user_version = %d", from+1))
	}
	t.exec("COMMIT")
	return kept, t.err
}

// readFormat reads the format's number: the transaction's, if there is one.
func readFormat(t *tx) (n int64) {
	t.row("PRAGMA user_version", nil, &n)
	return n
}

// keepCopy copies the database as it is on the disk.
func keepCopy(path, kept string) error {
	tmp, err := os.CreateTemp(filepath.Dir(kept), filepath.Base(kept)+newInfix+"*")
	if err != nil {
		return notWritable(filepath.Dir(kept), err)
	}
	return copyTo(context.Background(), path, tmp, kept, func() error { return nil })
}
