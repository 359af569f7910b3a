package hub

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
)

// Over TLS a device is who its certificate says, whatever else its CONNECT has; and a certificate that is nobody's is
// no way to the broker: most likely it is that of a device, and out of date.
func TestCertificatesInFrontOfABroker(t *testing.T) {
	for _, way := range []string{"mqtts", "wss"} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &fakeBroker{t: t}
				s := newDoorServer(t, func(c *Config) { c.Upstream = &Upstream{Address: "broker.example:1883"} })
				s.endpoint.broker.open = b.open
				d, pair := s.addCertified("lamp")
				login := packet(0x10, "MQTT", 4, 0xc2, uint16(60), "any", "anna", "her password")
				c := s.dialBy(way, pair)
				c.send(login)
				up := b.last()
				up.want(fmt.Sprintf("%x", login))
				up.send(connackOf(1, 0))
				c.want("20020100")
				c.send(subscribePacket(1, "$SCW/twins/me/#"), publishPacket("$SCW/twins/"+string(d.ID)+"/a/put", 2, `{"data":{}}`), publishPacket("house/door", 3, "open"))
				c.want("9003000100" + "40020002")
				up.want(fmt.Sprintf("%x", publishPacket("house/door", 3, "open")))

				dials := b.dials()
				nobody := certify(t, "lamp", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), nil)
				for name, c := range map[string]*rawClient{"the id alone": s.dialBy(way), "somebody else's certificate": s.dialBy(way, nobody)} {
					c.send(connectPacket(string(d.ID), 60))
					time.Sleep(2 * stopTime)
					if got := c.take(); !strings.HasPrefix(got, "20020005") {
						t.Errorf("%s: got %s, want code 5", name, got)
					}
				}
				if n := b.dials(); n != dials {
					t.Errorf("the broker was dialed %d times more", n-dials)
				}

				plain := s.dialBy(way)
				plain.send(login)
				up = b.last()
				up.want(fmt.Sprintf("%x", login))
			})
		})
	}
}

func TestMetricsOfABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := newPassThrough(t, nil)
		token, secret, err := registry.NewToken("prometheus")
		if err == nil {
			err = s.registry.AddToken(t.Context(), token)
		}
		if err != nil {
			t.Fatal(err)
		}
		c, up := s.through(b, connectPacket(string(panelID), 60)) // 50 bytes
		s.through(b, connectPacket("meter", 60))                  // 19
		c.send(publishPacket("house/door", 0, "open"))            // 18
		up.send(packet(0xd0))
		b.away = fmt.Errorf("connection refused")
		refused := s.dial()
		refused.send(connectPacket("meter", 60))
		refused.want("20020003 closed")

		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("X-Auth-Token", secret)
		w := httptest.NewRecorder()
		s.REST().ServeHTTP(w, r)
		for _, want := range []string{
			`twinpanel_hub_connections{state="device"} 1`,
			`twinpanel_hub_connections{state="plain"} 1`,
			`twinpanel_hub_connects_total{outcome="accepted"} 2`,
			`twinpanel_hub_connects_total{outcome="broker away"} 1`,
			`twinpanel_hub_upstream_connections 2`,
			`twinpanel_hub_upstream_failed_dials_total 1`,
			`twinpanel_hub_upstream_sent_bytes_total 87`,
			`twinpanel_hub_upstream_received_bytes_total 10`,
		} {
			if !strings.Contains(w.Body.String(), want+"\n") {
				t.Errorf("the metrics don't have %s", want)
			}
		}
	})
}
