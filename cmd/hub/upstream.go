package main

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// validateUpstream says what is wrong with the flags of the broker behind the hub. The errors don't repeat the
// URL, which may hold a password.
func (c *Config) validateUpstream() error {
	switch {
	case c.Upstream == "" && c.UpstreamCA == "":
		return nil
	case c.Upstream == "":
		return cli.Hint(cli.Usagef("--upstream-ca without --upstream"), "add --upstream mqtts://HOST, the broker whose authority it is")
	case c.OtherTopics != "":
		return cli.Hint(cli.Usagef("--other-topics and --upstream contradict each other"), "leave out --other-topics: what is not about twins goes to the broker")
	}
	u, err := hub.ParseUpstream(c.Upstream)
	switch {
	case err != nil:
		return cli.Usagef("--upstream: %w", err)
	case c.UpstreamCA != "" && u.TLS == nil:
		return cli.Hint(cli.Usagef("--upstream-ca, but --upstream is in plain text"), "begin it with mqtts://, or leave out --upstream-ca")
	}
	return nil
}

// upstream is the broker behind the hub; nil = none.
func (c *Config) upstream() (*hub.Upstream, error) {
	if c.Upstream == "" {
		return nil, nil
	}
	u, err := hub.ParseUpstream(c.Upstream)
	if err != nil || c.UpstreamCA == "" {
		return u, err
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
