package hub

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

type occasion struct {
	name string
	then func(*rawClient)
}

// How a device whose hub is told something about it comes to notice: by its next request, its next ping,
// or in its silence.
var occasions = []occasion{
	{"request", func(c *rawClient) { c.send(publishPacket("$SCW/twins/me/a/get", 1, "")) }},
	{"ping", func(c *rawClient) { c.send(packet(0xc0)) }},
	{"subscription", func(c *rawClient) { c.send(subscribePacket(2, "$SCW/twins/me/+/changed")) }},
	{"silence", func(*rawClient) { time.Sleep(recheckTime) }},
}

// wantEnd wants that a connection has ended without an answer, and why.
func (s *testServer) wantEnd(c *rawClient, reason string) {
	s.t.Helper()
	got, _ := strings.CutPrefix(c.take(), "90030002 ") // a SUBSCRIBE may be answered
	got, _ = strings.CutPrefix(got, "9003000200 ")
	if got != "closed" {
		s.t.Errorf("got %s, want closed", got)
	}
	if log := s.log.take(); !strings.Contains(log, `level=INFO msg="device disconnected"`) || !strings.Contains(log, reason) {
		s.t.Errorf("log is %q, want %q", log, reason)
	}
}

func TestDisabledDeviceLosesItsConnection(t *testing.T) {
	for _, occasion := range occasions {
		t.Run(occasion.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newDoorServer(t, nil)
				certified, pair := s.addCertified("certified")
				withSecret, secret := s.addSecret("with secret")
				clients := map[twin.ID]*rawClient{
					panelID:       s.connectBy("mqtt", loginPacket(string(panelID), "", "")),
					certified.ID:  s.connectBy("mqtts", loginPacket("", "", ""), pair),
					withSecret.ID: s.connectBy("mqtts", loginPacket(string(withSecret.ID), "x", secret)),
				}
				bystander := s.connectBy("mqtt", loginPacket(string(otherID), "", ""))
				for id, c := range clients {
					s.update(id, func(d *registry.Device) { d.Disabled = true })
					s.log.take()
					occasion.then(c)
					s.wantEnd(c, errOff.Error())
				}
				bystander.send(packet(0xc0))
				bystander.want("d000")
				for _, login := range [][]byte{loginPacket(string(panelID), "", ""), loginPacket(string(withSecret.ID), "x", secret)} {
					s.wantRefused("disabled", "mqtts", login, errOff.Error())
				}
				s.wantRefused("disabled", "mqtts", loginPacket("", "", ""), errOff.Error(), pair)

				s.update(panelID, func(d *registry.Device) { d.Disabled = false })
				s.connectBy("mqtt", loginPacket(string(panelID), "", ""))
			})
		})
	}
}

