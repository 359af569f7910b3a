package registrytest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/google/uuid"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
)

func sameHub(a, b registry.Hub) bool {
	times := a.Created.Equal(b.Created) && a.Updated.Equal(b.Updated)
	a.Created, a.Updated = b.Created, b.Updated
	return times && a == b
}

func getHub(t *testing.T, r registry.Registry) registry.Hub {
	t.Helper()
	h, err := r.Hub(t.Context())
	if err != nil {
		t.Fatalf("Hub: %v", err)
	}
	return h
}

func testRefusesUpdatesOfTheHub(t *testing.T, r registry.Registry, _ docstore.Store) {
	want := getHub(t, r)
	h, err := r.UpdateHub(t.Context(), func(h *registry.Hub) error {
		h.ID, h.Name, h.Graphite, h.AutoProvisioning = "changed", "changed", "changed", true
		return errRefused
	})
	wantError(t, "a change that fails", err, errRefused)
	if h != (registry.Hub{}) {
		t.Errorf("a change that fails: got %+v, want no hub", h)
	}
	if got := getHub(t, r); !sameHub(got, want) {
		t.Errorf("Hub = %+v, want %+v", got, want)
	}
}

func testKeepsTheHub(t *testing.T, r registry.Registry, _ docstore.Store) {
	first := getHub(t, r)
	if id, err := uuid.Parse(first.ID); err != nil || id.String() != first.ID || first.Name == "" || first.Created.IsZero() || !first.Updated.IsZero() {
		t.Errorf("a new registry's hub is %+v; want one with a UUID, a name, and the time it was created", first)
	}
	// A hub that was moved here has been another one's, all of it; until it is here, it has no id.
	for _, want := range []registry.Hub{
		{
			ID: string(otherID), Name: "été – 小屋", Graphite: "https://1:secret@graphs.example/metrics", AutoProvisioning: true,
			ProjectID: "p", OrganizationID: "o", DisableEvents: true, EventsTopicPrefix: "$SCW/other",
			Created: made, Updated: updated,
		},
		{},
		{ID: string(panelID), Name: "plain", Created: made},
	} {
		got, err := r.UpdateHub(t.Context(), func(h *registry.Hub) error {
			if !sameHub(*h, first) {
				t.Errorf("the hub to change is %+v, want %+v", *h, first)
			}
			first = want
			*h = want
			return nil
		})
		if err != nil || !sameHub(got, want) {
			t.Errorf("UpdateHub = %+v, %v; want %+v", got, err, want)
		}
		if got := getHub(t, r); !sameHub(got, want) {
			t.Errorf("Hub = %+v, want %+v", got, want)
		}
	}
}

func authority(kind registry.AuthorityKind, certificate string) registry.Authority {
	return registry.Authority{Kind: kind, Certificate: []byte(certificate), Created: made}
}

func checkAuthorities(t *testing.T, r registry.Registry, want ...registry.Authority) {
	t.Helper()
	got, err := r.Authorities(t.Context())
	if err != nil || !sameAuthorities(got, want) {
		t.Errorf("Authorities = %+v, %v; want %+v", got, err, want)
	}
}

func sameAuthorities(a, b []registry.Authority) bool {
	if len(a) != len(b) {
		return false
	}
	for i, x := range a {
		times := x.Created.Equal(b[i].Created)
		x.Created = b[i].Created
		if !times || !reflect.DeepEqual(x, b[i]) {
			return false
		}
	}
	return true
}

func setAuthorities(t *testing.T, r registry.Registry, want ...registry.Authority) {
	t.Helper()
	got, err := r.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) { return want, nil })
	if err != nil || !sameAuthorities(got, want) {
		t.Fatalf("UpdateAuthorities = %+v, %v; want %+v", got, err, want)
	}
}

