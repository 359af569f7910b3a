package hub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
)

// TCP's own probes, for clients that switched MQTT's keep-alive off: a peer
// that vanished is noticed after two minutes.
var tcpKeepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// registryTime bounds one question to the registry.
const registryTime = 5 * time.Second

// Why a connection is not accepted, beside the errors of the decoder.
var (
	errEmpty       = errors.New("no byte came")
	errNoConnect   = fmt.Errorf("no complete CONNECT within %v", connectTime)
	errNotMQTT     = errors.New("first packet is no CONNECT [MQTT-3.1.0-1]")
	errBigConnect  = fmt.Errorf("CONNECT longer than %d bytes", maxConnectPacket)
	errFault       = errors.New("fault of the hub")
	errNoClientID  = errors.New("no client id for a session that is to be kept [MQTT-3.1.3-8]")
	errUnavailable = credential.ErrUnavailable
)

// apart does something in a goroutine that ends with it. The calls of a TLS handshake and of a
// database are deep, and a goroutine keeps the stack that they needed: a third of all that an idle connection takes.
// After a panic, which is logged, the error is errFault.
func (s *session) apart(do func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				s.logPanic(p)
				err = errFault
			}
		}()
		err = do()
	}()
	<-done
	return err
}

// takePlace waits until the session is one of the newcomers that are served, whose turn comes in the order of their arrival. Nothing is
// read before: who waits takes little memory and no processor. After a restart all devices come at once, and to close those that
// are too many would make each of them come several times.
//
// Who says nothing waits like anybody else, so placeTime bounds what a crowd of such clients can cost the others: the time of an attempt
// that comes to nothing.
func (s *session) takePlace() error {
	places := s.endpoint.places
	select {
	case places <- struct{}{}:
	default:
		wait := time.NewTimer(placeTime)
		defer wait.Stop()
		select {
		case places <- struct{}{}:
		case <-wait.C:
			return errFull
		case <-s.stopped:
			return s.reason
		}
	}
	s.placed = true
	if slot := below[*slotConn](s.conn); slot != nil {
		slot.leave() // from here on the place counts
	}
	return nil
}

// connect takes the session through CONNECT and CONNACK. After an error, the
// client has got the answer that MQTT has for it, if any.
func (s *session) connect() error {
	by := time.Now().Add(connectTime)
	if err := s.handshake(by); err != nil {
		return err
	}
	c, err := s.readConnect(by)
	if err != nil {
		return s.refuse(err)
	}
	if c.clientID == "" && !c.cleanSession && s.endpoint.broker == nil { // a broker says itself whose sessions it keeps
		return s.refuse(errNoClientID)
	}
	shown := credentials{clientID: c.clientID, username: c.username, password: c.password, remote: s.conn.RemoteAddr().String()}
	if t := below[*tls.Conn](s.conn); t != nil {
		shown.chain = t.ConnectionState().PeerCertificates
	}
	d, proof, err := s.endpoint.identify(shown)
	if err != nil && !s.endpoint.takesPlain(err) {
		return s.refuse(err)
	}
	s.device, s.name, s.proof = d.ID, d.Name, proof
	s.clientID, s.multiple = c.clientID, d.AllowMultipleConnections
	s.keepAlive = c.keepAlive
	if tcp := below[*net.TCPConn](s.conn); tcp != nil {
		// Every probe costs a device on a mobile network: none where MQTT has its own.
		probes := net.KeepAliveConfig{Enable: false}
		if c.keepAlive == 0 {
			probes = tcpKeepAlive
		}
		tcp.SetKeepAliveConfig(probes)
	}
	if s.endpoint.broker != nil {
		return s.connectThrough(c, shown, d)
	}
	if err := s.endpoint.admit(s, d); err != nil {
		return s.refuse(err)
	}
	return s.welcome(appendConnack(nil, accepted))
}

// loggedClientID is how many characters a log shows of the client id of somebody who is no device: as many as any server takes
// (section 3.1.3.1), and not all of what may be a device's id somewhere else.
const loggedClientID = 23

// welcome sends the CONNACK of a client that is accepted.
func (s *session) welcome(connack []byte) error {
	if s.device != "" {
		s.endpoint.seen.device(s.device)
	}
	if err := s.write(connack); err != nil {
		return err
	}
	who := []any{"remote", s.conn.RemoteAddr()}
	if s.device == "" { // its address is there anyway
		who = []any{"client_id", fmt.Sprintf("%.*s", loggedClientID, s.clientID)}
	}
	s.log(slog.LevelInfo, s.who()+" connected", who...)
	return nil
}

