package twinclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/twinpanel/twinpanel/twin"
)

// Why a connection ended, where callers may want to know.
var (
	ErrClosed   = errors.New("connection was closed by this side")
	ErrNoAnswer = errors.New("no answer in time")
)

// filter is the first subscription: all answers to requests about the own twin.
const filter = twin.Prefix + twin.Me + "/#"

// disconnectWait is how long paho may take to say goodbye. With 0 it cuts the
// connection before DISCONNECT is sent.
const disconnectWait = 250 * time.Millisecond

// A Conn is one connection of a device to its hub. It is good for requests
// until it ends; then open another one. It is safe for concurrent use:
// requests go out one after the other, each when the one before is answered.
type Conn struct {
	client  mqtt.Client
	wire    *wire
	raw     net.Conn          // below TLS
	hub     *x509.Certificate // nil = no TLS
	timeout time.Duration
	log     *slog.Logger
	turn    chan struct{}  // holds an element while a request is in flight
	work    sync.WaitGroup // calls into paho that may outlast a request

	mu      sync.Mutex
	notices map[string]chan struct{} // by topic
	request *request                 // in flight
	err     error                    // why the connection ended
	done    chan struct{}
}

// Dial connects to the hub and subscribes to the answers. ctx bounds that, not
// the life of the connection.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	a, err := o.address()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		timeout: o.timeout(),
		log:     o.logger(),
		turn:    make(chan struct{}, 1),
		notices: make(map[string]chan struct{}),
		done:    make(chan struct{}),
	}
	limited, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no connection within %v", connectTimeout))
	defer cancel()
	shown, err := o.read(a)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", a, err)
	}
	raw, conn, err := o.open(limited, a, shown.tls)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", a, err)
	}
	c.raw = raw
	if secured, ok := conn.(*tls.Conn); ok {
		c.hub = secured.ConnectionState().PeerCertificates[0]
	}
	c.wire = newWire(conn, c.timeout, c.end)
	c.client = mqtt.NewClient(c.clientOptions(a, o.DeviceID, shown.secret))
	stop := context.AfterFunc(limited, func() { c.end(context.Cause(limited)) })
	defer stop()
	if err := c.greet(shown); err != nil {
		c.end(err)
		c.Close()
		err = o.distrust(c.Err())
		if !a.tls && errors.Is(err, errHubClosed) {
			err = &TrustError{Problem: "hub closed the connection at once", Next: "if this is its port for TLS, write mqtts://; otherwise see the reason in its log", Err: err}
		}
		return nil, fmt.Errorf("connecting to %s: %w", a, err)
	}
	return c, nil
}

// clientOptions set paho up for exactly one connection, without any memory.
func (c *Conn) clientOptions(a address, id twin.ID, secret string) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().
		AddBroker(a.String()).
		SetClientID(string(id)).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetConnectTimeout(2 * connectTimeout). // Dial's own limit comes first
		SetWriteTimeout(c.timeout).
		SetKeepAlive(keepAlive).
		SetPingTimeout(c.timeout).
		SetOrderMatters(true).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return c.wire, nil }).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { c.end(err) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.receive(m.Topic(), m.Payload()) })
	if secret != "" {
		o.SetUsername(string(id)).SetPassword(secret)
	}
	return o
}

// greet sends CONNECT and SUBSCRIBE and waits for what the hub says to them.
func (c *Conn) greet(shown credentials) error {
	if err := c.await(c.client.Connect, func(t mqtt.Token) error {
		if err := shown.refused(t.(*mqtt.ConnectToken).ReturnCode()); err != nil {
			return err
		}
		return t.Error()
	}); err != nil {
		return err
	}
	subscribe := func() mqtt.Token { return c.client.Subscribe(filter, 0, nil) }
	return c.await(subscribe, func(t mqtt.Token) error {
		// Paho takes a refused subscription for a success.
		if err := t.Error(); err != nil || t.(*mqtt.SubscribeToken).Result()[filter] == 0 {
			return err
		}
		return &TrustError{Problem: "hub refused the subscription to " + filter, Next: "check what this device may subscribe to"}
	})
}

// await makes a call into paho, which may block, and reads what became of it.
// Dial's limit ends the connection, and with it the wait.
func (c *Conn) await(call func() mqtt.Token, read func(mqtt.Token) error) error {
	outcome := make(chan error, 1)
	if err := c.start(func() {
		t := call()
		select {
		case <-t.Done():
			outcome <- read(t)
		case <-c.done:
			outcome <- c.Err()
		}
	}, nil); err != nil {
		return err
	}
	return <-outcome
}

// start runs f beside its caller, who goes on without it when the connection
// ends, and makes r, unless nil, the request in flight. The error is why the
// connection has ended before.
func (c *Conn) start(f func(), r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if r != nil {
		c.request = r
	}
	c.work.Go(f)
	return nil
}

// end ends the connection, for the reason err if it is the first. Nothing that
// comes in later is an answer to anything.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err, c.request = err, nil
	close(c.done)
	if err != ErrClosed {
		c.raw.Close() // without a goodbye, which could block
	}
	c.work.Go(func() {
		c.client.Disconnect(uint(disconnectWait / time.Millisecond))
		c.raw.Close()
	})
}

// Close says goodbye, closes the connection and waits until it is gone, which
// takes a moment at most. A request in flight fails with [ErrClosed].
func (c *Conn) Close() error {
	c.end(ErrClosed)
	c.work.Wait()
	return nil
}

// HubCertificate is what the hub has shown of itself, nil on a connection without TLS.
func (c *Conn) HubCertificate() *x509.Certificate { return c.hub }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection has ended, nil while it lasts.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
