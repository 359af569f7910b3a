package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

func deviceCommand() *cli.Command {
	return &cli.Command{
		Name:     "device",
		Short:    "Add, list and remove the devices that may connect.",
		Commands: []*cli.Command{deviceAdd(), deviceList(), deviceRemove()},
	}
}

// A deviceLine is a device as the commands print it, with the vendor's names of the fields.
type deviceLine struct {
	ID                       twin.ID   `json:"id"`
	Name                     string    `json:"name"`
	AllowInsecure            bool      `json:"allow_insecure"`
	AllowMultipleConnections bool      `json:"allow_multiple_connections"`
	CreatedAt                time.Time `json:"created_at"`
}

func printDevice(w io.Writer, d registry.Device) error {
	return json.NewEncoder(w).Encode(deviceLine{d.ID, d.Name, d.AllowInsecure, d.AllowMultipleConnections, d.Created})
}

func deviceAdd() *cli.Command {
	var dir string
	var allowInsecure, allowMultiple bool
	return &cli.Command{
		Name:  "add",
		Args:  "NAME",
		Short: "Add a device and print it.",
		Long: `Add a device and print it as one JSON object. Its id, a UUID, is also the id of
its twin. The name is for people; it must be unique and stays for life.`,
		Flags: func(fs *pflag.FlagSet) {
			dataFlag(fs, &dir)
			fs.BoolVar(&allowInsecure, "allow-insecure", false, "let it connect with nothing but its id, which whoever learns it can do as well")
			fs.BoolVar(&allowMultiple, "allow-multiple-connections", false, "let it have several connections; without this, a new one closes the one before")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			d, err := registry.NewDevice(args[0])
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			d.AllowInsecure, d.AllowMultipleConnections = allowInsecure, allowMultiple
			err = withRegistry(dir, sqlite.Options{}, stderr, func(r *sqlite.Registry) error { return r.AddDevice(ctx, d) })
			if errors.Is(err, registry.ErrNameTaken) {
				return cli.Hint(fmt.Errorf("there is a device %q already", d.Name), "choose another name; hub device list shows them all")
			}
			if err != nil {
				return err
			}
			if allowInsecure {
				fmt.Fprintf(stderr, "warning: whoever learns the id of %q can act as that device\n", d.Name)
			} else {
				fmt.Fprintf(stderr, "warning: %q cannot connect: it has no credential and is not allowed to do without\n"+
					"hint: remove it and add it again with --allow-insecure, if its id can be kept secret\n", d.Name)
			}
			return printDevice(stdout, d)
		},
	}
}

func deviceList() *cli.Command {
	var dir string
	return &cli.Command{
		Name:  "list",
		Short: "Print all devices.",
		Long:  "Print all devices by name, one JSON object a line.",
		Flags: func(fs *pflag.FlagSet) { dataFlag(fs, &dir) },
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			return withRegistry(dir, sqlite.Options{MustExist: true}, stderr, func(r *sqlite.Registry) error {
				devices, err := r.Devices(ctx)
				if err != nil {
					return err
				}
				for _, d := range devices {
					if err := printDevice(stdout, d); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func deviceRemove() *cli.Command {
	var dir string
	return &cli.Command{
		Name:  "remove",
		Args:  "NAME|ID",
		Short: "Remove a device and its documents.",
		Long: `Remove the device with this name or id, all documents of its twin, and the tokens
that open this twin alone. If it is connected it loses its connection at its next
request.`,
		Flags: func(fs *pflag.FlagSet) { dataFlag(fs, &dir) },
		Run: func(ctx context.Context, args []string, _, stderr io.Writer) error {
			return withRegistry(dir, sqlite.Options{MustExist: true}, stderr, func(r *sqlite.Registry) error {
				id, err := findDevice(ctx, r, args[0])
				if err == nil {
					err = r.RemoveDevice(ctx, id)
				}
				if errors.Is(err, registry.ErrNoDevice) {
					return noDevice(args[0])
				}
				return err
			})
		},
	}
}

// findDevice reads a device's id, or finds it by its name. No name looks like an id.
func findDevice(ctx context.Context, r registry.Registry, idOrName string) (twin.ID, error) {
	if id, err := twin.ParseID(idOrName); err == nil {
		return id, nil
	}
	devices, err := r.Devices(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range devices {
		if d.Name == idOrName {
			return d.ID, nil
		}
	}
	return "", registry.ErrNoDevice
}

func noDevice(idOrName string) error {
	return cli.Hint(fmt.Errorf("there is no device %q", idOrName), "hub device list shows them all")
}

// withRegistry opens the devices and tokens of a data folder, on which a hub may be
// running, and closes them after do. It says on stderr what it did to the folder itself.
func withRegistry(dir string, o sqlite.Options, stderr io.Writer, do func(*sqlite.Registry) error) error {
	if err := checkData(dir); err != nil {
		return err
	}
	_, missing := os.Stat(dir)
	r, err := sqlite.OpenRegistry(dir, o)
	if err != nil {
		return err
	}
	if errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(stderr, "created data folder %s\n", dir)
	}
	if r.Kept != "" {
		fmt.Fprintf(stderr, "upgraded data folder %s; as it was, it is kept in %s\n", dir, filepath.Base(r.Kept))
	}
	err = errors.Join(do(r), r.Close())
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); unknown {
		return cli.Hint(err, "hub device list and hub token list show whether it was done")
	}
	return err
}
