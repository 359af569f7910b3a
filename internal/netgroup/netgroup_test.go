package netgroup

import (
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"fe80::1%eth0", "fe80::2%wlan0", true},
	} {
		if a, b := Of(netip.MustParseAddr(tt.a)), Of(netip.MustParseAddr(tt.b)); (a == b) != tt.same {
			t.Errorf("Of(%s) = %v, Of(%s) = %v; want them the same: %t", tt.a, a, tt.b, b, tt.same)
		}
	}
	if none, some := Of(netip.Addr{}), Of(netip.IPv4Unspecified()); none == some {
		t.Errorf("no address counts with %v", some)
	}
}

func TestOfRemote(t *testing.T) {
	for remote, want := range map[string]string{
		"pipe":                        "invalid Prefix",
		"@":                           "invalid Prefix",
		"":                            "invalid Prefix",
		"192.0.2.7":                   "invalid Prefix",
		"127.0.0.1:80":                "invalid Prefix",
		"127.9.9.9:80":                "invalid Prefix",
		"[::1]:80":                    "invalid Prefix",
		"[::ffff:127.0.0.1]:80":       "invalid Prefix",
		"192.0.2.7:80":                "192.0.2.7/32",
		"[::ffff:192.0.2.7]:80":       "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:80":   "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::9]:4711": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":           "fe80::/64",
	} {
		if got := OfRemote(remote).String(); got != want {
			t.Errorf("%q: got %s, want %s", remote, got, want)
		}
	}
}
