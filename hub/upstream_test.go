package hub

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
)

func TestParseUpstreamRefuses(t *testing.T) {
	for _, tt := range []struct{ name, url, want string }{
		{"nothing", "", "neither with mqtt:// nor mqtts://"},
		{"host alone", "broker.example", "neither with mqtt:// nor mqtts://"},
		{"host and port", "broker.example:1883", "neither with mqtt:// nor mqtts://"},
		{"another scheme", "tcp://hub:s3cret@broker.example", "neither with mqtt:// nor mqtts://"},
		{"no host", "mqtt://", "no host"},
		{"no host, port", "mqtt://hub:s3cret@:1883", "no host"},
		{"path", "mqtt://hub:s3cret@broker.example/mqtt", "goes on after host and port"},
		{"query", "mqtt://broker.example?password=s3cret", "goes on after host and port"},
		{"slash in a password", "mqtt://hub:12/s3cret@broker.example", "goes on after host and port"},
		{"hash in a password", "mqtt://hub:12#s3cret@broker.example", "goes on after host and port"},
		{"percent in a password", "mqtt://hub:s3cret%@broker.example", "can't be read"},
		{"port in letters", "mqtt://hub:s3cret@broker.example:mqtt", "can't be read"},
		{"port 0", "mqtt://broker.example:0", "no number from 1 to 65535"},
		{"port beyond", "mqtt://hub:s3cret@broker.example:65536", "no number from 1 to 65535"},
		{"password without user", "mqtt://:s3cret@broker.example", "password without a user name"},
		{"U+0000", "mqtt://hub:s3cret%00@broker.example", "U+0000"},
		{"no UTF-8", "mqtt://hub:s3cret%ff@broker.example", "UTF-8"},
		{"too long", "mqtt://hub:" + strings.Repeat("s3cret", 11000) + "@broker.example", "65535 bytes"},
	} {
		switch u, err := ParseUpstream(tt.url); {
		case err == nil:
			t.Errorf("%s: got %v, want an error with %q", tt.name, u, tt.want)
		case !strings.Contains(err.Error(), tt.want), strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: got error %q, want one with %q and without the password", tt.name, err, tt.want)
		}
	}
}

func TestParseUpstream(t *testing.T) {
	for _, tt := range []struct{ url, text, host, username, password string }{
		{"mqtt://broker.example", "mqtt://broker.example:1883", "", "", ""},
		{"mqtt://127.0.0.1:1884/", "mqtt://127.0.0.1:1884", "", "", ""},
		{"mqtt://[::1]", "mqtt://[::1]:1883", "", "", ""},
		{"mqtts://broker.example", "mqtts://broker.example:8883", "broker.example", "", ""},
		{"mqtts://hub@[::1]:1", "mqtts://[::1]:1", "::1", "hub", ""},
		{"mqtts://hub:s%2f%23%40%3A@broker.example", "mqtts://broker.example:8883", "broker.example", "hub", "s/#@:"},
	} {
		u, err := ParseUpstream(tt.url)
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		host := ""
		if u.TLS != nil {
			host = u.TLS.ServerName
			if u.TLS.MinVersion != tls.VersionTLS12 || u.TLS.InsecureSkipVerify {
				t.Errorf("%s: TLS from version %x on, without a look at certificates %t", tt.url, u.TLS.MinVersion, u.TLS.InsecureSkipVerify)
			}
		}
		if u.String() != tt.text || host != tt.host || u.Username != tt.username || u.Password != tt.password {
			t.Errorf("%s: got %v, certificate for %q, %q, %q", tt.url, u, host, u.Username, u.Password)
		}
		if logged := slog.Any("", u).String(); tt.password != "" && strings.Contains(logged, tt.password) {
			t.Errorf("%s: a log shows %s", tt.url, logged)
		}
	}
}

func TestConfigUpstream(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no address":            {func(c *Config) { c.Upstream = &Upstream{} }, "Config.Upstream"},
		"no port":               {func(c *Config) { c.Upstream = &Upstream{Address: "broker.example"} }, "missing port"},
		"password without user": {func(c *Config) { c.Upstream = &Upstream{Address: "broker.example:1883", Password: "s3cret"} }, "without a user name"},
		"other topics": {func(c *Config) {
			c.Upstream, c.OtherTopics = &Upstream{Address: "broker.example:1883"}, RefuseOtherTopics
		}, "Config.OtherTopics"},
	} {
		c := newTestServer(t, nil).config()
		tt.change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got error %v, want one with %q", name, err, tt.want)
		}
	}
}

// config is what a hub on the same store and registry needs.
func (s *testServer) config() Config { return Config{Documents: s.documents, Registry: s.registry} }

// Each client takes two files where there is a broker.
func TestConnectionsThroughABroker(t *testing.T) {
	one, rest, web := shares(4096, 1)
	if two, rest2, web2 := shares(4096, 2); two != one/2 || rest2 != rest || web2 != web {
		t.Errorf("got %d, %d, %d, want %d, %d, %d", two, rest2, web2, one/2, rest, web)
	}
}
