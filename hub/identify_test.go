package hub

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

const refused = "20020005 closed"

// wantRefused connects and wants the refusal and one line with a reason, and with nothing of what opens a twin.
func (s *doorServer) wantRefused(what, way string, login []byte, reason string, shows ...tls.Certificate) {
	s.t.Helper()
	s.log.take()
	c := s.dialBy(way, shows...)
	c.send(login, publishPacket("$SCW/twins/me/desired/put", 1, `{"data":{"alarm_armed":false}}`))
	time.Sleep(2 * stopTime) // for two good-byes of TLS that meet in a pipe
	if got := c.take(); got != refused {
		s.t.Errorf("%s: got %s, want %s", what, got, refused)
	}
	log := s.log.take()
	if strings.Count(log, `level=INFO msg="connection refused"`) != 1 || !strings.Contains(log, reason) {
		s.t.Errorf("%s: log is %q, want a refusal with %q", what, log, reason)
	}
	for shown := range strings.FieldsFuncSeq(string(login), func(r rune) bool { return r < ' ' || r == '$' }) {
		if len(shown) > 20 && strings.Contains(log, shown) { // an id or a secret
			s.t.Errorf("%s: log shows %q: %s", what, shown, log)
		}
	}
	time.Sleep(logWindow) // so that each gets its line
}

// wantVersion fails the test unless a document is as it was written for the n-th time.
func (s *testServer) wantVersion(id twin.ID, name twin.Name, n uint32) {
	s.t.Helper()
	if doc, err := s.documents.Get(context.Background(), docstore.Key{Twin: id, Name: name}); err != nil || doc.Version != n {
		s.t.Errorf("document %s: got version %d, %v, want %d", name, doc.Version, err, n)
	}
}

// An id stands in every REST address. Who has learned it can do nothing with it, in whichever way.
func TestWhoKnowsOnlyTheIDCannotDisarm(t *testing.T) {
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newDoorServer(t, nil)
				certified, _ := s.addCertified("certified")
				secret, _ := s.addSecret("with secret")
				both := s.addDevice("with both", func(d *registry.Device) {
					s.issue(d)
					d.Secret = registry.HashSecret("a secret")
				})
				other, theirs := s.addCertified("another")
				for _, d := range []registry.Device{certified, secret, both} {
					s.put(d.ID, "desired", `{"data":{"alarm_armed":true}}`)
					id := string(d.ID)
					for name, login := range map[string][]byte{
						"client id":                loginPacket(id, "", ""),
						"upper case":               loginPacket(strings.ToUpper(id), "", ""),
						"user name":                loginPacket("", id, ""),
						"empty password":           packet(0x10, "MQTT", 4, 0xc2, uint16(0), id, id, ""),
						"id as the password":       loginPacket(id, id, id),
						"other device's client id": loginPacket(string(other.ID), id, ""),
					} {
						s.wantRefused(d.Name+", "+name, way, login, "reason=")
					}
					if way == "mqtts" || way == "wss" {
						s.wantRefused(d.Name+", another's certificate", way, loginPacket(id, "", ""), errOtherDevice.Error(), theirs)
					}
					for _, token := range []string{"", id} {
						r := httptest.NewRequest("PUT", "/iot/v1/regions/fr-par/twins/"+id+"/documents/desired", strings.NewReader(`{"data":{}}`))
						r.Header.Set("X-Auth-Token", token)
						answer := httptest.NewRecorder()
						s.REST().ServeHTTP(answer, r)
						if answer.Code != 401 {
							t.Errorf("%s over REST with token %q: got %d %s, want 401", d.Name, token, answer.Code, answer.Body)
						}
					}
					s.wantVersion(d.ID, "desired", 1)
				}
			})
		})
	}
}

