package copier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

type store struct {
	docstore.Store
	registry.Registry
}

func newStore() store {
	documents, devices := docstore.NewMemory(), registry.NewMemory()
	devices.DeleteAll = documents.DeleteAll
	return store{documents, devices}
}

var made = time.Date(2023, time.October, 30, 12, 34, 56, 789_012_000, time.UTC)

func deviceID(n int) twin.ID { return twin.ID(fmt.Sprintf("0b6e2b2e-7a4b-4c39-9d5e-%012d", n)) }

// fill gives a store something of everything: devices, each with two documents, and documents without a device.
func fill(t *testing.T, s Store, devices int) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.UpdateHub(t.Context(), func(h *registry.Hub) error {
		*h = registry.Hub{
			ID: string(deviceID(0)), Name: "house", Graphite: "https://1:secret@graphs.example/", AutoProvisioning: true, ProjectID: "p",
			OrganizationID: "o", DisableEvents: true, EventsTopicPrefix: "e", Created: made, Updated: made.Add(time.Hour),
		}
		return nil
	})
	check(err)
	_, err = s.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) {
		return []registry.Authority{
			{Kind: registry.ServerAuthority, Certificate: []byte("new"), Key: []byte("key"), Cross: []byte("cross"), Created: made},
			{Kind: registry.DeviceAuthority, Certificate: []byte("a custom one"), Created: made},
		}, nil
	})
	check(err)
	for n := range devices {
		d := registry.Device{ID: deviceID(n), Name: fmt.Sprint("device ", n), Created: made}
		if n%2 == 0 {
			d.Description, d.Disabled, d.AllowInsecure, d.AllowMultipleConnections = "in the hall", true, true, true
			d.ReadOnly, d.Certificate, d.CustomCertificate = []twin.Name{"desired"}, fmt.Append(nil, "certificate ", n), true
			d.Secret, d.MessageFilters = registry.HashSecret(d.Name), []byte(`{ "publish": {} }`)
			d.Updated, d.LastActivity, d.Epoch = made.Add(time.Hour), made.Add(2*time.Hour), 7
		}
		check(s.AddDevice(t.Context(), d))
		check(s.Set(t.Context(), docstore.Key{Twin: d.ID, Name: "desired"}, docstore.Document{Version: uint32(n + 1), Data: []byte(`{"n":1.00}`)}))
		check(s.Set(t.Context(), docstore.Key{Twin: d.ID, Name: "current"}, docstore.Document{Version: twin.MaxVersion, Data: nil}))
	}
	for n, id := range []twin.ID{"", deviceID(0)} {
		check(s.AddToken(t.Context(), registry.Token{
			Name: fmt.Sprint("token ", n), Hash: registry.HashSecret(fmt.Sprint(n)), ReadOnly: n == 1, Device: id, Created: made, LastUsed: made.Add(time.Minute),
		}))
	}
	check(s.Set(t.Context(), docstore.Key{Twin: "ffffffff-7a4b-4c39-9d5e-2f6b5c1a9e01", Name: "left-over"}, docstore.Document{Version: 3, Data: []byte("{}")}))
}

// everything is what a store holds, as text.
func everything(t *testing.T, s Store) string {
	t.Helper()
	var b strings.Builder
	for i, err := range items(t.Context(), s, "unfinished") {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s: %s", i.name, i.line)
	}
	return b.String()
}

func silent(string) {}

// noOne else is on either side.
func noOne(context.Context) error { return nil }

// Who comes while a copy is made may have been answered something that it wrote over.
func TestCopyWithCompanyStaysUnfinished(t *testing.T) {
	from, to := newStore(), newStore()
	fill(t, from, 2)
	company := errors.New("a hub has started")
	report, err := Copy(t.Context(), from, to, silent, func(context.Context) error { return company })
	h, hubErr := to.Hub(t.Context())
	if !errors.Is(err, company) || report.From != report.To || hubErr != nil || !Unfinished(h) {
		t.Errorf("got %+v, %v; the hub is %+v, %v", report, err, h, hubErr)
	}
}

