package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// lookupTime bounds what a start waits for the address of the broker behind the hub.
const lookupTime = 2 * time.Second

// readUpstream is the broker behind the hub that the flags tell of; nil = none. The errors don't repeat the URL, which may
// hold a password.
func (c *Config) readUpstream() (*hub.Upstream, error) {
	switch {
	case c.Upstream == "" && c.UpstreamCA == "":
		return nil, nil
	case c.Upstream == "":
		return nil, cli.Hint(cli.Usagef("--upstream-ca without --upstream"), "add --upstream mqtts://HOST, the broker whose authority it is")
	case c.OtherTopics != "":
		return nil, cli.Hint(cli.Usagef("--other-topics and --upstream contradict each other"), "leave out --other-topics: what is not about twins goes to the broker")
	}
	u, err := hub.ParseUpstream(c.Upstream)
	switch {
	case err != nil:
		return nil, cli.Usagef("--upstream: %w", err)
	case c.UpstreamCA == "":
		return u, nil
	case u.TLS == nil:
		return nil, cli.Hint(cli.Usagef("--upstream-ca, but --upstream is in plain text"), "begin it with mqtts://, or leave out --upstream-ca")
	}
	const hint = "--upstream-ca is the certificate of the authority that signed the broker's, in PEM"
	pem, err := os.ReadFile(c.UpstreamCA)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("--upstream-ca: %w", err), hint)
	}
	u.TLS.RootCAs = x509.NewCertPool()
	if !u.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return nil, cli.Hint(fmt.Errorf("--upstream-ca: %s has no certificate in PEM", c.UpstreamCA), hint)
	}
	return u, nil
}

// warnPlain logs that others may read along between the hub and its broker. Behind a tunnel that is all right.
func warnPlain(u *hub.Upstream, log *slog.Logger) {
	host, _, _ := net.SplitHostPort(u.Address)
	at, err := netip.ParseAddr(host)
	if u.TLS != nil || host == "localhost" || err == nil && at.IsLoopback() {
		return
	}
	log.Warn("what goes to the broker is not encrypted, secrets of devices among it", "broker", u.String(), "hint", "begin --upstream with mqtts://, unless nobody else is on that network")
}

// checkUpstream looks at the broker behind the hub as far as that can be seen without asking it. Each client would go round
// for ever in a hub that stands in front of itself, as it may when the broker has the port of --mqtt and isn't there yet.
func checkUpstream(ctx context.Context, u *hub.Upstream, open []net.Listener) error {
	if u == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(u.Address)
	if err != nil {
		return err
	}
	// A name that can't be looked up now may be known later.
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	targets, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, l := range open {
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil || strconv.Itoa(int(at.Port())) != port {
			continue
		}
		for _, target := range targets {
			if target = target.Unmap(); target == at.Addr().Unmap() || at.Addr().IsUnspecified() && isHere(target) {
				return cli.Hint(fmt.Errorf("--upstream %s is this hub itself", u), "give the broker or --mqtt another port")
			}
		}
	}
	return nil
}

// isHere tells whether an address is one of this computer.
func isHere(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	all, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(all, func(own net.Addr) bool {
		prefix, err := netip.ParsePrefix(own.String())
		return err == nil && prefix.Addr().Unmap() == a
	})
}
