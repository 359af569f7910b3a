package cli

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// hintOf is an error's hint; empty = none.
func hintOf(err error) string {
	if h, ok := errors.AsType[hinter](err); ok {
		return h.Hint()
	}
	return ""
}

func TestCheckAddress(t *testing.T) {
	for _, bad := range []string{"", "nowhere", "8083", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80"} {
		err := CheckAddress("--web", bad, "127.0.0.1:8083")
		if _, usage := errors.AsType[*UsageError](err); !usage || hintOf(err) != "write host:port, as in 127.0.0.1:8083" {
			t.Errorf("%q: got error %v with hint %q", bad, err, hintOf(err))
		}
	}
	for _, good := range []string{":0", "127.0.0.1:65535", "[::1]:80", "localhost:80"} {
		if err := CheckAddress("--web", good, ""); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestListenLoopbackRefuses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1":        "opening --web 127.0.0.1: ",
		"nosuch.invalid:1": "opening --web nosuch.invalid:1: ",
		":0":               "--web :0 can be reached from outside this computer",
		"0.0.0.0:0":        "--web 0.0.0.0:0 can be reached from outside this computer",
		"[::]:0":           "--web [::]:0 can be reached from outside this computer",
		"192.0.2.1:0":      "--web 192.0.2.1:0 can be reached from outside this computer",
	} {
		l, err := ListenLoopback("--web", address, "stay at home")
		if err == nil {
			l.Close()
			t.Errorf("%s: got a listener, want an error", address)
			continue
		}
		_, usage := errors.AsType[*UsageError](err)
		if !strings.HasPrefix(err.Error(), want) || usage != strings.HasPrefix(want, "--web") || usage && hintOf(err) != "stay at home" {
			t.Errorf("%s: got error %q with hint %q, want %q…", address, err, hintOf(err), want)
		}
	}
}

// With "tcp" alone, an address of all of IPv4 would be one of IPv6 as well.
func TestNetworkKeepsToTheFamily(t *testing.T) {
	for address, want := range map[string]string{
		"0.0.0.0:0": "tcp4", "127.0.0.1:0": "tcp4", "[::ffff:127.0.0.1]:0": "tcp4",
		"[::]:0": "tcp6", "[::1]:0": "tcp6", "[fe80::1%lo]:0": "tcp6",
		":0": "tcp", "localhost:0": "tcp", "nowhere": "tcp",
	} {
		if got := network(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestListenOnLoopback(t *testing.T) {
	tests := []struct {
		address, host string
		open          func(flag, address string) (net.Listener, error)
	}{
		{"127.0.0.1:0", "127.0.0.1", Listen},
		{"[::ffff:127.0.0.1]:0", "127.0.0.1", Listen},
		{"[::1]:0", "::1", Listen},
		{"localhost:0", "127.0.0.1", func(flag, address string) (net.Listener, error) { return ListenLoopback(flag, address, "") }},
	}
	for _, tt := range tests {
		if tt.host == "::1" && !hasIPv6() {
			continue // a container may have none
		}
		l, err := tt.open("--web", tt.address)
		if err != nil {
			t.Errorf("%s: %v", tt.address, err)
			continue
		}
		defer l.Close()
		host, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil || host != tt.host || port == "0" {
			t.Errorf("%s: listens on %s, want %s and a port", tt.address, l.Addr(), tt.host)
		}
	}
}

// hasIPv6 tells whether this computer has an IPv6 address.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

func TestListenRefusesWithTheNextStep(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name, address string
		want          string // in the error
		hint          string // empty = none
	}{
		{"no port", "127.0.0.1", "opening --web 127.0.0.1: ", ""},
		{"a port that cannot be", "127.0.0.1:65536", "opening --web 127.0.0.1:65536: ", ""},
		{"another program's address", taken.Addr().String(), "opening --web " + taken.Addr().String() + ": ",
			"another program listens there: stop it, or choose another address with --web"},
		// RFC 6761: no name server knows a name below invalid.
		{"a name that leads nowhere", "nosuch.invalid:1", "opening --web nosuch.invalid:1: ",
			"write an address of this computer, or a name that leads to one"},
		// 192.0.2.0/24 is for documentation: no computer has such an address.
		{"another computer's address", "192.0.2.1:0", "opening --web 192.0.2.1:0: ",
			"this computer has no such address: choose another one with --web"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen("--web", tt.address)
			if err == nil {
				l.Close()
				t.Fatal("got a listener, want an error")
			}
			if hint := hintOf(err); !strings.HasPrefix(err.Error(), tt.want) || hint != tt.hint {
				t.Errorf("got error %q with hint %q, want %q… with %q", err, hint, tt.want, tt.hint)
			}
		})
	}
}

func TestListenTakesAFreePort(t *testing.T) {
	l, err := Listen("--web", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
