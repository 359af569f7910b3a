package docstore

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/twinpanel/twinpanel/twin"
)

// Memory is a [Store] that forgets everything with its process: for tests and
// the demo. The zero value is ready for use.
type Memory struct {
	mu     sync.RWMutex
	twins  map[twin.ID]map[twin.Name]Document
	closed bool
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return new(Memory) }

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, key Key) (Document, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return Document{}, err
	}
	doc, ok := m.twins[key.Twin][key.Name]
	if !ok {
		return Document{}, twin.ErrDocumentNotFound
	}
	return doc, nil
}

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, key Key, cond If, data []byte) (uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return 0, err
	}
	next, err := cond.Next(m.twins[key.Twin][key.Name].Version)
	if err != nil {
		return 0, err
	}
	if err := m.set(key, Document{Version: next, Data: data}); err != nil {
		return 0, err
	}
	return next, nil
}

// Set implements [Store].
func (m *Memory) Set(ctx context.Context, key Key, doc Document) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	if doc.Version == 0 {
		return ErrNoVersion
	}
	return m.set(key, doc)
}

func (m *Memory) set(key Key, doc Document) error {
	docs := m.twins[key.Twin]
	if _, ok := docs[key.Name]; !ok && len(docs) >= twin.MaxDocuments {
		return twin.ErrTooManyDocuments
	}
	if docs == nil {
		docs = make(map[twin.Name]Document)
		if m.twins == nil {
			m.twins = make(map[twin.ID]map[twin.Name]Document)
		}
		m.twins[key.Twin] = docs
	}
	docs[key.Name] = Document{Version: doc.Version, Data: bytes.Clone(doc.Data)}
	return nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, key Key, cond If) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	docs := m.twins[key.Twin]
	doc, ok := docs[key.Name]
	if !ok {
		return twin.ErrDocumentNotFound
	}
	if err := cond.Check(doc.Version); err != nil {
		return err
	}
	delete(docs, key.Name)
	if len(docs) == 0 {
		delete(m.twins, key.Twin)
	}
	return nil
}

// DeleteAll implements [Store].
func (m *Memory) DeleteAll(ctx context.Context, id twin.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	delete(m.twins, id)
	return nil
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, id twin.ID) ([]twin.Name, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	docs := m.twins[id]
	names := make([]twin.Name, 0, len(docs))
	for name := range docs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Page implements [Store].
func (m *Memory) Page(ctx context.Context, after Key, limit int) ([]Entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	entries := []Entry{}
	for id, docs := range m.twins {
		for name, doc := range docs {
			if key := (Key{id, name}); compareKeys(key, after) > 0 {
				entries = append(entries, Entry{key, doc})
			}
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int { return compareKeys(a.Key, b.Key) })
	return entries[:min(limit, len(entries))], nil
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Twin, b.Twin), cmp.Compare(a.Name, b.Name))
}

// Close makes every later call fail with [ErrClosed].
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.twins = true, nil
	return nil
}

// usable says why a call cannot begin. The caller holds the lock.
func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}
