package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// goodConfig is one that Validate finds nothing wrong with.
func goodConfig() Config {
	return Config{
		API: "http://127.0.0.1:8081", DeviceID: "78877CFE-8c33-4343-981d-6e4efaea6373", Listen: "127.0.0.1:8090", Data: "data",
		Poll: app.DefaultPoll, Silence: app.DefaultSilence,
		Notices: Notices{Language: "en", PingEvery: app.DefaultPing},
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no API", func(c *Config) { c.API = "" }, "--api is missing"},
		{"no URL", func(c *Config) { c.API = "hub.example:8443" }, "--api is no address of the web: write it as in http://127.0.0.1:8081/iot/v1/regions/fr-par"},
		{"a password", func(c *Config) { c.API = "https://app:sesame@hub.example" }, "--api has a user or password in it"},
		{"plain text to another computer", func(c *Config) { c.API = "http://hub.example:8081" }, "--api is plain HTTP, so anybody on the way can read the token"},
		{"no device", func(c *Config) { c.DeviceID = "" }, "--device-id is missing"},
		{"a device's name", func(c *Config) { c.DeviceID = "front-door" }, "--device-id is no UUID"},
		{"no folder", func(c *Config) { c.Data = "" }, "--data is missing"},
		{"no address", func(c *Config) { c.Listen = "8090" }, `--listen is "8090", which is no address`},
		{"a port's name", func(c *Config) { c.Listen = "127.0.0.1:http" }, `--listen is "127.0.0.1:http"`},
		{"a certificate alone", func(c *Config) { c.Cert = "cert.pem" }, "--cert and --key-file belong together"},
		{"a key alone", func(c *Config) { c.KeyFile = "key.pem" }, "--cert and --key-file belong together"},
		{"an origin in plain text", func(c *Config) { c.Origins = []string{"http://alarm.example.org"} }, `--origin is "http://alarm.example.org": expected https:// and a host`},
		{"a host for an origin", func(c *Config) { c.Origins = []string{"alarm.example.org"} }, `--origin is "alarm.example.org"`},
		{"an origin with a path", func(c *Config) { c.Origins = []string{"https://example.org/alarm"} }, `--origin is "https://example.org/alarm"`},
		{"an origin with a question", func(c *Config) { c.Origins = []string{"https://example.org/?x"} }, `--origin is "https://example.org/?x"`},
		{"an origin with a user", func(c *Config) { c.Origins = []string{"https://anna@example.org"} }, `--origin is "https://anna@example.org"`},
		{"an origin without a host", func(c *Config) { c.Origins = []string{"https://:8443"} }, `--origin is "https://:8443"`},
		{"every origin", func(c *Config) { c.Origins = []string{"https://alarm.example.org", "*"} }, `--origin is "*"`},
		{"a poll too short", func(c *Config) { c.Poll = 99 * time.Millisecond }, "--poll is 99ms: expected 100ms to 1m0s"},
		{"a poll too long", func(c *Config) { c.Poll = time.Hour }, "--poll is 1h0m0s: expected 100ms to 1m0s"},
		{"a silence too short", func(c *Config) { c.Silence = 59 * time.Second }, "--silence is 59s: expected 1m0s to 24h0m0s"},
		{"notices to no URL", func(c *Config) { c.Notices.URL = "sesame" }, "--notify-url is no address of the web"},
		{"notices in plain text", func(c *Config) { c.Notices.URL = "http://ntfy.example/sesame" }, "--notify-url is plain HTTP"},
		{"a token for nobody", func(c *Config) { c.Notices.TokenFile = "token" }, "--notify-token-file without --notify-url"},
		{"a language without words", func(c *Config) { c.Notices.Language = "../en" }, `--language is "../en": expected en or fr`},
		{"pings to no URL", func(c *Config) { c.Notices.PingURL = "//sesame" }, "--ping-url is no address of the web"},
		{"pings too often", func(c *Config) { c.Notices.PingEvery = time.Second }, "--ping-every is 1s: expected 10s to 1h0m0s"},
		{"pings too rare", func(c *Config) { c.Notices.PingEvery = 2 * time.Hour }, "--ping-every is 2h0m0s"},
		{"a silence too long", func(c *Config) { c.Silence = 25 * time.Hour }, "--silence is 25h0m0s"},
	} {
		c := goodConfig()
		tt.change(&c)
		err := c.Validate()
		if _, usage := errors.AsType[*cli.UsageError](err); !usage || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		} else if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error has the password: %v", tt.name, err)
		}
	}
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.API, c.Insecure = "http://hub.example:8081", true },
		func(c *Config) { c.API = "https://api.scaleway.com/iot/v1/regions/fr-par/" },
		func(c *Config) { c.Origins = []string{"https://Alarm.example.org:8443/"} },
	} {
		c := goodConfig()
		if change(&c); c.Validate() != nil {
			t.Errorf("%+v: got %v", c, c.Validate())
		}
	}
}

