package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/blackbox"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// replayCommand is panel replay.
func replayCommand() *cli.Command {
	var rules statemachine.Rules
	var flags *pflag.FlagSet
	return &cli.Command{
		Name:  "replay",
		Args:  "FILE",
		Short: `Play a transcript, with other rules if you like: "what if?"`,
		Long: `Play a transcript, with other rules if you like: "what if?"

FILE is what "panel explain" has printed, a black box, or a story from
statemachine/testdata. It prints the transcript as it would have been with the
rules that are given here, and its own beside them; the first lines say in plain
words what differs.`,
		Flags: func(fs *pflag.FlagSet) {
			flags = fs
			rulesFlags(fs, &rules)
			fs.VisitAll(func(f *pflag.Flag) {
				f.DefValue = "0" // the help names no default: what is not given is as the transcript has it
				cli.FlagOnly(fs, f.Name)
			})
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if err := checkRules(rules); err != nil {
				return err
			}
			text, err := replay(args[0], rules, flags.Changed)
			if err != nil {
				return err
			}
			_, err = io.WriteString(stdout, text)
			return err
		},
	}
}

// replay plays a file with those of the rules that were given.
func replay(file string, rules statemachine.Rules, given func(flag string) bool) (string, error) {
	text, err := readTranscript(file)
	if err != nil {
		return "", err
	}
	told, err := transcript.Steps(text)
	if err != nil {
		return "", noTranscript(file, err)
	}
	if len(told) == 0 {
		return "", noTranscript(file, fmt.Errorf("nothing happens in it"))
	}
	var changed []string
	played, steps, err := transcript.WhatIf(text, func(r *statemachine.Rules) {
		changed = nil
		for _, c := range []struct {
			flag, rule string
			to, from   *time.Duration
		}{
			{"exit-delay", "exit", &rules.ExitDelay, &r.ExitDelay},
			{"entry-delay", "entry", &rules.EntryDelay, &r.EntryDelay},
			{"siren-limit", "siren", &rules.SirenLimit, &r.SirenLimit},
		} {
			if given(c.flag) {
				changed = append(changed, fmt.Sprintf("%s=%s", c.rule, short(*c.to)))
				*c.from = *c.to
			}
		}
		if given("max-rings") {
			changed = append(changed, fmt.Sprintf("rings=%d", rules.MaxRings))
			r.MaxRings = rules.MaxRings
		}
	})
	if err != nil {
		return "", noTranscript(file, err)
	}
	if changed == nil {
		return transcript.Play(text)
	}
	return difference(strings.Join(changed, " "), told, steps) + without(played, blackbox.Sentences(told)), nil
}

// difference says what the change changes.
func difference(changed string, told, steps []transcript.Step) string {
	was, is := blackbox.Sentences(told), blackbox.Sentences(steps)
	if slices.Equal(was, is) {
		return blackbox.Comments(append([]string{"With " + changed + ": the same as it was."}, was...))
	}
	lines := []string{fmt.Sprintf("With %s: %s; it was: %s.", changed, rings(steps), rings(told)), "As it was:"}
	lines = append(lines, indent(was)...)
	lines = append(lines, "With "+changed+":")
	return blackbox.Comments(append(lines, indent(is)...))
}

func indent(sentences []string) []string {
	lines := []string{}
	for _, s := range sentences {
		lines = append(lines, "  "+s)
	}
	return lines
}

func rings(steps []transcript.Step) string {
	switch n := blackbox.Rings(steps); n {
	case 0:
		return "no ring"
	case 1:
		return "one ring"
	default:
		return fmt.Sprintf("%d rings", n)
	}
}

// without is a transcript without the sentences that were true before the change.
func without(text string, sentences []string) string {
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool {
		said, comment := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "# ")
		return comment && slices.Contains(sentences, said)
	})
	return strings.Join(lines, "")
}
