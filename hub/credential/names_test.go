package credential

import (
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestCheckHost(t *testing.T) {
	tests := []struct{ host, want string }{
		{"", "name a host as in hub.example"},
		{" ", `remove ' '`},
		{"front door", `remove ' '`},
		{"hub.example ", `remove ' '`},
		{"hub.example\n", `remove '\n'`},
		{"hub\x00.example", `remove '\x00'`},
		{"hub,hub2", `remove ','`},
		{"https://hub.example", "write the host alone: hub.example"},
		{"mqtts://hub.example:8883/", "write the host alone: hub.example"},
		{"hub.example/mqtt", `remove '/'`},
		{"user@hub.example", `remove '@'`},
		{"hub.example:8883", "leave out the port: hub.example"},
		{"192.0.2.1:8883", "leave out the port: 192.0.2.1"},
		{"[2001:db8::1]:8883", "leave out the port: 2001:db8::1"},
		{"[2001:db8::1]", "leave out the brackets: 2001:db8::1"},
		{"fe80::1%eth0", "leave out the zone: fe80::1"},
		{"0.0.0.0", "nobody connects to 0.0.0.0"},
		{"::", "nobody connects to ::"},
		{"192.0.2", "write all of the IP address"},
		{"192.0.2.256", "write all of the IP address"},
		{"192.0.2.01", "write all of the IP address"},
		{"192.0.2.0/24", `remove '/'`},
		{"2001:db8:::1", `remove ':'`},
		{"hub.example.", "leave out the dot at the end: hub.example"},
		{".example", "name a host as in hub.example"},
		{"hub..example", "name a host as in hub.example"},
		{"-hub.example", "begins or ends with -"},
		{"hub-.example", "begins or ends with -"},
		{"türe.example", "in ASCII with xn--"},
		{"ドア.example", "in ASCII with xn--"},
		{"*", "* stands for the whole first part"},
		{"*.example", "* needs two more parts"},
		{"*.*.example", "* stands for the whole first part"},
		{"hub.*.example", "* stands for the whole first part"},
		{"hub*.site.example", "* stands for the whole first part"},
		{strings.Repeat("h", 64) + ".example", "at most 63 characters"},
		{strings.Repeat("hub.", 63) + "ex", "at most 253 characters"},

		{"localhost", ""},
		{"hub", ""},
		{"hub.local", ""},
		{"Hub.Example", ""},
		{"hub_1.example", ""},
		{"1hub.example", ""},
		{"xn--tre-hoa.example", ""},
		{"*.hub.example", ""},
		{strings.Repeat("h", 63) + ".example", ""},
		{"192.0.2.1", ""},
		{"2001:db8::1", ""},
		{"2001:DB8:0:0:0:0:0:1", ""},
		{"::ffff:192.0.2.1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) { checkError(t, CheckHost(tt.host), tt.want) })
	}
}

// FuzzCheckHost holds that a client finds every host that is accepted in a certificate for it.
func FuzzCheckHost(f *testing.F) {
	for _, host := range []string{"hub.example", "*.hub.example", "192.0.2.1", "::1", "xn--tre-hoa.example", "a_b", "hub.1", "1.2.3", "https://x", "x:1"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if CheckHost(host) != nil {
			return
		}
		cert := &x509.Certificate{DNSNames: []string{strings.ToLower(host)}}
		if ip, err := netip.ParseAddr(host); err == nil {
			cert = &x509.Certificate{IPAddresses: []net.IP{ip.AsSlice()}}
		}
		if err := cert.VerifyHostname(strings.Replace(host, "*", "any", 1)); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	})
}

func TestHosts(t *testing.T) {
	got, err := hosts([]string{"Hub.Example", "192.0.2.1", "hub.example", "192.0.2.1"})
	if want := []string{"hub.example", "192.0.2.1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := hosts([]string{"hub.example", "hub.example:8883"}); err == nil {
		t.Errorf("with a port: got %q, want an error", got)
	}
	got, err = hosts(nil)
	if err != nil || !slices.Equal(got[:3], []string{"localhost", "127.0.0.1", "::1"}) {
		t.Errorf("none given: got %q, %v, want this computer's", got, err)
	}
}