func TestCopyHasEverything(t *testing.T) {
	from, to := newStore(), newStore()
	fill(t, from, 250)                                                                                          // several pages of documents
	if _, err := to.UpdateHub(t.Context(), func(h *registry.Hub) error { h.ID = ""; return nil }); err != nil { // new for a copy
		t.Fatal(err)
	}
	before := everything(t, from)
	var said []string
	report, err := Copy(t.Context(), from, to, func(line string) { said = append(said, line) }, noOne)
	if err != nil {
		t.Fatal(err)
	}
	if got := everything(t, to); got != before {
		t.Errorf("the destination has\n%s\nwant\n%s", got, before)
	}
	if after := everything(t, from); after != before {
		t.Error("the source has changed")
	}
	want := Content{Documents: 501, Devices: 250, Tokens: 2, Authorities: 2, SHA256: report.From.SHA256}
	if report.From != want || report.To != want || len(want.SHA256) != 64 {
		t.Errorf("report %+v, want %+v on both sides", report, want)
	}
	if want := []string{"copying 250 devices", "copying 2 tokens", "copying documents", "comparing source and destination"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	for n := range 2 { // a device's epoch is for connections that there are no more
		if d, err := to.Device(t.Context(), deviceID(n)); err != nil || d.Epoch != 0 {
			t.Errorf("device %d has epoch %d, %v; want 0", n, d.Epoch, err)
		}
	}
}

func TestCopyRefuses(t *testing.T) {
	mark := func(t *testing.T, s store) {
		if _, err := s.UpdateHub(t.Context(), func(h *registry.Hub) error { h.ID = ""; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, from, to store)
		want    error
	}{
		{"a destination with a device", func(t *testing.T, _, to store) {
			if err := to.AddDevice(t.Context(), registry.Device{ID: deviceID(1), Name: "panel", Created: made}); err != nil {
				t.Fatal(err)
			}
		}, ErrNotEmpty},
		{"a destination with a token", func(t *testing.T, _, to store) {
			if err := to.AddToken(t.Context(), registry.Token{Name: "app", Created: made}); err != nil {
				t.Fatal(err)
			}
		}, ErrNotEmpty},
		{"a destination with a document that no device owns", func(t *testing.T, _, to store) {
			if _, err := to.Put(t.Context(), docstore.Key{Twin: deviceID(1), Name: "x"}, docstore.Any, nil); err != nil {
				t.Fatal(err)
			}
		}, ErrNotEmpty},
		{"a destination with an authority", func(t *testing.T, _, to store) {
			if _, err := to.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) {
				return []registry.Authority{{Kind: registry.ServerAuthority, Certificate: []byte("given out"), Key: []byte("key"), Created: made}}, nil
			}); err != nil {
				t.Fatal(err)
			}
		}, ErrNotEmpty},
		{"a destination with a name", func(t *testing.T, _, to store) {
			if _, err := to.UpdateHub(t.Context(), func(h *registry.Hub) error { h.Name, h.Updated = "home", made; return nil }); err != nil {
				t.Fatal(err)
			}
		}, ErrNotEmpty},
		{"a destination that is a copy", func(t *testing.T, from, to store) {
			if _, err := Copy(t.Context(), from, to, silent, noOne); err != nil {
				t.Fatal(err)
			}
		}, ErrSame},
		{"an unfinished source", func(t *testing.T, from, _ store) { mark(t, from) }, ErrUnfinished},
		{"an unfinished source and destination", func(t *testing.T, from, to store) { mark(t, from); mark(t, to) }, ErrUnfinished},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to := newStore(), newStore()
			fill(t, from, 2)
			test.prepare(t, from, to)
			before := everything(t, to)
			if _, err := Copy(t.Context(), from, to, silent, noOne); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if got := everything(t, to); got != before {
				t.Errorf("the destination has changed to\n%s", got)
			}
		})
	}
	s := newStore()
	fill(t, s, 2)
	before := everything(t, s)
	if _, err := Copy(t.Context(), s, s, silent, noOne); !errors.Is(err, ErrSame) || everything(t, s) != before {
		t.Errorf("onto itself: got %v, want %v and no change", err, ErrSame)
	}
}

var errCut = errors.New("cut off")

