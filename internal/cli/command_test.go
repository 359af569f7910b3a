package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// bell is a program with every feature of Command.
func bell() *Command {
	var poll time.Duration
	var quiet bool
	var chime string
	var doors []string
	return &Command{
		Name:  "bell",
		Short: "Rings.",
		Flags: func(fs *pflag.FlagSet) {
			fs.DurationVar(&poll, "poll-every", 2*time.Second, "how often to look")
			fs.StringSliceVar(&doors, "door", nil, "a `PIN` to watch; may be repeated")
			fs.BoolVar(&quiet, "quiet", false, "hum")
			fs.StringVar(&chime, "chime", "", "`SOUND` that it makes")
			FlagOnly(fs, "chime")
		},
		Run: func(_ context.Context, _ []string, stdout, _ io.Writer) error {
			_, err := fmt.Fprintln(stdout, "rings", poll, doors, quiet, chime)
			return err
		},
		Commands: []*Command{
			{Name: "owner", Short: "Who owns it.", Commands: []*Command{
				{Name: "call", Args: "[NAME]", Short: "Call an owner.", Flags: func(fs *pflag.FlagSet) {
					fs.BoolVar(&quiet, "quiet", false, "hum")
					FlagOnly(fs, "quiet")
				}, Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
					_, err := fmt.Fprintln(stdout, "called", args)
					return err
				}},
				{Name: "add", Args: "NAME", Short: "Add an owner.", Long: "Add an owner.\n\nThere can be many.",
					Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
						_, err := fmt.Fprintln(stdout, "added", args[0])
						return err
					}},
			}},
			{Name: "break", Short: "Fails.", Run: func(context.Context, []string, io.Writer, io.Writer) error {
				return fmt.Errorf("opening bell: %w", Hint(errors.New("no clapper"), "mount the %s first", "clapper"))
			}},
			{Name: "misuse", Short: "Refuses.", Run: func(context.Context, []string, io.Writer, io.Writer) error {
				return Usagef("--tone %d is too high", 9000)
			}},
		},
	}
}

