package graphite_test

import (
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/graphite"
)

func TestNewRefusesURIs(t *testing.T) {
	const write = "write tcp://HOST:2003 or https://USER:TOKEN@HOST/PATH"
	tests := []struct{ uri, want string }{
		{"", "empty: " + write},
		{"https://user:s3cret@host:port/metrics", "not a URI: " + write + ", and %XX for special characters in USER and TOKEN"},
		{"https://user:s3%cret@host/metrics", "not a URI: " + write + ", and %XX for special characters in USER and TOKEN"},
		{"s3cret\x00", "not a URI: " + write + ", and %XX for special characters in USER and TOKEN"},
		{"s3cret:token@host/metrics", "neither tcp nor http nor https: " + write},
		{"carbon.example.com", "neither tcp nor http nor https: " + write},
		{"udp://host:2003", "neither tcp nor http nor https: " + write},
		{"tcp:host:2003", "without a host: write tcp://HOST"},
		{"https:///s3cret", "without a host: write https://HOST"},
		{"tcp://:2003", "without a host: write tcp://HOST"},
		{"tcp://host:0", "with a port that there is not: write one from 1 to 65535"},
		{"https://user:s3cret@host:65536", "with a port that there is not: write one from 1 to 65535"},
		{"tcp://user:s3cret@host:2003", "more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
		{"tcp://host:2003/s3cret", "more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
		{"tcp://host:2003?s3cret", "more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
		{"tcp://host:2003#s3cret", "more than a host and a port, which is all that carbon takes: write tcp://HOST:2003"},
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
