// Demo is the whole alarm in one process: a hub in memory, a panel, a simulated house to open the door of, the
// phone app, and a page that shows them side by side with all that is said between them. Nothing is kept.
package main

import "github.com/twinpanel/twinpanel/internal/cli"

func main() { cli.Main(command()) }

func command() *cli.Command {
	var c Config
	return &cli.Command{
		Name:  "demo",
		Short: "Show the whole alarm on a laptop: a phone, a hub, a panel and a house with a door to open.",
		Long: `Show the whole alarm on a laptop: a phone, a hub, a panel and a house with a door to open.

Everything runs in this one process and is gone when it ends, with Ctrl-C. It
prints the address of a page to open in a browser, which shows phone and house
side by side, and what they say to each other.`,
		Flags: c.flags,
		Run:   c.run,
	}
}
