// Demo is the whole alarm in one process: a hub in memory, a panel, and a simulated house to
// open the door of. Nothing is kept.
package main

import "github.com/twinpanel/twinpanel/internal/cli"

func main() { cli.Main(command()) }

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "demo",
		Short: "Show the whole alarm on a laptop: hub, panel and a house with a door to open.",
		Long: `Show the whole alarm on a laptop: hub, panel and a house with a door to open.

Everything runs in this one process and is gone when it ends, with Ctrl-C. It
prints where everything is and what to try first.`,
		Flags: c.flags,
		Run:   c.run,
	}
}
