package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// Config is what the panel is told by flags and environment. flags has the defaults.
type Config struct {
	Hub      string // mqtt://HOST:1883 or mqtts://HOST:8883
	DeviceID string

	CA         string // files in PEM
	Cert       string
	KeyFile    string
	SecretFile string // one line
	Insecure   bool

	Door          []string // [NAME=]LINE
	Siren         string   // LINE
	DoorOpenLevel string   // high or low
	SirenActive   string   // high or low
	Key           string   // LINE; empty = there is none
	KeyType       string   // momentary or maintained
	Buzzer        string   // LINE; empty = there is none
	Debounce      time.Duration

	Simulate     string // address of the simulated house; empty = real lines
	SimulateDoor string // open, closed or fault

	StateDir  string
	OnCorrupt string

	Poll      time.Duration
	Heartbeat time.Duration

	Rules statemachine.Rules

	doors []door // set by Validate
}

// A door is one --door.
type door struct{ name, line string }

func (c *Config) flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Hub, "hub", "", "`URL` of the hub: mqtt://HOST:1883 or mqtts://HOST:8883")
	fs.StringVar(&c.DeviceID, "device-id", "", "`UUID` of this device, from \"hub device add\"")
	fs.StringVar(&c.CA, "ca", "", "`file` with the authorities that may vouch for the hub; without it, those of the system")
	fs.StringVar(&c.Cert, "cert", "", "`file` with this device's certificate: with --key-file it shows the hub that this is the device")
	fs.StringVar(&c.KeyFile, "key-file", "", "`file` with the key of --cert")
	fs.StringVar(&c.SecretFile, "secret-file", "", "`file` with this device's secret in one line, instead of --cert and --key-file")
	fs.BoolVar(&c.Insecure, "insecure", false, "for compatibility: allow a hub beyond this computer without encryption, or with neither --cert nor --secret-file, and a simulated house beyond it; whoever learns the device id can disarm, and whoever reaches the house can open its door")
	fs.StringSliceVar(&c.Door, "door", nil, "`[NAME=]LINE` of a door contact, as in GPIO17 or front=GPIO17; up to 8 times")
	fs.StringVar(&c.DoorOpenLevel, "door-open-level", "high", "`level` of a contact's line when the door is open; high = contact to ground, low = contact to 3.3 V; the pull goes the same way, so a cut wire reads open")
	c.sirenFlags(fs)
	c.keyFlags(fs)
	c.buzzerFlag(fs)
	fs.DurationVar(&c.Debounce, "debounce", sensor.DefaultDebounce, "how long a contact or the key switch must be stable to count: 20ms to 300ms")
	c.simulateFlag(fs)
	fs.StringVar(&c.SimulateDoor, "simulate-door", "closed", "how the simulated doors begin (a `state`): open, closed or fault")
	stateDirFlag(fs, &c.StateDir)
	fs.StringVar(&c.OnCorrupt, "on-corrupt", string(panel.StartArmed), "what to be (a `state`) when the journal cannot be read: armed or disarmed")
	fs.DurationVar(&c.Poll, "poll", twinclient.DefaultPoll, "pause between two looks at what the phone wants, where the hub doesn't tell of changes: 1s to 60s")
	fs.DurationVar(&c.Heartbeat, "heartbeat", twinclient.DefaultHeartbeat, "longest pause between two signs of life: 5s to 300s")
	rulesFlags(fs, &c.Rules)
}

// rulesFlags are the flags of the household's choices.
func rulesFlags(fs *pflag.FlagSet, r *statemachine.Rules) {
	*r = statemachine.DefaultRules()
	fs.DurationVar(&r.ExitDelay, "exit-delay", r.ExitDelay, "time to leave after arming: 0s to 255s; 45s goes well with an entry delay of 30s")
	fs.DurationVar(&r.EntryDelay, "entry-delay", r.EntryDelay, "time to disarm after opening a door: 0s to 255s")
	fs.DurationVar(&r.SirenLimit, "siren-limit", r.SirenLimit, "longest ring: 30s to 900s; the law of your town may say less than you like")
	fs.IntVar(&r.MaxRings, "max-rings", r.MaxRings, "rings until somebody arms again: 1 to 6")
}

// sirenFlags are the flags of the siren's line.
func (c *Config) sirenFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Siren, "siren", "", "`LINE` of the siren's relay, as in GPIO27")
	fs.StringVar(&c.SirenActive, "siren-active", "high", "`level` of the siren's line when it sounds: high or low; low sounds from power-on until the panel runs, unless hardware keeps the line high")
}

// keyFlags are the flags of the key switch.
func (c *Config) keyFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Key, "key", "", "`LINE` of a key switch that arms and disarms on the spot, as in GPIO22; wired as the contacts are")
	fs.StringVar(&c.KeyType, "key-type", string(panel.Momentary), "`kind` of the key switch. momentary: armed and disarmed change places each time the key switch closes; maintained: closed disarms, and open, or a cut wire, arms")
}

func (c *Config) simulateFlag(fs *pflag.FlagSet) {
	fs.StringVar(&c.Simulate, "simulate", "", "no hardware: draw a house with doors and a siren on a page at this `address`; --siren and the lines of --door are not used then")
}

