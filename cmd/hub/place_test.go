package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// Whatever a command is to do with a database: a URL of which it isn't clear what the password is goes nowhere, and
// nothing of it is said. Nor is any of a URL in the place of a folder, which is not made.
func TestNoCommandRepeatsAPassword(t *testing.T) {
	var commands [][]string
	var walk func(*cli.Command, []string)
	walk = func(c *cli.Command, path []string) {
		fs := pflag.NewFlagSet("", pflag.ContinueOnError)
		if c.Flags != nil {
			c.Flags(fs)
		}
		if f := fs.Lookup("store"); f != nil && !f.Hidden && c.Args != "FILE" { // ca add looks at its file first
			args := path[:len(path):len(path)]
			for a := range strings.FieldsSeq(c.Args) {
				a, _, _ = strings.Cut(strings.Trim(a, "[]"), "|")
				if a == "FINGERPRINT" {
					a = "01234567"
				}
				args = append(args, a)
			}
			for flag, value := range map[string]string{"from": "http://127.0.0.1:1", "description": "door"} {
				if fs.Lookup(flag) != nil {
					args = append(args, "--"+flag, value)
				}
			}
			commands = append(commands, args)
		}
		for _, sub := range c.Commands {
			walk(sub, append(path[:len(path):len(path)], sub.Name))
		}
	}
	walk(command(), nil)
	if len(commands) < 15 {
		t.Fatalf("%d commands take --store: %q", len(commands), commands)
	}
	try := func(hint string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := cli.Run(t.Context(), command(), args, &stdout, &stderr)
		if said := stdout.String() + stderr.String(); code != cli.ExitUsage || strings.Contains(said, "HEIM") || !strings.Contains(said, hint) {
			t.Errorf("%q ends with %d: %s", args, code, said)
		}
	}
	t.Chdir(t.TempDir())
	for _, url := range []string{
		"postgres://hub:GE@HEIM/word@127.0.0.1:1/twins",
		"postgres://hub:12/GEHEIM@127.0.0.1:1/twins",
		"postgres://hub:GE@HEIM@127.0.0.1:1/twins",
		"postgres://hub:GE%HEIM@127.0.0.1:1/twins",
		"postgres://hub:12?GEHEIM@127.0.0.1:1/twins",
		"postgres://hub:12#GEHEIM@127.0.0.1:1/twins",
		"mysql://hub:GEHEIM@127.0.0.1:1/twins",
		"postgres:/hub:GEHEIM@127.0.0.1:1/twins",
		"postgres:hub:GEHEIM@127.0.0.1:1/twins",
		"mysql:/hub:GEHEIM@127.0.0.1:1/twins",
	} {
		const hint = "in a password as %40 %2F %3A %25 %3F %23"
		for _, c := range commands {
			try(hint, append(c[:len(c):len(c)], "--store", url)...)
		}
		try(hint, "copy", "--from", url, "--to", "folder")
		try(hint, "copy", "--from", "folder", "--to", url)
		t.Setenv("HUB_STORE", url)
		try(hint)
		try(hint, "device", "list")
		t.Setenv("HUB_STORE", "")
		for _, c := range commands {
			try("--data: expected a folder, not a URL\nhint: a database goes to --store, ", append(c[:len(c):len(c)], "--data", url)...)
		}
		try("--data: expected a folder, not a URL\nhint: PostgreSQL has its own means", "backup", "file", "--data", url)
		try("--data: expected a folder, not a URL\nhint: PostgreSQL has its own means", "restore", "file", "--data", url)
		try("FILE: expected a file, not a URL\nhint: PostgreSQL has its own means", "backup", url, "--data", "folder")
		try("unknown command \"", url)
		try("unexpected argument \"", "token", "list", url)
		try("unknown command \"", "token", url)
		t.Setenv("HUB_DATA", url)
		try("--data: expected a folder, not a URL")
		t.Setenv("HUB_DATA", "")
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestPlaceIsShownWithoutItsPassword(t *testing.T) {
	t.Setenv("PGUSER", "somebody")
	for url, want := range map[string]string{
		"postgres://db.example/twins":                       "postgres://somebody@db.example:5432/twins",
		"postgres://hub:s3cret@a:5432,b:5433/twins":         "postgres://hub@a:5432,b:5433/twins",
		"postgres://hub:s3cret@db.example?password=s3cret2": "postgres://hub@db.example:5432/hub",
		"postgres://hub:s3cret@db.example/twins?port=99999": "the database",
	} {
		p := place{Store: url}
		if err := p.check(); err != nil || p.String() != want {
			t.Errorf("%q: shown as %q, error %v; want %q", url, p, err, want)
		}
	}
	if p := (place{Store: "postgres://hub:s3cr%et@db/twins"}); strings.Contains(p.String(), "s3cr") {
		t.Errorf("a URL that can't be read is shown as %q", p)
	}
}

func TestFolderIsNoURL(t *testing.T) {
	for text, want := range map[string]bool{
		"data": false, "./data": false, "/var/lib/hub": false, "..": false, "a:b": false, "2026-11-30T10:00": false, "./postgres:/x": false, "C:/hub": false, `C:\hub`: false,
		"postgres://db.example/twins": true, "postgres:/db.example/twins": true, "postgres:db.example/twins": true, "postgresql:db": true, "postgres:": true, "file:/var/lib/hub": true, "x://y": true,
	} {
		if got := isURL(text); got != want {
			t.Errorf("%q: taken for a URL: %t, want %t", text, got, want)
		}
	}
}
