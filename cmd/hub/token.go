package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
)

func tokenCommand() *cli.Command {
	return &cli.Command{
		Name:     "token",
		Short:    "Add, list and revoke the tokens that open the REST API.",
		Commands: []*cli.Command{tokenAdd(), tokenList(), tokenRevoke()},
	}
}

// A tokenLine is a token as the list shows it: its secret is not known any more.
type tokenLine struct {
	Name       string     `json:"name"`
	Scope      string     `json:"scope"` // what the next two say, in words
	ReadOnly   bool       `json:"read_only"`
	DeviceID   twin.ID    `json:"device_id,omitempty"` // of the one device whose twin it opens
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // up to a minute old; null = never
}

func newTokenLine(t registry.Token) tokenLine {
	return tokenLine{t.Name, scope(t), t.ReadOnly, t.Device, t.Created, orNull(t.LastUsed)}
}

// scope says in words what a token opens.
func scope(t registry.Token) string {
	what := "everything"
	if t.Device != "" {
		what = "one device"
	}
	if t.ReadOnly {
		what += ", read only"
	}
	return what
}

func tokenAdd() *cli.Command {
	var at place
	var device string
	var readOnly bool
	return &cli.Command{
		Name:  "add",
		Args:  "NAME",
		Short: "Add a token and print it.",
		Long: `Add a token and print it, a UUID, on a line of its own. It goes into the header
X-Auth-Token. It is shown only now: the hub keeps a hash. What it opens:

  without a flag         everything: documents, devices and the hub
  --read-only            the same, but it changes nothing
  --device front-door    this one device: its documents, and a look at its settings
  both                   the same of this one device, but it changes nothing

An app that shows and arms one panel needs --device, a screen that only shows it
needs both.`,
		Flags: func(fs *pflag.FlagSet) {
			at.flags(fs)
			fs.BoolVar(&readOnly, "read-only", false, "let it read, but not put, patch or delete")
			textFlag(fs, &device, "device", "`name or id` of the one device whose documents it opens; the token goes when the device is removed", "no device is named")
			cli.FlagOnly(fs, "read-only", "device")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			t, secret, err := registry.NewToken(args[0])
			if err != nil {
				return &cli.UsageError{Err: err}
			}
			t.ReadOnly = readOnly
			err = at.withRegistry(ctx, opening{mustExist: device != ""}, stderr, func(r registry.Registry) (err error) {
				if device != "" {
					d, err := findDevice(ctx, r, device)
					if err != nil {
						return err
					}
					t.Device = d.ID
				}
				return r.AddToken(ctx, t)
			})
			switch {
			case errors.Is(err, registry.ErrNoDevice):
				return noDevice(device)
			case errors.Is(err, registry.ErrNameTaken):
				return cli.Hint(fmt.Errorf("there is a token %q already", t.Name), "choose another name, or revoke that one with hub token revoke")
			case err != nil:
				return err
			}
			if _, err := fmt.Fprintln(stdout, secret); err != nil {
				return cli.Hint(fmt.Errorf("printing the token: %w", err), "nobody knows it now: revoke it with hub token revoke, and add it again")
			}
			return nil
		},
	}
}

func tokenList() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "list",
		Short: "Print all tokens.",
		Long: `Print all tokens by name, one JSON object a line, without their secrets. scope is
everything or one device, either of which may be read only; last_used_at is up to a
minute old while the hub runs, and null for a token that was never used.`,
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			return at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error {
				tokens, err := r.Tokens(ctx)
				if err != nil {
					return err
				}
				for _, t := range tokens {
					if err := printLine(stdout, newTokenLine(t)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func tokenRevoke() *cli.Command {
	var at place
	return &cli.Command{
		Name:  "revoke",
		Args:  "NAME",
		Short: "Revoke a token.",
		Long:  "Revoke the token with this name. It opens nothing from the next request on.",
		Flags: func(fs *pflag.FlagSet) { at.flags(fs) },
		Run: func(ctx context.Context, args []string, _, stderr io.Writer) error {
			err := at.withRegistry(ctx, opening{mustExist: true}, stderr, func(r registry.Registry) error { return r.RemoveToken(ctx, args[0]) })
			if errors.Is(err, registry.ErrNoToken) {
				return cli.Hint(fmt.Errorf("there is no token %q", args[0]), "hub token list shows them all")
			}
			return err
		},
	}
}
