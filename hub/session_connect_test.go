package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// TestConnect has the exact answer to every kind of CONNECT, and the word of the
// log line that says why.
func TestConnect(t *testing.T) {
	panel, upper := string(panelID), strings.ToUpper(string(panelID))
	const shown = "device=panel id=11111111… remote="
	tests := []struct {
		name   string
		packet []byte
		want   string
		log    string
	}{
		{"not MQTT", []byte("GET / HTTP/1.1\r\n\r\n"), "closed", "MQTT-3.1.0-1"},
		{"ping first", packet(0xc0), "closed", "MQTT-3.1.0-1"},
		{"publish first", publishPacket("$SCW/twins/me/a/get", 0, ""), "closed", "MQTT-3.1.0-1"},
		{"too long", []byte{0x10, 0x81, 0x80, 0x04}, "closed", "CONNECT longer than 65536 bytes"},
		{"length of five bytes", []byte{0x10, 0xff, 0xff, 0xff, 0xff}, "closed", "section 2.2.3"},
		{"reserved flag", packet(0x10, "MQTT", 4, 3, uint16(0), panel), "closed", "MQTT-3.1.2-3"},
		{"other protocol", packet(0x10, "AMQP", 4, 2, uint16(0), panel), "closed", "MQTT-3.1.2-1"},
		{"MQTT 5", packet(0x10, "MQTT", 5, 2, uint16(0), 0, panel), "2003008400 closed", "MQTT 5 is not spoken here"},
		{"level 6", packet(0x10, "MQTT", 6, 2, uint16(0), 0, panel), "20020001 closed", "protocol level"},
		{"bridge", packet(0x10, "MQTT", 0x84, 2, uint16(0), panel), "20020001 closed", "protocol level"},
		{"no client id, session to be kept", packet(0x10, "MQTT", 4, 0x80, uint16(0), "", panel), "20020002 closed", "MQTT-3.1.3-8"},
		{"nothing at all", packet(0x10, "MQTT", 4, 2, uint16(0), ""), "20020005 closed", "neither client id nor user name"},
		{"client id is no device", packet(0x10, "MQTT", 4, 2, uint16(0), "panel"), "20020005 closed", "neither client id nor user name"},
		{"unknown device", packet(0x10, "MQTT", 4, 2, uint16(0), string(nobodyID)), "20020005 closed", "99999999…"},
		{"unknown user name", packet(0x10, "MQTT", 4, 0x82, uint16(0), "", string(nobodyID)), "20020005 closed", "neither"},
		{"device needs a certificate", packet(0x10, "MQTT", 4, 2, uint16(0), string(secureID)), "20020005 closed", "--allow-insecure"},
		{"client id decides", packet(0x10, "MQTT", 4, 0x82, uint16(0), string(secureID), panel), "20020005 closed", "--allow-insecure"},

		{"client id", packet(0x10, "MQTT", 4, 2, uint16(60), panel), "20020000", shown},
		{"upper case", packet(0x10, "MQTT", 4, 2, uint16(60), upper), "20020000", shown},
		{"MQTT 3.1", packet(0x10, "MQIsdp", 3, 2, uint16(60), panel), "20020000", shown},
		{"no session is kept", packet(0x10, "MQTT", 4, 0, uint16(60), panel), "20020000", shown},
		{"user name, no client id", packet(0x10, "MQTT", 4, 0x82, uint16(60), "", panel), "20020000", shown},
		{"user name, any client id", packet(0x10, "MQTT", 4, 0x82, uint16(60), "mqttjs_1", panel), "20020000", shown},
		{"user name, random client id", packet(0x10, "MQTT", 4, 0x82, uint16(60), string(nobodyID), panel), "20020000", shown},
		{"client id before user name", packet(0x10, "MQTT", 4, 0x82, uint16(60), panel, string(otherID)), "20020000", shown},
		{"password is ignored", packet(0x10, "MQTT", 4, 0xc2, uint16(60), "x", panel, "pa55word"), "20020000", shown},
		{"will", packet(0x10, "MQTT", 4, 0x36, uint16(60), panel, "$SCW/twins/me/a/get/response/success", "forged"), "20020000", shown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.dial()
				c.send(tt.packet)
				c.want(tt.want)
				log := s.log.take()
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, tt.log) {
					t.Errorf("log is %q, want one line with %q", log, tt.log)
				}
				for _, secret := range []string{panel, string(secureID), string(nobodyID), "pa55word", "forged"} {
					if strings.Contains(log, secret) {
						t.Errorf("log says %q: %s", secret, log)
					}
				}
			})
		})
	}
}

func TestConnectMustComeInTime(t *testing.T) {
	whole := connectPacket(string(panelID), 60)
	tests := []struct {
		name string
		sent []byte
		log  bool
	}{
		{"nothing", nil, true},
		{"one byte", whole[:1], true},
		{"all but one byte", whole[:len(whole)-1], true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTestServer(t, nil)
				c := s.dial()
				c.send(tt.sent)
				time.Sleep(connectTime - time.Millisecond)
				c.want("")
				time.Sleep(time.Millisecond)
				c.want("closed")
				if log := s.log.take(); !strings.Contains(log, "no complete CONNECT within 5s") {
					t.Errorf("log is %q", log)
				}
			})
		})
	}
}

func TestConnectInSingleBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestServer(t, nil).dial()
		for _, b := range connectPacket(string(panelID), 60) {
			c.send([]byte{b})
			time.Sleep(50 * time.Millisecond)
		}
		c.want("20020000")
	})
}

func TestPortCheckLeavesNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, nil)
		c := s.dial()
		c.conn.Close()
		c.want("closed")
		if log := s.log.take(); log != "" {
			t.Errorf("log is %q, want nothing", log)
		}
	})
}

// brokenRegistry can't be read.
type brokenRegistry struct{ registry.Registry }

func (brokenRegistry) Device(context.Context, twin.ID) (registry.Device, error) {
	return registry.Device{}, errors.New("disk on fire")
}

func TestConnectWhileTheRegistryIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Registry = brokenRegistry{c.Registry} })
		c := s.dial()
		c.send(connectPacket(string(panelID), 60))
		c.want("20020003 closed")
		if log := s.log.take(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "disk on fire") {
			t.Errorf("log is %q", log)
		}
	})
}

func TestTCPIsFoundBelowTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	if below[*net.TCPConn](pipe) != nil {
		t.Error("found TCP below a pipe")
	}
	if got := below[*net.TCPConn](tls.Server(conn, &tls.Config{})); got != conn {
		t.Errorf("got %v, want %v", got, conn)
	}
}
