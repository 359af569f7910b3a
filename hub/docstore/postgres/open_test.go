package postgres

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// mustExec runs statements as the database's superuser.
func mustExec(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

const secret = "correct-horse"

// as is the URL of a database for another user, whose password is secret.
func as(t *testing.T, database, user string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, secret)
	return u.String()
}

// withUser makes a user who has no rights yet.
func withUser(t *testing.T, database, user string) {
	t.Helper()
	mustExec(t, database, "CREATE ROLE "+user+" LOGIN PASSWORD '"+secret+"'")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), database)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "DROP OWNED BY "+user+"; DROP ROLE "+user); err != nil {
			t.Error(err)
		}
	})
}

func hintOf(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return e.Hint()
	}
	return ""
}

func TestOpenRefuses(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	made := func(t *testing.T, database string) { mustOpen(t, database) }
	for _, test := range []struct {
		name       string
		options    Options
		prepare    func(t *testing.T, database string)
		url        string                                     // empty = a new database's
		as         func(t *testing.T, database string) string // nil = the superuser
		want, hint string
	}{
		{name: "no URL", url: " ", want: "expected a URL that begins with postgres://", hint: "postgres://USER"},
		{name: "another scheme", url: "mysql://hub:" + secret + "@127.0.0.1/hub", want: "expected a URL that begins with postgres://", hint: "postgres://USER"},
		{name: "words", url: "host=127.0.0.1 password=" + secret, want: "expected a URL that begins with postgres://", hint: "postgres://USER"},
		{name: "a slash in the password", url: "postgres://hub:" + secret + "/@127.0.0.1/hub", want: "can't be read", hint: "%2F"},
		{name: "a percent sign in the password", url: "postgres://hub:%" + secret + "@127.0.0.1/hub", want: "can't be read", hint: "%25"},
		{name: "a wrong parameter", url: "postgres://hub:" + secret + "@127.0.0.1/hub?sslmode=" + secret, want: "can't be used: sslmode is invalid", hint: "postgres://USER"},
		{name: "a wrong port", url: "postgres://hub:" + secret + "@127.0.0.1:99999/hub", want: "can't be used: a port is a number from 1 to 65535", hint: "postgres://USER"},
		{name: "nobody listens", url: "postgres://hub:" + secret + "@" + nobody + "/hub", want: "connection refused", hint: "check host, port"},
		{name: "no such host", url: "postgres://hub:" + secret + "@host.invalid/hub", want: "host.invalid", hint: "check host, port"},
		{name: "wrong password", as: func(t *testing.T, database string) string { return as(t, database, "postgres") }, want: "password authentication failed", hint: "check user and password"},
		{name: "no such database", as: func(_ *testing.T, database string) string { return strings.Replace(database, "?", "-not?", 1) }, want: "does not exist", hint: "createdb --owner postgres"},
		{name: "no such parameter", as: func(_ *testing.T, database string) string { return database + "&sslmodus=require" }, want: `"sslmodus"`, hint: "names of the parameters"},
		{
			name:    "no right to make a schema",
			prepare: func(t *testing.T, database string) { withUser(t, database, "stranger") },
			as:      func(t *testing.T, database string) string { return as(t, database, "stranger") },
			want:    "permission denied for database", hint: "GRANT CREATE ON DATABASE",
		},
		{
			name: "no right to see the schema",
			prepare: func(t *testing.T, database string) {
				made(t, database)
				withUser(t, database, "blind")
			},
			as:   func(t *testing.T, database string) string { return as(t, database, "blind") },
			want: "permission denied for schema", hint: "GRANT USAGE ON SCHEMA twinpanel",
		},
		{
			name: "no right to write documents",
			prepare: func(t *testing.T, database string) {
				made(t, database)
				withUser(t, database, "reader")
				mustExec(t, database, "GRANT USAGE ON SCHEMA twinpanel TO reader; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA twinpanel TO reader; REVOKE INSERT ON twinpanel.documents FROM reader")
			},
			as:   func(t *testing.T, database string) string { return as(t, database, "reader") },
			want: "user reader may not read and write the tables documents", hint: "INSERT",
		},
		{
			name: "a server that is too old", // as far as a newer one can pass for it
			prepare: func(t *testing.T, database string) {
				withUser(t, database, "ancient")
				mustExec(t, database, `CREATE SCHEMA ancient; GRANT USAGE ON SCHEMA ancient TO ancient; CREATE FUNCTION ancient.current_setting(text) RETURNS text LANGUAGE sql AS
					$$ SELECT CASE $1 WHEN 'server_version_num' THEN '140022' WHEN 'server_version' THEN '14.22' ELSE pg_catalog.current_setting($1) END $$`,
					"ALTER ROLE ancient SET search_path = ancient, pg_catalog")
			},
			as:   func(t *testing.T, database string) string { return as(t, database, "ancient") },
			want: "PostgreSQL 14.22, which is too old", hint: "15 or newer",
		},
		{
			name: "a database that takes no writes",
			prepare: func(t *testing.T, database string) {
				mustExec(t, database, "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET default_transaction_read_only = on'; END $$")
			},
			want: "takes no writes", hint: "takes writes",
		},
		{
			name: "a newer hub's",
			prepare: func(t *testing.T, database string) {
				made(t, database)
				mustExec(t, database, "UPDATE twinpanel.store SET version = 99")
			},
			want: "newer hub (schema 99, this hub knows 1)", hint: "run the newer hub",
		},
		{
			name: "somebody else's schema",
			prepare: func(t *testing.T, database string) {
				mustExec(t, database, "CREATE SCHEMA twinpanel CREATE TABLE things (id int)")
			},
			want: "not a hub's", hint: "name another database",
		},
		{
			name: "somebody else's store",
			prepare: func(t *testing.T, database string) {
				mustExec(t, database, "CREATE SCHEMA twinpanel CREATE TABLE store (id int)")
			},
			want: "not a hub's", hint: "name another database",
		},
		{
			name: "another program's store",
			prepare: func(t *testing.T, database string) {
				made(t, database)
				mustExec(t, database, "UPDATE twinpanel.store SET application = 'another'")
			},
			want: "not a hub's", hint: "name another database",
		},
		{name: "nothing there, though it must", options: Options{MustExist: true}, want: docstore.ErrNoData.Error(), hint: "check the database's name"},
		{name: "nothing there, and no change wanted", options: Options{Unchanged: true}, want: docstore.ErrNoData.Error(), hint: "check the database's name"},
		{
			name:    "a schema without a version",
			options: Options{MustExist: true},
			prepare: func(t *testing.T, database string) {
				made(t, database)
				mustExec(t, database, "UPDATE twinpanel.store SET version = 0")
			},
			want: docstore.ErrNoData.Error(), hint: "check the database's name",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			where := test.url
			if where == "" {
				database := pgtest.URL(t)
				if test.prepare != nil {
					test.prepare(t, database)
				}
				where = database
				if test.as != nil {
					where = test.as(t, database)
				}
			}
			_, err := Open(t.Context(), where, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(hintOf(err), test.hint) {
				t.Fatalf("Open: %v; hint: %s\nwant %q; hint: %q", err, hintOf(err), test.want, test.hint)
			}
			if test.want == docstore.ErrNoData.Error() && !errors.Is(err, docstore.ErrNoData) {
				t.Errorf("Open: %v, want ErrNoData", err)
			}
			if text := err.Error() + hintOf(err); strings.Contains(text, secret) || strings.Contains(text, "\n") {
				t.Errorf("the error has the password, or several lines: %s", text)
			}
		})
	}
}

