package copier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// What somebody writes on either side before the two are compared is found, and the copy stays unfinished.
func TestCopyFindsEachDifference(t *testing.T) {
	device := func(change func(*registry.Device)) func(*testing.T, store) error {
		return func(t *testing.T, s store) error {
			_, err := s.UpdateDevice(t.Context(), deviceID(1), func(d *registry.Device) error { change(d); return nil })
			return err
		}
	}
	hub := func(change func(*registry.Hub)) func(*testing.T, store) error {
		return func(t *testing.T, s store) error {
			_, err := s.UpdateHub(t.Context(), func(h *registry.Hub) error { change(h); return nil })
			return err
		}
	}
	authorities := func(change func([]registry.Authority) []registry.Authority) func(*testing.T, store) error {
		return func(t *testing.T, s store) error {
			_, err := s.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) { return change(all), nil })
			return err
		}
	}
	document := func(id twin.ID, name twin.Name, version uint32, data string) func(*testing.T, store) error {
		return func(t *testing.T, s store) error {
			return s.Set(t.Context(), docstore.Key{Twin: id, Name: name}, docstore.Document{Version: version, Data: []byte(data)})
		}
	}
	const (
		otherThere = " has another content at the destination"
		missing    = " is missing at the destination"
		alone      = " is at the destination alone"
		hubRecord  = "the hub's record"
		device1    = `device "device 1"`
	)
	desired := "document desired of twin " + string(deviceID(1)) + " (version 2)"
	for _, test := range []struct {
		name   string
		change func(*testing.T, store) error
		want   string // when the destination has changed
		source string // when the source has changed, if that is something else
	}{
		{"hub", hub(func(h *registry.Hub) { h.Graphite = "tcp://other.example:2003" }), hubRecord + otherThere, ""},
		{"hub's time", hub(func(h *registry.Hub) { h.Updated = made }), hubRecord + otherThere, ""},
		{"authority gone", authorities(func(all []registry.Authority) []registry.Authority { return all[:1] }), "authority no. 2" + missing, "authority no. 2" + alone},
		{"authorities' order", authorities(func(all []registry.Authority) []registry.Authority {
			slices.Reverse(all)
			return all
		}), "authority no. 1" + otherThere + " (and 1 more)", ""},
		{"authority's key", authorities(func(all []registry.Authority) []registry.Authority {
			all[0].Key = nil
			return all
		}), "authority no. 1" + otherThere, ""},
		{"device's activity", device(func(d *registry.Device) { d.LastActivity = made }), device1 + otherThere, ""},
		{"device's secret", device(func(d *registry.Device) { d.Secret[31] = 1 }), device1 + otherThere, ""},
		{"device's certificate", device(func(d *registry.Device) { d.Certificate = []byte("another") }), device1 + otherThere, ""},
		{"device's filters", device(func(d *registry.Device) { d.MessageFilters = []byte(` { } `) }), device1 + otherThere, ""},
		{"device gone, with its documents", func(t *testing.T, s store) error { return s.RemoveDevice(t.Context(), deviceID(1)) },
			device1 + missing + " (and 2 more)", device1 + alone + " (and 2 more)"},
		{"token gone", func(t *testing.T, s store) error { return s.RemoveToken(t.Context(), "token 1") }, `token "token 1"` + missing, `token "token 1"` + alone},
		{"token used", func(t *testing.T, s store) error {
			if err := s.RemoveToken(t.Context(), "token 0"); err != nil {
				return err
			}
			return s.AddToken(t.Context(), registry.Token{Name: "token 0", Hash: registry.HashSecret("0"), Created: made, LastUsed: made})
		}, `token "token 0"` + otherThere, ""},
		{"document's version", document(deviceID(1), "desired", 1, `{"n":1.00}`), desired + otherThere, "document desired of twin " + string(deviceID(1)) + " (version 1)" + otherThere},
		{"document's digits", document(deviceID(1), "desired", 2, `{"n":1.0}`), desired + otherThere, ""},
		{"document more", document(deviceID(1), "more", 1, ""), "document more of twin " + string(deviceID(1)) + " (version 1)" + alone,
			"document more of twin " + string(deviceID(1)) + " (version 1)" + missing},
		{"the last document more", document("ffffffff-ffff-4c39-9d5e-2f6b5c1a9e01", "x", 1, ""), "document x of twin ffffffff-ffff-4c39-9d5e-2f6b5c1a9e01 (version 1)" + alone,
			"document x of twin ffffffff-ffff-4c39-9d5e-2f6b5c1a9e01 (version 1)" + missing},
	} {
		for _, atSource := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				from, to := newStore(), newStore()
				fill(t, from, 3)
				changed, want := to, test.want
				if atSource {
					changed = from
					if test.source != "" {
						want = test.source
					}
				}
				report, err := Copy(t.Context(), from, to, func(line string) {
					if strings.HasPrefix(line, "comparing") {
						if err := test.change(t, changed); err != nil {
							t.Fatal(err)
						}
					}
				}, noOne)
				if _, ok := errors.AsType[*DifferenceError](err); !ok || err.Error() != "source and destination differ: "+want {
					t.Errorf("at the source %t: got %v, want that %s", atSource, err, want)
				}
				if report.From.SHA256 == report.To.SHA256 || report.From.Devices == 0 || report.To.Documents == 0 {
					t.Errorf("report %+v, want two contents", report)
				}
				if h, err := to.Hub(t.Context()); err != nil || !Unfinished(h) {
					t.Errorf("the destination has %+v, %v; want an unfinished copy", h, err)
				}
			})
		}
	}
}

// A pagedStore lets something happen when its documents are read.
type pagedStore struct {
	store
	happen func()
}

func (s *pagedStore) Page(ctx context.Context, after docstore.Key, limit int) ([]docstore.Entry, error) {
	s.happen()
	return s.store.Page(ctx, after, limit)
}

// Commands work beside a copy. What they do while the documents are compared, which may take long, is found.
func TestCopyFindsWhatCommandsChangeAtItsEnd(t *testing.T) {
	for what, change := range map[string]func(context.Context, Store) error{
		`device "device 1" has another content at the destination`: func(ctx context.Context, s Store) error {
			_, err := s.UpdateDevice(ctx, deviceID(1), func(d *registry.Device) error { d.Disabled = true; return nil })
			return err
		},
		`device "device 2" is at the destination alone`: func(ctx context.Context, s Store) error {
			return s.RemoveDevice(ctx, deviceID(2))
		},
		`token "token 1" is at the destination alone`: func(ctx context.Context, s Store) error {
			return s.RemoveToken(ctx, "token 1")
		},
		`authority no. 2 is at the destination alone`: func(ctx context.Context, s Store) error {
			_, err := s.UpdateAuthorities(ctx, func(all []registry.Authority) ([]registry.Authority, error) { return all[:1], nil })
			return err
		},
	} {
		from, to := &pagedStore{newStore(), func() {}}, newStore()
		fill(t, from, 3)
		_, err := Copy(t.Context(), from, to, func(line string) {
			if strings.HasPrefix(line, "comparing") {
				from.happen = sync.OnceFunc(func() {
					if err := change(t.Context(), from); err != nil {
						t.Error(err)
					}
				})
			}
		}, noOne)
		if err == nil || !strings.HasPrefix(err.Error(), "source and destination differ: "+what) {
			t.Errorf("got %v, want that %s", err, what)
		}
		if h, err := to.Hub(t.Context()); err != nil || !Unfinished(h) {
			t.Errorf("the destination has %+v, %v; want an unfinished copy", h, err)
		}
	}
}
