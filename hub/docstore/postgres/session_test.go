package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// A server whose system was upgraded warns of its collations on every new connection. That says nothing about a commit.
func TestWarningAtConnect(t *testing.T) {
	database := pgtest.URL(t)
	db := mustOpen(t, database)
	mustExec(t, database, "UPDATE pg_database SET datcollversion = 'older' WHERE datname = current_database()")
	db.reset()
	if _, err := db.Put(t.Context(), panelKey("current"), docstore.Any, []byte("{}")); err != nil {
		t.Errorf("Put: %v", err)
	}
	if err := db.AddToken(t.Context(), registry.Token{Name: "phone"}); err != nil {
		t.Errorf("AddToken: %v", err)
	}
}

// Whatever the server's settings are, the hub hears the warnings that matter, hubs that vanish are noticed, and those that only
// listen stay.
func TestSessionSettings(t *testing.T) {
	database := pgtest.URL(t)
	role := "ALTER ROLE CURRENT_USER IN DATABASE " + pgx.Identifier{nameOf(t, database)}.Sanitize()
	mustExec(t, database, role+" SET client_min_messages = error", role+" SET idle_session_timeout = 1000")
	db := mustOpen(t, database)
	for setting, want := range map[string]string{
		"client_min_messages": "warning", "synchronous_commit": "on", "tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
		"idle_session_timeout": "0",
	} {
		got, err := list(t.Context(), db, setting, pgx.RowTo[string], "SELECT current_setting($1)", setting)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s = %q, %v; want %q", setting, got, err, want)
		}
	}
	db.link.listening = "DO $$ BEGIN ASSERT current_setting('idle_session_timeout') = '0'; END $$"
	wantMissed(t, db.listen(t))
}

func nameOf(t *testing.T, database string) string {
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	return config.Database
}

// Who waits in vain for a connection that others use gives up none: under load that would take away what is left.
func TestBusyConnectionsAreKept(t *testing.T) {
	db := mustOpen(t, pgtest.URL(t))
	for range readConnections {
		conn, err := db.acquire(t.Context(), db.reads)
		if err != nil {
			t.Fatal(err)
		}
		defer giveBack(conn)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := db.acquire(ctx, db.reads); !errors.Is(err, context.DeadlineExceeded) || lost(err) {
		t.Errorf("error %v, lost %v; want one about the time that says nothing about the server", err, lost(err))
	}
}
