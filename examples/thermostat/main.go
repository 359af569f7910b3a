// Thermostat is a small device on twinclient: it reads what somebody wants from
// the document desired and publishes what it does as current. The room is simulated.
//
// Try it with the demo, which prints a hub's address and a device to play with:
//
//	go run ./cmd/demo
//	go run ./examples/thermostat --hub mqtt://127.0.0.1:1883 --device-id THE-SPARE-DEVICE
//
// Then, with IOT_API and SCW_SECRET_KEY as the demo prints them:
//
//	curl -X PUT -H "X-Auth-Token: $SCW_SECRET_KEY" $IOT_API/twins/THE-SPARE-DEVICE/documents/desired -d '{"data":{"target":21.5}}'
//	curl -H "X-Auth-Token: $SCW_SECRET_KEY" $IOT_API/twins/THE-SPARE-DEVICE/documents/current
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/twinpanel/twinpanel/twinclient"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "thermostat: %v\n", err)
		os.Exit(2) // all that can go wrong is how it was called; anything later is waited out
	}
}

// run heats until ctx ends.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	var o twinclient.Options
	fs := flag.NewFlagSet("thermostat", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.Hub, "hub", "mqtt://127.0.0.1:1883", "`url` of the hub, mqtt://HOST:1883 or mqtts://HOST:8883")
	fs.StringVar((*string)(&o.DeviceID), "device-id", "", "`uuid` of the device")
	fs.StringVar(&o.CAFile, "ca", "", "`file` with the authority that vouches for the hub")
	fs.StringVar(&o.CertFile, "cert", "", "`file` with the device's certificate")
	fs.StringVar(&o.KeyFile, "key-file", "", "`file` with the device's key")
	fs.StringVar(&o.SecretFile, "secret-file", "", "`file` with the device's secret, instead of certificate and key")
	fs.BoolVar(&o.Insecure, "insecure", false, "for compatibility: allow plaintext, or TLS with neither certificate nor secret, outside loopback")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see --help", fs.Arg(0))
	}
	return heat(ctx, o, slog.New(slog.NewTextHandler(stderr, nil)))
}

// heat keeps a room in step with the hub until ctx ends.
func heat(ctx context.Context, o twinclient.Options, log *slog.Logger) error {
	r := &room{temperature: 17, target: 19, log: log}
	link, err := twinclient.NewSync(twinclient.SyncConfig{
		Connect:  o,
		Watch:    "desired",
		Publish:  "current",
		Document: r.document,
		Watched:  r.want,
		Logger:   log,
	})
	if err != nil {
		return err
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { r.live(ctx, link.Changed) })
	return link.Run(ctx)
}
