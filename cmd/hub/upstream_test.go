package main

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub"
)

// A hub must not stand in front of itself.
func TestUpstreamIsNotTheHubItself(t *testing.T) {
	for _, tt := range []struct {
		listen, host string
		itself       bool
	}{
		{"127.0.0.1:0", "127.0.0.1", true},
		{"127.0.0.1:0", "localhost", true},
		{"127.0.0.1:0", "[::ffff:127.0.0.1]", true},
		{"0.0.0.0:0", "127.0.0.1", true},
		{"0.0.0.0:0", "127.9.9.9", true},
		{"127.0.0.1:0", "127.0.0.2", false},
		{"0.0.0.0:0", "192.0.2.1", false},
		{"127.0.0.1:0", "nosuch.invalid", false},
	} {
		l, err := net.Listen("tcp", tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		u := &hub.Upstream{Address: net.JoinHostPort(strings.Trim(tt.host, "[]"), port), Username: "hub", Password: "s3cret"}
		err = checkUpstream(t.Context(), u, []net.Listener{l})
		if itself := err != nil && strings.Contains(err.Error(), "is this hub itself"); itself != tt.itself || err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s in front of %s: got error %v", tt.listen, tt.host, err)
		}
		u.Address = net.JoinHostPort(strings.Trim(tt.host, "[]"), "1883")
		if err := checkUpstream(t.Context(), u, []net.Listener{l}); err != nil {
			t.Errorf("another port: %v", err)
		}
		l.Close()
	}
}

func TestPlainUpstreamIsWarnedOf(t *testing.T) {
	for _, tt := range []struct {
		upstream string
		want     bool
	}{
		{"mqtt://hub:s3cret@192.0.2.1", true},
		{"mqtt://broker.example:1884", true},
		{"mqtts://hub:s3cret@broker.example", false},
		{"mqtt://127.0.0.1", false},
		{"mqtt://[::1]:1884", false},
		{"mqtt://localhost", false},
	} {
		u, err := hub.ParseUpstream(tt.upstream)
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		warnPlain(u, slog.New(slog.NewTextHandler(&log, nil)))
		if got := strings.Contains(log.String(), "is not encrypted"); got != tt.want || strings.Contains(log.String(), "s3cret") {
			t.Errorf("%s: log is %q", tt.upstream, &log)
		}
	}
}
