package twinclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Limits of a connection.
const (
	// DefaultTimeout bounds the wait for an answer and each write. One second
	// has been seen to be too short on cellular links.
	DefaultTimeout = 5 * time.Second

	// connectTimeout bounds name lookup, TCP, TLS and CONNACK together. A hub
	// may hold back the CONNACK of a device that reconnects too often.
	connectTimeout = 20 * time.Second

	// keepAlive is what the hub is told; a connection that polls never needs a ping.
	keepAlive = time.Minute
)

// Options say how to connect to a hub.
type Options struct {
	// Hub is mqtt://HOST[:1883] or mqtts://HOST[:8883]. Required.
	Hub string

	// DeviceID names the device; it is the MQTT client id. Required.
	DeviceID twin.ID

	// CAFile holds the certificates, in PEM, of the authorities that may vouch
	// for the hub. Empty: those that the system trusts.
	CAFile string

	// What shows the hub that this is the device: CertFile and KeyFile, its own certificate
	// chain and key, or SecretFile, one line, its MQTT password. Who gives both
	// shows both, and the hub goes by the certificate.
	//
	// These files and CAFile are read again for each connection, so that what is renewed
	// needs no restart.
	CertFile, KeyFile, SecretFile string

	// Insecure allows what otherwise is allowed to loopback only: plaintext,
	// and TLS with neither a certificate nor a secret of the device.
	Insecure bool

	// Dial opens the network connection, on which TLS is spoken if Hub says so.
	// Nil: TCP to the host and port of Hub.
	Dial func(ctx context.Context) (net.Conn, error)

	// Timeout bounds the wait for an answer and each write; default DefaultTimeout.
	Timeout time.Duration

	// Logger is told about strange answers, at level Debug. Nil: silent.
	Logger *slog.Logger
}

// Validate says what of the options cannot work and what to write instead.
// It reads no file and opens no connection.
func (o Options) Validate() error {
	_, err := o.address()
	return err
}

// timeout is Timeout or its default.
func (o Options) timeout() time.Duration { return cmp.Or(o.Timeout, DefaultTimeout) }

// logger is Logger or one that is silent.
func (o Options) logger() *slog.Logger { return cmp.Or(o.Logger, slog.New(slog.DiscardHandler)) }

// An address is a checked Options.Hub.
type address struct {
	host, port string
	tls        bool
}

// String is the address as a URL.
func (a address) String() string {
	scheme := "mqtt"
	if a.tls {
		scheme = "mqtts"
	}
	return scheme + "://" + net.JoinHostPort(a.host, a.port)
}

// loopback says whether the hub is on this computer.
func (a address) loopback() bool {
	ip := net.ParseIP(a.host)
	return a.host == "localhost" || ip != nil && ip.IsLoopback()
}

// address checks all options and returns where the hub is.
func (o Options) address() (address, error) {
	a, err := parseHub(o.Hub)
	if err != nil {
		return address{}, err
	}
	if _, err := twin.ParseID(string(o.DeviceID)); err != nil {
		return address{}, fmt.Errorf("device id %q: give the UUID that the hub shows for this device", string(o.DeviceID))
	}
	switch {
	case o.Timeout < 0:
		return address{}, fmt.Errorf("timeout %v is negative: give a positive duration, or 0 for %v", o.Timeout, DefaultTimeout)
	case (o.CertFile == "") != (o.KeyFile == ""):
		return address{}, errors.New("certificate and key belong together: give both files or none")
	case !a.tls && (o.CAFile != "" || o.CertFile != ""):
		return address{}, fmt.Errorf("hub %s is plaintext and uses no certificates: write mqtts://, or leave the files out", a)
	case o.Insecure || a.loopback():
		return a, nil
	case !a.tls:
		return address{}, fmt.Errorf("hub %s is plaintext, so anybody on the way can act as the device: write mqtts:// with the device's certificate and key, or with its secret, or say insecure", a)
	case o.CertFile == "" && o.SecretFile == "":
		return address{}, fmt.Errorf("hub %s needs the device's certificate and key, or its secret, so that knowing the device id isn't enough: give these files, or say insecure", a)
	}
	return a, nil
}

// parseHub reads the hub's URL. Its errors never repeat a password.
func parseHub(s string) (address, error) {
	const forms = "write mqtt://HOST:1883 or mqtts://HOST:8883"
	if s == "" {
		return address{}, errors.New("no hub: " + forms)
	}
	if !strings.Contains(s, "://") {
		return address{}, fmt.Errorf("hub %q has no scheme: %s", s, forms)
	}
	u, err := url.Parse(s)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		return address{}, fmt.Errorf("hub is no URL (%w): %s", err, forms)
	}
	a := address{host: u.Hostname(), port: u.Port()}
	switch u.Scheme {
	case "mqtt":
		a.port = cmp.Or(a.port, "1883")
	case "mqtts":
		a.tls, a.port = true, cmp.Or(a.port, "8883")
	case "ws", "wss", "http", "https":
		return address{}, fmt.Errorf("hub has the scheme %s, but a device speaks MQTT over TCP: %s", u.Scheme, forms)
	default:
		return address{}, fmt.Errorf("hub has the unknown scheme %s: %s", u.Scheme, forms)
	}
	switch port, err := strconv.ParseUint(a.port, 10, 16); {
	case u.User != nil:
		return address{}, errors.New("hub has a user in its URL, but it is the device id that says who connects: " + forms)
	case a.host == "":
		return address{}, errors.New("hub has no host: " + forms)
	case err != nil || port == 0:
		return address{}, fmt.Errorf("hub has the port %s: give one from 1 to 65535", a.port)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return address{}, errors.New("hub has something after host and port: " + forms)
	}
	return a, nil
}

// open makes the connection that MQTT is spoken on. The first result is the
// one below TLS, which can be closed without a word to the other end.
func (o Options) open(ctx context.Context, a address, config *tls.Config) (raw, conn net.Conn, err error) {
	if o.Dial != nil {
		raw, err = o.Dial(ctx)
	} else {
		var d net.Dialer
		raw, err = d.DialContext(ctx, "tcp", net.JoinHostPort(a.host, a.port))
	}
	if err != nil {
		return nil, nil, err
	}
	if !a.tls {
		return raw, raw, nil
	}
	secured := tls.Client(raw, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, nil, o.handshake(err)
	}
	return raw, secured, nil
}
