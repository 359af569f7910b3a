package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// oldestServer is what server_version_num of the oldest PostgreSQL begins at that the hub is tested with.
const oldestServer = 15_00_00

// migrations lead from each version of the schema twinpanel to the next one, in plain SQL. The first one makes
// version 1 of an empty schema. What is here was run on databases of others: it never changes.
//
//	store      one row: whose schema it is, and its version
//	documents  one row per document of a twin
//	  twin     the twin's id: a UUID in lower case with dashes
//	  version  1 to 4294967295
//	  data     the JSON as it was written, digit by digit
//	twins      one row per twin: a lock for whoever makes a document of it, no more
//	devices    one row per device
//	  id       the same as its twin's id; documents need no device
//	  read_only        names of documents, with a space between
//	  certificate      DER; fingerprint is its SHA-256. NULL = none of its own
//	  secret           SHA-256 of the MQTT password, which itself is nowhere; NULL = none
//	  message_filters  the vendor's JSON; NULL = its default
//	  epoch            of the newest connection; 0 = never connected
//	tokens     one row per token of the REST API
//	  hash     SHA-256 of the secret, which itself is nowhere
//	  device   id of the one device whose twin it opens; empty = every twin
//	hub        one row: what the hubs know about the hub that they are
//	authorities  who vouches for the hub and for devices, oldest first
//	  kind         server or device
//	  certificate  DER
//	  private_key  PKCS #8 in DER, a secret; NULL = somebody else has it
//	  cross_signed DER; NULL = none
//	hubs, connections  who is connected where, see presenceTables
//
// Times are microseconds since 1970, UTC; 0 = never. Text is compared byte by byte; what people write freely
// are bytes, since PostgreSQL's text takes no NUL. Everything but twins, hubs and connections is
// to be kept and trusted; nothing can be computed again.
var migrations = []string{`
CREATE TABLE twinpanel.documents (
	twin    text COLLATE "C" NOT NULL,
	name    text COLLATE "C" NOT NULL,
	version bigint NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
	data    bytea  NOT NULL,
	CONSTRAINT documents_key PRIMARY KEY (twin, name)
);
CREATE TABLE twinpanel.twins (
	id text COLLATE "C" NOT NULL,
	CONSTRAINT twins_id PRIMARY KEY (id)
);
CREATE TABLE twinpanel.devices (
	id                         text COLLATE "C" NOT NULL,
	name                       text COLLATE "C" NOT NULL,
	created                    bigint  NOT NULL,
	updated                    bigint  NOT NULL,
	last_activity              bigint  NOT NULL,
	description                bytea   NOT NULL,
	disabled                   boolean NOT NULL,
	allow_insecure             boolean NOT NULL,
	allow_multiple_connections boolean NOT NULL,
	read_only                  text    NOT NULL,
	certificate                bytea,
	fingerprint                bytea CHECK (length(fingerprint) = 32),
	custom_certificate         boolean NOT NULL,
	secret                     bytea CHECK (length(secret) = 32),
	message_filters            bytea,
	epoch                      bigint NOT NULL DEFAULT 0,
	CONSTRAINT devices_id PRIMARY KEY (id),
	CONSTRAINT devices_name UNIQUE (name),
	CONSTRAINT devices_fingerprint UNIQUE (fingerprint)
);
CREATE TABLE twinpanel.tokens (
	name      text COLLATE "C" NOT NULL,
	hash      bytea   NOT NULL CHECK (length(hash) = 32),
	created   bigint  NOT NULL,
	last_used bigint  NOT NULL,
	read_only boolean NOT NULL,
	device    text COLLATE "C" NOT NULL,
	CONSTRAINT tokens_name PRIMARY KEY (name),
	CONSTRAINT tokens_hash UNIQUE (hash)
);
CREATE TABLE twinpanel.hub (
	single              int     NOT NULL PRIMARY KEY CHECK (single = 1),
	id                  text    NOT NULL,
	name                bytea   NOT NULL,
	graphite            bytea   NOT NULL,
	auto_provisioning   boolean NOT NULL,
	project_id          bytea   NOT NULL,
	organization_id     bytea   NOT NULL,
	disable_events      boolean NOT NULL,
	events_topic_prefix bytea   NOT NULL,
	created             bigint  NOT NULL,
	updated             bigint  NOT NULL
);
CREATE TABLE twinpanel.authorities (
	position     int    NOT NULL PRIMARY KEY,
	kind         text   NOT NULL CHECK (kind IN ('server', 'device')),
	certificate  bytea  NOT NULL UNIQUE,
	private_key  bytea,
	cross_signed bytea,
	created      bigint NOT NULL
);
` + presenceTables}

const application = "twinpanel hub"

// createStore makes what says whose schema it is, before its first migration.
const createStore = `
CREATE TABLE twinpanel.store (
	single      int  NOT NULL PRIMARY KEY CHECK (single = 1),
	application text NOT NULL,
	version     int  NOT NULL
);
INSERT INTO twinpanel.store (single, application, version) VALUES (1, '` + application + `', 0);
`