func TestOpenMarksAnUnfinishedCopyFromTheFirst(t *testing.T) {
	for _, there := range []bool{false, true} {
		database := pgtest.URL(t)
		if there {
			mustOpen(t, database)
		}
		db, err := Open(t.Context(), database, Options{Unfinished: true})
		if err != nil {
			t.Fatal(err)
		}
		if h, err := db.Hub(t.Context()); err != nil || (h.ID != "") != there || h.Created.IsZero() {
			t.Errorf("there before: %t; the hub is %+v, %v", there, h, err)
		}
		db.Close()
	}
}

func TestServerIsJudged(t *testing.T) {
	for _, test := range []struct {
		number     int
		readOnly   bool
		want, hint string
	}{
		{14_00_22, false, "PostgreSQL 14.22, which is too old", "15 or newer"},
		{18_00_01, true, "takes no writes", "takes writes"},
		{15_00_00, false, "", ""},
		{18_00_01, false, "", ""},
	} {
		err := judgeServer(test.number, "14.22", test.readOnly)
		if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || !strings.Contains(hintOf(err), test.hint)) {
			t.Errorf("%d, read-only %t: %v; hint %q; want %q, %q", test.number, test.readOnly, err, hintOf(err), test.want, test.hint)
		}
	}
}

// The servers of these tests don't wait for their disks, which a hub that keeps something must know.
func TestOpenWarnsOfAServerThatLosesWrites(t *testing.T) {
	var log strings.Builder
	db, err := Open(t.Context(), pgtest.URL(t), Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "fsync=off") {
		t.Errorf("the log says %q, want a warning of fsync=off", log.String())
	}
}

