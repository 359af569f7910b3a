package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// dialTime bounds the way to the broker, a TLS handshake included.
const dialTime = 5 * time.Second

// A brokerError is why a connection ended, or came to nothing, by the broker.
type brokerError struct{ reason error }

func (e *brokerError) Error() string { return e.reason.Error() }
func (e *brokerError) Unwrap() error { return e.reason }

func byBroker(err error) bool {
	_, ok := errors.AsType[*brokerError](err)
	return ok
}

// A broker is what the endpoint knows of the broker that it passes things on to.
type broker struct {
	Upstream
	log  *quietLog
	open func(context.Context) (net.Conn, error) // a connection, in plain text

	connections atomic.Int64
	failedDials atomic.Int64
	sent        atomic.Int64 // bytes
	received    atomic.Int64

	mu      sync.Mutex
	trouble string // why the last dial failed; empty = it did not
}

func newBroker(u Upstream, log *quietLog) *broker {
	return &broker{Upstream: u, log: log, open: func(ctx context.Context) (net.Conn, error) {
		// What vanished without a word is noticed by TCP, where nobody has a keep-alive.
		dialer := net.Dialer{KeepAliveConfig: tcpKeepAlive}
		return dialer.DialContext(ctx, "tcp", u.Address)
	}}
}

// dial opens a connection. The log says when that begins to fail, and when it is possible again.
func (b *broker) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := b.open(ctx)
	if err == nil && b.TLS != nil {
		conn, err = handshakeWith(ctx, conn, b.TLS)
	}
	if errors.Is(err, context.Canceled) { // nobody wants it any more
		return nil, err
	}
	b.note(err)
	if err != nil {
		return nil, &brokerError{fmt.Errorf("broker can't be reached: %w", err)}
	}
	return conn, nil
}

func handshakeWith(ctx context.Context, plain net.Conn, config *tls.Config) (net.Conn, error) {
	conn := tls.Client(plain, config)
	err := conn.HandshakeContext(ctx)
	if err == nil {
		return prompt(conn), nil
	}
	plain.Close()
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		err = fmt.Errorf("%w: --upstream-ca names the file of the one that signed it", err)
	}
	return nil, fmt.Errorf("TLS handshake: %w", err)
}

// note logs a dial that ended otherwise than the one before.
func (b *broker) note(err error) {
	text := ""
	if err != nil {
		b.failedDials.Add(1)
		text = err.Error()
	}
	b.mu.Lock()
	before := b.trouble
	b.trouble = text
	b.mu.Unlock()
	switch {
	case text == before:
	case text != "":
		b.log.error("upstream", "broker can't be reached: clients are refused until it can", "broker", b.String(), "error", err)
	default:
		b.log.info("upstream", "broker can be reached again", "broker", b.String())
	}
}

// TryUpstream dials the broker of [Config.Upstream] once, so that the log says from the beginning if it
// can't be reached. That is no error: it may come later. Without a broker there is nothing to do.
func (h *Hub) TryUpstream(ctx context.Context) {
	if h.endpoint.broker == nil {
		return
	}
	if conn, err := h.endpoint.broker.dial(ctx); err == nil {
		conn.Close()
	}
}

// watch adds what is read when somebody asks.
func (b *broker) watch(m *metrics.Metrics) {
	count := func(n *atomic.Int64) func() float64 { return func() float64 { return float64(n.Load()) } }
	m.Gauge("upstream_connections", "Open connections to the broker behind the hub, one for each client.", count(&b.connections))
	m.Counter("upstream_failed_dials_total", "Connections to the broker behind the hub that could not be opened.", count(&b.failedDials))
	m.Counter("upstream_sent_bytes_total", "Bytes that the broker behind the hub was sent.", count(&b.sent))
	m.Counter("upstream_received_bytes_total", "Bytes that the broker behind the hub has sent.", count(&b.received))
}

// takesPlain tells whether a client is welcome that could not be identified for this reason: whoever claims
// to be no device, if the broker decides about clients.
func (e *endpoint) takesPlain(err error) bool {
	return e.broker != nil && e.broker.Username == "" && errors.Is(err, errNoIdentity)
}

// brokerRefused counts a password that the broker refused among the failed logins of its address. The broker
// sees the hub's address alone, and can't tell who guesses.
func (e *endpoint) brokerRefused(s *session, shown credentials, err error) {
	refusal, ok := errors.AsType[*brokerRefusal](err)
	if !ok || s.device != "" || refusal.code != refusedLogin && refusal.code != refusedDevice {
		return
	}
	e.logins.failed(shown.remote, registry.HashSecret(fmt.Sprintf("%q %q", shown.username, shown.password)))
	e.metrics.FailedLogin(metrics.MQTT, true)
}

// logBroker writes that a connection ended, or came to nothing, by the broker. That concerns many at once, so all share the
// lines about one subject.
func (s *session) logBroker(what string, err error) {
	attrs := append(s.attrs(), "reason", err)
	if errors.Is(err, errHubRefused) {
		s.endpoint.log.error("upstream", s.who()+" "+what, append(attrs, "hint", "look at user name and password in --upstream, and at the broker's log")...)
		return
	}
	s.endpoint.log.warn("upstream", s.who()+" "+what, attrs...)
}
