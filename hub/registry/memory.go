package registry

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// Memory is a [Registry] that forgets everything with its process.
type Memory struct {
	// DeleteAll removes the documents of a twin when its device is removed, and
	// what a late write may have left behind when one with that id is added:
	// the method of that name of the store beside this registry. Set it before
	// use; nil = there are no documents.
	DeleteAll func(ctx context.Context, id twin.ID) error

	mu      sync.RWMutex
	devices map[twin.ID]Device
	tokens  map[string]Token

	hub         Hub
	authorities []Authority
}

var _ Registry = (*Memory)(nil)

// NewMemory returns an empty registry.
func NewMemory() *Memory {
	return &Memory{devices: make(map[twin.ID]Device), tokens: make(map[string]Token), hub: NewHub()}
}

// Device implements [Registry].
func (m *Memory) Device(ctx context.Context, id twin.ID) (Device, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.devices[id]
	if !ok {
		return Device{}, cmp.Or(ctx.Err(), ErrNoDevice)
	}
	return d.clone(), ctx.Err()
}

// AddDevice implements [Registry].
func (m *Memory) AddDevice(ctx context.Context, d Device) error {
	if err := cmp.Or(ctx.Err(), CheckName(d.Name)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.devices[d.ID]; ok {
		return ErrIDTaken
	}
	for _, other := range m.devices {
		if other.Name == d.Name {
			return ErrNameTaken
		}
	}
	if m.certificateTaken(d) {
		return ErrCertificateTaken
	}
	if err := m.deleteAll(ctx, d.ID); err != nil {
		return err
	}
	m.devices[d.ID] = d.clone()
	return nil
}

// clone is a copy that shares nothing with d, with times as every registry keeps them.
func (d Device) clone() Device {
	d.ReadOnly, d.Certificate, d.MessageFilters = slices.Clone(d.ReadOnly), bytes.Clone(d.Certificate), bytes.Clone(d.MessageFilters)
	d.Created, d.Updated, d.LastActivity = micro(d.Created), micro(d.Updated), micro(d.LastActivity)
	return d
}

// certificateTaken tells whether another device has d's certificate.
func (m *Memory) certificateTaken(d Device) bool {
	for _, other := range m.devices {
		if len(d.Certificate) > 0 && other.ID != d.ID && bytes.Equal(other.Certificate, d.Certificate) {
			return true
		}
	}
	return false
}

// DeviceByName implements [Registry].
func (m *Memory) DeviceByName(ctx context.Context, name string) (Device, error) {
	return m.findDevice(ctx, func(d Device) bool { return d.Name == name })
}

// DeviceByFingerprint implements [Registry].
func (m *Memory) DeviceByFingerprint(ctx context.Context, fingerprint [sha256.Size]byte) (Device, error) {
	return m.findDevice(ctx, func(d Device) bool { return len(d.Certificate) > 0 && d.Fingerprint() == fingerprint })
}

func (m *Memory) findDevice(ctx context.Context, is func(Device) bool) (Device, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, d := range m.devices {
		if is(d) {
			return d.clone(), ctx.Err()
		}
	}
	return Device{}, cmp.Or(ctx.Err(), ErrNoDevice)
}

// UpdateDevice implements [Registry].
func (m *Memory) UpdateDevice(ctx context.Context, id twin.ID, change func(*Device) error) (Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.devices[id]
	if !ok {
		return Device{}, cmp.Or(ctx.Err(), ErrNoDevice)
	}
	if err := ctx.Err(); err != nil {
		return Device{}, err
	}
	d := old.clone()
	if err := change(&d); err != nil {
		return Device{}, err
	}
	d.ID, d.Name, d.Created, d.Epoch = old.ID, old.Name, old.Created, old.Epoch
	if m.certificateTaken(d) {
		return Device{}, ErrCertificateTaken
	}
	m.devices[id] = d.clone()
	return d.clone(), nil
}

// RaiseEpoch raises a device's epoch and returns it: for a link between hubs, see package peers.
func (m *Memory) RaiseEpoch(ctx context.Context, id twin.ID) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.devices[id]
	if !ok || ctx.Err() != nil {
		return 0, cmp.Or(ctx.Err(), ErrNoDevice)
	}
	d.Epoch++
	m.devices[id] = d
	return d.Epoch, nil
}

