// Command hub serves Cloud Twins: devices over MQTT, apps over REST, documents in
// a data folder or PostgreSQL.
package main

import (
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

What --data keeps in a folder, --store keeps in PostgreSQL: any number of hubs on one
database are one hub to devices and apps.

Devices, tokens and authorities can be added, changed and removed while the hub
runs, and it needs no restart for a certificate that is renewed.`,
		Flags:    config.flags,
		Run:      config.run,
		Commands: []*cli.Command{deviceCommand(), tokenCommand(), caCommand(), backupCommand(), restoreCommand(), importCommand(), copyCommand(), devCommand()},
	}
}