// A device that may not write a document can't, whatever it tries; apps can.
func TestStolenPanelCannotDisarm(t *testing.T) {
	const denied = `{"error":"permission denied"}`
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		var pair tls.Certificate
		d := s.addDevice("stolen", func(d *registry.Device) {
			pair = s.issue(d)
			d.ReadOnly = []twin.Name{twin.ConfigName, "desired"}
		})
		s.put(d.ID, "desired", `{"data":{"alarm_armed":true}}`)
		c := s.connectBy("mqtts", loginPacket("", "", ""), pair)
		s.log.take()
		for _, own := range []string{twin.Me, string(d.ID), strings.ToUpper(string(d.ID))} {
			for _, document := range []string{"desired", "_config"} {
				for _, method := range []string{"put", "patch"} {
					for id := range uint16(2) { // at QoS 0 and 1
						topic := "$SCW/twins/" + own + "/" + document + "/" + method
						want := answer(topic+"/response/error", denied)
						if id > 0 {
							want = "40020001" + want
						}
						for _, payload := range []string{`{"data":{"alarm_armed":false}}`, `{"version":1,"data":{}}`, "no JSON"} {
							c.send(publishPacket(topic, id, payload))
							if got := c.take(); got != want {
								t.Errorf("%s at QoS %d: got %s, want %s", topic, id, got, want)
							}
						}
					}
				}
			}
		}
		if log := s.log.take(); strings.Count(log, `level=WARN msg="write denied`) != linesPerSubject || !strings.Contains(log, "device=stolen") || !strings.Contains(log, "document=desired") {
			t.Errorf("log is %q, want %d lines about writes denied", log, linesPerSubject)
		}
		// There is no method that deletes, and a will goes nowhere.
		c.send(publishPacket("$SCW/twins/me/desired/delete", 0, ""), publishPacket("$SCW/twins/me/desired", 0, ""))
		c.want("")
		will := s.dialBy("mqtts", pair)
		will.send(packet(0x10, "MQTT", 4, 0x06, uint16(0), "", "$SCW/twins/me/desired/put", `{"data":{"alarm_armed":false}}`))
		will.want("20020000")
		will.conn.Close()
		synctest.Wait()
		s.wantVersion(d.ID, "desired", 1)

		c = s.connectBy("mqtts", loginPacket("", "", ""), pair)
		c.send(publishPacket("$SCW/twins/me/desired/get", 0, ""))
		c.want(answer("$SCW/twins/me/desired/get/response/success", `{"version":1,"data":{"alarm_armed":true}}`))
		c.send(publishPacket("$SCW/twins/me/current/put", 0, `{"data":{}}`))
		c.want(answer("$SCW/twins/me/current/put/response/success", `{"version":1,"data":{}}`))
		s.put(d.ID, "desired", `{"data":{"alarm_armed":false}}`) // an app
		s.update(d.ID, func(d *registry.Device) { d.ReadOnly = nil })
		c.send(publishPacket("$SCW/twins/me/desired/put", 0, `{"version":2,"data":{}}`))
		c.want(answer("$SCW/twins/me/desired/put/response/success", `{"version":3,"data":{}}`))
	})
}

