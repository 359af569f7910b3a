package cli

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Listen opens a TCP address that a flag gave; port 0 takes a free one. Its errors say what to
// do about them.
func Listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	err = fmt.Errorf("opening %s %s: %w", flag, address, err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		err = Hint(err, "another program listens there: stop it, or choose another address with %s", flag)
	case errors.Is(err, syscall.EACCES):
		err = Hint(err, "ports below 1024 need special rights: choose a higher one with %s", flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = Hint(err, "this computer has no such address: choose another one with %s", flag)
	}
	return nil, err
}
