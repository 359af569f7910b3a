//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// A responder answers what panels ask behind a broker, which is what it takes to have twins there.
type responder struct {
	broker string
	panels int
}

func (r *responder) flags(fs *pflag.FlagSet) {
	fs.StringVar(&r.broker, "broker", "", "`address` of the broker")
	fs.IntVar(&r.panels, "panels", 1, "whose documents there are")
}

// run answers, and connects again when the broker was away, until ctx ends.
func (r *responder) run(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	answers := panels.NewResponder(r.panels)
	ready := func() { fmt.Fprintln(stdout, "responding") }
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", r.broker)
		if err == nil {
			err = answers.Serve(ctx, conn, ready)
		}
		if ctx.Err() == nil {
			fmt.Fprintln(stderr, err)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}