// pause waits until then, and returns early if the client leaves: a connection
// that works must not be ended for one that is dead. What the client sends
// meanwhile stays in the buffer. A client that fills the buffer, which none does
// before its CONNACK, can't be seen to leave any more.
func (s *session) pause(until time.Time) error {
	for s.in.room() {
		switch err := s.in.more(until); {
		case err == nil:
		case !s.isStopped() && errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		default:
			return s.readError(err)
		}
	}
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-s.stopped:
		return s.reason
	}
}

// readConnect reads the first packet. Anything but a CONNECT is not even waited for.
func (s *session) readConnect(by time.Time) (connect, error) {
	first, length, err := s.in.header(by)
	switch {
	case err != nil:
		return connect{}, s.connectError(err)
	case first == tlsHandshake:
		return connect{}, errTLSHere
	case first>>4 != packetConnect:
		return connect{}, errNotMQTT
	case length > maxConnectPacket:
		return connect{}, errBigConnect
	}
	body, err := s.in.body(length)
	if err != nil {
		return connect{}, s.connectError(err)
	}
	return decodeConnect(first&0x0f, body)
}

// connectError says in our words why there is no CONNECT.
func (s *session) connectError(err error) error {
	switch {
	case s.isStopped():
		return s.reason
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errNoConnect
	case errors.Is(err, io.EOF) && s.in.waiting:
		return errEmpty
	}
	return s.readError(err)
}

// refuse answers a CONNECT that failed with err, where MQTT has an answer, and
// returns the error to log.
func (s *session) refuse(err error) error {
	var answer []byte
	switch {
	case errors.Is(err, errLevel5):
		answer = connackLevel5
	case errors.Is(err, errLevel):
		answer = appendConnack(nil, refusedLevel)
	case errors.Is(err, errNoClientID):
		answer = appendConnack(nil, refusedClientID)
	case errors.Is(err, errUnavailable), byBroker(err):
		answer = appendConnack(nil, refusedUnavailable)
	case errors.Is(err, errOld): // as for one that is taken over on this hub
		return err
	case isBrokerRefusal(err):
		refusal, _ := errors.AsType[*brokerRefusal](err)
		answer = appendConnack(nil, refusal.code)
	case isRefused(err), errors.Is(err, errRemoved):
		answer = appendConnack(nil, refusedDevice)
	default:
		return err
	}
	// A client that is gone already misses nothing.
	_ = s.write(answer)
	return err
}

// logRefused logs why a connection came to nothing. Port checks that send no
// byte are not worth a line.
func (s *session) logRefused(err error) {
	switch {
	case errors.Is(err, errFault): // is logged
	case errors.Is(err, errUnavailable):
		s.log(slog.LevelError, "connection refused", "reason", err)
	case byBroker(err):
		s.logBroker("not connected", err)
	case s.device != "": // stopped or gone between CONNECT and CONNACK, or refused by the broker
		s.log(slog.LevelInfo, "device not connected", "reason", err)
	case errors.Is(err, errEmpty):
	case errors.Is(err, errFull):
		s.endpoint.logFull(s.conn)
	default:
		var attrs []any
		if r, ok := errors.AsType[*refusal](err); ok && r.device.ID != "" {
			attrs = []any{"device", r.device.Name, "id", shortID(r.device.ID)}
		}
		s.log(slog.LevelInfo, "connection refused", append(attrs, "reason", err)...)
	}
}

// replaces tells whether s takes over from o, another session of its device:
// always, unless o is newer, or the device may have several connections. Even then two can't
// have the same client id [MQTT-3.1.4-2]. endpoint.mu is held.
func (s *session) replaces(o *session) bool {
	return o.epoch <= s.epoch && (!s.multiple || s.clientID != "" && s.clientID == o.clientID)
}

// below is the connection of type T that conn is or stands on, or T's zero value.
func below[T net.Conn](conn net.Conn) (found T) {
	for {
		switch c := conn.(type) {
		case T:
			return c
		case interface{ NetConn() net.Conn }: // TLS, WebSocket
			conn = c.NetConn()
		default:
			return found
		}
	}
}
