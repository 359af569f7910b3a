package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// CheckAddress wants host:port of the value of a flag, the port as a number. The example is an
// address that would do.
func CheckAddress(flag, address, example string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return Hint(Usagef("%s is %q, which is no address", flag, address), "write host:port, as in %s", example)
	}
	return nil
}

// Listen opens a TCP address that a flag gave; port 0 takes a free one. An IPv4 address is that
// alone, and so is an IPv6 address: 0.0.0.0 doesn't listen on IPv6, nor [::] on IPv4, and the
// listener's address is the one that was given. Its errors say what to do about them.
func Listen(flag, address string) (net.Listener, error) {
	l, err := net.Listen(network(address), address)
	if err != nil {
		return nil, cannotOpen(flag, address, err)
	}
	return l, nil
}

// cannotOpen adds to an error of package net what to do about it.
func cannotOpen(flag, address string, err error) error {
	err = fmt.Errorf("opening %s %s: %w", flag, address, err)
	_, unknown := errors.AsType[*net.DNSError](err)
	switch {
	case unknown:
		err = Hint(err, "write an address of this computer, or a name that leads to one")
	case errors.Is(err, syscall.EADDRINUSE):
		err = Hint(err, "another program listens there: stop it, or choose another address with %s", flag)
	case errors.Is(err, syscall.EACCES):
		err = Hint(err, "ports below 1024 need special rights: choose a higher one with %s", flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = Hint(err, "this computer has no such address: choose another one with %s", flag)
	}
	return err
}

// CheckLoopback refuses an address that other computers can reach with a [UsageError] and this hint.
// What counts is where a name leads; it returns where that is.
func CheckLoopback(flag, address, hint string) (string, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return "", cannotOpen(flag, address, err)
	}
	if !resolved.IP.IsLoopback() {
		return "", Hint(Usagef("%s %s can be reached from outside this computer", flag, address), "%s", hint)
	}
	return resolved.String(), nil
}

// ListenLoopback is Listen for an address that CheckLoopback finds no fault with.
func ListenLoopback(flag, address, hint string) (net.Listener, error) {
	resolved, err := CheckLoopback(flag, address, hint)
	if err != nil {
		return nil, err
	}
	return Listen(flag, resolved)
}

// network is what package net calls the protocol of an address. With "tcp" alone, 0.0.0.0 would
// listen on IPv6 as well and call itself [::].
func network(address string) string {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "tcp"
	case ip.Unmap().Is4():
		return "tcp4"
	}
	return "tcp6"
}
