// Command app serves the phone app to a household.
package main

import "github.com/twinpanel/twinpanel/internal/cli"

func main() { cli.Main(command()) }

func command() *cli.Command {
	var config Config
	return &cli.Command{
		Name: "app",
		Long: `Serve the phone app to a household until SIGINT or SIGTERM: a page that shows one
panel's alarm, arms and disarms it. It speaks the REST API of twins to a hub, this
project's or Scaleway's, with a token that no phone gets to see. Beside a hub on
this computer, for this computer:

  (umask 077; hub token add app --device front-door --data ./hub > token)
  app --api http://127.0.0.1:8081 --device-id UUID --token-file token --data ./app

Phones need a passphrase, and TLS: with a certificate of the app's own

  app passphrase --data ./app
  app certificate --out certificate
  app … --listen 0.0.0.0:8090 --cert certificate/certificate.pem
        --key-file certificate/certificate.pem

or with a reverse proxy on this computer, which passes on to --listen:

  app … --origin https://alarm.example.org

Passphrase, phones and certificate can be changed while the app runs.

Who doesn't look is told of an alarm, of faults and of a panel that falls silent
with --notify-url or --notify-command; app notify tries them.`,
		Flags:    config.flags,
		Run:      config.run,
		Commands: []*cli.Command{passphraseCommand(), phonesCommand(), certificateCommand(), notifyCommand()},
	}
}