// stateDirFlag is the flag that every command has.
func stateDirFlag(fs *pflag.FlagSet, dir *string) {
	fs.StringVar(dir, "state-dir", os.Getenv("STATE_DIRECTORY"), "`folder` for what survives a power cut; systemd's STATE_DIRECTORY by default")
}

func checkStateDir(dir string) error {
	switch {
	case dir == "":
		return cli.Hint(cli.Usagef("--state-dir %w", errMissing), "name a folder on a disk that survives a power cut; it is made when it isn't there")
	case len(dir) > panel.MaxStateDir:
		return cli.Hint(cli.Usagef("--state-dir has %d bytes: expected at most %d", len(dir), panel.MaxStateDir), "the panel opens a socket there, whose path the system wants short")
	}
	return nil
}

// Validate says which flag is missing or wrong.
func (c *Config) Validate() error {
	if c.Hub == "" {
		return cli.Hint(cli.Usagef("--hub %w", errMissing), "name the hub, as in --hub mqtts://HOST:8883")
	}
	if err := c.connect().Validate(); err != nil {
		return cli.Hint(cli.Usagef("%w", err), "--hub, --device-id, --ca, --cert, --key-file, --secret-file and --insecure say how to reach the hub")
	}
	if err := c.parseDoors(); err != nil {
		return err
	}
	if err := cmp.Or(
		oneOf("--door-open-level", c.DoorOpenLevel, "high", "low"),
		oneOf("--siren-active", c.SirenActive, "high", "low"),
		oneOf("--key-type", c.KeyType, string(panel.Momentary), string(panel.Maintained)),
		oneOf("--simulate-door", c.SimulateDoor, "open", "closed", "fault"),
		oneOf("--on-corrupt", c.OnCorrupt, string(panel.StartArmed), string(panel.StartDisarmed)),
	); err != nil {
		return err
	}
	if err := c.checkLines(); err != nil {
		return err
	}
	if err := checkStateDir(c.StateDir); err != nil {
		return err
	}
	if err := cmp.Or(
		within("--debounce", c.Debounce, sensor.MinDebounce, sensor.MaxDebounce),
		within("--poll", c.Poll, time.Second, time.Minute),
		within("--heartbeat", c.Heartbeat, 5*time.Second, 300*time.Second),
	); err != nil {
		return err
	}
	return checkRules(c.Rules)
}

// checkRules wants the flags of the household's choices.
func checkRules(r statemachine.Rules) error {
	if err := cmp.Or(
		within("--exit-delay", r.ExitDelay, 0, statemachine.MaxDelay),
		within("--entry-delay", r.EntryDelay, 0, statemachine.MaxDelay),
		within("--siren-limit", r.SirenLimit, statemachine.MinSirenLimit, statemachine.MaxSirenLimit),
	); err != nil {
		return err
	}
	if r.MaxRings < 1 || r.MaxRings > statemachine.MaxMaxRings {
		return cli.Usagef("--max-rings is %d: expected 1 to %d", r.MaxRings, statemachine.MaxMaxRings)
	}
	return nil
}

// within wants a duration in its range.
func within(flag string, value, low, high time.Duration) error {
	if value < low || value > high {
		return cli.Usagef("%s is %v: expected %s to %s", flag, short(value), short(low), short(high))
	}
	return nil
}

// oneOf wants a value that is one of the choices.
func oneOf(flag, value string, choices ...string) error {
	if !slices.Contains(choices, value) {
		return cli.Usagef("%s is %q: expected %s", flag, value, strings.Join(choices, " or "))
	}
	return nil
}

// short is a duration as the help has it: 300s, where String says 5m0s.
func short(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return d.String()
}

func (c *Config) connect() twinclient.Options {
	return twinclient.Options{
		Hub: c.Hub, DeviceID: twin.ID(strings.ToLower(c.DeviceID)),
		CAFile: c.CA, CertFile: c.Cert, KeyFile: c.KeyFile, SecretFile: c.SecretFile, Insecure: c.Insecure,
	}
}

// parseDoors splits NAME=LINE. A single door needs no name.
func (c *Config) parseDoors() error {
	c.doors = nil
	doors := c.Door
	if len(doors) == 0 && c.Simulate != "" {
		doors = []string{"door="}
	}
	if len(doors) > statemachine.MaxContacts {
		return cli.Usagef("--door is given %d times: expected at most %d", len(doors), statemachine.MaxContacts)
	}
	for _, s := range doors {
		name, line, named := strings.Cut(s, "=")
		if !named {
			name, line = "door", s
			if len(doors) > 1 {
				return cli.Usagef("--door %s has no name: with several doors each needs one, as in front=%s", s, s)
			}
		}
		if err := panel.CheckContactName(name); err != nil {
			return cli.Usagef("--door %s: %w", s, err)
		}
		if slices.ContainsFunc(c.doors, func(d door) bool { return d.name == name }) {
			return cli.Usagef("--door: the name %q is given twice", name)
		}
		c.doors = append(c.doors, door{name, line})
	}
	if len(c.doors) == 0 {
		return cli.Hint(cli.Usagef("--door %w", errMissing), "name the line of the contact, as in --door GPIO17, or use --simulate 127.0.0.1:8080 without hardware")
	}
	return nil
}
