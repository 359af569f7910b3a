package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Memory of a WebSocket, in bytes. What arrives is passed on in pieces, however long a frame
// says that it is.
const (
	webSocketBuffer = 512 // in each direction; what is larger goes past it
	webSocketPiece  = 1 << 10
)

// maxCloseReason is in bytes: a control frame holds 125, two of them the code.
const maxCloseReason = 123

var errTextFrame = &malformedError{"text frame", "MQTT-6.0.0-1"}

// A webSocketConn is MQTT over WebSocket as a [net.Conn].
//
// The library closes a connection whose reader is interrupted, and a session
// interrupts its reader now and then. So what arrives goes through a pipe: carry, in
// a goroutine of its own, reads frames and fills it. What the session writes goes out
// directly, one message for each Write.
type webSocketConn struct {
	ws  *websocket.Conn
	tcp net.Conn // or TLS: what the WebSocket was made of

	in   net.Conn // the session's end of the pipe
	fill net.Conn // the other end

	closing sync.Once
	closed  chan struct{} // closed when the session has ended
	carried chan struct{} // and after the good-bye, too

	mu     sync.Mutex
	ended  bool // carry says good-bye, with deadlines of its own
	failed error
	reason error // why the session ended; nil = by a fault of the hub
}

func newWebSocketConn(ws *websocket.Conn, tcp net.Conn) *webSocketConn {
	ws.SetReadLimit(-1) // of a message; a packet's limit is the session's
	c := &webSocketConn{ws: ws, tcp: tcp, closed: make(chan struct{}), carried: make(chan struct{})}
	c.in, c.fill = net.Pipe()
	return c
}

// carry passes on what the client sends until either side ends, waits for the session
// to end, and closes the WebSocket: with the code of the session's reason, and at most
// stopTime for the client to agree.
func (c *webSocketConn) carry() {
	err := c.pass()
	c.mu.Lock()
	c.failed = err
	c.mu.Unlock()
	c.fill.Close()
	<-c.closed

	c.mu.Lock()
	c.ended = true
	code, text := closeFrame(c.reason)
	c.mu.Unlock()
	c.tcp.SetDeadline(time.Now().Add(stopTime))
	// An error is the client's, who is gone or won't agree.
	_ = c.ws.Close(code, text)
}

// abort ends the connection without a good-bye.
func (c *webSocketConn) abort() {
	c.mu.Lock()
	c.failed = net.ErrClosed
	c.mu.Unlock()
	c.tcp.Close()
	c.fill.Close()
}

// pass returns why there is nothing more to pass on. io.EOF is a client that said good-bye.
func (c *webSocketConn) pass() error {
	piece := make([]byte, webSocketPiece)
	for {
		kind, message, err := c.ws.Reader(context.Background())
		if err == nil && kind != websocket.MessageBinary {
			return errTextFrame
		}
		if err == nil {
			_, err = io.CopyBuffer(c.fill, message, piece)
		}
		if websocket.CloseStatus(err) != -1 {
			return io.EOF
		}
		if err != nil {
			return err
		}
	}
}

// closeFrame says how a client is told why its session has ended. Refusals for which
// MQTT has an answer say no more than that does.
func closeFrame(reason error) (code websocket.StatusCode, text string) {
	switch {
	case reason == nil, errors.Is(reason, errOutcome), errors.Is(reason, errUndecided), errors.Is(reason, errUnavailable):
		return websocket.StatusInternalError, ""
	case errors.Is(reason, errBye):
		return websocket.StatusNormalClosure, ""
	case errors.Is(reason, errGone): // and yet here: its frames were wrong
		return websocket.StatusProtocolError, ""
	case isRefused(reason), isBrokerRefusal(reason):
		return websocket.StatusPolicyViolation, ""
	case byBroker(reason):
		return websocket.StatusBadGateway, ""
	case errors.Is(reason, errClosed):
		code = websocket.StatusGoingAway
	case errors.Is(reason, errFull), errors.Is(reason, errCrowd):
		code = websocket.StatusTryAgainLater
	case errors.Is(reason, errTextFrame):
		code = websocket.StatusUnsupportedData
	case errors.Is(reason, errTooLarge), errors.Is(reason, errBigConnect):
		code = websocket.StatusMessageTooBig
	default:
		code = websocket.StatusPolicyViolation
	}
	text = reason.Error()
	return code, strings.ToValidUTF8(text[:min(len(text), maxCloseReason)], "")
}

// tellReason lets a connection that can tell its client why it is about to be closed.
func tellReason(conn net.Conn, reason error) {
	if c, ok := conn.(*webSocketConn); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reason = reason
	}
}

// Read implements [net.Conn].
func (c *webSocketConn) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	if errors.Is(err, io.EOF) {
		c.mu.Lock()
		defer c.mu.Unlock()
		err = c.failed
	}
	return n, err
}

// Write sends b as a message. After an error the connection is of no use.
func (c *webSocketConn) Write(b []byte) (int, error) {
	err := c.ws.Write(context.Background(), websocket.MessageBinary, b)
	// The library sends frames of its own in between, and bounds their time itself.
	c.SetWriteDeadline(time.Time{})
	if err != nil {
		return 0, fmt.Errorf("writing message: %w", err)
	}
	return len(b), nil
}

// Close ends the session's side. The rest is up to carry, since that may take a while.
func (c *webSocketConn) Close() error {
	c.closing.Do(func() {
		c.tcp.SetReadDeadline(time.Unix(1, 0)) // long past: wakes carry, and only after that it sets its own
		c.in.Close()
		close(c.closed)
	})
	return nil
}

// SetReadDeadline implements [net.Conn]. A reader that it interrupts may go on.
func (c *webSocketConn) SetReadDeadline(t time.Time) error { return c.in.SetReadDeadline(t) }

// SetWriteDeadline bounds the next Write, or the one under way.
func (c *webSocketConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	return c.tcp.SetWriteDeadline(t)
}

// SetDeadline implements [net.Conn].
func (c *webSocketConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// NetConn is the connection below, as crypto/tls has it.
func (c *webSocketConn) NetConn() net.Conn { return c.tcp }

// LocalAddr implements [net.Conn].
func (c *webSocketConn) LocalAddr() net.Addr { return c.tcp.LocalAddr() }

// RemoteAddr is the client's.
func (c *webSocketConn) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }
