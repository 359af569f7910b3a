package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli"
)

func passphraseCommand() *cli.Command {
	var dir string
	var generate bool
	return &cli.Command{
		Name:  "passphrase",
		Short: "Set the passphrase that phones sign in with.",
		Long: `Set the passphrase that phones sign in with: 10 characters or more, and 200 bytes
at most. It is asked for twice, or read from a line of stdin where that is no
terminal. All phones are signed out, also while the app runs. Without a
passphrase, the app serves this computer only.`,
		Flags: func(fs *pflag.FlagSet) {
			dataFlag(fs, &dir)
			fs.BoolVar(&generate, "generate", false, "make one of 67 random bits, and print it")
			cli.FlagOnly(fs, "generate")
		},
		Run: func(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
			if err := checkData(dir); err != nil {
				return err
			}
			text := app.GeneratePassphrase()
			if !generate {
				var err error
				if text, err = askPassphrase(ctx, os.Stdin, stderr); err != nil {
					return err
				}
			}
			if err := checkPassphrase(text); err != nil {
				return err
			}
			household, err := app.OpenHousehold(dir, nil)
			if err != nil {
				return unwritable(fmt.Errorf("opening --data: %w", err))
			}
			if err := household.SetPassphrase(text); err != nil {
				return unwritable(fmt.Errorf("setting the passphrase: %w", err))
			}
			fmt.Fprintln(stderr, "The passphrase is set. All phones are signed out.")
			if !generate {
				return nil
			}
			if _, err := fmt.Fprintln(stdout, text); err != nil {
				return cli.Hint(fmt.Errorf("printing the passphrase: %w", err), "nobody knows it now: set another with app passphrase")
			}
			return nil
		},
	}
}

func checkPassphrase(text string) error {
	if err := app.CheckPassphrase(text); err != nil {
		return cli.Hint(err, "app passphrase --generate makes one")
	}
	return nil
}

// askPassphrase asks for a passphrase twice without showing it, or reads a line of what isn't a terminal.
func askPassphrase(ctx context.Context, stdin *os.File, stderr io.Writer) (string, error) {
	fd := int(stdin.Fd())
	if !term.IsTerminal(fd) {
		return wait(ctx, func() (string, error) { return readLine(stdin) })
	}
	shown, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	var typed [2]string
	for i, prompt := range []string{"New passphrase: ", "The same again: "} {
		fmt.Fprint(stderr, prompt)
		typed[i], err = wait(ctx, func() (string, error) {
			b, err := term.ReadPassword(fd)
			return string(b), err
		})
		fmt.Fprintln(stderr)
		if err == nil && i == 0 {
			err = checkPassphrase(typed[i])
		}
		if err != nil {
			return "", errors.Join(err, term.Restore(fd, shown)) // after a signal, nobody else does
		}
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passphrases differ; nothing was changed")
	}
	return typed[0], nil
}

// wait returns what read does, or when a signal came: what reads then is left behind, and ends with the process.
func wait(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return "", errors.New("interrupted; nothing was changed")
	}
}

// maxLine is more than a passphrase can have.
const maxLine = 1 << 10 // bytes

// readLine reads a line without its end.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the passphrase from stdin: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}
