package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// parse reads a URL. Its errors say nothing of what is in the URL: where one can't be read, nobody knows
// which part of it is the password.
func parse(raw string) (*pgxpool.Config, error) {
	const form = "write postgres://USER:PASSWORD@HOST:5432/DATABASE, with / @ : ? # and % in a password as %2F %40 %3A %3F %23 %25; or leave the password to PGPASSWORD or ~/.pgpass"
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, &Error{Err: errors.New("the store's URL can't be read"), hint: form}
	}
	config, err := pgxpool.ParseConfig(raw)
	if err != nil {
		reason := "its parameters are not PostgreSQL's"
		if inner := errors.Unwrap(err); inner != nil {
			reason = withoutPasswords(inner.Error(), u)
		}
		return nil, &Error{Err: fmt.Errorf("the store's URL can't be used: %s", reason), hint: form}
	}
	c := config.ConnConfig
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, connectPatience)
	c.DialFunc = (&net.Dialer{Timeout: connectPatience, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3, // a peer that is gone is noticed within 11 s also by who only listens
	}}).DialContext
	c.RuntimeParams["application_name"] = cmp.Or(c.RuntimeParams["application_name"], "twinpanel")
	c.OnNotice = noteWarning
	if c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary // a standby may not have yet what was answered
	}
	config.AfterConnect = prepareSession
	config.ShouldPing = noteIdle
	return config, nil
}

func withoutPasswords(text string, u *url.URL) string {
	inUser, _ := u.User.Password()
	for _, password := range []string{inUser, u.Query().Get("password"), u.Query().Get("sslpassword")} {
		if password != "" {
			text = strings.ReplaceAll(text, password, "…")
		}
	}
	return text
}

// place says of a database where it is.
func place(config *pgxpool.Config) string {
	c := config.ConnConfig
	return fmt.Sprintf("postgres://%s/%s", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.Database)
}

// prepareSession sets what every session needs. A commit is answered when it is on the server's disk and its
// synchronous standbys', even if the server's default is weaker. A statement that waits too long gives up before
// its request does. A transaction whose hub is gone lets go of what it has locked; one that was cut off in the middle
// of a batch is not idle in PostgreSQL's sense, so the server has to find out by TCP that nobody is there. The
// TCP settings are for that, where the server knows them; on a Unix socket they do nothing.
func prepareSession(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT
		set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
		set_config('client_min_messages', 'warning', false),
		set_config('statement_timeout', $1, false),
		set_config('idle_in_transaction_session_timeout', $1, false),
		(SELECT count(set_config(name, wanted, false)) FROM pg_settings JOIN (VALUES
			('tcp_keepalives_idle', '5'), ('tcp_keepalives_interval', '2'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '11000')
		) AS tcp (name, wanted) USING (name))`,
		strconv.FormatInt(statementPatience.Milliseconds(), 10))
	return err
}

// warningKey is where a connection keeps the last warning that the server sent.
const warningKey = "warning"

func noteWarning(conn *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warningKey] = n.Message
	}
}

// takeWarning returns a warning that came with a commit. There is one: that the server has stopped waiting
// for its standby, so that the commit may be lost with the server. It comes with a success. What came before
// is taken first, and forgotten: a server may warn at each connection, of collations for instance.
func takeWarning(conn *pgconn.PgConn) error {
	warning, ok := conn.CustomData()[warningKey]
	if !ok {
		return nil
	}
	delete(conn.CustomData(), warningKey)
	return fmt.Errorf("the server warns: %v", warning)
}
