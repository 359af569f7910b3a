package app_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// A listener takes all notices.
type listener struct {
	mu    sync.Mutex
	heard []app.Notice
}

func (l *listener) Name() string { return "listener" }

func (l *listener) Deliver(_ context.Context, n app.Notice) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, n)
	return "", nil
}

// all returns the notices, and their kinds.
func (l *listener) all() (notices []app.Notice, kinds []app.Kind) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.heard {
		kinds = append(kinds, n.Kind)
	}
	return slices.Clone(l.heard), kinds
}

// A panel that is smashed before it can ring is an alarm, told once, and so is its end.
func TestPanelKilledInItsEntryDelay(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		panel := h.AddDevice("panel").ID
		api, err := app.NewAPI(app.Options{URL: hubtest.BaseURL, Device: panel, Token: h.Token, Insecure: true, Transport: h.HTTPClient().Transport})
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{}
		n, err := app.NewNotifier(app.NotifierConfig{Dir: dir, Receivers: []app.Receiver{l}})
		if err != nil {
			t.Fatal(err)
		}
		w := app.NewWatcher(app.WatchConfig{API: api, Changed: n.See})
		go w.Run(t.Context())
		go n.Run(t.Context())
		want := func(kinds ...app.Kind) {
			t.Helper()
			if _, got := l.all(); !slices.Equal(got, kinds) {
				t.Errorf("after %s: told %v, want %v", w.View().Row, got, kinds)
			}
		}
		const armed = `{"alarm_armed":true,"siren_ringing":false,"door_open":false,"state":"armed","heartbeat_s":30}`
		for range 4 {
			h.MustPut(panel, "current", armed)
			time.Sleep(30 * time.Second)
		}
		want()
		h.MustPut(panel, "current", `{"alarm_armed":true,"siren_ringing":false,"door_open":true,"state":"entry_delay","left_s":30,"heartbeat_s":30}`)
		time.Sleep(44 * time.Second)
		want()
		time.Sleep(3 * time.Second)
		want(app.KindSilent)
		notices, _ := l.all()
		if got := notices[0]; !got.Urgent || !strings.Contains(got.Text, "entry delay") || !strings.Contains(got.Text, "door open") {
			t.Errorf("told %+v", got)
		}
		h.Stop()
		time.Sleep(time.Hour)
		want(app.KindSilent, app.KindHubAway)
		h.Restart()
		time.Sleep(2 * time.Minute)
		want(app.KindSilent, app.KindHubAway, app.KindHubBack)
		for range 4 {
			h.MustPut(panel, "current", armed)
			time.Sleep(30 * time.Second)
		}
		want(app.KindSilent, app.KindHubAway, app.KindHubBack, app.KindBack)
	})
}

// A ring that came and went while the hub was away, and left the panel's document as it was, is told.
func TestRingThatTheHubHeardOfLater(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		panel := h.AddDevice("panel").ID
		api, err := app.NewAPI(app.Options{URL: hubtest.BaseURL, Device: panel, Token: h.Token, Insecure: true, Transport: h.HTTPClient().Transport})
		if err != nil {
			t.Fatal(err)
		}
		l := &listener{}
		n, err := app.NewNotifier(app.NotifierConfig{Dir: dir, Receivers: []app.Receiver{l}})
		if err != nil {
			t.Fatal(err)
		}
		w := app.NewWatcher(app.WatchConfig{API: api, Changed: n.See})
		go w.Run(t.Context())
		go n.Run(t.Context())
		const current = `{"alarm_armed":true,"siren_ringing":false,"door_open":false,"state":"armed","heartbeat_s":30}`
		h.MustPut(panel, "events", `{"events":[{"time":"1999-12-31T20:00:00Z","what":"armed"}]}`)
		for range 4 {
			h.MustPut(panel, "current", current)
			time.Sleep(30 * time.Second)
		}
		time.Sleep(2 * time.Minute) // the panel has no network
		h.MustPut(panel, "current", current)
		h.MustPut(panel, "events", `{"events":[{"time":"1999-12-31T20:00:00Z","what":"armed"},{"time":"2000-01-01T00:03:00Z","what":"ring started","contact":"front"},{"time":"2000-01-01T00:03:20Z","what":"ring stopped"}]}`)
		time.Sleep(time.Minute)
		_, got := l.all()
		if want := []app.Kind{app.KindUnreachable, app.KindRang, app.KindBack}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}
