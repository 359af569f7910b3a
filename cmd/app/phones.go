package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli"
)

func phonesCommand() *cli.Command {
	return &cli.Command{
		Name:     "phones",
		Short:    "List the phones that are signed in, and sign them out.",
		Commands: []*cli.Command{phonesList(), phonesSignOut()},
	}
}

func phonesList() *cli.Command {
	var dir string
	return &cli.Command{
		Name:  "list",
		Short: "Print the phones that are signed in.",
		Long: `Print the phones that are signed in, one JSON object a line. seen is up to an hour
old while the app runs.`,
		Flags: func(fs *pflag.FlagSet) { dataFlag(fs, &dir) },
		Run: func(_ context.Context, _ []string, stdout, stderr io.Writer) error {
			household, err := openHousehold(dir, slog.New(slog.NewTextHandler(stderr, nil)))
			if err != nil {
				return err
			}
			e := json.NewEncoder(stdout)
			e.SetEscapeHTML(false) // names are for people
			for _, p := range household.Phones() {
				if err := e.Encode(p); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func phonesSignOut() *cli.Command {
	var dir string
	var all bool
	return &cli.Command{
		Name:  "sign-out",
		Args:  "[PHONE]",
		Short: "Sign a phone out, or all.",
		Long: `Sign the phone with this name or id out, or with --all all of them. It takes
effect at once, also while the app runs.`,
		Flags: func(fs *pflag.FlagSet) {
			dataFlag(fs, &dir)
			fs.BoolVar(&all, "all", false, "sign all phones out")
			cli.FlagOnly(fs, "all")
		},
		Run: func(_ context.Context, args []string, _, _ io.Writer) error {
			if all == (len(args) == 1) {
				return cli.Usagef("expected either a phone's name or id, or --all")
			}
			household, err := openHousehold(dir, nil)
			if err != nil {
				return err
			}
			if all {
				err = household.SignOutAll()
			} else {
				var phone app.Phone
				if phone, err = findPhone(household.Phones(), args[0]); err == nil {
					err = household.SignOut(phone.ID)
				}
			}
			if kept, ok := errors.AsType[*app.NotKeptError](err); ok {
				return fmt.Errorf("signing out: %w", kept.Err) // this program ends now
			}
			return err
		},
	}
}

// openHousehold opens a household that has a passphrase: a mistyped folder has no phones to tell of.
func openHousehold(dir string, log *slog.Logger) (*app.Household, error) {
	if err := checkData(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, cli.Hint(err, "check --data")
	}
	household, err := app.OpenHousehold(dir, log)
	if err == nil && !household.HasPassphrase() {
		err = cli.Hint(fmt.Errorf("%s has no passphrase, so no phone signs in", dir), "check --data, or set one with app passphrase")
	}
	return household, err
}

// findPhone finds a phone by its id, or by its name if only one has it.
func findPhone(phones []app.Phone, text string) (app.Phone, error) {
	var named []app.Phone
	var ids []string
	for _, p := range phones {
		if p.ID == text {
			return p, nil
		}
		if p.Name == text {
			named, ids = append(named, p), append(ids, p.ID)
		}
	}
	switch len(named) {
	case 0:
		return app.Phone{}, cli.Hint(fmt.Errorf("no phone %q is signed in", text), "app phones list shows them all")
	case 1:
		return named[0], nil
	default:
		return app.Phone{}, cli.Hint(fmt.Errorf("%d phones are called %q", len(named), text), "give the id of one: %s", strings.Join(ids, ", "))
	}
}
