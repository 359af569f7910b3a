package hub

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/peers"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A fasterStore has somebody else do something just before the next put of an exact version.
type fasterStore struct {
	docstore.Store
	rival func()
}

func (s *fasterStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	if rival := s.rival; rival != nil && cond != docstore.Any {
		s.rival = nil
		rival()
	}
	return s.Store.Put(ctx, key, cond, data)
}

// A patch that somebody's write has overtaken is not tried again for a device that may not write any more.
func TestOvertakenPatchLooksAtTheDeviceAgain(t *testing.T) {
	update := func(change func(*registry.Device)) func(*testServer) error {
		return func(s *testServer) error {
			_, err := s.registry.UpdateDevice(context.Background(), panelID, func(d *registry.Device) error { change(d); return nil })
			return err
		}
	}
	for name, tt := range map[string]struct {
		happen func(*testServer) error
		want   string // answer to the patch
		log    string
	}{
		"connected to another hub": {func(s *testServer) error {
			_, err := s.registry.(*registry.Memory).RaiseEpoch(context.Background(), panelID)
			return err
		}, "closed", errOld.Error()},
		"disabled": {update(func(d *registry.Device) { d.Disabled = true }), "closed", errOff.Error()},
		"removed":  {func(s *testServer) error { return s.registry.RemoveDevice(context.Background(), panelID) }, "closed", errRemoved.Error()},
		"made read only": {update(func(d *registry.Device) { d.ReadOnly = []twin.Name{"desired"} }),
			answer("$SCW/twins/me/desired/patch/response/error", `{"error":"permission denied"}`), "write denied"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(fasterStore)
				s := newTestServer(t, func(c *Config) {
					store.Store = c.Documents
					c.Documents, c.Peers = store, peers.NewMemory(c.Registry.(*registry.Memory)).Link()
				})
				s.put(panelID, "desired", `{"data":{}}`)
				c := s.dial()
				c.send(connectPacket(string(panelID), 60), subscribePacket(1, "$SCW/twins/#"))
				c.want("20020000" + "9003000100")
				store.rival = func() {
					s.put(panelID, "desired", `{"data":{"rival":true}}`)
					if err := tt.happen(s); err != nil {
						t.Error(err)
					}
				}
				c.send(publishPacket("$SCW/twins/me/desired/patch", 0, `{"data":{"old":true}}`))
				c.want(tt.want)
				if log := s.log.take(); !strings.Contains(log, tt.log) {
					t.Errorf("log is %q, want %q", log, tt.log)
				}
				doc, err := s.documents.Get(t.Context(), docstore.Key{Twin: panelID, Name: "desired"})
				if err != nil && !errors.Is(err, twin.ErrDocumentNotFound) || strings.Contains(string(doc.Data), "old") {
					t.Errorf("the document is %s, %v", doc.Data, err)
				}
			})
		})
	}
}
