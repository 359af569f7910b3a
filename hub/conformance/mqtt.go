package conformance

import (
	"context"
	"sync"

	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// An MQTTTwin is a device's own twin over MQTT, on one connection of package
// twinclient after the other. What no hub would accept is refused before it
// is sent.
type MQTTTwin struct {
	options twinclient.Options

	mu   sync.Mutex
	conn *twinclient.Conn
}

var _ Twin = (*MQTTTwin)(nil)

// MQTT returns the twin of the device that o names. It connects with the first
// request. Close it in the end.
func MQTT(o twinclient.Options) *MQTTTwin { return &MQTTTwin{options: o} }

// Get implements [Twin].
func (m *MQTTTwin) Get(ctx context.Context, name twin.Name) (twin.Document, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return twin.Document{}, err
	}
	return conn.Get(ctx, name)
}

// Put implements [Twin].
func (m *MQTTTwin) Put(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return twin.Document{}, err
	}
	return conn.Put(ctx, name, u)
}

// Patch implements [Twin].
func (m *MQTTTwin) Patch(ctx context.Context, name twin.Name, u twin.Update) (twin.Document, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return twin.Document{}, err
	}
	return conn.Patch(ctx, name, u)
}

// Close ends the connection, if there is one.
func (m *MQTTTwin) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn == nil {
		return nil
	}
	return m.conn.Close()
}

// connect returns a connection that hasn't ended. A second one of the same device
// would end the first, so all requests share one.
func (m *MQTTTwin) connect(ctx context.Context) (*twinclient.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		if m.conn.Err() == nil {
			return m.conn, nil
		}
		m.conn.Close()
		m.conn = nil
	}
	conn, err := twinclient.Dial(ctx, m.options)
	if err != nil {
		return nil, err
	}
	m.conn = conn
	return conn, nil
}
