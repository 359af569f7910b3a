// Command app serves the phone app to a household.
package main

import (
	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func main() { cli.Main(command()) }

func command() *cli.Command {
	return &cli.Command{
		Name:     "app",
		Long:     "Serve the phone app to a household.",
		Commands: []*cli.Command{passphraseCommand(), phonesCommand(), certificateCommand()},
	}
}

// dataFlag is the flag that every command has.
func dataFlag(fs *pflag.FlagSet, dir *string) {
	fs.StringVar(dir, "data", "", "`folder` with the passphrase and the phones that are signed in; required")
}

// checkData refuses a command that has no data folder.
func checkData(dir string) error {
	if dir == "" {
		return cli.Hint(cli.Usagef("--data is missing"), "name the folder that keeps the passphrase and the phones, as in --data ./data")
	}
	return nil
}
