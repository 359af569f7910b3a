package hub

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const restToken = "0a1b2c3d-0000-4000-8000-00000000000f"

// ask sends a REST request that has to succeed, below /iot/v1/regions/fr-par, and returns its answer.
func (s *testServer) ask(method, path, body string) (answer map[string]any) {
	s.t.Helper()
	r := httptest.NewRequest(method, "/iot/v1/regions/fr-par"+path, strings.NewReader(body))
	r.Header.Set("X-Auth-Token", restToken)
	w := httptest.NewRecorder()
	s.REST().ServeHTTP(w, r)
	if w.Code/100 != 2 {
		s.t.Fatalf("%s %s: got %d %s", method, path, w.Code, w.Body)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			s.t.Fatalf("%s %s: got %s: %v", method, path, w.Body, err)
		}
	}
	return answer
}

func newRESTServer(t *testing.T) *testServer {
	t.Helper()
	s := newTestServer(t, nil)
	if err := s.registry.AddToken(t.Context(), registry.Token{Name: "app", Hash: registry.HashSecret(restToken)}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRESTShowsWhoIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRESTServer(t)
		hubID, _ := s.ask("GET", "/hubs", "")["hubs"].([]any)[0].(map[string]any)["id"].(string)
		check := func(when string, connected bool, activity string, count float64) {
			t.Helper()
			synctest.Wait()
			d := s.ask("GET", "/devices/"+string(panelID), "")
			h := s.ask("GET", "/hubs/"+hubID, "")
			if d["is_connected"] != connected || d["last_activity_at"] != activity || h["connected_device_count"] != count || h["device_count"] != 4.0 {
				t.Errorf("%s: got %v, %v, %v of %v; want %v, %v, %v of 4", when,
					d["is_connected"], d["last_activity_at"], h["connected_device_count"], h["device_count"], connected, activity, count)
			}
		}
		at := func() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }
		check("before", false, "1970-01-01T00:00:00Z", 0)
		c := s.connect(panelID)
		connected := at()
		check("connected", true, connected, 1)
		multi := []*rawClient{s.connect(multiID), s.connect(multiID)}
		check("another device twice", true, connected, 2)
		time.Sleep(time.Minute)
		c.send(packet(0xc0))
		pinged := at()
		check("a ping is activity", true, pinged, 2)
		multi[0].conn.Close()
		check("the other device once", true, pinged, 2)
		multi[1].conn.Close()
		check("the other device gone", true, pinged, 1)
		time.Sleep(time.Second)
		c.send(packet(0xe0))
		check("disconnected", false, at(), 0)
		gone := at()
		time.Sleep(time.Hour)
		check("long after", false, gone, 0)
	})
}

// What somebody changes about a device ends its connections where it should, and nobody else's.
func TestRESTEndsConnections(t *testing.T) {
	all, err := credential.Ensure(t.Context(), registry.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	_, own, _, err := credential.Issue(all, registry.Device{ID: panelID, Name: "whatever"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, path, body string
		device             twin.ID
		reason             string // for the log; empty = the connection stays
	}{
		{"PATCH", "", `{"description":"x","allow_insecure":true,"allow_multiple_connections":true}`, panelID, ""},
		{"PATCH", "", `{"message_filters":{"publish":{"policy":"accept"}}}`, panelID, ""},
		{"POST", "/enable", `{}`, panelID, ""},
		{"GET", "/certificate", ``, panelID, ""},
		{"POST", "/disable", `{}`, panelID, "device was disabled"},
		{"DELETE", "", ``, panelID, "device was removed"},
		{"PATCH", "", `{"allow_insecure":false}`, panelID, "device may no longer connect as it did"},
		{"PATCH", "", `{"allow_multiple_connections":false}`, multiID, "device may no longer connect as it did"},
		{"POST", "/renew-certificate", `{}`, panelID, "device has another certificate"},
		{"PUT", "/certificate", fmt.Sprintf(`{"certificate_pem":%q}`, own), panelID, "device has another certificate"},
	} {
		t.Run(tt.method+tt.path+tt.body[:min(len(tt.body), 40)], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRESTServer(t)
				mine, others := s.connect(tt.device), s.connect(otherID)
				s.log.take()
				s.ask(tt.method, "/devices/"+string(tt.device)+tt.path, tt.body)
				want := ""
				if tt.reason != "" {
					want = "closed"
				}
				mine.want(want)
				others.want("")
				log := s.log.take()
				if line := fmt.Sprintf("reason=%q", tt.reason); tt.reason != "" && !strings.Contains(log, line) {
					t.Errorf("the log lacks %s:\n%s", line, log)
				}
				others.send(packet(0xc0))
				others.want("d000")
			})
		})
	}
}
