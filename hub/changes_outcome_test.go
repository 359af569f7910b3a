package hub

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

// A torn store does what it is asked to, and doesn't know it.
type tornStore struct{ docstore.Store }

func (s tornStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	version, err := s.Store.Put(ctx, key, cond, data)
	if err == nil && version > 1 {
		return 0, &docstore.OutcomeError{Err: errors.New("disk on fire")}
	}
	return version, err
}

func (s tornStore) Delete(ctx context.Context, key docstore.Key, cond docstore.If) error {
	if err := s.Store.Delete(ctx, key, cond); err != nil {
		return err
	}
	return &docstore.OutcomeError{Err: errors.New("disk on fire")}
}

func (s tornStore) DeleteAll(ctx context.Context, id twin.ID) error {
	if err := s.Store.DeleteAll(ctx, id); err != nil {
		return err
	}
	return &docstore.OutcomeError{Err: errors.New("disk on fire")}
}

// A write that may have happened may be news.
func TestNoticesOfUnknownOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		write func(*testServer) error
		want  int
	}{
		"put": {func(s *testServer) error {
			_, err := s.Do(context.Background(), panelID, "desired", twin.Put, []byte(`{"data":{"a":1}}`))
			return err
		}, 2},
		"patch": {func(s *testServer) error {
			_, err := s.Do(context.Background(), panelID, "desired", twin.Patch, []byte(`{"data":{"a":1}}`))
			return err
		}, 2},
		"delete":     {func(s *testServer) error { return s.delete(context.Background(), panelID, "desired") }, 0},
		"delete all": {func(s *testServer) error { return s.deleteAll(context.Background(), panelID) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, func(c *Config) { c.Documents = tornStore{c.Documents} })
				c := s.asking(panelID)
				if _, unknown := errors.AsType[*docstore.OutcomeError](tt.write(s)); !unknown {
					t.Fatal("the outcome is known")
				}
				c.want(notice("desired", tt.want))
			})
		})
	}
}
