package registry

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

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
}

var _ Registry = (*Memory)(nil)

// NewMemory returns an empty registry.
func NewMemory() *Memory {
	return &Memory{devices: make(map[twin.ID]Device), tokens: make(map[string]Token)}
}

// Device implements [Registry].
func (m *Memory) Device(ctx context.Context, id twin.ID) (Device, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.devices[id]
	if !ok {
		return Device{}, cmp.Or(ctx.Err(), ErrNoDevice)
	}
	return d, ctx.Err()
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
	if err := m.deleteAll(ctx, d.ID); err != nil {
		return err
	}
	m.devices[d.ID] = d
	return nil
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
		devices = append(devices, d)
	}
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.Name, b.Name) })
	return devices, ctx.Err()
}

// TokenByHash implements [Registry].
func (m *Memory) TokenByHash(ctx context.Context, hash [32]byte) (Token, error) {
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
