package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// Notices say who is told of what goes wrong, by flags and environment. flags has the defaults.
type Notices struct {
	URL       string        // that notices are posted to; empty = none
	TokenFile string        // with its token; empty = it needs none
	Command   string        // program that takes notices; empty = none
	Language  string        // of notices
	PingURL   string        // that hears that the app lives; empty = none
	PingEvery time.Duration // 10 s to an hour
}

func (n *Notices) flags(fs *pflag.FlagSet) {
	fs.StringVar(&n.URL, "notify-url", "", "`URL` that notices are posted to, as ntfy takes them: https://ntfy.sh/TOPIC")
	fs.StringVar(&n.TokenFile, "notify-token-file", "", "`file` with the token for --notify-url, one line")
	fs.StringVar(&n.Command, "notify-command", "", "`program` that is started for each notice: the text is on its stdin, the title in TWINPANEL_TITLE; without arguments")
	fs.StringVar(&n.Language, "language", "en", "`language` of notices: "+strings.Join(app.Languages, " or "))
	fs.StringVar(&n.PingURL, "ping-url", "", "`URL` that is asked for to show that the app lives: a service there tells somebody when nothing comes")
	fs.DurationVar(&n.PingEvery, "ping-every", app.DefaultPing, "`pause` between two pings, 10s to 1h")
}

// validate says which flag is wrong. It reads no file.
func (n *Notices) validate(insecure bool) error {
	if n.URL != "" {
		if _, err := app.NewWebhook(app.WebhookOptions{URL: n.URL, Insecure: insecure}); err != nil {
			return cli.Usagef("%w", err)
		}
	} else if n.TokenFile != "" {
		return cli.Hint(cli.Usagef("--notify-token-file without --notify-url"), "name the address that the token is for")
	}
	if n.PingURL != "" {
		if _, err := app.NewPinger(app.PingOptions{URL: n.PingURL, Insecure: insecure}); err != nil {
			return cli.Usagef("%w", err)
		}
	}
	if !slices.Contains(app.Languages, n.Language) {
		return cli.Usagef("--language is %.20q: expected %s", n.Language, strings.Join(app.Languages, " or "))
	}
	return within("--ping-every", n.PingEvery, 10*time.Second, time.Hour)
}

// receivers are those who are told.
func (n *Notices) receivers(insecure bool, log *slog.Logger) (all []app.Receiver, err error) {
	if n.URL != "" {
		o := app.WebhookOptions{URL: n.URL, Insecure: insecure}
		if n.TokenFile != "" {
			if o.Token, err = readToken("--notify-token-file", n.TokenFile, "write the token there, in one line", log); err != nil {
				return nil, err
			}
		}
		w, err := app.NewWebhook(o)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	if n.Command != "" {
		p, err := app.NewProgram(n.Command)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// pinger returns nil if nobody is pinged.
func (n *Notices) pinger(insecure bool, log *slog.Logger) (*app.Pinger, error) {
	if n.PingURL == "" {
		return nil, nil
	}
	return app.NewPinger(app.PingOptions{URL: n.PingURL, Every: n.PingEvery, Insecure: insecure, Logger: log})
}

// click is the page's address for those who are told; empty if it isn't known.
func click(origins []string) string {
	if len(origins) == 0 {
		return ""
	}
	return strings.TrimSuffix(origins[0], "/") + "/"
}

func notifyCommand() *cli.Command {
	var n Notices
	var insecure bool
	var origins []string
	return &cli.Command{
		Name:  "notify",
		Short: "Send a test notice, and a ping.",
		Long: `Send a test notice to whom the app would tell with the same flags, and a ping, and
print what each answered. It ends with 1 if one didn't take it.`,
		Flags: func(fs *pflag.FlagSet) {
			n.flags(fs)
			fs.StringSliceVar(&origins, "origin", nil, "`URL` that phones know the app by: a tap on the notice leads there")
			fs.BoolVar(&insecure, "insecure", false, "allow plain text beyond this computer")
		},
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			if err := n.validate(insecure); err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(stderr, nil))
			receivers, err := n.receivers(insecure, log)
			if err != nil {
				return err
			}
			pinger, err := n.pinger(insecure, log)
			if err != nil {
				return err
			}
			if len(receivers) == 0 && pinger == nil {
				return cli.Hint(cli.Usagef("nobody is told"), "give --notify-url, --notify-command or --ping-url")
			}
			notice, err := app.TestNotice(n.Language, click(origins))
			if err != nil {
				return err
			}
			var failed []error
			try := func(name string, deliver func() (string, error)) {
				said, err := deliver()
				if err != nil {
					failed = append(failed, err)
					return
				}
				fmt.Fprintf(stdout, "%s: %s\n", name, said)
			}
			for _, r := range receivers {
				try("--notify-"+r.Name(), func() (string, error) { return r.Deliver(ctx, notice) })
			}
			if pinger != nil {
				try("--ping-url", func() (string, error) { return pinger.Ping(ctx) })
			}
			return errors.Join(failed...)
		},
	}
}
