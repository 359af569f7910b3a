// Command hub serves Cloud Twins: devices over MQTT, apps over REST, documents in
// a data folder.
package main

import (
	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func main() { cli.Main(command()) }

func command() *cli.Command {
	var config Config
	return &cli.Command{
		Name: "hub",
		Long: `Serve Cloud Twins until SIGINT or SIGTERM: devices reach their documents over
MQTT 3.1.1, apps over REST. First steps:

  hub token add app --data ./data
  hub device add front-door --out ./front-door --data ./data
  hub --data ./data --mqtts 0.0.0.0:8883 --https 0.0.0.0:8443 --name hub.example

The hub vouches for itself and for its devices: ca.pem in ./front-door is what a device or
an app has to trust, cert.pem and key.pem are what this device shows.

Devices and tokens can be added and removed while the hub runs, and it needs no restart for
a certificate that is renewed.`,
		Flags:    config.flags,
		Run:      config.run,
		Commands: []*cli.Command{deviceCommand(), tokenCommand(), caCommand(), importCommand(), devCommand()},
	}
}

// dataFlag is the flag that every command has.
func dataFlag(fs *pflag.FlagSet, dir *string) {
	fs.StringVar(dir, "data", "", "`folder` with documents, devices and tokens; required")
}

// checkData refuses a command that has no data folder.
func checkData(dir string) error {
	if dir == "" {
		return cli.Hint(cli.Usagef("--data is missing"), "name the folder that keeps documents, devices and tokens, as in --data ./data")
	}
	return nil
}
