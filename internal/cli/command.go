package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// helpWidth is the column at which help wraps: the narrowest terminal in use.
const helpWidth = 80

// A Command is one thing that a program does. It has Run, or Commands, or both:
//
//	hub                      Run
//	└── device               Commands
//	    └── add NAME         Run with one argument
//
// Its flags may also come from the environment: --other-topics of any command
// of the program hub is HUB_OTHER_TOPICS. A flag wins over the variable, and an
// empty variable counts as not set. Use pflag's StringSlice for a flag that can be
// given several times, so that commas separate the values of the variable.
//
// Every program has --version, which is of no use in the environment.
type Command struct {
	Name  string // the word that calls it; the root's is the program's name
	Args  string // its arguments as help shows them, a word for each: "NAME"; those in brackets can be left out
	Short string // what it does, in one line, for the list of commands
	Long  string // more about it, lines wrapped by hand; empty = Short
	// Flags defines the flags; they are set when Run is called. nil = none.
	Flags func(*pflag.FlagSet)
	// Run does it. A *UsageError without a hint is given one that leads to --help.
	Run      func(ctx context.Context, args []string, stdout, stderr io.Writer) error
	Commands []*Command
}

// Execute finds the command that args call and runs it. With --help or -h it
// prints help on stdout instead.
func (c *Command) Execute(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := c
	path := c.Name
	for len(args) > 0 {
		sub := c.find(args[0])
		if sub == nil {
			break
		}
		c, args, path = sub, args[1:], path+" "+sub.Name
	}
	err := c.execute(ctx, root, path, args, stdout, stderr)
	if _, usage := errors.AsType[*UsageError](err); usage {
		if _, ok := errors.AsType[hinter](err); !ok {
			err = Hint(err, "%s --help shows how to call it", path)
		}
	}
	return err
}

func (c *Command) find(name string) *Command {
	for _, sub := range c.Commands {
		if sub.Name == name {
			return sub
		}
	}
	return nil
}

func (c *Command) execute(ctx context.Context, root *Command, path string, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && len(c.Commands) > 0 && c.Args == "" && !strings.HasPrefix(args[0], "-") {
		return c.checkArgs(args) // the flags behind an unknown command are that one's
	}
	prefix := envName(root.Name) + "_"
	fs := pflag.NewFlagSet(path, pflag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are reported once, by Run
	fs.Usage = func() {}
	fs.SortFlags = false
	if c.Flags != nil {
		c.Flags(fs)
	}
	var version bool
	if c == root {
		fs.BoolVar(&version, "version", false, "print the version and end")
		FlagOnly(fs, "version")
	}
	if err := fs.Parse(args); errors.Is(err, pflag.ErrHelp) {
		return c.help(stdout, fs, path, prefix)
	} else if iv, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return badValue("--"+iv.GetFlag().Name, iv.GetValue(), iv.GetFlag(), iv.Unwrap())
	} else if err != nil {
		return &UsageError{err}
	}
	if version {
		return printVersion(stdout, c.Name)
	}
	if err := c.checkArgs(fs.Args()); err != nil {
		return err
	}
	if err := fromEnv(fs, prefix); err != nil {
		return err
	}
	return c.Run(ctx, fs.Args(), stdout, stderr)
}

func (c *Command) checkArgs(args []string) error {
	switch want := strings.Fields(c.Args); {
	case c.Run == nil && len(args) == 0:
		return Usagef("a command is missing: %s", c.commandNames())
	case c.Run == nil:
		return Usagef("unknown command %s: expected %s", quote(args[0]), c.commandNames())
	case len(args) > len(want) && len(c.Commands) > 0:
		return Usagef("unknown command %s: commands come before flags and are %s", quote(args[len(want)]), c.commandNames())
	case len(args) > len(want):
		return Usagef("unexpected argument %s", quote(args[len(want)]))
	case len(args) < len(want) && !strings.HasPrefix(want[len(args)], "["):
		return Usagef("%s is missing", want[len(args)])
	}
	return nil
}