func TestSecretOpensNoOtherDevice(t *testing.T) {
	for _, way := range allWays {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newDoorServer(t, nil)
				mine, secret := s.addSecret("mine")
				other, otherSecret := s.addSecret("another")
				s.update(panelID, func(d *registry.Device) { d.Secret = registry.HashSecret("the panel's") }) // beside allow_insecure
				me, it, panel := string(mine.ID), string(other.ID), string(panelID)
				tests := []struct {
					name  string
					login []byte
					want  string
					log   string
				}{
					{"other's secret", loginPacket(me, me, otherSecret), refused, errWrongSecret.Error()},
					{"client id decides", loginPacket(me, it, otherSecret), refused, errWrongSecret.Error()},
					{"the secret's beginning", loginPacket(me, me, secret[:25]), refused, errWrongSecret.Error()},
					{"the secret and more", loginPacket(me, me, secret+"x"), refused, errWrongSecret.Error()},
					{"the secret in lower case", loginPacket(me, me, strings.ToLower(secret)), refused, errWrongSecret.Error()},
					{"the hash", loginPacket(me, me, fmt.Sprintf("%x", registry.HashSecret(secret))), refused, errWrongSecret.Error()},
					{"no password", loginPacket(me, me, ""), refused, errInsecure.Error()},
					{"the secret as the user name", loginPacket("x", secret, secret), refused, errNoIdentity.Error()},
					{"wrong secret where the id is enough", loginPacket(panel, panel, "a guess"), refused, errWrongSecret.Error()},
					{"device without a secret", loginPacket(string(secureID), string(secureID), secret), refused, errNoSecret.Error()},

					{"client id", loginPacket(me, "any", secret), "20020000", "device=mine"},
					{"user name", loginPacket("", me, secret), "20020000", "device=mine"},
					{"user name, client id of no device", loginPacket(string(nobodyID), strings.ToUpper(me), secret), "20020000", "device=mine"},
					{"secret where the id is enough", loginPacket(panel, panel, "the panel's"), "20020000", "device=panel"},
					{"the id where it is enough", loginPacket(panel, "", ""), "20020000", "device=panel"},
				}
				for _, tt := range tests {
					if tt.want == refused {
						s.wantRefused(tt.name, way, tt.login, tt.log)
						continue
					}
					c := s.dialBy(way)
					c.send(tt.login)
					if got, log := c.take(), s.log.take(); got != tt.want || !strings.Contains(log, tt.log) {
						t.Errorf("%s: got %s, want %s, with %s in log %q", tt.name, got, tt.want, tt.log, log)
					}
				}
			})
		})
	}
}

func TestCertificateOpensNoOtherDevice(t *testing.T) {
	for _, way := range secureWays {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newDoorServer(t, nil)
				mine, pair := s.addCertified("mine")
				other, secret := s.addSecret("another")
				me, it := string(mine.ID), string(other.ID)
				for name, login := range map[string][]byte{
					"client id":                      loginPacket(it, "", ""),
					"user name":                      loginPacket("", it, ""),
					"user name beside its client id": loginPacket(me, it, ""),
					"with the other's secret":        loginPacket(it, it, secret),
					"one that the id alone opens":    loginPacket(string(panelID), "", ""),
				} {
					s.wantRefused(name, way, login, "device=mine id="+me[:8]+"… reason=\""+errOtherDevice.Error(), pair)
				}
				for name, login := range map[string][]byte{
					"nothing else":     loginPacket("", "", ""),
					"its id":           loginPacket(me, me, ""),
					"its name":         loginPacket("mine", "mine", ""),
					"an id of nobody":  loginPacket(string(nobodyID), "", ""),
					"any password":     loginPacket(me, me, "a password"),
					"in capitals":      loginPacket(strings.ToUpper(me), "", ""),
					"what it is not":   loginPacket("another", "another", secret),
					"session, with id": packet(0x10, "MQTT", 4, 0, uint16(0), me),
				} {
					c := s.connectBy(way, login, pair)
					c.send(publishPacket("$SCW/twins/"+me+"/a/get", 0, ""), publishPacket("$SCW/twins/"+it+"/a/put", 0, `{"data":{}}`))
					if got, want := c.take(), answer("$SCW/twins/"+me+"/a/get/response/error", `{"error":"document not found"}`)+
						answer("$SCW/twins/"+it+"/a/put/response/error", `{"error":"permission denied"}`); got != want {
						t.Errorf("%s: got %s, want %s", name, got, want)
					}
					time.Sleep(takeOverWindow)
				}
			})
		})
	}
}

