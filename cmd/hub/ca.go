package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

func caCommand() *cli.Command {
	return &cli.Command{
		Name:  "ca",
		Short: "List, export, renew, add and remove certificate authorities.",
		Long: `Certificate authorities vouch for the hub before devices and apps (server), and
for devices before the hub (device). The hub makes one of each, valid for twenty
years. All commands work while a hub runs, which follows within ten seconds.

To move devices and apps that trust one server authority alone to the next:

  hub ca renew server --data ./data      the hub's certificate is signed anew
  hub ca export --data ./data > ca.pem   both authorities: give it to them all
  hub ca list --data ./data
  hub ca remove OLD --data ./data        when they all have it
  hub ca export --data ./data > ca.pem   the new one alone: give it to them all

Until they have that last file they still believe whoever has the old key.
In between, those that still have the old one alone reach the hub as before: the
old authority vouches for the new one, until its own end. Several renewals may
follow each other.`,
		Commands: []*cli.Command{caList(), caExport(), caRenew(), caAdd(), caRemove()},
	}
}

// An authorityLine is an authority as the list shows it.
type authorityLine struct {
	Kind        registry.AuthorityKind `json:"kind"`
	Subject     string                 `json:"subject"`
	Fingerprint string                 `json:"fingerprint"` // SHA-256 of the certificate
	NotBefore   time.Time              `json:"not_before"`
	NotAfter    time.Time              `json:"not_after"`
	Signs       bool                   `json:"signs"`
	HasKey      bool                   `json:"has_key"` // the hub has it; else somebody else signs
}

// printAuthority prints one of all authorities as a line of JSON.
func printAuthority(w io.Writer, all []registry.Authority, a registry.Authority) error {
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return fmt.Errorf("reading a %s authority: %w", a.Kind, err)
	}
	fingerprint := credential.Fingerprint(a.Certificate)
	signer := credential.Signer(all, a.Kind)
	return printLine(w, authorityLine{
		Kind:        a.Kind,
		Subject:     cert.Subject.String(),
		Fingerprint: fingerprint,
		NotBefore:   cert.NotBefore,
		NotAfter:    cert.NotAfter,
		Signs:       signer != nil && credential.Fingerprint(signer.Certificate) == fingerprint,
		HasKey:      a.Key != nil,
	})
}

func caList() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "list",
		Short: "Print all authorities.",
		Long: `Print all authorities, the oldest first, one JSON object a line. Of each kind
one signs; all others are trusted as well. There are none before hub ca export,
hub device add or a hub with TLS has made them.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				all, err := r.Authorities(ctx)
				if err != nil {
					return err
				}
				for _, a := range all {
					if err := printAuthority(stdout, all, a); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// checkKind reads a kind of authorities.
func checkKind(text string) (registry.AuthorityKind, error) {
	switch kind := registry.AuthorityKind(text); kind {
	case registry.ServerAuthority, registry.DeviceAuthority:
		return kind, nil
	}
	return "", cli.Usagef("%q is no kind of authority: expected %s or %s", text, registry.ServerAuthority, registry.DeviceAuthority)
}

func caExport() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "export",
		Args:  "[server|device]",
		Short: "Print the certificates of authorities in PEM.",
		Long: `Print the certificates of all authorities of a kind in PEM, the newest first,
and make the first one if there is none yet. Those of the server authorities,
which go without saying, are what devices and apps have to trust, as in

  hub ca export --data ./data > ca.pem
  panel … --ca ca.pem
  curl --cacert ca.pem …

They are no secret. A hub with --cert shows a certificate of another authority:
then that one is what they have to trust.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			kind := registry.ServerAuthority
			if len(args) > 0 {
				var err error
				if kind, err = checkKind(args[0]); err != nil {
					return err
				}
			}
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				all, err := credential.Ensure(ctx, r)
				if err == nil {
					_, err = stdout.Write(credential.Bundle(all, kind))
				}
				return err
			})
		},
	}
}

