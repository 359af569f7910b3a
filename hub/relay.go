package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// connackTime is how long a broker may take for its CONNACK.
const connackTime = 10 * time.Second

// How a connection ends by the broker.
var (
	errBrokerClosed     = &brokerError{errors.New("broker closed the connection")}
	errBrokerGoodBye    = &brokerError{errors.New("broker ended the connection")}
	errBrokerSilent     = &brokerError{errors.New("broker did not answer a PINGREQ")}
	errBrokerNotReading = &brokerError{fmt.Errorf("broker took nothing for %v", writeTime)}
	errBrokerStalled    = &brokerError{fmt.Errorf("broker stopped in the middle of a packet for %v", packetTime)}
	errNoConnack        = &brokerError{fmt.Errorf("broker sent no CONNACK within %v", connackTime)}
	errHubRefused       = &brokerError{errors.New("broker refuses the hub's own user name and password")}
)

// A brokerRefusal is what the broker has against a client.
type brokerRefusal struct{ code connackCode } // as the broker sent it, even if MQTT 3.1.1 doesn't have it

func (e *brokerRefusal) Error() string {
	what := map[connackCode]string{
		refusedLevel:       "protocol level",
		refusedClientID:    "client id",
		refusedUnavailable: "unavailable",
		refusedLogin:       "bad user name or password",
		refusedDevice:      "not authorized",
	}[e.code]
	return fmt.Sprintf("broker refused the client: code %d, %s", e.code, cmp.Or(what, "which MQTT 3.1.1 doesn't have"))
}

// Hint is what to do where the broker knows the login of the client itself.
func (e *brokerRefusal) Hint() string {
	if e.code == refusedLogin || e.code == refusedDevice {
		return "the broker was shown the client's own user name and password, since --upstream has none"
	}
	return "the broker's log says why"
}

func isBrokerRefusal(err error) bool {
	_, ok := errors.AsType[*brokerRefusal](err)
	return ok
}

// A relay is what leads from a session on to the broker: a connection of its own, over which everything goes
// that is not about twins, both ways, in order and byte for byte.
//
// The session's goroutine carries what the client sends, and the relay's own what the broker sends. Neither
// reads on before the other end has taken what it read. So who doesn't read holds up his own messages, and in
// the end TCP holds up who sends them: nobody else waits, and nothing piles up here.
type relay struct {
	session *session
	broker  *broker
	conn    net.Conn
	in      packetReader // what the broker sends
	out     sender       // to the broker
	carried sync.WaitGroup

	mu      sync.Mutex // of pings and merging
	pings   pings
	merging merging

	// For whoever reads from the broker.
	quiet   time.Time           // since when it has sent nothing, while somebody listened; zero = it has just sent something
	dropped map[uint16]struct{} // ids of messages at QoS 2 that the client doesn't get, until they are released
}

// connectThrough takes the session through CONNECT and CONNACK where there is a broker. A device's
// older connections are replaced only once the broker can be reached. A client that is no device is a newcomer as long as
// the broker has not accepted it.
func (s *session) connectThrough(c connect, shown credentials, d registry.Device) error {
	packet := s.endpoint.broker.upstreamConnect(c)
	if err := s.dialBroker(); err != nil {
		return s.refuse(err)
	}
	if s.device != "" {
		if err := s.endpoint.admit(s, d); err != nil {
			return s.refuse(err)
		}
	}
	r := s.relay.Load()
	connack, err := r.connect(packet)
	if err != nil {
		s.endpoint.brokerRefused(s, shown, err)
		return s.refuse(err)
	}
	if s.device == "" {
		s.endpoint.admitPlain(s)
	}
	if err := s.welcome(connack); err != nil {
		return err
	}
	r.start()
	return nil
}

// dialBroker opens the way to the broker. It is given up when the session is stopped.
func (s *session) dialBroker() error {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-s.stopped:
			cancel()
		case <-ctx.Done():
		}
	})
	conn, err := s.endpoint.broker.dial(ctx)
	cancel()
	watching.Wait()
	switch {
	case err != nil && s.isStopped():
		return s.reason
	case err != nil:
		return err
	}
	r := &relay{session: s, broker: s.endpoint.broker, conn: conn}
	r.in.source, r.out = r, newSender(r.write)
	r.broker.connections.Add(1)
	s.relay.Store(r)
	if s.isStopped() { // stop may not have seen it
		return s.reason
	}
	return nil
}