func TestReplacedCredentialEndsItsConnection(t *testing.T) {
	const byID, bySecret, byCertificate = "id", "secret", "certificate"
	tests := []struct {
		name   string
		by     string
		change func(*registry.Device)
		reason string // empty = the connection stays
	}{
		{"certificate replaced", byCertificate, func(d *registry.Device) { d.Certificate = append([]byte(nil), d.Certificate[1:]...) }, errReplaced.Error()},
		{"certificate taken back", byCertificate, func(d *registry.Device) { d.Certificate = nil }, errReplaced.Error()},
		{"secret replaced", bySecret, func(d *registry.Device) { d.Secret = registry.HashSecret("another") }, errReplaced.Error()},
		{"secret taken back", bySecret, func(d *registry.Device) { d.Secret = [32]byte{} }, errReplaced.Error()},
		{"id no longer enough", byID, func(d *registry.Device) { d.AllowInsecure = false }, "the id alone does not open this device"},

		{"nothing replaced", byCertificate, func(d *registry.Device) { d.Description = "in the hall" }, ""},
		{"secret replaced, which it did not use", byCertificate, func(d *registry.Device) { d.Secret = registry.HashSecret("another") }, ""},
		{"id no longer enough, which it did not use", byCertificate, func(d *registry.Device) { d.AllowInsecure = false }, ""},
		{"certificate taken back, which it did not use", bySecret, func(d *registry.Device) { d.Certificate = nil }, ""},
		{"id no longer enough, which it did not use", bySecret, func(d *registry.Device) { d.AllowInsecure = false }, ""},
		{"secret added", byID, func(d *registry.Device) { d.Secret = registry.HashSecret("another") }, ""},
	}
	for _, tt := range tests {
		for _, occasion := range occasions {
			t.Run(tt.name+", "+occasion.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newDoorServer(t, nil)
					var pair tls.Certificate
					d := s.addDevice("device", func(d *registry.Device) {
						pair = s.issue(d)
						d.Secret, d.AllowInsecure = registry.HashSecret("a secret"), true
					})
					var c *rawClient
					switch tt.by {
					case byID:
						c = s.connectBy("mqtts", loginPacket(string(d.ID), "", ""))
					case bySecret:
						c = s.connectBy("mqtts", loginPacket(string(d.ID), "x", "a secret"))
					case byCertificate:
						c = s.connectBy("mqtts", loginPacket(string(d.ID), "x", ""), pair)
					}
					s.log.take()
					s.update(d.ID, tt.change)
					occasion.then(c)
					if tt.reason != "" {
						s.wantEnd(c, tt.reason)
						return
					}
					c.take()
					c.send(packet(0xc0))
					c.want("d000")
				})
			})
		}
	}
}

// What a session can't see in its device, the end of its certificate or of an authority, ends it
// when it is looked at again, however busy it is.
func TestCertificateThatIsNoLongerGoodEndsItsConnection(t *testing.T) {
	tests := []struct {
		name   string
		life   time.Duration
		remove bool // the authority
		reason string
	}{
		{"expired", time.Minute, false, "certificate expired on "},
		{"authority removed", time.Hour, true, "no device has this certificate on record"},
		{"still good", time.Hour, false, ""},
	}
	for _, tt := range tests {
		for _, idle := range []bool{true, false} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(27 * 365 * 24 * time.Hour) // the clock is set
					s := newDoorServer(t, nil)
					now := time.Now()
					authority := certify(t, "the factory", now.Add(-time.Hour), now.Add(48*time.Hour), nil)
					pair := certify(t, "lamp", now.Add(-time.Hour), now.Add(tt.life), &authority)
					s.addDevice("lamp", nil)
					replace := func(made []registry.Authority) {
						if _, err := s.registry.UpdateAuthorities(t.Context(), func([]registry.Authority) ([]registry.Authority, error) {
							return made, nil
						}); err != nil {
							t.Fatal(err)
						}
					}
					before := s.authorities()
					replace(append(s.authorities(), registry.Authority{Kind: registry.DeviceAuthority, Certificate: authority.Certificate[0]}))
					c := s.connectBy("mqtts", loginPacket("", "", ""), pair)
					s.log.take()
					if tt.remove {
						replace(before)
					}
					for range 30 {
						time.Sleep(recheckTime / 30)
						if !idle {
							c.send(publishPacket("$SCW/twins/me/a/get", 1, ""))
						}
					}
					synctest.Wait()
					if got := strings.HasSuffix(c.take(), "closed"); got != (tt.reason != "") {
						t.Errorf("ended: %v", got)
					}
					if log := s.log.take(); !strings.Contains(log, tt.reason) {
						t.Errorf("log is %q, want %q", log, tt.reason)
					}
				})
			})
		}
	}
}