func caRenew() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "renew",
		Args:  "server|device",
		Short: "Make a new authority, which signs from now on.",
		Long: `Make a new authority of a kind, which signs from now on, and print it as hub ca
list does. Those before it are trusted as before.

server: within ten seconds the hub shows a certificate that the new authority
signed. Whoever trusts an older one alone still reaches it. Give hub ca export
to all devices and apps; then hub ca remove the old one.

device: certificates that the hub makes from now on are signed by the new one.
No device has to do anything: what the hub made before counts as long as it is
on record. hub device renew gives a device a new certificate.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			kind, err := checkKind(args[0])
			if err != nil {
				return err
			}
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				a, err := credential.Renew(ctx, r, kind)
				if err != nil {
					return err
				}
				if kind == registry.ServerAuthority {
					fmt.Fprintln(stderr, "hint: give hub ca export to all devices and apps, then hub ca remove the old authority")
				}
				return printAuthority(stdout, []registry.Authority{a}, a)
			})
		},
	}
}

func caAdd() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "add",
		Args:  "FILE",
		Short: "Trust a device authority of your own.",
		Long: `Trust the first certificate of a file in PEM as a device authority, and print it
as hub ca list does. Its key stays where it is: the hub doesn't need it. From
now on a device may show a certificate that this authority signed, with the
device's name as its common name, unless the hub has another one on record for
it. Certificates in between come from the device. hub device add makes none from
now on.

To move devices from one authority of your own to the next: hub ca add the new
one, give them new certificates, then hub ca remove the old one.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("reading the authority: %w", err)
			}
			a, err := credential.ParseAuthority(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			err = at.withRegistry(ctx, opening{}, stderr, func(r registry.Registry) error { return credential.Add(ctx, r, a) })
			switch {
			case errors.Is(err, registry.ErrAuthorityTwice):
				return cli.Hint(fmt.Errorf("%s: %w", args[0], err), "hub ca list shows them all")
			case err != nil:
				return err
			}
			return printAuthority(stdout, nil, a)
		},
	}
}

// afterRemoval says what an authority that is removed takes along, and what it leaves.
var afterRemoval = map[registry.AuthorityKind]string{
	registry.ServerAuthority: "devices and apps that trust only this authority, or an older one, no longer reach the hub\n" +
		"hint: those that were given both still believe whoever has its key: give them hub ca export once more",
	registry.DeviceAuthority: "certificates that only this authority vouches for open nothing any more, unless the hub has them on record",
}

func caRemove() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "remove",
		Args:  "FINGERPRINT",
		Short: "Trust an authority no longer.",
		Long: `Remove the authority with this fingerprint, as hub ca list prints it; its first
8 digits will do if no other begins so. The one that signs can't be removed:
renew it first.

server: devices and apps that trust only this authority, or an older one, no
longer reach the hub. First give them all hub ca export, and once more when the
old one is removed: until then they still believe whoever has its key.

device: certificates that only this authority vouches for open nothing any more,
and connections with them end within five minutes. Those on record stay as good
as they were: hub device list has their fingerprints.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, _, stderr io.Writer) error {
			fingerprint, err := credential.ParseFingerprint(args[0])
			if err != nil {
				return cli.Hint(cli.Usagef("%q: %w", args[0], err), "hub ca list prints the fingerprints")
			}
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				a, err := credential.Remove(ctx, r, fingerprint)
				switch {
				case errors.Is(err, credential.ErrNoAuthority):
					return cli.Hint(err, "hub ca list shows them all")
				case errors.Is(err, credential.ErrAmbiguous):
					return cli.Hint(err, "write more of it: hub ca list prints the fingerprints")
				case errors.Is(err, credential.ErrSigns):
					return cli.Hint(err, "make a new one first: hub ca renew %s", a.Kind)
				case err != nil:
					return err
				}
				fmt.Fprintf(stderr, "%s\n", afterRemoval[a.Kind])
				return nil
			})
		},
	}
}
