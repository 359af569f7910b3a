package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

func deviceEnable() *cli.Command {
	return deviceSwitch(false, "enable", "Let a device connect again.",
		`Let the device with this name or id connect again, and print it as hub device list
does.`)
}

func deviceDisable() *cli.Command {
	return deviceSwitch(true, "disable", "Keep a device from connecting, until it is enabled.",
		`Keep the device with this name or id from connecting, whatever it shows, and print
it as hub device list does. If it is connected it loses its connection, on a data
folder at its next request. Its credential, its documents and the tokens for it stay
as they are.`)
}

func deviceSwitch(disabled bool, name, short, long string) *cli.Command {
	var at place
	return &cli.Command{
		Name:  name,
		Args:  "NAME|ID",
		Short: short,
		Long:  long,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			d, err := changeDevice(ctx, at, args[0], stderr, func(d *registry.Device) { d.Disabled = disabled })
			if err != nil {
				return err
			}
			return printLine(stdout, newDeviceLine(d))
		},
	}
}

func deviceSet() *cli.Command {
	var (
		at                           place
		description                  string
		readOnly                     []string
		allowInsecure, allowMultiple bool
		flags                        *pflag.FlagSet
	)
	settings := []string{"description", "read-only", "allow-insecure", "allow-multiple-connections"}
	return &cli.Command{
		Name:  "set",
		Args:  "NAME|ID",
		Short: "Change what a device may do, or its description.",
		Long: `Change what the flags name of the device with this name or id, leave everything
else, and print it as hub device list does. If it is connected, what it may do
changes at its next request.`,
		Flags: func(fs *pflag.FlagSet) {
			at.flags(fs)
			fs.StringVar(&description, "description", "", "`text` for people")
			fs.StringArrayVar(&readOnly, "read-only", nil, "`document` that it may get but not put or patch; can be repeated, and replaces those before; --read-only=\"\" lets it write all")
			fs.BoolVar(&allowInsecure, "allow-insecure", false, "compatibility: let it connect with nothing but its id, as whoever learns the id can do; --allow-insecure=false ends that")
			fs.BoolVar(&allowMultiple, "allow-multiple-connections", false, "let it have several connections; with =false, a new one closes the one before")
			cli.FlagOnly(fs, settings...)
			flags = fs
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if !slices.ContainsFunc(settings, flags.Changed) {
				return cli.Usagef("nothing to set: no flag says what")
			}
			if slices.Equal(readOnly, []string{""}) {
				readOnly = nil
			}
			if utf8.RuneCountInString(description) > registry.MaxDescriptionLen || !utf8.ValidString(description) {
				return cli.Usagef("--description: expected at most %d characters in UTF-8", registry.MaxDescriptionLen)
			}
			names, err := documentNames(readOnly)
			if err != nil {
				return err
			}
			d, err := changeDevice(ctx, at, args[0], stderr, func(d *registry.Device) {
				if flags.Changed("description") {
					d.Description = description
				}
				if flags.Changed("read-only") {
					d.ReadOnly = names
				}
				if flags.Changed("allow-insecure") {
					d.AllowInsecure = allowInsecure
				}
				if flags.Changed("allow-multiple-connections") {
					d.AllowMultipleConnections = allowMultiple
				}
			})
			if err != nil {
				return err
			}
			switch {
			case allowInsecure:
				warn(stderr, insecureWarning, d.Name)
			case flags.Changed("allow-insecure") && len(d.Certificate) == 0 && !d.HasSecret():
				warn(stderr, "%q has neither certificate nor secret now: hub device renew gives it one", d.Name)
			}
			return printLine(stdout, newDeviceLine(d))
		},
	}
}

func deviceRenew() *cli.Command {
	var at place
	var order credentialOrder
	return &cli.Command{
		Name:  "renew",
		Args:  "NAME|ID",
		Short: "Give a device a new credential in the place of the old one.",
		Long: `Give the device with this name or id a new credential, and print or write it as
hub device add does. Certificate and secret from before open nothing any more: if
the device is connected with them it loses its connection, on a data folder at its
next request. The hub makes it a key and a certificate, unless a flag says otherwise.`,
		Flags: func(fs *pflag.FlagSet) {
			at.flags(fs)
			order.flags(fs)
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if err := order.read(); err != nil {
				return err
			}
			var d registry.Device
			var given handover
			var files *deviceFiles
			err := at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) (err error) {
				if d, err = findDevice(ctx, r, args[0]); err != nil {
					return err
				}
				all, err := credential.Ensure(ctx, r)
				if err != nil {
					return err
				}
				next := d
				given, files, err = order.fill(ctx, r, all, &next, !order.asks(), func() error {
					d, err = updateDevice(ctx, r, d.ID, stderr, func(d *registry.Device) {
						d.Certificate, d.CustomCertificate, d.Secret = next.Certificate, next.CustomCertificate, next.Secret
					})
					return err
				})
				return err
			})
			if errors.Is(err, registry.ErrNoDevice) {
				return noDevice(args[0])
			}
			if err != nil {
				return err
			}
			if d.Disabled {
				warn(stderr, "%q is still disabled: hub device enable lets it connect again", d.Name)
			}
			if d.AllowInsecure {
				warn(stderr, insecureWarning+": hub device set --allow-insecure=false ends that", d.Name)
			}
			return order.hand(stdout, stderr, d, given, files)
		},
	}
}

// changeDevice finds a device and changes it.
func changeDevice(ctx context.Context, at place, idOrName string, stderr io.Writer, change func(*registry.Device)) (d registry.Device, err error) {
	err = at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
		found, err := findDevice(ctx, r, idOrName)
		if err != nil {
			return err
		}
		d, err = updateDevice(ctx, r, found.ID, stderr, change)
		return err
	})
	if errors.Is(err, registry.ErrNoDevice) {
		return d, noDevice(idOrName)
	}
	return d, err
}

// updateDevice changes a device, and ends its connections where they may have no right to go on.
func updateDevice(ctx context.Context, r registry.Registry, id twin.ID, stderr io.Writer, change func(*registry.Device)) (registry.Device, error) {
	var before registry.Device
	d, err := r.UpdateDevice(ctx, id, func(d *registry.Device) error {
		before = *d
		change(d)
		d.Updated = time.Now().UTC().Truncate(time.Microsecond)
		return nil
	})
	if err == nil && d.Narrows(before) {
		endConnections(ctx, r, d, stderr)
	}
	return d, err
}

// endConnections has all hubs on a database end a device's connections. A folder's hub hears of nothing, and ends
// them at the device's next request, as any hub does.
func endConnections(ctx context.Context, r registry.Registry, d registry.Device, stderr io.Writer) {
	s, ok := r.(*store)
	if !ok || s.link == nil {
		return
	}
	if _, err := s.link.Raise(ctx, d.ID); err != nil {
		warn(stderr, "hubs may keep the connections of %q until its next request: %v", d.Name, err)
	}
}
