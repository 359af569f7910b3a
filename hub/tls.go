package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
)

// TLS is how the hub speaks TLS on any of its listeners, as in
//
//	config, err := h.TLS(ctx)
//	err = h.ServeMQTT(tls.NewListener(l, config))
//
// with the certificate that [Config.Certificate] or [Config.Names] say. The first call makes the
// hub's authorities where there are none. From then on until Close the log says once a day what will expire within thirty days.
func (h *Hub) TLS(ctx context.Context) (*tls.Config, error) {
	h.tlsMu.Lock()
	defer h.tlsMu.Unlock()
	if h.server == nil {
		s, err := credential.NewServer(ctx, h.registry, h.names, h.certificate, h.log.logger)
		if err != nil {
			return nil, err
		}
		h.server = s
		h.expiry.start()
	}
	return h.server.TLS(), nil
}

// tlsHandshake is the first byte of every TLS connection. As a CONNECT it would have flags that must not be set.
const tlsHandshake = 0x16

// Why a TLS connection comes to nothing before CONNECT, and one in plain text that begins with TLS.
var (
	errNoHandshake = fmt.Errorf("no complete TLS handshake within %v", connectTime)
	errPlainMQTT   = errors.New("MQTT in plain text on a port for TLS: connect the client with TLS (mqtts://), or to the port of --mqtt")
	errPlain       = errors.New("plain text on a port for TLS: connect the client with TLS (mqtts://, wss://, https://)")
	errTLSHere     = errors.New("TLS on a port for plain text: connect the client to the port of --mqtts")
)

// handshake is TLS's on a connection that speaks it from the beginning. That of a WebSocket was the
// HTTP server's.
func (s *session) handshake(by time.Time) error {
	conn, ok := s.conn.(promptConn)
	if !ok {
		return nil
	}
	conn.SetDeadline(by) // of writes, too
	if s.isStopped() {   // see readBy
		return s.reason
	}
	err := conn.Handshake()
	plain, isPlain := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case err == nil:
		conn.SetWriteDeadline(time.Time{})
		return nil
	case s.isStopped():
		return s.reason
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errNoHandshake
	case errors.Is(err, io.EOF) && conn.ConnectionState().Version == 0:
		return errEmpty
	case isPlain && plain.RecordHeader[0]>>4 == packetConnect:
		return errPlainMQTT
	}
	return errors.New(s.endpoint.tlsReason(err.Error()))
}

// How it is said that clients don't take the hub's certificate. [Hub.distrust] adds what to do.
const (
	textUntrusted = "client does not trust the hub's certificate"
	textDates     = "client finds the hub's certificate expired or not yet valid"
	textRefused   = "client refuses the hub's certificate"
	textLeft      = "client left amid the TLS handshake, perhaps because of the hub's certificate"
)

// tlsReasons are what failed handshakes mean and what to do, by a part of the error of crypto/tls, which has no
// types for them.
var tlsReasons = []struct{ part, reason string }{
	{"unknown certificate authority", textUntrusted},
	{"expired certificate", textDates},
	{"bad certificate", textRefused},
	{"unknown certificate", textRefused},
	{"bad record MAC", textRefused}, // what OpenSSL says in TLS 1.3 is in the wrong key
	{"unsupported versions", "client speaks no TLS 1.2 or later: update the client"},
	{"protocol version not supported", "client speaks no TLS 1.2 or later: update the client"},
	{"unsupported SSLv2", "client speaks no TLS 1.2 or later: update the client"},
	{"no cipher suite supported by both", "client and hub have no cipher suite in common: update the client"},
	{"parse client certificate", "client's certificate can't be read"},
	{"first record does not look like a TLS handshake", errPlain.Error()},
	{"HTTP request to an HTTPS server", errPlain.Error()},
	{"i/o timeout", errNoHandshake.Error()},
	{"connection reset by peer", textLeft},
	{"EOF", textLeft},
}

// tlsReason says in our words why a handshake came to nothing.
func (h *Hub) tlsReason(text string) string {
	for _, r := range tlsReasons {
		if strings.Contains(text, r.part) {
			return h.distrust(r.reason)
		}
	}
	return "TLS handshake failed: " + text
}

// distrust adds what to do to a reason that is about the hub's certificate, and leaves others.
func (h *Hub) distrust(reason string) string {
	authority, host := "the authority that signed it (hub ca export)", "a host that is in --name"
	if h.certificate != (credential.Files{}) {
		authority, host = "the authority that signed the certificate of --cert", "a host that this is for"
	}
	switch reason {
	case textUntrusted: // which a client looks at before the dates
		return reason + ": give it " + authority
	case textDates, textRefused, textLeft:
	default:
		return reason
	}
	switch end, ok := h.expired(time.Now()); {
	case ok:
		return reason + ": that expired on " + end.UTC().Format(time.RFC3339) + ": " + expiryHints["hub certificate"]
	case reason == textDates:
		return reason + ": look at the client's clock"
	}
	return reason + ": the client needs " + authority + ", " + host + ", and the right time"
}

// expired tells whether the certificate that the hub shows has expired, and when.
func (h *Hub) expired(now time.Time) (end time.Time, ok bool) {
	h.tlsMu.Lock()
	server := h.server
	h.tlsMu.Unlock()
	if server == nil { // TLS is that of somebody who embeds the hub
		return time.Time{}, false
	}
	end = server.Leaf().NotAfter
	return end, credential.ClockIsSet(now) && now.After(end)
}

// A promptConn is a TLS connection whose Close gives the peer stopTime to take the good-bye. From crypto/tls
// a peer that doesn't read gets five seconds, while a newer connection of its device waits.
type promptConn struct{ *tls.Conn }

// prompt makes a promptConn of a TLS connection, and leaves others.
func prompt(conn net.Conn) net.Conn {
	if c, ok := conn.(*tls.Conn); ok {
		return promptConn{c}
	}
	return conn
}

// NetConn is the connection without its promptness.
func (c promptConn) NetConn() net.Conn { return c.Conn }

func (c promptConn) Close() error {
	cut := time.AfterFunc(stopTime, func() { c.Conn.NetConn().Close() })
	defer cut.Stop()
	return c.Conn.Close()
}
