package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// checkCredentials looks at the files with certificates, key and secret.
func (c *Config) checkCredentials(f *findings) {
	for _, found := range c.connect().Inspect(time.Now()) {
		if found.Next == "" {
			f.ok(found.What, "%s", found.Text)
		} else {
			f.wrong(found.What, errors.New(found.Text), found.Next)
		}
	}
}

// checkHub connects as the device and reads desired.
func (c *Config) checkHub(ctx context.Context, f *findings) {
	conn, err := twinclient.Dial(ctx, c.connect())
	if err != nil {
		c.unreachable(f, err)
		return
	}
	defer conn.Close()
	if cert := conn.HubCertificate(); cert != nil {
		f.ok("hub", "its certificate is valid until %s", cert.NotAfter.UTC().Format(time.DateOnly))
	}
	f.ok("hub", "%s accepts this device", c.Hub)
	switch doc, err := conn.Get(ctx, agent.Desired); {
	case errors.Is(err, twin.ErrDocumentNotFound):
		f.ok("desired", "not written yet: nobody has armed or disarmed by phone")
	case err != nil:
		f.wrong("desired", err, "the hub accepts the device but doesn't answer as it should: see its log")
	default:
		f.ok("desired", "version %d", doc.Version)
	}
}

// found tells whether there is no connection for the reason of a file that checkCredentials finds bad.
func (c *Config) found(reason string) bool {
	return slices.ContainsFunc(c.connect().Inspect(time.Now()), func(f twinclient.Finding) bool {
		return f.Next != "" && strings.HasSuffix(reason, f.Text)
	})
}

// unreachable says why there is no connection.
func (c *Config) unreachable(f *findings, err error) {
	if c.found(err.Error()) {
		return
	}
	if trust, ok := errors.AsType[*twinclient.TrustError](err); ok {
		f.wrong("hub", fmt.Errorf("%s: %s", c.Hub, trust.Problem), trust.Next)
		return
	}
	f.wrong("hub", err, "check --hub, the network, and that the hub runs; the panel guards without it")
}