// A database's owner may make the schema for a user who may make none.
func TestOpenWithASchemaOfOnesOwnAlone(t *testing.T) {
	database := pgtest.URL(t)
	withUser(t, database, "tenant")
	mustExec(t, database, "CREATE SCHEMA twinpanel AUTHORIZATION tenant")
	db := mustOpen(t, as(t, database, "tenant"))
	if err := db.AddDevice(t.Context(), registry.Device{ID: "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e01", Name: "panel"}); err != nil {
		t.Error(err)
	}
	db.Close()
}

func TestManyHubsStartAtOnce(t *testing.T) {
	const hubs = 8
	database := pgtest.URL(t)
	ids := make(chan string, hubs)
	var wg sync.WaitGroup
	for range hubs {
		wg.Go(func() {
			db, err := Open(t.Context(), database, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			h, err := db.Hub(t.Context())
			if err != nil {
				t.Error(err)
			}
			ids <- h.ID
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first || id == "" {
			t.Errorf("hubs with the ids %q and %q on one database", first, id)
		}
	}
}

// The schema of an older hub is upgraded once, by one of those that start, and what is in it stays.
func TestManyHubsUpgradeAtOnce(t *testing.T) {
	database := pgtest.URL(t)
	db := mustOpen(t, database)
	key := docstore.Key{Twin: "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e01", Name: "current"}
	if _, err := db.Put(t.Context(), key, docstore.Absent, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	newer := append(migrations[:len(migrations):len(migrations)],
		"ALTER TABLE twinpanel.documents ADD COLUMN colour text NOT NULL DEFAULT 'red'; CREATE TABLE twinpanel.later (id int)",
		"INSERT INTO twinpanel.later (id) VALUES (1)")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn, err := pgx.Connect(t.Context(), database)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.Background())
			if err := migrate(t.Context(), conn, newer, Options{Unchanged: true}); hintOf(err) == "" {
				if version, _ := schemaVersion(t.Context(), conn); version != len(newer) {
					t.Errorf("an older schema, to be left unchanged: %v", err)
				}
			}
			if err := migrate(t.Context(), conn, newer, Options{MustExist: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var rows, version int
	if err := conn.QueryRow(t.Context(), "SELECT count(*), max(version) FROM twinpanel.later, twinpanel.store").Scan(&rows, &version); err != nil || rows != 1 || version != len(newer) {
		t.Errorf("%d rows at version %d, %v; want 1 at %d", rows, version, err, len(newer))
	}
	if doc, err := db.Get(t.Context(), key); err != nil || doc.Version != 1 {
		t.Errorf("after the upgrade the old hub reads %+v, %v", doc, err)
	}
}

// A migration that fails leaves the schema as it was.
func TestMigrationFails(t *testing.T) {
	database := pgtest.URL(t)
	mustOpen(t, database)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	broken := append(migrations[:len(migrations):len(migrations)], "CREATE TABLE twinpanel.later (id int); SELECT 1/0")
	if err := migrate(t.Context(), conn, broken, Options{}); err == nil || !strings.Contains(err.Error(), "making schema 2") {
		t.Errorf("a migration that divides by zero: %v", err)
	}
	if version, err := schemaVersion(t.Context(), conn); version != 1 || err != nil {
		t.Errorf("version %d, %v; want 1", version, err)
	}
	mustOpen(t, database)
}

// An operator may ask for more than that a commit is on disk, but not for less.
func TestSessionsCommitDurably(t *testing.T) {
	database := pgtest.URL(t)
	withUser(t, database, "lazy")
	mustExec(t, database, "CREATE SCHEMA twinpanel AUTHORIZATION lazy")
	for set, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply"} {
		mustExec(t, database, "ALTER ROLE lazy SET synchronous_commit = "+set)
		db := mustOpen(t, as(t, database, "lazy"))
		var got string
		if err := db.batches.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&got); err != nil || got != want {
			t.Errorf("where the operator has set %s, the hub's sessions have %s, %v; want %s", set, got, err, want)
		}
		db.Close()
	}
}
