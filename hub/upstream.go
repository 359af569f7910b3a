package hub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode/utf8"
)

// An Upstream is an MQTT 3.1.1 broker, or a cluster of them behind one name, that the hub stands in front of: what a client
// says about twins is answered by the hub, everything else by the broker. Each client has a
// connection of its own to it.
type Upstream struct {
	Address string      // host:port
	TLS     *tls.Config // as in [tls.Client], with ServerName; nil = plain text

	// The hub's own credentials, which take the place of every client's. Then only devices may
	// connect. Without a user name each client's CONNECT goes on as it is, and the broker decides
	// about those that are no device: they are its clients, without a twin.
	Username string
	Password string // empty = none
}

// ParseUpstream reads mqtt://[USER:PASSWORD@]HOST[:PORT], or mqtts:// for TLS, which takes the
// system's authorities unless TLS.RootCAs is set. Its errors never repeat what may be a password.
func ParseUpstream(s string) (*Upstream, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the URL can't be read: write mqtt://[USER:PASSWORD@]HOST[:PORT] or mqtts://…, with %XX for characters of user name and password other than letters and digits")
	}
	up := new(Upstream)
	port := "1883"
	switch u.Scheme {
	case "mqtt":
	case "mqtts":
		port = "8883"
		up.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	default:
		return nil, errors.New("the URL begins neither with mqtt:// nor mqtts://: write mqtt://[USER:PASSWORD@]HOST[:PORT]")
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host: write mqtt://[USER:PASSWORD@]HOST[:PORT]")
	case strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("the URL goes on after host and port: write mqtt://[USER:PASSWORD@]HOST[:PORT], with %XX for characters of user name and password other than letters and digits")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	up.Address = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		up.Username = u.User.Username()
		up.Password, _ = u.User.Password()
		if up.Username == "" {
			return nil, errors.New("the URL has a password without a user name: write mqtt://[USER:PASSWORD@]HOST[:PORT]")
		}
	}
	return up, up.Validate()
}

// Validate says what is missing or wrong.
func (u *Upstream) Validate() error {
	switch _, port, err := net.SplitHostPort(u.Address); {
	case err != nil:
		return fmt.Errorf("address %q: %w", u.Address, err)
	case u.Username == "" && u.Password != "":
		return errors.New("a password without a user name")
	case !isField(u.Username), !isField(u.Password):
		return errors.New("user name and password can't have more than 65535 bytes, nor anything but UTF-8 without U+0000")
	default:
		if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
			return fmt.Errorf("address %q: the port is no number from 1 to 65535", u.Address)
		}
	}
	return nil
}

// isField tells whether a CONNECT can hold s.
func isField(s string) bool {
	return len(s) <= 1<<16-1 && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// String is where the broker is, without credentials.
func (u *Upstream) String() string {
	if u.TLS != nil {
		return "mqtts://" + u.Address
	}
	return "mqtt://" + u.Address
}
