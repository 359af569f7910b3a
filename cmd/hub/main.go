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
  hub device add front-door --read-only desired --out front-door --data ./data
  hub --data ./data --mqtts 127.0.0.1:8883

The first prints a token for apps. The second prints the device with its id, and
writes what it has to know of the hub (ca.pem) and to show of itself (cert.pem,
key.pem), here for a panel:

  panel --hub mqtts://127.0.0.1:8883 --device-id ID --ca front-door/ca.pem
        --cert front-door/cert.pem --key-file front-door/key.pem
        --simulate 127.0.0.1:8080 --state-dir ./state

For others on the network, with the name or IP address that they know it by:

  hub --data ./data --mqtts 0.0.0.0:8883 --https 0.0.0.0:8443 --name hub.example

Devices, tokens and authorities can be added, changed and removed while the hub
runs, and it needs no restart for a certificate that is renewed.`,
		Flags:    config.flags,
		Run:      config.run,
		Commands: []*cli.Command{deviceCommand(), tokenCommand(), caCommand(), backupCommand(), restoreCommand(), importCommand(), devCommand()},
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
