package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/twinpanel/twinpanel/hub/docstore"
)

// An Error is one that a person can do something about.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step.
func (e *Error) Hint() string { return e.hint }

// PostgreSQL's codes of errors (SQLSTATE) on which something depends.
const (
	featureNotSupported  = "0A000"
	notText              = "22021" // not UTF-8, or with NUL
	uniqueViolation      = "23505"
	readOnlyTransaction  = "25006"
	invalidAuthorization = "28000"
	invalidPassword      = "28P01"
	unknownDatabase      = "3D000"
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	insufficientRights   = "42501"
	syntaxError          = "42601"
	undefinedColumn      = "42703"
	undefinedObject      = "42704"
	undefinedFunction    = "42883"
	duplicateSchema      = "42P06"
	duplicateTable       = "42P07"
	diskFull             = "53100"
	tooManyConnections   = "53300"
	queryCanceled        = "57014"
	cannotConnectNow     = "57P03"
	internalError        = "XX000" // also of two who create the same at once: "tuple concurrently updated"
)

// code is the server's code of an error; empty = the error isn't the server's.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// refused tells whether the server has answered with an error that ends no connection. A transaction
// with such an error is rolled back, whatever follows.
func refused(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Severity != "" && e.SeverityUnlocalized != "FATAL" && e.SeverityUnlocalized != "PANIC"
}

// isUnsupported tells whether the server doesn't have what it was asked for, such as LISTEN.
func isUnsupported(err error) bool {
	c := code(err)
	return c == featureNotSupported || c == syntaxError || c == undefinedFunction
}

// A connectError says in one line why no connection came about. The driver's has a line for each attempt, with and
// without TLS.
type connectError struct {
	reasons []string
	err     error
}

func (e *connectError) Error() string { return "connecting: " + strings.Join(e.reasons, "; ") }
func (e *connectError) Unwrap() error { return e.err }

func inOneLine(err error) error {
	failed, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	e := &connectError{err: err}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok { // what the server says tells more than what else was tried
		e.reasons = []string{answer.Error()}
		return e
	}
	for line := range strings.Lines(failed.Unwrap().Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(e.reasons, line) {
			e.reasons = append(e.reasons, line)
		}
	}
	return e
}

// commitError is what a transaction failed with whose COMMIT was sent.
func commitError(err error) error {
	if refused(err) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	return &docstore.OutcomeError{Err: fmt.Errorf("committing: %w", err)}
}

// lost tells whether an error means that other connections are no good either.
func lost(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, pgx.ErrNoRows) || errors.Is(err, errBusy) {
		return false
	}
	return !refused(err) || code(err) == readOnlyTransaction
}

const (
	maxAttempts = 6
	retryPause  = 5 * time.Millisecond // before the second attempt on average; doubled each time
)

// retry tries again what transactions of others have undone, and what was never sent.
func retry(ctx context.Context, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		c := code(err)
		if c != serializationFailure && c != deadlockDetected && !pgconn.SafeToRetry(err) || attempt == maxAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(2*retryPause) << (attempt - 1)):
		}
	}
}

// explainWrite says of a write that did not happen, where it is known, what to do.
func explainWrite(err error) error {
	err = fmt.Errorf("writing to the database: %w", err)
	if errors.Is(err, pgconn.ErrStandbyConnection) {
		return &Error{Err: err, hint: primaryHint}
	}
	switch code(err) {
	case diskFull:
		return &Error{Err: err, hint: diskHint}
	case readOnlyTransaction:
		return &Error{Err: err, hint: primaryHint}
	case insufficientRights:
		return &Error{Err: err, hint: rightsHint}
	case queryCanceled:
		return &Error{Err: err, hint: "another program keeps rows of the hub's tables locked, or the server is overloaded: see pg_stat_activity"}
	}
	return err
}

// Hints that several errors share.
var connectionsHint = fmt.Sprintf("raise max_connections on the server, or default_pool_size in PgBouncer: a hub takes up to %d", hubConnections)

const (
	diskHint    = "make room on the disk of the database's server"
	primaryHint = "name the server that takes writes; with several, as in postgres://HOST1,HOST2/DATABASE, the hub looks for it"
	rightsHint  = "let the hub's user own the schema, or GRANT USAGE ON SCHEMA twinpanel and GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA twinpanel to it"
)

// explainOpen adds to why a database can't be used, where it is known, what to do.
func explainOpen(err error, config *pgxpool.Config) error {
	if _, explained := errors.AsType[*Error](err); explained {
		return err
	}
	if errors.Is(err, pgconn.ErrStandbyConnection) {
		return errStandby
	}
	c := config.ConnConfig
	hint := ""
	switch code(err) {
	case invalidAuthorization, invalidPassword:
		hint = "check user and password (in the URL, PGPASSWORD or ~/.pgpass), and pg_hba.conf on the server"
	case unknownDatabase:
		hint = fmt.Sprintf("create it on the server: createdb --owner %s %s", c.User, c.Database)
	case undefinedObject: // nothing but the session's settings was asked for by name
		hint = "check the names of the parameters behind the ? in the URL"
	case insufficientRights:
		hint = fmt.Sprintf("as the database's owner: GRANT CREATE ON DATABASE %s TO %s, or CREATE SCHEMA twinpanel AUTHORIZATION %s",
			quote(c.Database), quote(c.User), quote(c.User))
	case readOnlyTransaction:
		hint = primaryHint
	case diskFull:
		hint = diskHint
	case tooManyConnections:
		hint = connectionsHint
	case cannotConnectNow:
		hint = "the server is starting or stopping: try again in a moment"
	}
	if _, failed := errors.AsType[*pgconn.ConnectError](err); failed && code(err) == "" {
		hint = "check host, port and sslmode, and that PostgreSQL runs there and listens (listen_addresses, firewall)"
	}
	if hint == "" {
		return err
	}
	return &Error{Err: err, hint: hint}
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