// RemoveDevice implements [Registry].
func (m *Memory) RemoveDevice(ctx context.Context, id twin.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.devices[id]; !ok {
		return cmp.Or(ctx.Err(), ErrNoDevice)
	}
	if err := m.deleteAll(ctx, id); err != nil {
		return err
	}
	delete(m.devices, id)
	maps.DeleteFunc(m.tokens, func(_ string, t Token) bool { return t.Device == id })
	return nil
}

func (m *Memory) deleteAll(ctx context.Context, id twin.ID) error {
	if m.DeleteAll == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return m.DeleteAll(ctx, id)
}

// Devices implements [Registry].
func (m *Memory) Devices(ctx context.Context) ([]Device, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	devices := make([]Device, 0, len(m.devices))
	for _, d := range m.devices {
		devices = append(devices, d.clone())
	}
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.Name, b.Name) })
	return devices, ctx.Err()
}

// TokenByHash implements [Registry].
func (m *Memory) TokenByHash(ctx context.Context, hash [sha256.Size]byte) (Token, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, t := range m.tokens {
		if t.Hash == hash {
			return t, ctx.Err()
		}
	}
	return Token{}, cmp.Or(ctx.Err(), ErrNoToken)
}

// AddToken implements [Registry].
func (m *Memory) AddToken(ctx context.Context, t Token) error {
	if err := cmp.Or(ctx.Err(), CheckName(t.Name)); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.tokens[t.Name]; ok {
		return ErrNameTaken
	}
	for _, other := range m.tokens {
		if other.Hash == t.Hash {
			return ErrSecretTaken
		}
	}
	if _, ok := m.devices[t.Device]; !ok && t.Device != "" {
		return ErrNoDevice
	}
	t.Created, t.LastUsed = micro(t.Created), micro(t.LastUsed)
	m.tokens[t.Name] = t
	return nil
}

// RemoveToken implements [Registry].
func (m *Memory) RemoveToken(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.tokens[name]; !ok {
		return cmp.Or(ctx.Err(), ErrNoToken)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(m.tokens, name)
	return nil
}

// Tokens implements [Registry].
func (m *Memory) Tokens(ctx context.Context) ([]Token, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	tokens := make([]Token, 0, len(m.tokens))
	for _, t := range m.tokens {
		tokens = append(tokens, t)
	}
	slices.SortFunc(tokens, func(a, b Token) int { return cmp.Compare(a.Name, b.Name) })
	return tokens, ctx.Err()
}

// Hub implements [Registry].
func (m *Memory) Hub(ctx context.Context) (Hub, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.hub, ctx.Err()
}

// UpdateHub implements [Registry].
func (m *Memory) UpdateHub(ctx context.Context, change func(*Hub) error) (Hub, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return Hub{}, err
	}
	h := m.hub
	if err := change(&h); err != nil {
		return Hub{}, err
	}
	h.Created, h.Updated = micro(h.Created), micro(h.Updated)
	m.hub = h
	return h, nil
}

// Authorities implements [Registry].
func (m *Memory) Authorities(ctx context.Context) ([]Authority, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return cloneAuthorities(m.authorities), ctx.Err()
}

// UpdateAuthorities implements [Registry].
func (m *Memory) UpdateAuthorities(ctx context.Context, change func([]Authority) ([]Authority, error)) ([]Authority, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, err := change(cloneAuthorities(m.authorities))
	if err != nil {
		return nil, err
	}
	if err := CheckAuthorities(all); err != nil {
		return nil, err
	}
	m.authorities = cloneAuthorities(all)
	return cloneAuthorities(all), nil
}

// cloneAuthorities does what [Device.clone] does.
func cloneAuthorities(all []Authority) []Authority {
	clones := make([]Authority, len(all))
	for i, a := range all {
		a.Certificate, a.Key, a.Cross = bytes.Clone(a.Certificate), bytes.Clone(a.Key), bytes.Clone(a.Cross)
		a.Created = micro(a.Created)
		clones[i] = a
	}
	return clones
}

// Seen implements [Registry].
func (m *Memory) Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for id, at := range devices {
		if d, ok := m.devices[id]; ok && at.After(d.LastActivity) {
			d.LastActivity = micro(at)
			m.devices[id] = d
		}
	}
	for name, at := range tokens {
		if t, ok := m.tokens[name]; ok && at.After(t.LastUsed) {
			t.LastUsed = micro(at)
			m.tokens[name] = t
		}
	}
	return nil
}
