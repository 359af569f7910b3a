package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// A place is where a hub keeps all it has: a data folder, or a PostgreSQL database, which several hubs may share.
type place struct {
	Data  string // folder
	Store string // postgres://…, which may hold a password: only String is for people
}

// passwordAdvice is where a database's password belongs.
const passwordAdvice = `Whoever uses this computer can read a command line. So a URL with a password belongs
in the environment variable; or the password alone in ~/.pgpass or PGPASSWORD.`

// folderFlags are those of commands for data folders alone. They take --store, unseen, to say what to do instead.
func (p *place) folderFlags(fs *pflag.FlagSet) {
	fs.StringVar(&p.Data, "data", "", "`folder` with documents, devices and tokens; required")
	fs.StringVar(&p.Store, "store", "", "")
	fs.Lookup("store").Hidden = true
}

// databaseMeans is what to do where a command is for data folders alone.
const databaseMeans = "PostgreSQL has its own means, such as pg_dump and pg_restore; hub copy copies all of a hub to a data folder"

// flags are those of every other command.
func (p *place) flags(fs *pflag.FlagSet) {
	fs.StringVar(&p.Data, "data", "", "`folder` with documents, devices and tokens; this or --store is required")
	fs.StringVar(&p.Store, "store", "", "`URL` of a PostgreSQL database in its place, as in postgres://USER@HOST/DATABASE, which several hubs may share; whoever uses this computer can read a command line, so a password belongs in the variable, in PGPASSWORD or in ~/.pgpass")
}

// check refuses a command that has no place, or two. A service has its state folder.
func (p *place) check() error {
	if p.Data == "" && p.Store == "" {
		p.Data = os.Getenv("STATE_DIRECTORY")
	}
	switch {
	case isURL(p.Data):
		return cli.Hint(cli.Usagef("--data: expected a folder, not a URL"), "a database goes to --store, as in --store postgres://USER@HOST/DATABASE")
	case p.Data == "" && p.Store == "":
		return cli.Hint(cli.Usagef("--data is missing"), "name the folder that keeps documents, devices and tokens, as in --data ./data, or a PostgreSQL database with --store")
	case p.Data != "" && p.Store != "":
		return cli.Hint(cli.Usagef("--data with --store: a hub has one place for what it keeps"), "leave out the one or the other; HUB_DATA and HUB_STORE in the environment count as well")
	case p.Store != "":
		if err := postgres.CheckURL(p.Store); err != nil {
			return cli.Usagef("--store: %w", err)
		}
	}
	return nil
}

// checkFolder refuses a command for data folders that has none.
func (p *place) checkFolder() error {
	if p.Data == "" {
		p.Data = os.Getenv("STATE_DIRECTORY")
	}
	switch {
	case p.Store != "":
		return cli.Hint(cli.Usagef("--store: this is for data folders"), databaseMeans)
	case isURL(p.Data):
		return cli.Hint(cli.Usagef("--data: expected a folder, not a URL"), databaseMeans)
	case p.Data == "":
		return cli.Hint(cli.Usagef("--data is missing"), "name the folder that keeps documents, devices and tokens, as in --data ./data")
	}
	return nil
}

// isURL tells a URL, also one with a slash too few, from a folder. C:/ is a folder.
func isURL(text string) bool {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || strings.Contains(scheme, "/") {
		return false
	}
	return strings.HasPrefix(rest, "/") && len(scheme) > 1 || strings.HasPrefix(rest, "//") || scheme == "postgres" || scheme == "postgresql"
}

// parsePlace reads a place where a folder and a URL may stand.
func parsePlace(text string) (place, error) {
	if !isURL(text) {
		return place{Data: text}, nil
	}
	return place{Store: text}, postgres.CheckURL(text)
}

// String is the place as people may see it: without a password.
func (p place) String() string {
	if p.Store == "" {
		return p.Data
	}
	shown, err := postgres.Place(p.Store)
	if err != nil {
		return "the database"
	}
	return shown
}

// absolute is the place as people may see it wherever they are.
func (p place) absolute() (string, error) {
	if p.Store == "" {
		return filepath.Abs(p.Data)
	}
	return p.String(), nil
}

// isSame tells whether two places are one, by whatever names of a folder.
func (p place) isSame(other place) bool {
	if p.Store != "" || other.Store != "" {
		return p.Store == other.Store
	}
	a, errA := os.Stat(p.Data)
	b, errB := os.Stat(other.Data)
	return errA == nil && errB == nil && os.SameFile(a, b) || filepath.Clean(p.Data) == filepath.Clean(other.Data)
}
