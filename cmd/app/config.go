package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/twin"
)

// Config is what the app is told by flags and environment. flags has the defaults.
type Config struct {
	API       string        // URL of the hub's REST API
	DeviceID  string        // of the panel
	TokenFile string        // with the token for the API; empty = it is in the environment
	CA        string        // file of the authorities that may vouch for the hub; empty = the system's
	Listen    string        // host:port; port 0 takes a free one
	Data      string        // folder; created if need be
	Cert      string        // file of the certificate that phones are shown, and the chain to its authority; empty = plain text
	KeyFile   string        // its key
	Origins   []string      // URLs that phones know the app by, behind a reverse proxy
	Insecure  bool          // speak plain text also beyond this computer: to phones, and to the hub
	Poll      time.Duration // between two reads while somebody looks; 0.1 s to a minute
	Silence   time.Duration // after which an armed panel that says nothing is taken for destroyed; 1 min to a day
	Notices   Notices       // who is told of what goes wrong
}

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.API, "api", "", "`URL` of the hub's REST API, as in http://127.0.0.1:8081 or https://api.scaleway.com/iot/v1/regions/fr-par; required")
	fs.StringVar(&c.DeviceID, "device-id", "", "`UUID` of the panel; required")
	fs.StringVar(&c.TokenFile, "token-file", "", "`file` with the token that opens the API, one line; without it, the token is in the environment variable "+tokenVariable)
	fs.StringVar(&c.CA, "ca", "", "`file` with certificates, in PEM, of the authorities that may vouch for the hub, as hub ca export prints them; without it, those that the system trusts")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:8090", "`address` for phones; port 0 takes a free one")
	dataFlag(fs, &c.Data)
	fs.StringVar(&c.Cert, "cert", "", "`file` with the certificate that phones are shown, and the chain to its authority, in PEM; read again when it changes")
	fs.StringVar(&c.KeyFile, "key-file", "", "`file` with the key of --cert, in PEM; it may be the same")
	fs.StringSliceVar(&c.Origins, "origin", nil, "`URL` that phones know the app by, behind a reverse proxy that speaks TLS, as in https://alarm.example.org; can be repeated")
	fs.BoolVar(&c.Insecure, "insecure", false, "allow plain text beyond this computer: who is on the way can read the passphrase, what phones see, and the token of a hub that is spoken to so")
	fs.DurationVar(&c.Poll, "poll", app.DefaultPoll, "`pause` between two looks at the hub while somebody looks at the app, 100ms to 1m; while nobody does and nothing is to be watched for, it is longer")
	fs.DurationVar(&c.Silence, "silence", app.DefaultSilence, "after so `long` an armed panel that says nothing is taken for destroyed, 1m to 24h")
	c.Notices.flags(fs)
}

// Validate says which flag is missing or wrong. It reads no file.
func (c *Config) Validate() error {
	switch {
	case c.API == "":
		return cli.Hint(cli.Usagef("--api is missing"), "name the hub's REST API, as in --api http://127.0.0.1:8081")
	case c.DeviceID == "":
		return cli.Hint(cli.Usagef("--device-id is missing"), "give the panel's id, as hub device list prints it")
	}
	if err := c.options("").Validate(); err != nil {
		return cli.Usagef("%w", err)
	}
	if err := checkData(c.Data); err != nil {
		return err
	}
	if err := cli.CheckAddress("--listen", c.Listen, "127.0.0.1:8090"); err != nil {
		return err
	}
	if (c.Cert == "") != (c.KeyFile == "") {
		return cli.Hint(cli.Usagef("--cert and --key-file belong together"), "give both; app certificate makes them")
	}
	if _, err := c.names(); err != nil {
		return err
	}
	if err := within("--poll", c.Poll, 100*time.Millisecond, time.Minute); err != nil {
		return err
	}
	if err := within("--silence", c.Silence, time.Minute, 24*time.Hour); err != nil {
		return err
	}
	return c.Notices.validate(c.Insecure)
}

// within wants a duration in its range.
func within(flag string, value, low, high time.Duration) error {
	if value < low || value > high {
		return cli.Usagef("%s is %v: expected %v to %v", flag, value, low, high)
	}
	return nil
}

// names are the hosts of the origins.
func (c *Config) names() (names []string, err error) {
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, cli.Hint(cli.Usagef("--origin is %q: expected https:// and a host", origin), "write what a phone's address line begins with, as in https://alarm.example.org; the path is the proxy's matter")
		}
		names = append(names, strings.ToLower(u.Hostname()))
	}
	return names, nil
}

// options are where the panel's twin is, without authorities.
func (c *Config) options(token string) app.Options {
	return app.Options{URL: c.API, Device: twin.ID(strings.ToLower(c.DeviceID)), Token: token, Insecure: c.Insecure}
}

// openAPI reads the token and the authorities.
func (c *Config) openAPI(log *slog.Logger) (*app.API, error) {
	token, err := c.token(log)
	if err != nil {
		return nil, err
	}
	o := c.options(token)
	if c.CA != "" {
		if o.CA, err = durable.Read(c.CA, maxCA); err != nil {
			return nil, fmt.Errorf("reading --ca: %w", err)
		}
	}
	return app.NewAPI(o)
}

// tokenVariable has the vendor's name.
const tokenVariable = "SCW_SECRET_KEY"

// Limits of files.
const (
	maxToken = 4 << 10 // bytes
	maxCA    = 1 << 20
)

// token is what opens the hub. Its errors never repeat it.
func (c *Config) token(log *slog.Logger) (string, error) {
	given := os.Getenv(tokenVariable)
	switch {
	case c.TokenFile == "" && given == "":
		return "", cli.Hint(cli.Usagef("the hub's token is missing"), "write what hub token add prints into a file for --token-file, or into the environment variable %s", tokenVariable)
	case c.TokenFile == "":
		return given, nil
	case given != "":
		return "", cli.Hint(cli.Usagef("--token-file and the environment variable %s are both given", tokenVariable), "unset %s, or leave out --token-file", tokenVariable)
	}
	return readToken("--token-file", c.TokenFile, "write there what hub token add prints", log)
}

// readToken reads the file that a flag names.
func readToken(flag, file, hint string, log *slog.Logger) (string, error) {
	data, err := durable.Read(file, maxToken)
	if err != nil {
		err = fmt.Errorf("reading %s: %w", flag, err)
		if errors.Is(err, fs.ErrPermission) {
			return "", cli.Hint(err, "the file has to belong to the user that the app runs as")
		}
		return "", err
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
		log.Warn("everybody on this computer can read a token", "flag", flag, "file", file, "hint", "chmod o= "+file)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", cli.Hint(fmt.Errorf("%s %s is empty", flag, file), "%s", hint)
	}
	return token, nil
}
