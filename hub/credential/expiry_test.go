package credential

import (
	"fmt"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

func TestExpiries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSite(t)
		s.add("without", nil)
		s.add("broken", []byte("no certificate"))
		c := template("pinned")
		c.NotAfter = time.Now().Add(time.Minute)
		s.add("pinned", issue(t, nil, c).Raw)
		want := []Expiry{
			{"device certificate", "pinned", c.NotAfter},
			{"device authority", Fingerprint(s.plant.Raw), s.plant.NotAfter},
			{"server authority", Fingerprint(s.server.Raw), time.Now().Add(AuthorityLife)},
			{"device authority", Fingerprint(s.device.Raw), time.Now().Add(AuthorityLife)},
		}
		check := func(server *Server) {
			t.Helper()
			got, err := Expiries(t.Context(), s, server)
			for i := range want {
				want[i].At = want[i].At.UTC()
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, %v\nwant %v", got, err, want)
			}
		}
		check(nil)
		shown := Expiry{"hub certificate", "hub.example 192.0.2.1", time.Now().Add(ServerLife)}
		want = append(want[:2:2], append([]Expiry{shown}, want[2:]...)...)
		check(must[*Server](t)(NewServer(t.Context(), s, []string{"hub.example", "192.0.2.1"}, Files{}, nil)))

		if got, err := Expiries(t.Context(), broken{s, "authorities"}, nil); err == nil {
			t.Errorf("got %v of a registry that can't be read", got)
		}
	})
}

// A metric or a log asks for this now and then; a fleet must not make that dear.
func BenchmarkExpiriesOfAFleet(b *testing.B) {
	r := registry.NewMemory()
	all := must[[]registry.Authority](b)(Ensure(b.Context(), r))
	s := &site{Memory: r, t: b}
	for i := range 10_000 {
		der, _, _, err := Issue(all, registry.Device{Name: fmt.Sprint("panel-", i)})
		if err != nil {
			b.Fatal(err)
		}
		s.add(fmt.Sprint("panel-", i), der)
	}
	for b.Loop() {
		if _, err := Expiries(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
