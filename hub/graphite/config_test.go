package graphite_test

import (
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

func TestNewRefusesURIs(t *testing.T) {
	const write = "write tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH"
	tests := []struct{ uri, want string }{
		{"", "the URI is empty: " + write},
		{"https://user:s3cret@host:port/metrics", "the URI can't be read: " + write + ", and %XX for special characters in USER and TOKEN"},
		{"https://user:s3%cret@host/metrics", "the URI can't be read: " + write + ", and %XX for special characters in USER and TOKEN"},
		{"s3cret\x00", "the URI begins neither with tcp:// nor http:// nor https://: " + write},
		{"s3cret:token@host/metrics", "the URI begins neither with tcp:// nor http:// nor https://: " + write},
		{"carbon.example.com", "the URI begins neither with tcp:// nor http:// nor https://: " + write},
		{"udp://host:2003", "the URI begins neither with tcp:// nor http:// nor https://: " + write},
		{"tcp:host:2003", "the URI begins neither with tcp:// nor http:// nor https://: " + write},
		{"127.0.0.1:2003", "the URI begins neither with tcp:// nor http:// nor https://: " + write},
		{"https:///s3cret", "the URI has no host: write https://HOST"},
		{"tcp://:2003", "the URI has no host: write tcp://HOST"},
		{"tcp://host:0", "the URI has a port that there is not: write one from 1 to 65535"},
		{"https://user:s3cret@host:65536", "the URI has a port that there is not: write one from 1 to 65535"},
		{"tcp://user:s3cret@host:2003", "the URI has more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
		{"tcp://host:2003/s3cret", "the URI has more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
		{"tcp://host:2003?s3cret", "the URI has more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
		{"tcp://host:2003#s3cret", "the URI has more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
	}
	for _, tt := range tests {
		c := graphite.Config{URI: tt.uri}
		p, err := graphite.New(c)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, %v\nwant %s", tt.uri, p, err, tt.want)
		}
		if v := c.Validate(); v == nil || v.Error() != tt.want {
			t.Errorf("%q: Validate says %v, want %s", tt.uri, v, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error gives the secret away: %v", err)
		}
	}
}

func TestValidateAcceptsURIs(t *testing.T) {
	for _, uri := range []string{
		"tcp://carbon", "tcp://carbon:2003", "tcp://[::1]:2003", "tcp://127.0.0.1/", "TCP://carbon",
		"http://host", "https://host:8443/metrics", "https://12345:glc_ey%2B%3D@host/graphite/metrics?x=y", "https://host/",
	} {
		if err := (graphite.Config{URI: uri}).Validate(); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

func TestServerHasNoSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"":                         "",
		"tcp://user:s3cret@carbon": "",
		"tcp://carbon":             "tcp://carbon:2003",
		"TCP://[::1]:2103/":        "tcp://[::1]:2103",
		"http://host":              "http://host",
		"https://12345:s3cret@host/s3cret?s3cret#s3cret": "https://host",
		"https://s3cret@host:8443/":                      "https://host:8443",
	} {
		if got := (graphite.Config{URI: uri}).Server(); got != want {
			t.Errorf("%q: got %q, want %q", uri, got, want)
		}
	}
}
