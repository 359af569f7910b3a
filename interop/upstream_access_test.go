package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// The broker over TLS: with its authority, with another one, and at a name that its certificate isn't for.
func TestUpstreamOverTLS(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	trusted := b.certify("cert.pem", "key.pem")
	stranger := b.certify("other.pem", "other-key.pem")
	b.kill()
	b.configure("allow_anonymous true\ncertfile " + b.file("cert.pem") + "\nkeyfile " + b.file("key.pem") + "\n")
	b.start()
	for _, tt := range []struct {
		name    string
		roots   *x509.CertPool
		host    string
		connack string
		log     string
	}{
		{"its authority", trusted, "localhost", "code 0, session present false", "msg=\"client connected\""},
		{"another authority", stranger, "localhost", "code 3, session present false", "--upstream-ca names the file of the one that signed it"},
		{"another name", trusted, "broker.example", "code 3, session present false", "certificate is valid for localhost, not broker.example"},
	} {
		u := b.upstream("")
		u.TLS = &tls.Config{RootCAs: tt.roots, ServerName: tt.host}
		h, log := startInFront(t, u)
		p := dialPeer(t, h.MQTT(), "meter")
		if p.connack != tt.connack {
			t.Errorf("%s: got %s, want %s", tt.name, p.connack, tt.connack)
		}
		await(t, "the log has "+tt.log, func() bool { return strings.Contains(log.String(), tt.log) })
		if strings.HasPrefix(p.connack, "code 0") {
			p.subscribe(2, "a")
			p.publish("a", 2, false, strings.Repeat("x", 100_000))
			if got := p.next(); got != `a "100000 bytes" qos 2 retained false` {
				t.Errorf("got %s", got)
			}
		}
	}
}

// Who may do what at a broker that knows its users.
func TestUpstreamLogins(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "")
	for _, user := range []string{"hub", "anna"} {
		options := []string{"-b", b.file("passwords"), user, user + "s-s3cret"}
		if user == "hub" {
			options = append([]string{"-c"}, options...) // a new file
		}
		if out, err := exec.Command(tool(t, "mosquitto_passwd", "mosquitto"), options...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	b.kill()
	b.configure("allow_anonymous false\npassword_file " + b.file("passwords") + "\n")
	b.start()
	login := func(user, password string) func(*mqtt.ClientOptions) {
		return func(o *mqtt.ClientOptions) { o.SetUsername(user).SetPassword(password) }
	}
	for _, tt := range []struct {
		name, userinfo string
		device         bool
		login          func(*mqtt.ClientOptions)
		code           int
	}{
		{"a client's own", "", false, login("anna", "annas-s3cret"), 0},
		{"a client's own, wrong", "", false, login("anna", "guess"), 5},
		{"none", "", false, login("", ""), 5},
		{"a device's own", "", true, login("anna", ""), 5},
		{"the hub's, for a device", "hub:hubs-s3cret@", true, login("", ""), 0},
		{"the hub's, for a device with something else", "hub:hubs-s3cret@", true, login("nobody", ""), 0},
		{"the hub's, for no device", "hub:hubs-s3cret@", false, login("anna", "annas-s3cret"), 5},
		{"the hub's, wrong", "hub:hubs-0ld-s3cret@", true, login("", ""), 3},
	} {
		h, log := startInFront(t, b.upstream(tt.userinfo))
		id := "meter"
		if tt.device {
			id = string(h.AddDevice("panel").ID)
		}
		if p := dialPeer(t, h.MQTT(), id, tt.login); p.connack != fmt.Sprintf("code %d, session present false", tt.code) {
			t.Errorf("%s: got %s, want code %d", tt.name, p.connack, tt.code)
		}
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("%s: the log has a password:\n%s", tt.name, log)
		}
	}
}

// A device that does nothing but ask for its document is not dropped by the broker, which hears nothing of
// that: not within twice what it waits for others.
func TestTwinsAloneKeepTheBrokerContent(t *testing.T) {
	t.Parallel()
	b := startBroker(t, "allow_anonymous true\n")
	h, _ := startInFront(t, b.upstream(""))
	p := dialPeer(t, h.MQTT(), string(h.AddDevice("panel").ID), func(o *mqtt.ClientOptions) { o.SetKeepAlive(4 * time.Second) })
	p.subscribe(0, "$SCW/twins/me/#")
	for end := time.Now().Add(13 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		p.publish("$SCW/twins/me/desired/get", 1, false, "")
		if got := p.next(); !strings.Contains(got, "document not found") {
			t.Fatalf("got %s", got)
		}
	}
	if log := b.log.String(); strings.Contains(log, "exceeded timeout") || len(p.lost) > 0 {
		t.Errorf("the broker dropped the device:\n%s", log)
	}
}