// A client that shows a certificate is the device of that one or nothing, also where the id
// alone would do.
func TestBadCertificatesAreRefused(t *testing.T) {
	for _, way := range secureWays {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(27 * 365 * 24 * time.Hour) // the clock is set
				s := newDoorServer(t, nil)
				now := time.Now()
				year := 365 * 24 * time.Hour
				stranger := certify(t, "somebody's authority", now.Add(-year), now.Add(year), nil)
				expired := certify(t, "panel", now.Add(-year), now.Add(-time.Minute), nil)
				early := certify(t, "panel", now.Add(time.Hour), now.Add(year), nil)
				onRecord := func(pair tls.Certificate) func(*registry.Device) {
					return func(d *registry.Device) { d.Certificate, d.AllowInsecure = pair.Certificate[0], true }
				}
				_, removed := s.addCertified("removed")
				disabled, disabledPair := s.addCertified("disabled")
				replaced, replacedPair := s.addCertified("replaced")
				d, err := s.registry.DeviceByName(t.Context(), "removed")
				if err == nil {
					err = s.registry.RemoveDevice(t.Context(), d.ID)
				}
				if err != nil {
					t.Fatal(err)
				}
				s.update(disabled.ID, func(d *registry.Device) { d.Disabled = true })
				fresh := replaced
				s.issue(&fresh)
				s.update(replaced.ID, func(d *registry.Device) { d.Certificate = fresh.Certificate })
				tests := []struct {
					name string
					pair tls.Certificate
					id   twin.ID
					log  string
				}{
					{"expired", expired, s.addDevice("expired", onRecord(expired)).ID, "certificate expired on "},
					{"not yet valid", early, s.addDevice("early", onRecord(early)).ID, "certificate is not valid before "},
					{"self-signed, of nobody", stranger, panelID, "no device has this certificate on record"},
					{"of another authority", certify(t, "panel", now.Add(-year), now.Add(year), &stranger), panelID, "no device has this certificate on record"},
					{"of a device that was removed", removed, panelID, ""},
					{"replaced", replacedPair, replaced.ID, ""},
					{"of a disabled device", disabledPair, disabled.ID, errOff.Error()},
				}
				for _, tt := range tests {
					for _, login := range [][]byte{loginPacket("", "", ""), loginPacket(string(tt.id), "", "")} {
						s.wantRefused(tt.name, way, login, tt.log, tt.pair)
					}
				}
			})
		})
	}
}

// Whoever signs certificates for devices can add them, if the hub is set up so.
func TestAutoProvisioning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newDoorServer(t, nil)
		now := time.Now()
		year := 365 * 24 * time.Hour
		authority := certify(t, "the factory", now.Add(-year), now.Add(year), nil)
		lamp, bad := certify(t, "lamp", now, now.Add(year), &authority), certify(t, " lamp", now, now.Add(year), &authority)
		refuse := func(name, reason string, pair tls.Certificate) {
			t.Helper()
			s.wantRefused(name, "mqtts", loginPacket("", "", ""), reason, pair)
		}
		provision := func(on bool) {
			if _, err := s.registry.UpdateHub(t.Context(), func(h *registry.Hub) error {
				h.AutoProvisioning = on
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		provision(true)
		refuse("an authority of somebody else's", "no device has this certificate on record", lamp)
		if _, err := s.registry.UpdateAuthorities(t.Context(), func(all []registry.Authority) ([]registry.Authority, error) {
			return append(all, registry.Authority{Kind: registry.DeviceAuthority, Certificate: authority.Certificate[0]}), nil
		}); err != nil {
			t.Fatal(err)
		}
		provision(false)
		refuse("switched off", `there is no device \"lamp\"`, lamp)
		provision(true)
		refuse("a name that no device can have", "remove the space", bad)
		if _, err := s.registry.DeviceByName(t.Context(), "lamp"); err == nil {
			t.Error("a refused device was added")
		}

		one, two := s.dialBy("mqtts", lamp), s.dialBy("wss", lamp)
		one.send(loginPacket("one", "", ""))
		two.send(loginPacket("two", "", ""))
		synctest.Wait()
		log := s.log.take()
		if strings.Count(log, "device added") != 1 || strings.Contains(log, "refused") || s.sessions() != 1 {
			t.Errorf("%d connections, and the log is %q, want one device added", s.sessions(), log)
		}
		d, err := s.registry.DeviceByName(t.Context(), "lamp")
		if err != nil || d.AllowInsecure || d.AllowMultipleConnections || d.Certificate != nil || d.HasSecret() {
			t.Errorf("got %+v, %v; want a device that may do nothing special", d, err)
		}
	})
}
