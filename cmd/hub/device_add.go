package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

func deviceAdd() *cli.Command {
	var (
		at                           place
		order                        credentialOrder
		readOnly                     []string
		allowInsecure, allowMultiple bool
	)
	return &cli.Command{
		Name:  "add",
		Args:  "NAME",
		Short: "Add a device, make its credential, and print it.",
		Long: `Add a device and print it as one JSON object. Its id, a UUID, is also the id of
its twin. The name is for people; it must be unique and stays for life.

The device shows who it is by a certificate, by a secret, or by either. The hub
makes it a key and a certificate, unless --secret, --cert, --csr or
--allow-insecure says otherwise, or hub ca add has named an authority that signs
certificates for devices. With --out, what the device needs goes to files:

  ca.pem     certificates that vouch for the hub
  cert.pem   the device's certificate
  key.pem    its key
  secret     its secret

Without, the JSON has it as certificate.crt, certificate.key and secret, and
hub ca export prints ca.pem. It is shown only now: the hub keeps neither the key
nor the secret.`,
		Flags: func(fs *pflag.FlagSet) {
			at.flags(fs)
			order.flags(fs)
			fs.StringArrayVar(&readOnly, "read-only", nil, "`document` that it may get but not put or patch, such as desired; can be repeated")
			fs.BoolVar(&allowInsecure, "allow-insecure", false, "compatibility: let it connect with nothing but its id, as whoever learns the id can do")
			fs.BoolVar(&allowMultiple, "allow-multiple-connections", false, "let it have several connections; without this, a new one closes the one before")
			cli.FlagOnly(fs, "read-only", "allow-insecure", "allow-multiple-connections")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			d, err := registry.NewDevice(args[0])
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			d.AllowInsecure, d.AllowMultipleConnections = allowInsecure, allowMultiple
			if d.ReadOnly, err = documentNames(readOnly); err != nil {
				return err
			}
			if err := order.read(); err != nil {
				return err
			}
			var given handover
			var files *deviceFiles
			err = at.withRegistry(ctx, opening{}, stderr, func(r registry.Registry) error {
				all, err := credential.Ensure(ctx, r)
				if err != nil {
					return err
				}
				issue := !order.asks() && !allowInsecure && !slices.ContainsFunc(all, registry.Authority.IsCustom)
				given, files, err = order.fill(ctx, r, all, &d, issue, func() error { return r.AddDevice(ctx, d) })
				return err
			})
			if errors.Is(err, registry.ErrNameTaken) {
				return cli.Hint(fmt.Errorf("there is a device %q already", d.Name), "choose another name; hub device list shows them all")
			}
			if err != nil {
				return err
			}
			if allowInsecure {
				warn(stderr, insecureWarning, d.Name)
			}
			return order.hand(stdout, stderr, d, given, files)
		},
	}
}

const insecureWarning = "whoever learns the id of %q can act as that device"

func warn(stderr io.Writer, format string, args ...any) {
	fmt.Fprintf(stderr, "warning: "+format+"\n", args...)
}

// documentNames reads the documents of --read-only.
func documentNames(texts []string) ([]twin.Name, error) {
	var names []twin.Name
	for _, text := range texts {
		name, err := twin.ParseName(text)
		if err != nil {
			return nil, cli.Usagef("--read-only %q: %w", text, err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