// A device that is silent, and was disabled by a command, hears of no change any more.
func TestDisabledDeviceGetsNoNotice(t *testing.T) {
	for name, end := range map[string]func(s *doorServer, id twin.ID) error{
		"disabled": func(s *doorServer, id twin.ID) error {
			s.update(id, func(d *registry.Device) { d.Disabled = true })
			return errOff
		},
		"secret replaced": func(s *doorServer, id twin.ID) error {
			s.update(id, func(d *registry.Device) { d.Secret = registry.HashSecret("another") })
			return errReplaced
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newDoorServer(t, nil)
				d, secret := s.addSecret("device")
				c := s.connectBy("mqtts", loginPacket(string(d.ID), "x", secret))
				c.send(subscribePacket(2, "$SCW/twins/me/desired/changed"))
				c.want("9003000200" + notice("desired", 0))
				s.log.take()
				reason := end(s, d.ID)
				s.put(d.ID, "desired", `{"data":{"alarm_armed":true}}`)
				time.Sleep(2 * stopTime)
				s.wantEnd(c, reason.Error())
			})
		})
	}
}

// A changingRegistry calls change once, after a look for a device and before its finder knows.
type changingRegistry struct {
	registry.Registry
	change func()
}

func (r *changingRegistry) Device(ctx context.Context, id twin.ID) (registry.Device, error) {
	d, err := r.Registry.Device(ctx, id)
	r.once()
	return d, err
}

func (r *changingRegistry) DeviceByFingerprint(ctx context.Context, fingerprint [32]byte) (registry.Device, error) {
	d, err := r.Registry.DeviceByFingerprint(ctx, fingerprint)
	r.once()
	return d, err
}

func (r *changingRegistry) once() {
	if change := r.change; change != nil {
		r.change = nil
		change()
	}
}

// Whoever changes a device while it connects ends no connection, since there is none yet. It must
// not begin then.
func TestDeviceIsChangedWhileItConnects(t *testing.T) {
	disable := func(s *doorServer, id twin.ID) {
		s.update(id, func(d *registry.Device) { d.Disabled = true })
		s.endpoint.kick(id, errDisabled)
	}
	renew := func(s *doorServer, id twin.ID) {
		var renewed registry.Device
		s.issue(&renewed)
		s.update(id, func(d *registry.Device) { d.Certificate = renewed.Certificate })
		s.endpoint.kick(id, errCertificate)
	}
	remove := func(s *doorServer, id twin.ID) {
		if err := s.registry.RemoveDevice(context.Background(), id); err != nil {
			s.t.Error(err)
		}
		s.endpoint.kick(id, errRemoved)
	}
	nothing := func(*doorServer, twin.ID) {}
	for _, tt := range []struct {
		name     string
		byID     bool
		change   func(*doorServer, twin.ID)
		want     string
		log      string
		sessions int
	}{
		{"disabled", true, disable, refused, errOff.Error(), 0},
		{"disabled", false, disable, refused, errOff.Error(), 0},
		{"certificate renewed", false, renew, refused, errReplaced.Error(), 0},
		{"removed", true, remove, refused, errRemoved.Error(), 0},
		{"removed", false, remove, refused, errRemoved.Error(), 0},
		{"nothing", true, nothing, "20020000", "device connected", 1},
		{"nothing", false, nothing, "20020000", "device connected", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var devices *changingRegistry
				s := newDoorServer(t, func(c *Config) {
					devices = &changingRegistry{Registry: c.Registry}
					c.Registry = devices
				})
				d, pair := s.addCertified("certified")
				login, shows := loginPacket("", "", ""), []tls.Certificate{pair}
				if tt.byID {
					s.update(d.ID, func(d *registry.Device) { d.AllowInsecure = true })
					login, shows = loginPacket(string(d.ID), "", ""), nil
				}
				c := s.dialBy("mqtts", shows...)
				devices.change = func() { tt.change(s, d.ID) }
				c.send(login)
				time.Sleep(2 * stopTime)
				if got := c.take(); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if log := s.log.take(); !strings.Contains(log, tt.log) {
					t.Errorf("log is %q, want %q", log, tt.log)
				}
				if n := s.sessions(); n != tt.sessions {
					t.Errorf("%d sessions, want %d", n, tt.sessions)
				}
			})
		})
	}
}
