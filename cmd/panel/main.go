// Panel is the device agent of an internet alarm panel: contacts in, siren out, and a twin
// on the hub for the phone.
package main

import (
	"os"
	"runtime"

	"github.com/twinpanel/twinpanel/internal/cli"
)

func main() {
	// A panel waits. With a second processor Go wakes a second thread whenever something happens, to look for more, and
	// there is none: that costs a fifth of an idle panel's processor time. The price is that the siren may wait 10 to 20 ms
	// while something computes, such as the handshake of TLS, which is interrupted every 10 ms. It waits for no disk and no network.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	cli.Main(command(envFile))
}

// command is the program, on a computer whose service has its flags in a file.
func command(serviceFlags string) *cli.Command {
	var c Config
	root := &cli.Command{
		Name:  "panel",
		Short: "Guard doors with a siren, and let a phone arm and disarm through the hub.",
		Long: `Guard doors with a siren, and let a phone arm and disarm through the hub.

The panel reads door contacts, sounds the siren by its own rules, reads the
document "desired" of its twin and writes "current". It guards with no network,
no clock and a full disk. It runs until SIGINT or SIGTERM, turns the siren off
and ends with 0.

On a Raspberry Pi, with the files that "hub device add NAME --out DIR" has made:
  panel --hub mqtts://HOST:8883 --device-id UUID --ca ca.pem --cert cert.pem
        --key-file key.pem --door GPIO17 --siren GPIO27 --state-dir DIR
or with --secret-file secret in place of --cert and --key-file, if it was added
with --secret. The latter without hardware, beside a hub on this computer:
  panel --hub mqtt://127.0.0.1:1883 --device-id UUID --secret-file secret
        --simulate 127.0.0.1:8080 --state-dir DIR`,
		Flags: c.flags,
		Run:   c.run,
		Commands: []*cli.Command{
			armCommand(true),
			armCommand(false),
			checkCommand(),
			selftestCommand(),
			sirenOffCommand(),
			explainCommand(),
			replayCommand(),
		},
	}
	for _, sub := range root.Commands { // but not a second panel beside the service
		hintAtService(sub, serviceFlags)
	}
	return root
}