// checkServer refuses a server that is too old or takes no writes, and warns of one that loses them.
func checkServer(ctx context.Context, conn *pgx.Conn, logger *slog.Logger) error {
	var number int
	var version, fsync string
	var readOnly bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		coalesce(current_setting('fsync', true), 'on'), current_setting('transaction_read_only')::boolean`).
		Scan(&number, &version, &fsync, &readOnly)
	if err != nil {
		return err
	}
	if fsync == "off" {
		logger.Warn("the database's server loses writes at a power cut", "fsync", fsync)
	}
	return judgeServer(number, version, readOnly)
}

func judgeServer(number int, version string, readOnly bool) error {
	switch {
	case number < oldestServer:
		return &Error{
			Err:  fmt.Errorf("the server is PostgreSQL %s, which is too old", version),
			hint: fmt.Sprintf("upgrade it to %d or newer", oldestServer/100_00),
		}
	case readOnly:
		return errStandby
	}
	return nil
}

var errStandby = &Error{
	Err:  errors.New("the database takes no writes: the server is a standby, or default_transaction_read_only is on"),
	hint: primaryHint,
}

// migrate brings the schema to the version that the last migration makes. Each is a transaction that locks the store's
// row first, so that of many hubs which start at once one does it, and the others see that it is done.
func migrate(ctx context.Context, conn *pgx.Conn, migrations []string, o Options) error {
	for {
		found, err := schemaVersion(ctx, conn)
		switch {
		case err != nil:
			return err
		case found == len(migrations):
			return nil
		case found > len(migrations):
			return &Error{
				Err:  fmt.Errorf("it was written by a newer hub (schema %d, this hub knows %d)", found, len(migrations)),
				hint: "run the newer hub, or restore a copy of the database from before its upgrade",
			}
		case found <= 0 && (o.MustExist || o.Unchanged):
			return &Error{Err: docstore.ErrNoData, hint: "check the database's name; a hub makes what it needs there when it starts"}
		case o.Unchanged:
			return &Error{
				Err:  errors.New("it is of an older hub"),
				hint: "start this version of the hub on it once, which upgrades it",
			}
		case found < 0:
			err = createSchema(ctx, conn)
		default:
			hub := registry.NewHub()
			if o.Unfinished {
				hub.ID = ""
			}
			err = upgrade(ctx, conn, found, migrations[found], hub)
		}
		if err != nil {
			return err
		}
	}
}

// schemaVersion returns the schema's version; -1 = there is none. It refuses a schema that is somebody else's.
func schemaVersion(ctx context.Context, conn *pgx.Conn) (int, error) {
	notOurs := &Error{
		Err:  errors.New("it has a schema twinpanel that is not a hub's"),
		hint: "name another database; nothing was changed in this one",
	}
	rows, err := conn.Query(ctx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'twinpanel' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`)
	if err != nil {
		return 0, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	switch {
	case err != nil:
		return 0, err
	case len(tables) == 0:
		return -1, nil
	case !slices.Contains(tables, "store"):
		return 0, notOurs
	}
	var name string
	var version int
	err = conn.QueryRow(ctx, "SELECT application, version FROM twinpanel.store").Scan(&name, &version)
	switch code(err) {
	case undefinedColumn:
		return 0, notOurs
	case insufficientRights:
		return 0, &Error{Err: err, hint: rightsHint}
	}
	if err == nil && (name != application || version < 0) {
		return 0, notOurs
	}
	return version, err
}

// createSchema makes the schema, unless somebody else does just now.
func createSchema(ctx context.Context, conn *pgx.Conn) error {
	var exists bool // a database's owner may have made it for a user who must not make schemas
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'twinpanel')").Scan(&exists)
	if err != nil {
		return err
	}
	sql := createStore
	if !exists {
		sql = "CREATE SCHEMA twinpanel;" + sql
	}
	_, err = conn.Exec(ctx, sql) // several statements in one are one transaction
	switch code(err) {
	case uniqueViolation, duplicateSchema, duplicateTable, internalError, serializationFailure, deadlockDetected:
		select { // it is there in a moment
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		return ctx.Err()
	}
	return err
}

// upgrade runs the migration from a version to the next, unless somebody else has. The first one is given the hub's record.
func upgrade(ctx context.Context, conn *pgx.Conn, from int, migration string, hub registry.Hub) error {
	return retry(ctx, func() error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			// Neither a migration nor the wait for another hub's has a limit.
			if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
				return err
			}
			var found int
			if err := tx.QueryRow(ctx, "SELECT version FROM twinpanel.store FOR UPDATE").Scan(&found); err != nil || found != from {
				return err
			}
			if _, err := tx.Exec(ctx, migration); err != nil {
				return fmt.Errorf("making schema %d: %w", from+1, err)
			}
			if from == 0 {
				if _, err := tx.Exec(ctx, insertHub, hubValues(hub)...); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "UPDATE twinpanel.store SET version = $1", from+1)
			return err
		})
	})
}

// checkRights refuses a user who may not write every table.
func checkRights(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'twinpanel' AND c.relkind = 'r' AND NOT (
			has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND
			has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) ORDER BY c.relname`)
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(tables) > 0 {
		err = &Error{
			Err:  fmt.Errorf("user %s may not read and write the tables %s", conn.Config().User, strings.Join(tables, ", ")),
			hint: rightsHint,
		}
	}
	return err
}