// upstreamConnect is the CONNECT that goes to the broker for the client's: with the hub's credentials,
// if it has any, and without a will that would be about twins. Nobody ever gets such a will.
func (b *broker) upstreamConnect(c connect) []byte {
	if strings.HasPrefix(c.will.topic, twin.Prefix) {
		c.flags &^= flagWill | flagWillQoS | flagWillRetain
	}
	if b.Username != "" {
		c.username, c.password = b.Username, b.Password
		c.flags |= flagUsername
		c.flags &^= flagPassword
		if b.Password != "" {
			c.flags |= flagPassword
		}
	}
	return appendConnect(nil, c)
}

// connect takes the relay through CONNECT and CONNACK, and returns the broker's CONNACK for the client.
func (r *relay) connect(packet []byte) (connack []byte, err error) {
	if err := r.out.packet(packet); err != nil {
		return nil, err
	}
	first, length, err := r.in.header(time.Now().Add(connackTime))
	if err == nil && (first != packetConnack<<4 || length != 2) {
		err = &malformedError{"no CONNACK", "MQTT-3.2.0-1"}
	}
	if err != nil {
		return nil, r.connackError(err)
	}
	body, err := r.in.body(length)
	if err != nil {
		return nil, r.connackError(err)
	}
	if err := r.broker.judge(body[0], connackCode(body[1])); err != nil {
		if _, malformed := errors.AsType[*malformedError](err); malformed {
			err = r.readError(err)
		}
		return nil, err
	}
	return []byte{packetConnack << 4, 2, body[0], body[1]}, nil
}

func (r *relay) connackError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !r.session.isStopped() {
		return errNoConnack
	}
	return r.readError(err)
}

// start begins to carry what the broker sends.
func (r *relay) start() {
	r.pings.keepAlive = r.session.keepAlive
	r.carried.Go(r.carry)
}

// bye passes on that the client says good-bye, so that the broker forgets its will.
func (r *relay) bye() {
	// The broker may be gone already.
	_ = r.out.packet(disconnect)
}

// interrupt wakes whoever reads from the broker or writes to it, for good.
func (r *relay) interrupt() { r.conn.SetDeadline(time.Unix(1, 0)) }

// close ends the way to the broker. Without a bye the broker publishes the client's will.
func (r *relay) close() {
	r.conn.Close()
	r.carried.Wait()
	r.broker.connections.Add(-1)
}

// readBy implements timedReader, as [session.readBy] does. However long a packet takes, the broker
// hears from the hub meanwhile.
func (r *relay) readBy(b []byte, by time.Time) (int, error) {
	if r.quiet.IsZero() { // a client that takes a message slowly is no sign that the broker is silent
		r.quiet = time.Now()
	}
	if err := r.keepAlive(); err != nil {
		return 0, err
	}
	r.conn.SetReadDeadline(by)
	if r.session.isStopped() {
		return 0, r.session.reason
	}
	n, err := r.conn.Read(b)
	if n > 0 {
		r.quiet = time.Time{}
		r.broker.received.Add(int64(n))
	}
	return n, err
}

// write is for out.
func (r *relay) write(b []byte) error {
	r.mu.Lock()
	r.pings.last = time.Now()
	r.mu.Unlock()
	r.conn.SetWriteDeadline(time.Now().Add(writeTime))
	if r.session.isStopped() { // see session.readBy
		return r.session.reason
	}
	n, err := r.conn.Write(b)
	r.broker.sent.Add(int64(n))
	switch {
	case err == nil:
		if _, ok := r.conn.(promptConn); ok {
			r.conn.SetWriteDeadline(time.Time{}) // reading TLS may have to write
		}
		return nil
	case r.session.isStopped():
		return r.session.reason
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errBrokerNotReading
	}
	return &brokerError{fmt.Errorf("%w: %w", errBrokerClosed, err)}
}

// readError says in our words why there is nothing more to read from the broker.
func (r *relay) readError(err error) error {
	malformed, isMalformed := errors.AsType[*malformedError](err)
	switch {
	case r.session.isStopped():
		return r.session.reason
	case byBroker(err):
		return err
	case isMalformed:
		return &brokerError{fmt.Errorf("broker sent a packet that is malformed: %w", malformed)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errBrokerStalled
	case errors.Is(err, io.EOF):
		return errBrokerClosed
	}
	return &brokerError{fmt.Errorf("%w: %w", errBrokerClosed, err)}
}