func TestToken(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, file, variable string
		token, want          string
	}{
		{"none", "", "", "", "the hub's token is missing"},
		{"both", file("from-file"), "from-environment", "", "--token-file and the environment variable SCW_SECRET_KEY are both given"},
		{"a file that isn't there", filepath.Join(t.TempDir(), "token"), "", "", "reading --token-file: "},
		{"a folder", t.TempDir(), "", "", "reading --token-file: "},
		{"an empty file", file("\n"), "", "", "--token-file "},
		{"a file", file(" from-file\r\n"), "", "from-file", ""},
		{"the environment", "", "from-environment", "from-environment", ""},
	} {
		t.Setenv(tokenVariable, tt.variable)
		token, err := (&Config{TokenFile: tt.file}).token(slog.New(slog.DiscardHandler))
		if token != tt.token || (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %q, %v; want %q, %s", tt.name, token, err, tt.token, tt.want)
		}
	}

	t.Setenv(tokenVariable, "")
	c := goodConfig()
	c.TokenFile = file("sesame\nsesame")
	if _, err := c.openAPI(slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("of a token that is none: got %v, want an error that doesn't repeat it", err)
	}
	c.TokenFile, c.CA = file("token"), file("no certificate")
	if _, err := c.openAPI(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--ca has no certificate") {
		t.Errorf("of a CA that is none: got %v", err)
	}
	c.CA = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := c.openAPI(slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "reading --ca: ") {
		t.Errorf("of a CA that isn't there: got %v", err)
	}
}

func TestTokenThatEverybodyCanRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for mode, warned := range map[os.FileMode]bool{0o640: false, 0o644: true} {
		if err := os.WriteFile(path, []byte("sesame"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		t.Setenv(tokenVariable, "")
		_, err := (&Config{TokenFile: path}).token(slog.New(slog.NewTextHandler(&log, nil)))
		if got := strings.Contains(log.String(), "level=WARN"); err != nil || got != warned || strings.Contains(log.String(), "sesame") {
			t.Errorf("mode %v: got %v and log %q, want a warning: %t", mode, err, &log, warned)
		}
	}
}

// Nobody else gets in by oversight.
func TestListenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name       string
		passphrase bool
		change     func(*Config)
		want, hint string
	}{
		{"all addresses, no passphrase", false, func(c *Config) { c.Listen = "0.0.0.0:0" }, "--listen 0.0.0.0:0 can be reached from outside this computer", "app passphrase --data data"},
		{"with TLS", false, func(c *Config) { c.Listen, c.Cert = "[::]:0", "cert.pem" }, "--listen [::]:0 can be reached", "app passphrase --data data"},
		{"insecure", false, func(c *Config) { c.Listen, c.Insecure = "0.0.0.0:0", true }, "--listen 0.0.0.0:0 can be reached", "app passphrase --data data"},
		{"a proxy, no passphrase", false, func(c *Config) { c.Origins = []string{"https://alarm.example.org"} }, "--origin without a passphrase", "app passphrase --data data"},
		{"plain text", true, func(c *Config) { c.Listen = "0.0.0.0:0" }, "--listen 0.0.0.0:0 can be reached", "app certificate"},
		{"plain text behind a proxy", true, func(c *Config) { c.Listen, c.Origins = ":0", []string{"https://alarm.example.org"} }, "--listen :0 can be reached", "--insecure"},
	} {
		c := goodConfig()
		tt.change(&c)
		l, err := c.listen(tt.passphrase)
		if l != nil {
			l.Close()
		}
		hint, ok := errors.AsType[interface {
			error
			Hint() string
		}](err)
		if !ok || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(hint.Hint(), tt.hint) {
			t.Errorf("%s: got %v, want %q with a hint at %s", tt.name, err, tt.want, tt.hint)
		}
	}
	for _, passphrase := range []bool{false, true} {
		c := goodConfig()
		c.Listen = "localhost:0"
		l, err := c.listen(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		if at := l.Addr().(*net.TCPAddr); !at.IP.IsLoopback() {
			t.Errorf("listens on %v", at)
		}
		l.Close()
	}
}