// quote quotes an argument that nobody expected. Behind the scheme of a URL, also of one with a slash too few, may be a password.
func quote(arg string) string {
	if scheme, rest, is := strings.Cut(arg, ":"); is && strings.ContainsAny(rest, "/@") {
		arg = scheme + ":…"
	}
	return strconv.Quote(arg)
}

func (c *Command) commandNames() string {
	names := make([]string, len(c.Commands))
	for i, sub := range c.Commands {
		names[i] = sub.Name
	}
	return strings.Join(names, ", ")
}

// flagOnly marks flags without a variable.
const flagOnly = "flag only"

// FlagOnly makes flags that no environment variable stands for: those that would do harm where
// a variable is set for another purpose.
func FlagOnly(fs *pflag.FlagSet, names ...string) {
	for _, name := range names {
		if err := fs.SetAnnotation(name, flagOnly, nil); err != nil {
			panic(err) // there is no such flag
		}
	}
}

// hasVariable tells whether a variable stands for a flag.
func hasVariable(f *pflag.Flag) bool {
	_, only := f.Annotations[flagOnly]
	return !only
}

// badValue is about a value that a flag cannot have: what its type looks like, or else the reason. The name is the flag's or its
// variable's.
func badValue(name, value string, f *pflag.Flag, reason error) error {
	_, err := strconv.ParseUint(value, 10, 64)
	switch kind := f.Value.Type(); {
	case kind == "bool":
		return Usagef("%s is %q: expected true or false", name, value)
	case kind == "duration" && err == nil:
		return Usagef("%[1]s is %[2]q: expected the unit as well, as in %[2]ss or %[2]sms", name, value)
	case kind == "duration":
		return Usagef("%s is %q: expected a number and its unit, as in 30s or 5m", name, value)
	case errors.Is(reason, strconv.ErrSyntax) && strings.HasPrefix(kind, "uint"):
		return Usagef("%s is %q: expected a whole number, 0 or more", name, value)
	case errors.Is(reason, strconv.ErrSyntax):
		return Usagef("%s is %q: expected a whole number", name, value)
	case errors.Is(reason, strconv.ErrRange):
		reason = strconv.ErrRange // without the name of a function
	}
	return Usagef("%s is %q: %w", name, value, reason)
}

// fromEnv sets the flags that were not given from their variables.
func fromEnv(fs *pflag.FlagSet, prefix string) error {
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		name := prefix + envName(f.Name)
		value := os.Getenv(name)
		if f.Changed || value == "" || err != nil || !hasVariable(f) {
			return
		}
		if e := fs.Set(f.Name, value); e != nil {
			if iv, ok := errors.AsType[*pflag.InvalidValueError](e); ok {
				e = iv.Unwrap()
			}
			err = badValue("the environment variable "+name, value, f, e)
		}
	})
	return err
}

func envName(s string) string {
	return strings.ToUpper(strings.ReplaceAll(s, "-", "_"))
}

func (c *Command) help(w io.Writer, fs *pflag.FlagSet, path, prefix string) error {
	var b strings.Builder
	about := c.Long
	if about == "" {
		about = c.Short
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n", strings.TrimSpace(about))
	if c.Run != nil {
		usage := []string{path}
		if c.Args != "" {
			usage = append(usage, c.Args)
		}
		if fs.HasFlags() {
			usage = append(usage, "[flags]")
		}
		fmt.Fprintf(&b, "  %s\n", strings.Join(usage, " "))
	}
	if len(c.Commands) > 0 {
		fmt.Fprintf(&b, "  %s COMMAND\n\nCommands:\n", path)
		width := 0
		for _, sub := range c.Commands {
			width = max(width, len(sub.Name))
		}
		for _, sub := range c.Commands {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, sub.Name, sub.Short)
		}
	}
	if fs.HasFlags() {
		title := "Flags"
		fs.VisitAll(func(f *pflag.Flag) {
			if hasVariable(f) {
				f.Usage += " [" + prefix + envName(f.Name) + "]"
				title = "Flags, with the environment variables that stand for them"
			}
		})
		fmt.Fprintf(&b, "\n%s:\n%s", title, fs.FlagUsagesWrapped(helpWidth))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
