package app_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/twin"
)

// TestWatcherWithARealHub arms, rings, loses the hub and finds it again, and has a wish withdrawn.
func TestWatcherWithARealHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hubtest.Start(t)
		panel := h.AddDevice("panel").ID
		api, err := app.NewAPI(app.Options{URL: hubtest.BaseURL, Device: panel, Token: h.Token, Insecure: true, Transport: h.HTTPClient().Transport})
		if err != nil {
			t.Fatal(err)
		}
		w := app.NewWatcher(app.WatchConfig{API: api})
		go w.Run(t.Context())
		_, leave := w.Join()
		defer leave()
		want := func(row app.Row) app.View {
			t.Helper()
			v := w.View()
			if v.Row != row {
				t.Fatalf("got row %q, want %q: %+v", v.Row, row, v)
			}
			return v
		}
		current := func(data string) {
			t.Helper()
			h.MustPut(panel, "current", data)
			time.Sleep(time.Second)
		}

		time.Sleep(time.Second)
		want(app.NeverSeen)
		current(`{"alarm_armed":false,"siren_ringing":false,"door_open":false,"desired_version":0,"heartbeat_s":300}`)
		want(app.Disarmed)

		if err := w.Wish(t.Context(), true, "Anna"); err != nil {
			t.Fatal(err)
		}
		want(app.Arming)
		if got := string(h.MustGet(panel, "desired").Data); got != `{"alarm_armed":true,"by":"Anna"}` {
			t.Errorf("desired is %s", got)
		}
		current(`{"alarm_armed":true,"siren_ringing":false,"door_open":false,"desired_version":1,"heartbeat_s":300}`)
		want(app.Armed)
		current(`{"alarm_armed":true,"siren_ringing":true,"door_open":true,"desired_version":1,"heartbeat_s":300}`)
		want(app.Ringing)

		h.Stop()
		if err := w.Wish(t.Context(), false, "Anna"); err == nil || !strings.Contains(err.Error(), "can't be reached") {
			t.Errorf("wish without a hub: %v", err)
		}
		time.Sleep(5 * time.Second)
		if v := want(app.HubAway); v.Hub.Why != app.WhyUnreachable {
			t.Errorf("hub is away because %q", v.Hub.Why)
		}
		h.Restart()
		time.Sleep(12 * time.Second)
		want(app.Ringing)

		if err := w.Wish(t.Context(), false, ""); err != nil {
			t.Fatal(err)
		}
		current(`{"alarm_armed":false,"siren_ringing":false,"door_open":true,"desired_version":2,"heartbeat_s":300}`)
		want(app.Disarmed)
		if err := w.Wish(t.Context(), true, "Ben"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(app.Withdraw + 2*time.Second)
		if v := want(app.Disarmed); v.Wish.Outcome != app.Withdrawn || v.Wish.By != "Ben" {
			t.Errorf("the wish is %+v", v.Wish)
		}
		if got := h.MustGet(panel, "desired"); got.Version != 4 || string(got.Data) != `{"alarm_armed":false,"by":"Ben","withdrawn":true}` {
			t.Errorf("desired is %d %s", got.Version, got.Data)
		}

		wrong, err := app.NewAPI(app.Options{URL: hubtest.BaseURL, Device: panel, Token: "11111111-2222-4333-8444-555555555555", Insecure: true, Transport: h.HTTPClient().Transport})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wrong.Get(t.Context(), "current"); err == nil || !strings.Contains(err.Error(), "hub token add") {
			t.Errorf("with a wrong token: %v", err)
		}
		if _, err := api.Put(t.Context(), "desired", 3, []byte(`{}`)); err == nil || err.Error() != (&twin.VersionError{}).Error() {
			t.Errorf("put over an old version: %v", err)
		}
	})
}
