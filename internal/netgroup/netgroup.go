// Package netgroup says whose connections and attempts count together where there is a limit of them.
package netgroup

import "net/netip"

// Of is the group of an address: all of an IPv4 address, and the half of an IPv6 address that one household has, which can call
// from all the rest. The group of no address is the zero Prefix.
func Of(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	group, _ := ip.Prefix(bits) // of no address: none
	return group
}

// OfRemote is the group of who is at host:port, as a connection says it. The zero Prefix is nobody, who is not to be counted: this
// computer's own, where a reverse proxy speaks for everybody, and what is no address of a network.
func OfRemote(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil || at.Addr().Unmap().IsLoopback() {
		return netip.Prefix{}
	}
	return Of(at.Addr())
}
