package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func TestNewRefusesConfig(t *testing.T) {
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	tests := map[string]hub.Config{
		"hub: Config.Documents is missing": {Registry: devices},
		"hub: Config.Registry is missing":  {Documents: documents},
		`hub: Config.OtherTopics is "route": expected "refuse" or "drop"`: {
			Documents: documents, Registry: devices, OtherTopics: "route"},
		`hub: Config.Names: host "hub.example:8883": leave out the port: hub.example`: {
			Documents: documents, Registry: devices, Names: []string{"hub.example:8883"}},
	}
	for want, config := range tests {
		if h, err := hub.New(config); err == nil || err.Error() != want {
			t.Errorf("got hub %v and error %v, want %s", h, err, want)
		}
	}
}

func TestDoOfAnUnregisteredDevice(t *testing.T) {
	h := newHub(t, docstore.NewMemory())
	for _, m := range []twin.Method{twin.Get, twin.Put, twin.Patch} {
		if _, err := h.Do(t.Context(), otherID, "desired", m, []byte("{}")); !errors.Is(err, registry.ErrNoDevice) {
			t.Errorf("%s: got %v, want %v", m, err, registry.ErrNoDevice)
		}
	}
}

func TestDoUnknownMethod(t *testing.T) {
	h := newHub(t, docstore.NewMemory())
	if _, err := h.Do(t.Context(), panelID, "desired", "post", []byte("{}")); err == nil {
		t.Error("got no error")
	}
}

// A rivalStore lets another writer be faster before each of the next puts.
type rivalStore struct {
	*docstore.Memory
	rounds int
}

func (s *rivalStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	if s.rounds > 0 {
		s.rounds--
		if _, err := s.Memory.Put(ctx, key, docstore.Any, fmt.Appendf(nil, `{"rival":%d}`, s.rounds)); err != nil {
			return 0, err
		}
	}
	return s.Memory.Put(ctx, key, cond, data)
}

func TestPatchWithFasterWriters(t *testing.T) {
	tests := []struct {
		name, payload string
		version       uint32 // of the answer; 0 = a mismatch
		want          string
	}{
		{"without version: tried again on what the others wrote", `{"data":{"a":1}}`, 5, `{"rival":0,"a":1}`},
		{"with version: refused", `{"version":1,"data":{"a":1}}`, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := &rivalStore{Memory: docstore.NewMemory()}
			h := newHub(t, store)
			put(t, store, "desired", `{"b":2}`)
			store.rounds = 3
			doc, err := h.Do(t.Context(), panelID, "desired", twin.Patch, []byte(tt.payload))
			if tt.version == 0 {
				mismatch, ok := errors.AsType[*twin.VersionError](err)
				if want := (twin.VersionError{Expected: 1, Actual: 2}); !ok || *mismatch != want {
					t.Errorf("got %v (%+v), want %+v", err, mismatch, want)
				}
				return
			}
			if err != nil || doc.Version != tt.version || string(doc.Data) != tt.want {
				t.Errorf("got version %d, data %s, error %v; want version %d, data %s", doc.Version, doc.Data, err, tt.version, tt.want)
			}
		})
	}
}

// A slowStore takes a second for a put, in which another writer is always faster.
type slowStore struct{ *docstore.Memory }

func (s slowStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if cond == docstore.Any {
		return s.Memory.Put(ctx, key, cond, data)
	}
	return 0, cond.Check(uint32(cond) + 1)
}

func TestPatchGivesUpAtItsTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const text = "too many writers: nothing was written, try again"
		store := slowStore{docstore.NewMemory()}
		put(t, store, "desired", "{}")
		start := time.Now()
		answer := call(newHub(t, store).REST(), "PATCH", document, `{"data":{"a":1}}`)
		checkAnswer(t, answer, 409, `{"message":"`+text+`"}`)
		if got, want := time.Since(start), 10*time.Second; got != want {
			t.Errorf("gave up after %v, want %v", got, want)
		}

		h := newHouse(t, func(c *hub.Config) { c.Documents = store })
		h.MustPut(h.panel, "desired", "{}")
		if _, err := wireTwin(h.Hub, h.panel).Patch(t.Context(), "desired", twin.Update{}); err == nil || err.Error() != text {
			t.Errorf("over MQTT: got %v, want %s", err, text)
		}
	})
}

func TestConcurrentPatchesAllArrive(t *testing.T) {
	const writers = 50
	store := docstore.NewMemory()
	h := newHub(t, store)
	put(t, store, "desired", "{}")
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := h.Do(t.Context(), panelID, "desired", twin.Patch, fmt.Appendf(nil, `{"data":{"key-%d":%d}}`, i, i)); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	doc, err := h.Do(t.Context(), panelID, "desired", twin.Get, nil)
	if err != nil || doc.Version != writers+1 {
		t.Fatalf("got version %d, error %v; want version %d", doc.Version, err, writers+1)
	}
	// Taking all keys out again leaves nothing only if each of them is there.
	for i := range writers {
		before := len(doc.Data)
		if doc, err = h.Do(t.Context(), panelID, "desired", twin.Patch, fmt.Appendf(nil, `{"data":{"key-%d":null}}`, i)); err != nil || len(doc.Data) >= before {
			t.Errorf("key-%d is missing (error %v)", i, err)
		}
	}
	if string(doc.Data) != "{}" {
		t.Errorf("got %s left, want {}", doc.Data)
	}
}
