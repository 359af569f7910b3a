package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// urlForm is how to write a URL.
const urlForm = "write postgres://USER:PASSWORD@HOST:5432/DATABASE, with @ / : % ? # in a password as %40 %2F %3A %25 %3F %23; or leave the password to PGPASSWORD or ~/.pgpass"

// CheckURL refuses what [Open] can't read, and asks nobody. Its errors are those of Open and say nothing of what is
// in the URL: where one can't be read, nobody knows which part of it is the password.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

// parseURL reads a URL in which it is clear where the password ends. A / ? or # in a password ends the server's part of
// a URL, and what follows would be looked up, shown and sent as a host, a database or a parameter. Then the @ behind the
// password is left over. So every @ but that one has to be written %40, also in parameters.
func parseURL(raw string) (*url.URL, error) {
	if !strings.HasPrefix(raw, "postgres://") && !strings.HasPrefix(raw, "postgresql://") {
		return nil, &Error{Err: errors.New("expected a URL that begins with postgres://"), hint: urlForm}
	}
	u, err := url.Parse(raw)
	ends := 0
	if err == nil && u.User != nil {
		ends = 1
	}
	if err != nil || strings.Count(raw, "@") != ends || strings.Contains(raw, "#") {
		return nil, &Error{Err: errors.New("the store's URL can't be read"), hint: urlForm}
	}
	return u, nil
}

// parse reads a URL and what PostgreSQL's environment variables add to it.
func parse(raw string) (*pgxpool.Config, error) {
	u, err := parseURL(raw)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(raw)
	if err != nil {
		reason := "its parameters are not PostgreSQL's"
		if inner := errors.Unwrap(err); inner != nil {
			reason = withoutPasswords(inner.Error(), u)
		} else if strings.HasSuffix(err.Error(), "invalid port") {
			reason = "a port is a number from 1 to 65535"
		}
		return nil, &Error{Err: fmt.Errorf("the store's URL can't be used: %s", reason), hint: urlForm}
	}
	c := config.ConnConfig
	c.Database = cmp.Or(c.Database, c.User) // as the server would take it
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

// Place is the database of a URL as people may see it: a URL with the user, all servers and the database's name, also
// where these come from PostgreSQL's environment variables or defaults, and nothing else. The errors are those of [Open].
func Place(raw string) (string, error) {
	config, err := parse(raw)
	if err != nil {
		return "", err
	}
	return place(config), nil
}

func place(config *pgxpool.Config) string {
	c := config.ConnConfig
	var hosts, ports, servers []string
	inURL := true
	for _, f := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}, c.Fallbacks...) {
		port := strconv.Itoa(int(f.Port))
		server := net.JoinHostPort(f.Host, port)
		if slices.Contains(servers, server) { // with TLS and without
			continue
		}
		hosts, ports, servers = append(hosts, f.Host), append(ports, port), append(servers, server)
		if network, _ := pgconn.NetworkAddress(f.Host, f.Port); network == "unix" {
			inURL = false
		}
	}
	u := url.URL{Scheme: "postgres", User: url.User(c.User), Path: "/" + c.Database}
	if inURL {
		u.Host = strings.Join(servers, ",")
	} else {
		u.RawQuery = url.Values{"host": {strings.Join(hosts, ",")}, "port": {strings.Join(ports, ",")}}.Encode()
	}
	return u.String()
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
