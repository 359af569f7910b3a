package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver for database/sql

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/twin"
)

// fillFolder makes a data folder with devices, each with three documents.
func fillFolder(t *testing.T, dir string, devices int) {
	t.Helper()
	db, err := sqlite.Open(dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	errs := make(chan error)
	for n := range devices {
		go func() {
			id := twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012d", n))
			err := db.AddDevice(t.Context(), registry.Device{ID: id, Name: fmt.Sprint("device ", n)})
			for i, name := range []twin.Name{"_config", "current", "desired"} {
				if err == nil {
					err = db.Set(t.Context(), docstore.Key{Twin: id, Name: name}, docstore.Document{Version: uint32(n + i + 1), Data: fmt.Appendf(nil, `{"n":%d}`, n)})
				}
			}
			errs <- err
		}()
	}
	for range devices {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// hubCopy is a copy from one place to another, which is killed when it has said so many lines; 0 = it isn't.
func hubCopy(t *testing.T, from, to string, lines int) (stdout string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "hub", "copy", "--from", from, "--to", to)
	var out bytes.Buffer
	command.Stdout = &out
	said, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for scanner := bufio.NewScanner(said); scanner.Scan(); {
		log.WriteString(scanner.Text() + "\n")
		if strings.Count(log.String(), "\n") == lines {
			_ = command.Process.Kill()
		}
	}
	if err := command.Wait(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s", err, &log)
	}
	return out.String(), nil
}

// A copy is killed at each of its lines, and when it clears what an earlier one has left. No hub starts on what is left,
// and no command; the next copy makes it whole.
func TestCopyKilledStartsOver(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from")
	killedCopies(t, from, func(*testing.T) string { return filepath.Join(t.TempDir(), "to") }, "--data")
}

// A copy that is killed before it has written anything leaves nothing that passes for an empty hub.
func TestCopyIsMarkedFromTheFirst(t *testing.T) {
	for _, to := range []place{{Data: filepath.Join(t.TempDir(), "to")}, {Store: pgtest.URL(t)}} {
		s, err := to.open(t.Context(), opening{alone: true, copying: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s, err = to.openWhole(t.Context(), opening{}, nil)
		if err == nil {
			_ = s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), " holds a copy of a hub that is not finished") {
			t.Errorf("%s: a hub opens it with %v", to, err)
		}
	}
}

// killedCopies copies a folder to new places, which flag names.
func killedCopies(t *testing.T, from string, newPlace func(*testing.T) string, flag string) {
	const devices = 200
	fillFolder(t, from, devices)
	want, err := hubCopy(t, from, newPlace(t), 0)
	if err != nil || !strings.Contains(want, fmt.Sprintf(`"documents":%d,"devices":%d,`, 3*devices, devices)) {
		t.Fatalf("a copy that goes on: %q, %v", want, err)
	}
	unfinished := 0
	for lines := 1; lines <= 5; lines++ {
		to := newPlace(t)
		for _, kill := range []int{lines, 1} {
			if _, err := hubCopy(t, from, to, kill); err == nil {
				t.Logf("a copy that said %d lines was not killed before its end", kill)
				break
			}
			command := exec.Command("hub", "device", "list", flag, to)
			out, err := command.CombinedOutput()
			switch {
			case err == nil: // it had not begun to write, or had ended
				if n := strings.Count(string(out), "\n"); n != 0 && n != devices {
					t.Errorf("killed after %d lines: a copy with %d devices passes for a hub", kill, n)
				}
			case strings.Contains(string(out), " holds a copy of a hub that is not finished\nhint: run the same hub copy again, "):
				unfinished++
				if p, err := startHub(".", to); err == nil {
					_, _ = p.Stop(os.Kill)
					t.Errorf("killed after %d lines: a hub starts on it", kill)
				}
			default:
				t.Errorf("killed after %d lines: %s", kill, out)
			}
		}
		got, err := hubCopy(t, from, to, 0)
		if err != nil && strings.Contains(err.Error(), "are the same hub") {
			continue // it was done before the kill
		}
		if err != nil || got != want {
			t.Errorf("after a kill at line %d: got %q, %v; want %q", lines, got, err, want)
		}
	}
	if unfinished == 0 {
		t.Error("no copy was cut off in the middle")
	}
}

// What a newer hub has written is left alone, on either side.
func TestCopyRefusesANewerFormat(t *testing.T) {
	folder, data := filepath.Join(t.TempDir(), "newer"), filepath.Join(t.TempDir(), "data")
	fillFolder(t, folder, 1)
	fillFolder(t, data, 1)
	execute(t, "sqlite", filepath.Join(folder, "hub.db"), "PRAGMA user_version = 99")
	refusesNewer(t, folder, data, "it was written by a newer hub (format 99, ")
}

func TestCopyRefusesANewerSchemaOfPostgres(t *testing.T) {
	t.Parallel()
	database, data := pgtest.URL(t), filepath.Join(t.TempDir(), "data")
	fillFolder(t, data, 1)
	if _, err := hubCopy(t, data, database, 0); err != nil {
		t.Fatal(err)
	}
	execute(t, "pgx", database, "UPDATE twinpanel.store SET version = 99")
	refusesNewer(t, database, data, "it was written by a newer hub (schema 99, ")
}

// A copy that comes to nothing in the middle can be started over.
func TestCopyThatFailsSaysHowItGoesOn(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	fillFolder(t, from, 1)
	execute(t, "sqlite", filepath.Join(from, "hub.db"), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO documents SELECT twin, 'more' || i, 1, x'7b7d' FROM n, (SELECT twin FROM documents LIMIT 1)`, twin.MaxDocuments))
	for range 2 {
		_, err := hubCopy(t, from, to, 0)
		if err == nil || !strings.HasSuffix(err.Error(), "hub: destination: too many documents\nhint: the same command starts over\n") {
			t.Errorf("got %v, want an error with a hint", err)
		}
	}
}

// Who may not make what a hub needs in a database hears how to get the right.
func TestCopyToPostgresWithoutRights(t *testing.T) {
	database, data := pgtest.URL(t), filepath.Join(t.TempDir(), "data")
	fillFolder(t, data, 1)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	user := "user_of_" + strings.Trim(u.Path, "/")
	execute(t, "pgx", database, "CREATE ROLE "+user+" LOGIN PASSWORD 's3cret'")
	defer execute(t, "pgx", database, "DROP ROLE "+user)
	u.User = url.UserPassword(user, "s3cret")
	_, err = hubCopy(t, data, u.String(), 0)
	if err == nil || !strings.Contains(err.Error(), "hub: destination: ") || !strings.Contains(err.Error(), "permission denied for database") ||
		!strings.Contains(err.Error(), "\nhint: as the database's owner: GRANT CREATE ON DATABASE ") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want it refused", err)
	}
}

// execute executes a statement on a database behind the hub's back.
func execute(t *testing.T, driver, database, statement string) {
	t.Helper()
	db, err := sql.Open(driver, database)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), statement)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// refusesNewer wants copies from and to a newer place to be refused.
func refusesNewer(t *testing.T, newer, other, want string) {
	t.Helper()
	for _, test := range []struct{ side, from, to string }{
		{"source", newer, filepath.Join(t.TempDir(), "to")},
		{"destination", other, newer},
	} {
		_, err := hubCopy(t, test.from, test.to, 0)
		if err == nil || !strings.Contains(err.Error(), "hub: "+test.side+": ") || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "\nhint: run the newer hub") {
			t.Errorf("a newer %s: %v, want it refused", test.side, err)
		}
	}
}

func TestCopyToPostgresKilledStartsOver(t *testing.T) {
	pgtest.URL(t) // without PostgreSQL the test ends here
	from := filepath.Join(t.TempDir(), "from")
	killedCopies(t, from, func(t *testing.T) string { return pgtest.URL(t) }, "--store")
}
