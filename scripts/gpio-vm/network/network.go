//go:build linux

// Package network brings up the interfaces of a test machine, in the machine.
package network

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
)

// Loopback brings lo up.
func Loopback() error { return configure("lo", "127.0.0.1") }

// Up brings eth0 up, whose driver may still be on its way.
func Up() error {
	var err error
	for range 500 {
		if err = configure("eth0", job.Address); !errors.Is(err, unix.ENODEV) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// configure gives an interface its address in a network of 24 bits and brings it up.
func configure(name, address string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifreq, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ip, mask := netip.MustParseAddr(address).As4(), [4]byte{255, 255, 255, 0}
	if err := ifreq.SetInet4Addr(ip[:]); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, ifreq); err != nil {
		return err
	}
	if err := ifreq.SetInet4Addr(mask[:]); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFNETMASK, ifreq); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifreq); err != nil {
		return err
	}
	ifreq.SetUint16(ifreq.Uint16() | unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifreq)
}