// cutStore takes so many writes, and then none.
type cutStore struct {
	Store
	left atomic.Int64
}

func (s *cutStore) write() error {
	if s.left.Add(-1) < 0 {
		return errCut
	}
	return nil
}

func (s *cutStore) Set(ctx context.Context, key docstore.Key, doc docstore.Document) error {
	if err := s.write(); err != nil {
		return err
	}
	return s.Store.Set(ctx, key, doc)
}

func (s *cutStore) DeleteAll(ctx context.Context, id twin.ID) error {
	if err := s.write(); err != nil {
		return err
	}
	return s.Store.DeleteAll(ctx, id)
}

func (s *cutStore) AddDevice(ctx context.Context, d registry.Device) error {
	if err := s.write(); err != nil {
		return err
	}
	return s.Store.AddDevice(ctx, d)
}

func (s *cutStore) RemoveDevice(ctx context.Context, id twin.ID) error {
	if err := s.write(); err != nil {
		return err
	}
	return s.Store.RemoveDevice(ctx, id)
}

func (s *cutStore) AddToken(ctx context.Context, t registry.Token) error {
	if err := s.write(); err != nil {
		return err
	}
	return s.Store.AddToken(ctx, t)
}

func (s *cutStore) RemoveToken(ctx context.Context, name string) error {
	if err := s.write(); err != nil {
		return err
	}
	return s.Store.RemoveToken(ctx, name)
}

func (s *cutStore) UpdateHub(ctx context.Context, change func(*registry.Hub) error) (registry.Hub, error) {
	if err := s.write(); err != nil {
		return registry.Hub{}, err
	}
	return s.Store.UpdateHub(ctx, change)
}

func (s *cutStore) UpdateAuthorities(ctx context.Context, change func([]registry.Authority) ([]registry.Authority, error)) ([]registry.Authority, error) {
	if err := s.write(); err != nil {
		return nil, err
	}
	return s.Store.UpdateAuthorities(ctx, change)
}

// A copy is cut off after each number of writes. What is left is as it was, marked, or whole, and
// the next one, which is cut off as well, and the one after it make it whole.
func TestCopyCutOffAnywhereStartsOver(t *testing.T) {
	from := newStore()
	fill(t, from, 5)
	want := everything(t, from)
	for n := int64(0); ; n++ {
		to := newStore()
		empty := everything(t, to)
		first := &cutStore{Store: to}
		first.left.Store(n)
		_, err := Copy(t.Context(), from, first, silent, noOne)
		if err == nil {
			if everything(t, to) != want {
				t.Errorf("a copy after %d writes is not whole", n)
			}
			if wrote := int64(2 + 1 + 5 + 2 + 11); n != wrote {
				t.Errorf("a copy took %d writes, want %d", n, wrote)
			}
			return
		}
		h, hubErr := to.Hub(t.Context())
		if !errors.Is(err, errCut) || hubErr != nil || Unfinished(h) != (n > 0) || n == 0 && everything(t, to) != empty {
			t.Errorf("after %d writes: got %v; the hub is %+v, %v", n, err, h, hubErr)
		}
		second := &cutStore{Store: to}
		second.left.Store(n / 2)
		if _, err := Copy(t.Context(), from, second, silent, noOne); !errors.Is(err, errCut) {
			t.Errorf("after %d and %d writes: got %v, want %v", n, n/2, err, errCut)
		}
		report, err := Copy(t.Context(), from, to, silent, noOne)
		if err != nil || report.From != report.To || everything(t, to) != want {
			t.Errorf("once more after %d writes: %+v, %v", n, report, err)
		}
	}
}

func TestCopyThatIsInterrupted(t *testing.T) {
	from, to := newStore(), newStore()
	fill(t, from, 5)
	ctx, interrupt := context.WithCancel(t.Context())
	_, err := Copy(ctx, from, to, func(line string) {
		if strings.HasPrefix(line, "copying documents") {
			interrupt()
		}
	}, noOne)
	h, hubErr := to.Hub(t.Context())
	if !errors.Is(err, context.Canceled) || hubErr != nil || !Unfinished(h) {
		t.Errorf("got %v; the hub is %+v, %v", err, h, hubErr)
	}
}
