package cli

import (
	"errors"
	"net"
	"strings"
	"testing"
)

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
			hint := ""
			if h, ok := errors.AsType[hinter](err); ok {
				hint = h.Hint()
			}
			if !strings.HasPrefix(err.Error(), tt.want) || hint != tt.hint {
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
