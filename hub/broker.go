package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// dialTime bounds the way to the broker, a TLS handshake included.
const dialTime = 5 * time.Second

const hubRefusedHint = "look at user name and password in --upstream, and at the broker's log"

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

// TryUpstream connects to the broker of [Config.Upstream] once, as a client without an id, so that the log says from the
// beginning if it can't be reached, is no broker, or refuses the hub's own login. That is no error: it may be mended
// later. Without a broker there is nothing to do.
func (h *Hub) TryUpstream(ctx context.Context) {
	b := h.endpoint.broker
	if b == nil {
		return
	}
	conn, err := b.dial(ctx)
	if err != nil {
		return // the log has it
	}
	defer conn.Close()
	switch err := b.greet(ctx, conn); {
	case err == nil, ctx.Err() != nil:
	case isBrokerRefusal(err): // it is a broker, and its clients have names and passwords of their own
	case errors.Is(err, errHubRefused):
		b.log.error("upstream", errHubRefused.Error(), "broker", b.String(), "hint", hubRefusedHint)
	default:
		b.log.warn("upstream", "broker gave no answer of MQTT 3.1.1", "broker", b.String(), "error", err, "hint", "look at host, port and mqtt:// or mqtts:// in --upstream, and at the broker's log")
	}
}

// greet takes a connection of the hub itself through CONNECT and CONNACK.
func (b *broker) greet(ctx context.Context, conn net.Conn) error {
	conn.SetDeadline(time.Now().Add(connackTime))
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	var connack [4]byte
	_, err := conn.Write(b.upstreamConnect(connect{level: 4, flags: flagCleanSession, keepAlive: time.Minute}))
	if err == nil {
		_, err = io.ReadFull(conn, connack[:])
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errNoConnack
	case err != nil:
		return errBrokerClosed
	case connack[0] != packetConnack<<4 || connack[1] != 2:
		return &malformedError{"no CONNACK", "MQTT-3.2.0-1"}
	}
	if err := b.judge(connack[2], connackCode(connack[3])); err != nil {
		return err
	}
	_, _ = conn.Write(disconnect) // it may be gone already
	return nil
}

// judge says what the two bytes of a broker's CONNACK mean: nil, a [*malformedError], errHubRefused or a [*brokerRefusal].
func (b *broker) judge(flags byte, code connackCode) error {
	switch {
	case flags > 1 || code != accepted && flags != 0:
		return &malformedError{"CONNACK that is none", "section 3.2.2"}
	case b.Username != "" && (code == refusedLogin || code == refusedDevice):
		return errHubRefused
	case code != accepted:
		return &brokerRefusal{code}
	}
	return nil
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
		s.endpoint.log.error("upstream", s.who()+" "+what, append(attrs, "hint", hubRefusedHint)...)
		return
	}
	s.endpoint.log.warn("upstream", s.who()+" "+what, attrs...)
}