func testRefusesAuthorities(t *testing.T, r registry.Registry, s docstore.Store) {
	one, two := authority(registry.ServerAuthority, "one"), authority(registry.DeviceAuthority, "two")
	setAuthorities(t, r, one, two)
	for name, test := range map[string]struct {
		all []registry.Authority
		err error // what the change returns
		is  error // what the error is; nil = any
	}{
		"a change that fails":  {[]registry.Authority{one}, errRefused, errRefused},
		"one that is there":    {[]registry.Authority{one, two, one}, nil, registry.ErrAuthorityTwice},
		"one of another kind":  {[]registry.Authority{one, two, authority(registry.DeviceAuthority, "one")}, nil, registry.ErrAuthorityTwice},
		"no certificate":       {[]registry.Authority{one, authority(registry.DeviceAuthority, "")}, nil, nil},
		"no kind":              {[]registry.Authority{one, authority("", "three")}, nil, nil},
		"a kind there isn't":   {[]registry.Authority{one, authority("app", "three")}, nil, nil},
		"a kind with a mishap": {[]registry.Authority{authority("Server", "three")}, nil, nil},
	} {
		all, err := r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
			clear(all)
			return test.all, test.err
		})
		if err == nil || all != nil || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: %+v, %v; want it refused with %v", name, all, err, test.is)
		}
		if _, ok := errors.AsType[*docstore.OutcomeError](err); ok {
			t.Errorf("%s: %v; want an error that says that nothing was written", name, err)
		}
		checkAuthorities(t, r, one, two)
	}
	putDocument(t, s, panelID, 1) // the registry and its store are well
}

func testKeepsAuthorities(t *testing.T, r registry.Registry, _ docstore.Store) {
	checkAuthorities(t, r)
	server, device, next := authority(registry.ServerAuthority, "s1"), authority(registry.DeviceAuthority, "d1"), authority(registry.ServerAuthority, "s2")
	server.Key = []byte("key 1")
	next.Key, next.Cross, next.Created = []byte("key 2"), []byte("s2 by s1"), updated
	// The order is that of the list, whatever their times say.
	for _, want := range [][]registry.Authority{
		{server, device},
		{server, device, next},
		{next, device, server},
		{next},
		nil,
		{device, server},
	} {
		setAuthorities(t, r, want...)
		checkAuthorities(t, r, want...)
	}
	got, err := r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
		if !sameAuthorities(all, []registry.Authority{device, server}) {
			t.Errorf("the authorities to change are %+v", all)
		}
		return append(all[1:], next), nil
	})
	if err != nil || !sameAuthorities(got, []registry.Authority{server, next}) {
		t.Errorf("UpdateAuthorities = %+v, %v; want %+v", got, err, []registry.Authority{server, next})
	}
	checkAuthorities(t, r, server, next)
}

// See [testSharesNoDevice].
func testSharesNoAuthority(t *testing.T, r registry.Registry, _ docstore.Store) {
	full := func() registry.Authority {
		a := authority(registry.ServerAuthority, "certificate")
		a.Key, a.Cross = []byte("key"), []byte("cross")
		return a
	}
	spoil := func(all []registry.Authority) {
		for _, a := range all {
			a.Certificate[0], a.Key[0], a.Cross[0] = 'x', 'x', 'x'
		}
		clear(all)
	}
	given := []registry.Authority{full()}
	setAuthorities(t, r, given...)
	spoil(given)
	checkAuthorities(t, r, full())
	got, err := r.Authorities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spoil(got)
	checkAuthorities(t, r, full())
	var kept []registry.Authority
	got, err = r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
		kept = all
		return all, nil
	})
	if err != nil || !sameAuthorities(got, []registry.Authority{full()}) {
		t.Fatalf("UpdateAuthorities = %+v, %v", got, err)
	}
	spoil(kept)
	if !sameAuthorities(got, []registry.Authority{full()}) {
		t.Errorf("what UpdateAuthorities returned was the function's, too: %+v", got)
	}
	spoil(got)
	checkAuthorities(t, r, full())
	_, err = r.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
		spoil(all)
		return nil, errRefused
	})
	wantError(t, "a change that spoils and fails", err, errRefused)
	checkAuthorities(t, r, full())
}
