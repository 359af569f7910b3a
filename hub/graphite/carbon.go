package graphite

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// dialer opens connections, as net.Dialer.DialContext does.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// carbon is a target that speaks the plaintext protocol over TCP.
type carbon struct {
	address string
	dial    dialer
	conn    net.Conn      // nil = there is none
	gone    chan struct{} // closed when conn has been closed by the other side
	unsure  []byte        // what was written last, which carbon may have read or not
}

func newCarbon(u *url.URL, dial dialer) *carbon {
	return &carbon{address: carbonAddress(u), dial: dial}
}

func carbonAddress(u *url.URL) string {
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), carbonPort))
}

// reach keeps the connection for the first batch.
func (c *carbon) reach(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	return nil
}

func (c *carbon) encode(s series, value float64, unix int64) []byte {
	b := make([]byte, 0, s.lineLen())
	b = append(b, s.name...)
	for _, tag := range s.tags {
		b = append(append(b, ';'), tag...)
	}
	b = strconv.AppendFloat(append(b, ' '), value, 'g', -1, 64)
	b = strconv.AppendInt(append(b, ' '), unix, 10)
	return append(b, '\n')
}

func (c *carbon) send(ctx context.Context, batch [][]byte) error {
	if c.conn != nil && c.isGone() {
		c.close()
	}
	lines := bytes.Join(batch, nil)
	write := lines
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		write = slices.Concat(c.unsure, lines)
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })
	_, err := conn.Write(write)
	if !stop() && err == nil {
		err = ctx.Err() // the deadline may be set by now or a moment later
	}
	if err != nil {
		c.close()
		return fmt.Errorf("writing: %w", err)
	}
	c.unsure = lines
	return nil
}

// connect opens a connection and reads from it, since that tells when the other side closes
// it. Nothing ever comes.
func (c *carbon) connect(ctx context.Context) error {
	conn, err := c.dial(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	c.conn, c.gone = conn, gone
	return nil
}

func (c *carbon) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// close ends the connection, if there is one.
func (c *carbon) close() {
	if c.conn == nil {
		return
	}
	c.conn.Close()
	<-c.gone
	c.conn = nil
}
