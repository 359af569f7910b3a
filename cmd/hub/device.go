package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

func deviceCommand() *cli.Command {
	return &cli.Command{
		Name:  "device",
		Short: "Add, list, change and remove the devices that may connect.",
		Long: `Add, list, change and remove the devices that may connect, and renew what they
connect with. All of it can be done while a hub runs: what it changes holds from
the next connection on. A connection that may not go on has nothing answered any
more, and ends: on PostgreSQL at once, on a data folder at its next request, a ping
included; a panel asks every 30 s.`,
		Commands: []*cli.Command{deviceAdd(), deviceList(), deviceSet(), deviceEnable(), deviceDisable(), deviceRenew(), deviceRemove()},
	}
}

// A deviceLine is a device as the commands print it, with the vendor's names of the fields where
// it has such.
type deviceLine struct {
	ID                       twin.ID     `json:"id"`
	Name                     string      `json:"name"`
	Description              string      `json:"description"`
	Enabled                  bool        `json:"enabled"`
	AllowInsecure            bool        `json:"allow_insecure"`
	AllowMultipleConnections bool        `json:"allow_multiple_connections"`
	ReadOnly                 []twin.Name `json:"read_only"`
	HasSecret                bool        `json:"has_secret"`
	CertificateFingerprint   *string     `json:"certificate_fingerprint"` // SHA-256 in hexadecimal; null = none on record
	CertificateExpiresAt     *time.Time  `json:"certificate_expires_at"`
	CreatedAt                time.Time   `json:"created_at"`
	LastActivityAt           *time.Time  `json:"last_activity_at"` // up to a minute old; null = never
}

func newDeviceLine(d registry.Device) deviceLine {
	line := deviceLine{
		ID:                       d.ID,
		Name:                     d.Name,
		Description:              d.Description,
		Enabled:                  !d.Disabled,
		AllowInsecure:            d.AllowInsecure,
		AllowMultipleConnections: d.AllowMultipleConnections,
		ReadOnly:                 append([]twin.Name{}, d.ReadOnly...), // [] and not null
		HasSecret:                d.HasSecret(),
		CreatedAt:                d.Created,
		LastActivityAt:           orNull(d.LastActivity),
	}
	if len(d.Certificate) > 0 {
		line.CertificateFingerprint = new(credential.Fingerprint(d.Certificate))
		if cert, err := x509.ParseCertificate(d.Certificate); err == nil {
			line.CertificateExpiresAt = new(cert.NotAfter)
		}
	}
	return line
}

// orNull is a time as JSON has it: null for one that never came.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// printLine prints a value as one line of JSON.
func printLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // names are for people
	return e.Encode(v)
}

func deviceList() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "list",
		Short: "Print all devices.",
		Long: `Print all devices by name, one JSON object a line. certificate_fingerprint is the
SHA-256 of the certificate on record; last_activity_at is up to a minute old while
the hub runs. What there isn't is null.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				devices, err := r.Devices(ctx)
				if err != nil {
					return err
				}
				for _, d := range devices {
					if err := printLine(stdout, newDeviceLine(d)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func deviceRemove() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "remove",
		Args:  "NAME|ID",
		Short: "Remove a device and its documents.",
		Long: `Remove the device with this name or id, all documents of its twin, and the tokens
that open this twin alone. If it is connected it loses its connection, on a data
folder at its next request.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, _, stderr io.Writer) error {
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				d, err := findDevice(ctx, r, args[0])
				if err == nil {
					endConnections(ctx, r, d, stderr) // while it has an epoch
					err = r.RemoveDevice(ctx, d.ID)
				}
				if errors.Is(err, registry.ErrNoDevice) {
					return noDevice(args[0])
				}
				return err
			})
		},
	}
}

// findDevice finds a device by its id or its name. No name looks like an id.
func findDevice(ctx context.Context, r registry.Registry, idOrName string) (registry.Device, error) {
	if id, err := twin.ParseID(idOrName); err == nil {
		return r.Device(ctx, id)
	}
	return r.DeviceByName(ctx, idOrName)
}

func noDevice(idOrName string) error {
	return cli.Hint(fmt.Errorf("there is no device %q", idOrName), "hub device list shows them all")
}

// textFlag defines a flag whose value must not be empty: a variable of a script that isn't set
// must not mean something else than was meant.
func textFlag(fs *pflag.FlagSet, p *string, name, usage, missing string) {
	fs.Func(name, usage, func(value string) error {
		if value == "" {
			return errors.New(missing)
		}
		*p = value
		return nil
	})
}