func TestRunReportsAndExits(t *testing.T) {
	tests := []struct {
		name           string
		args           string
		env            map[string]string
		code           int
		stdout, stderr string
	}{
		{name: "unknown flag", args: "--tone 3", code: 2,
			stderr: "bell: unknown flag: --tone\nhint: bell --help shows how to call it\n"},
		{name: "flag without its value", args: "--poll-every", code: 2,
			stderr: "bell: flag needs an argument: --poll-every\nhint: bell --help shows how to call it\n"},
		{name: "bad flag value", args: "--poll-every soon", code: 2,
			stderr: "bell: --poll-every is \"soon\": expected a number and its unit, as in 30s or 5m\nhint: bell --help shows how to call it\n"},
		{name: "bad value in the environment", env: map[string]string{"BELL_POLL_EVERY": "soon"}, code: 2,
			stderr: "bell: the environment variable BELL_POLL_EVERY is \"soon\": expected a number and its unit, as in 30s or 5m\nhint: bell --help shows how to call it\n"},
		{name: "duration without its unit", args: "--poll-every 30", code: 2,
			stderr: "bell: --poll-every is \"30\": expected the unit as well, as in 30s or 30ms\nhint: bell --help shows how to call it\n"},
		{name: "bad truth", args: "--quiet=yes", code: 2,
			stderr: "bell: --quiet is \"yes\": expected true or false\nhint: bell --help shows how to call it\n"},
		{name: "bad truth in the environment", env: map[string]string{"BELL_QUIET": "yes"}, code: 2,
			stderr: "bell: the environment variable BELL_QUIET is \"yes\": expected true or false\nhint: bell --help shows how to call it\n"},
		{name: "version of a command", args: "break --version", code: 2,
			stderr: "bell: unknown flag: --version\nhint: bell break --help shows how to call it\n"},
		{name: "help without its dashes", args: "help", code: 2,
			stderr: "bell: unknown command \"help\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "unknown command", args: "onwer", code: 2,
			stderr: "bell: unknown command \"onwer\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "command after a flag", args: "--door=1 break", code: 2,
			stderr: "bell: unknown command \"break\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "command missing", args: "owner", code: 2,
			stderr: "bell: a command is missing: call, add\nhint: bell owner --help shows how to call it\n"},
		{name: "more than an argument that can be left out", args: "owner call ada bob", code: 2,
			stderr: "bell: unexpected argument \"bob\"\nhint: bell owner call --help shows how to call it\n"},
		{name: "argument that can be left out", args: "owner call ada", stdout: "called [ada]\n"},
		{name: "argument left out", args: "owner call", stdout: "called []\n"},
		{name: "unknown subcommand", args: "owner remove", code: 2,
			stderr: "bell: unknown command \"remove\": expected call, add\nhint: bell owner --help shows how to call it\n"},
		{name: "unknown subcommand with a flag", args: "owner remove --door 1", code: 2,
			stderr: "bell: unknown command \"remove\": expected call, add\nhint: bell owner --help shows how to call it\n"},
		{name: "a URL for a command", args: "https://bob:s3cret@bell.example", code: 2,
			stderr: "bell: unknown command \"https:…\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "a URL with a slash too few", args: "postgres:/bob:s3cret@bell.example", code: 2,
			stderr: "bell: unknown command \"postgres:…\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "an address for a command", args: "127.0.0.1:8081", code: 2,
			stderr: "bell: unknown command \"127.0.0.1:8081\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "unknown command with a flag", args: "onwer add --tone 3", code: 2,
			stderr: "bell: unknown command \"onwer\": commands come before flags and are owner, break, misuse\nhint: bell --help shows how to call it\n"},
		{name: "argument missing", args: "owner add", code: 2,
			stderr: "bell: NAME is missing\nhint: bell owner add --help shows how to call it\n"},
		{name: "argument too many", args: "owner add Ann Bob", code: 2,
			stderr: "bell: unexpected argument \"Bob\"\nhint: bell owner add --help shows how to call it\n"},
		{name: "flag of another command", args: "owner add Ann --door 1", code: 2,
			stderr: "bell: unknown flag: --door\nhint: bell owner add --help shows how to call it\n"},
		{name: "usage error from Run", args: "misuse", code: 2,
			stderr: "bell: --tone 9000 is too high\nhint: bell misuse --help shows how to call it\n"},
		{name: "failure with a hint inside", args: "break", code: 1,
			stderr: "bell: opening bell: no clapper\nhint: mount the clapper first\n"},
		{name: "defaults", stdout: "rings 2s [] false \n"},
		{name: "flags", args: "--poll-every 3s --door 1 --door 2", stdout: "rings 3s [1 2] false \n"},
		{name: "environment", env: map[string]string{"BELL_POLL_EVERY": "4s", "BELL_DOOR": "5,6"}, stdout: "rings 4s [5 6] false \n"},
		{name: "a flag wins over the environment", args: "--poll-every 3s", env: map[string]string{"BELL_POLL_EVERY": "soon"}, stdout: "rings 3s [] false \n"},
		{name: "an empty variable is not set", env: map[string]string{"BELL_POLL_EVERY": ""}, stdout: "rings 2s [] false \n"},
		{name: "a flag without a variable", args: "--chime gong", env: map[string]string{"BELL_CHIME": "buzz"}, stdout: "rings 2s [] false gong\n"},
		{name: "a variable that is none", env: map[string]string{"BELL_CHIME": "buzz", "BELL_VERSION": "1.2"}, stdout: "rings 2s [] false \n"},
		{name: "subcommand", args: "owner add Ann", stdout: "added Ann\n"},
		{name: "argument that looks like a flag", args: "owner add -- -x", stdout: "added -x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			var stdout, stderr strings.Builder
			code := Run(t.Context(), bell(), strings.Fields(tt.args), &stdout, &stderr)
			if code != tt.code || stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("got code %d, stdout %q, stderr %q\nwant code %d, stdout %q, stderr %q",
					code, &stdout, &stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestHelpIsComplete(t *testing.T) {
	tests := map[string]string{
		"--help": `Rings.

Usage:
  bell [flags]
  bell COMMAND

Commands:
  owner   Who owns it.
  break   Fails.
  misuse  Refuses.

Flags, with the environment variables that stand for them:
      --poll-every duration   how often to look [BELL_POLL_EVERY] (default 2s)
      --door PIN              a PIN to watch; may be repeated [BELL_DOOR]
      --quiet                 hum [BELL_QUIET]
      --chime SOUND           SOUND that it makes
      --version               print the version and end
`,
		"owner -h": `Who owns it.

Usage:
  bell owner COMMAND

Commands:
  call  Call an owner.
  add   Add an owner.
`,
		"owner call --help": `Call an owner.

Usage:
  bell owner call [NAME] [flags]

Flags:
      --quiet   hum
`,
		"owner add --help": `Add an owner.

There can be many.

Usage:
  bell owner add NAME
`,
	}
	for args, want := range tests {
		var stdout, stderr strings.Builder
		if code := Run(t.Context(), bell(), strings.Fields(args), &stdout, &stderr); code != ExitOK || stderr.Len() > 0 {
			t.Errorf("%s: got code %d and stderr %q, want 0 and nothing", args, code, &stderr)
		}
		if stdout.String() != want {
			t.Errorf("%s: got\n%s\nwant\n%s", args, &stdout, want)
		}
	}
}
