package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
)

// A stage is an app with a hub whose documents a test writes, as panel and phones would: what the page shows is the app's own conclusion.
type stage struct {
	t         *testing.T
	hub       *hubtest.Hub
	device    twin.ID
	watcher   *app.Watcher
	household *app.Household
	server    *httptest.Server
	url       string
	last      map[twin.Name]string // what was written
}

// newStage starts an app that takes an armed panel for destroyed after silence; 0 = the usual time.
func newStage(t *testing.T, hub *hubtest.Hub, silence time.Duration) *stage {
	t.Helper()
	s := &stage{t: t, hub: hub, device: hub.AddDevice(t.Name()).ID, last: make(map[twin.Name]string)}
	api, err := app.NewAPI(app.Options{URL: hub.REST(), Device: s.device, Token: hub.Token})
	if err != nil {
		t.Fatal(err)
	}
	s.watcher = app.NewWatcher(app.WatchConfig{API: api, Silence: silence})
	if s.household, err = app.OpenHousehold(t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.household.Close() })
	server, err := app.NewServer(app.ServerConfig{House: s.watcher, Household: s.household})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { s.watcher.Run(ctx) })
	t.Cleanup(func() {
		stop()
		watching.Wait()
	})
	s.server = httptest.NewServer(server.Handler())
	t.Cleanup(s.goOffline)
	s.url = s.server.URL + "/"
	return s
}

// goOffline ends the app's server.
func (s *stage) goOffline() {
	s.server.CloseClientConnections()
	s.server.Close()
}

// put writes a document.
func (s *stage) put(name twin.Name, data string) {
	s.t.Helper()
	s.last[name] = data
	if _, err := s.hub.Do(s.device, name, twin.Put, fmt.Sprintf(`{"data":%s}`, data)); err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
}

// lives writes current twice: when its version moves, the app knows that the panel lives.
func (s *stage) lives(current string) {
	s.t.Helper()
	s.put("current", current)
	s.await("the app to read current", func(v app.View) bool { return v.Known != nil || v.Row == app.Unintelligible })
	s.put("current", current)
	s.await("a sign of life", func(v app.View) bool { return v.HeardMS != nil })
}

// await waits until the app's view is as ok wants it.
func (s *stage) await(what string, ok func(app.View) bool) {
	s.t.Helper()
	_, leave := s.watcher.Join()
	defer leave()
	for end := time.Now().Add(browserTimeout); !ok(s.watcher.View()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waiting for %s: the view is %+v", what, s.watcher.View())
		}
	}
}

// again writes what was written, as if it had just happened.
func (s *stage) again() {
	s.t.Helper()
	for name, data := range s.last {
		s.put(name, data)
	}
}

// setPassphrase closes the app to whoever doesn't know it, and lets Anna in.
func (s *stage) setPassphrase() {
	s.t.Helper()
	if err := s.household.SetPassphrase(passphrase); err != nil {
		s.t.Fatal(err)
	}
	if _, _, err := s.household.SignIn(netip.MustParseAddr("192.0.2.1"), passphrase, "Anna"); err != nil {
		s.t.Fatal(err)
	}
}

// fact is a document current.
type fact map[string]any

// with adds keys.
func (f fact) with(more fact) fact {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

func (f fact) String() string {
	f = f.with(fact{"last_update": time.Now().UTC().Add(-2 * time.Second).Format(time.RFC3339)})
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	return string(b)
}

var (
	isDisarmed = fact{"alarm_armed": false, "siren_ringing": false, "door_open": false, "state": "disarmed", "heartbeat_s": 300}
	isArmed    = isDisarmed.with(fact{"alarm_armed": true, "state": "armed"})
	inExit     = isArmed.with(fact{"state": "exit_delay", "left_s": 45, "door_open": true})
	inEntry    = isArmed.with(fact{"state": "entry_delay", "left_s": 30, "door_open": true})
	isRinging  = isArmed.with(fact{"state": "ringing", "siren_ringing": true, "left_s": 150, "door_open": true})
	silencedBy = isArmed.with(fact{"state": "silenced", "door_open": true})
)

// doors are three contacts; one may be open or broken.
func doors(front string) fact {
	return fact{"door_open": front != "closed", "doors": map[string]string{"back": "closed", "front": front, "garage": "closed"}}
}

// asks is a document desired.
func asks(armed bool, by string) string {
	return fmt.Sprintf(`{"alarm_armed":%t,"by":%q}`, armed, by)
}

// lately is a document events: a day, and a ring of a contact if one is named.
func lately(contact string) string {
	type event map[string]string
	now := time.Now().UTC()
	at := func(ago time.Duration) string { return now.Add(-ago).Format(time.RFC3339) }
	events := []event{
		{"time": at(26 * time.Hour), "what": "panel started", "why": "after a power cut or reset"},
		{"time": at(25 * time.Hour), "what": "disarmed", "why": "the key switch"},
		{"time": at(3 * time.Hour), "what": "armed", "why": "desired 11", "by": "Tom"},
		{"time": at(3 * time.Hour), "what": "exit delay ended"},
	}
	if contact != "" {
		events = append(events,
			event{"time": at(40 * time.Second), "what": "entry delay started", "contact": contact, "why": contact + " open"},
			event{"time": at(10 * time.Second), "what": "ring started", "contact": contact, "why": "entry delay over"})
	}
	b, err := json.Marshal(map[string]any{"events": events})
	if err != nil {
		panic(err)
	}
	return string(b)
}
