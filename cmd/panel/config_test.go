package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// run runs the program in this process.
func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = cli.Run(ctx, command(""), args, &out, &err)
	return code, out.String(), err.String()
}

// runBriefly has a panel end cleanly as soon as it guards.
func runBriefly(args ...string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return run(ctx, args...)
}

// flags are flags by name, without "--", and their values.
type flags map[string]string

// good are flags that fit together.
func good() flags {
	return flags{"hub": noHub, "device-id": deviceID, "door": "GPIO17", "siren": "GPIO27", "state-dir": "state"}
}

// with returns the flags with others in place of some; an empty value takes a flag away.
func (f flags) with(others flags) flags {
	f = maps.Clone(f)
	for name, value := range others {
		f[name] = value
		if value == "" {
			delete(f, name)
		}
	}
	return f
}

// args are the flags as arguments.
func (f flags) args() []string {
	var args []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		args = append(args, "--"+name+"="+f[name])
	}
	return args
}

// setenv puts the flags into the environment instead.
func (f flags) setenv(t *testing.T) {
	for name, value := range f {
		t.Setenv("PANEL_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_")), value)
	}
}

// Hints that several flags share.
const (
	hubHint  = "--hub, --device-id, --ca, --cert, --key-file, --secret-file and --insecure say how to reach the hub"
	helpHint = "panel --help shows how to call it"
)

// TestFlagsThatDoNotFit has every flag missing, out of range, or at odds with another, given as arguments and as
// environment, with the same errors.
func TestFlagsThatDoNotFit(t *testing.T) {
	t.Chdir(newFolder(t))
	nine := "a=GPIO1,b=GPIO2,c=GPIO3,d=GPIO4,e=GPIO5,f=GPIO6,g=GPIO7,h=GPIO8,i=GPIO9"
	tests := []struct {
		name       string
		set        flags
		want, hint string
	}{
		{"no hub", flags{"hub": ""}, "--hub is missing", "name the hub, as in --hub mqtts://HOST:8883"},
		{"hub without scheme", flags{"hub": "127.0.0.1:1883"}, `hub "127.0.0.1:1883" has no scheme: write mqtt://HOST:1883 or mqtts://HOST:8883`, hubHint},
		{"hub that is a web server", flags{"hub": "http://127.0.0.1"}, "hub has the scheme http, but a device speaks MQTT over TCP: write mqtt://HOST:1883 or mqtts://HOST:8883", hubHint},
		{"hub without host", flags{"hub": "mqtt://:1883"}, "hub has no host: write mqtt://HOST:1883 or mqtts://HOST:8883", hubHint},
		{"hub with a path", flags{"hub": "mqtt://127.0.0.1/x"}, "hub has something after host and port: write mqtt://HOST:1883 or mqtts://HOST:8883", hubHint},
		{"hub in plain text beyond this computer", flags{"hub": "mqtt://hub.example"}, "hub mqtt://hub.example:1883 is plaintext, so anybody on the way can act as the device: write mqtts:// with the device's certificate and key, or with its secret, or say insecure", hubHint},
		{"secret in plain text beyond this computer", flags{"hub": "mqtt://hub.example", "secret-file": "secret"}, "hub mqtt://hub.example:1883 is plaintext, so anybody on the way can act as the device: write mqtts:// with the device's certificate and key, or with its secret, or say insecure", hubHint},
		{"hub beyond this computer without a credential", flags{"hub": "mqtts://hub.example"}, "hub mqtts://hub.example:8883 needs the device's certificate and key, or its secret, so that knowing the device id isn't enough: give these files, or say insecure", hubHint},
		{"no device id", flags{"device-id": ""}, `device id "": give the UUID that the hub shows for this device`, hubHint},
		{"device id that is a name", flags{"device-id": "front-door"}, `device id "front-door": give the UUID that the hub shows for this device`, hubHint},
		{"authority for plain text", flags{"ca": "ca.pem"}, "hub mqtt://127.0.0.1:1 is plaintext and uses no certificates: write mqtts://, or leave the files out", hubHint},
		{"certificate without key", flags{"cert": "device.pem"}, "certificate and key belong together: give both files or none", hubHint},
		{"key without certificate", flags{"key-file": "device.key"}, "certificate and key belong together: give both files or none", hubHint},

		{"no door", flags{"door": ""}, "--door is missing", "name the line of the contact, as in --door GPIO17, or use --simulate 127.0.0.1:8080 without hardware"},
		{"nine doors", flags{"door": nine}, "--door is given 9 times: expected at most 8", helpHint},
		{"several doors without name", flags{"door": "front=GPIO17,GPIO22"}, "--door GPIO22 has no name: with several doors each needs one, as in front=GPIO22", helpHint},
		{"door with an odd name", flags{"door": "Front=GPIO17"}, `--door Front=GPIO17: the name "Front" is not 1 to 32 of the characters a-z 0-9 _ -`, helpHint},
		{"door with an empty name", flags{"door": "=GPIO17"}, `--door =GPIO17: the name "" is not 1 to 32 of the characters a-z 0-9 _ -`, helpHint},
		{"door called like a fault", flags{"door": "siren=GPIO17"}, `--door siren=GPIO17: the name "siren" is taken by the panel itself; choose another`, helpHint},
		{"door without line", flags{"door": "front="}, "--door front= names no line", helpHint},
		{"two doors of one name", flags{"door": "front=GPIO17,front=GPIO22"}, `--door: the name "front" is given twice`, helpHint},
		{"two doors on one line", flags{"door": "front=GPIO17,back=GPIO17"}, "the line GPIO17 is used twice: by --door front and by --door back", helpHint},
		{"door on the siren's line", flags{"door": "GPIO27"}, "the line GPIO27 is used twice: by --siren and by --door door", helpHint},
		{"no siren", flags{"siren": ""}, "--siren is missing", "name the line of the siren's relay, as in --siren GPIO27"},
		{"siren that sounds at boot", flags{"siren": "GPIO4"}, "--siren GPIO4 is high or moves while a Raspberry Pi starts, so the siren would sound at each start", "use one of GPIO16 to GPIO27 with a resistor of 10 kΩ to ground; on another board name the line by its chip, as in LABEL:4"},
		{"siren on the serial console", flags{"siren": "GPIO14"}, "--siren GPIO14 is high or moves while a Raspberry Pi starts, so the siren would sound at each start", "use one of GPIO16 to GPIO27 with a resistor of 10 kΩ to ground; on another board name the line by its chip, as in LABEL:14"},
		{"odd level of an open door", flags{"door-open-level": "up"}, `--door-open-level is "up": expected high or low`, helpHint},
		{"odd level of the siren", flags{"siren-active": "1"}, `--siren-active is "1": expected high or low`, helpHint},
		{"door called like the key switch", flags{"door": "key=GPIO17"}, `--door key=GPIO17: the name "key" is taken by the panel itself; choose another`, helpHint},
		{"door called like the buzzer", flags{"door": "buzzer=GPIO17"}, `--door buzzer=GPIO17: the name "buzzer" is taken by the panel itself; choose another`, helpHint},
		{"key switch on a door's line", flags{"key": "GPIO17"}, "the line GPIO17 is used twice: by --door door and by --key", helpHint},
		{"key switch on the siren's line", flags{"key": "GPIO27"}, "the line GPIO27 is used twice: by --siren and by --key", helpHint},
		{"buzzer on the key switch's line", flags{"key": "GPIO22", "buzzer": "GPIO22"}, "the line GPIO22 is used twice: by --key and by --buzzer", helpHint},
		{"buzzer on the siren's line", flags{"buzzer": "GPIO27"}, "the line GPIO27 is used twice: by --siren and by --buzzer", helpHint},
		{"odd key switch", flags{"key": "GPIO22", "key-type": "latching"}, `--key-type is "latching": expected momentary or maintained`, helpHint},
		{"type of no key switch", flags{"key-type": "maintained"}, "--key-type is for a key switch: expected --key with it", helpHint},
		{"simulated house for everybody", flags{"simulate": "0.0.0.0:8080"}, "--simulate 0.0.0.0:8080 can be reached from outside this computer", publicHouse},
		{"key switch of a simulated house", flags{"simulate": "127.0.0.1:0", "key": "GPIO22"}, "--key GPIO22 is a line of this computer, and a simulated house has none: leave it out, or --simulate", helpHint},
		{"buzzer of a simulated house", flags{"simulate": "127.0.0.1:0", "buzzer": "GPIO23"}, "--buzzer GPIO23 is a line of this computer, and a simulated house has none: leave it out, or --simulate", helpHint},
		{"debounce too short", flags{"debounce": "19ms"}, "--debounce is 19ms: expected 20ms to 300ms", helpHint},
		{"debounce too long", flags{"debounce": "301ms"}, "--debounce is 301ms: expected 20ms to 300ms", helpHint},

		{"house without port", flags{"simulate": "nowhere"}, `--simulate is "nowhere", which is no address`, "write host:port, as in 127.0.0.1:8080"},
		{"house on a port that is none", flags{"simulate": "127.0.0.1:65536"}, `--simulate is "127.0.0.1:65536", which is no address`, "write host:port, as in 127.0.0.1:8080"},
		{"odd simulated door", flags{"simulate": "127.0.0.1:0", "simulate-door": "ajar"}, `--simulate-door is "ajar": expected open or closed or fault`, helpHint},
		{"simulated door of a real house", flags{"simulate-door": "open"}, "--simulate-door is for a simulated house: expected --simulate with it", helpHint},

		{"no state folder", flags{"state-dir": ""}, "--state-dir is missing", "name a folder on a disk that survives a power cut; it is made when it isn't there"},
		{"state folder with a long path", flags{"state-dir": strings.Repeat("x", 93)}, "--state-dir has 93 bytes: expected at most 92", "the panel opens a socket there, whose path the system wants short"},
		{"odd choice for a corrupt journal", flags{"on-corrupt": "ring"}, `--on-corrupt is "ring": expected armed or disarmed`, helpHint},

		{"poll too often", flags{"poll": "999ms"}, "--poll is 999ms: expected 1s to 60s", helpHint},
		{"poll too seldom", flags{"poll": "61s"}, "--poll is 61s: expected 1s to 60s", helpHint},
		{"heartbeat too often", flags{"heartbeat": "4.9s"}, "--heartbeat is 4.9s: expected 5s to 300s", helpHint},
		{"heartbeat too seldom", flags{"heartbeat": "6m"}, "--heartbeat is 360s: expected 5s to 300s", helpHint},
		{"negative exit delay", flags{"exit-delay": "-1s"}, "--exit-delay is -1s: expected 0s to 255s", helpHint},
		{"exit delay too long", flags{"exit-delay": "256s"}, "--exit-delay is 256s: expected 0s to 255s", helpHint},
		{"negative entry delay", flags{"entry-delay": "-1ms"}, "--entry-delay is -1ms: expected 0s to 255s", helpHint},
		{"entry delay too long", flags{"entry-delay": "256s"}, "--entry-delay is 256s: expected 0s to 255s", helpHint},
		{"siren limit too short", flags{"siren-limit": "29s"}, "--siren-limit is 29s: expected 30s to 900s", helpHint},
		{"siren limit too long", flags{"siren-limit": "1h"}, "--siren-limit is 3600s: expected 30s to 900s", helpHint},
		{"no ring", flags{"max-rings": "0"}, "--max-rings is 0: expected 1 to 6", helpHint},
		{"too many rings", flags{"max-rings": "7"}, "--max-rings is 7: expected 1 to 6", helpHint},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, want := good().with(tt.set), "panel: "+tt.want+"\nhint: "+tt.hint+"\n"
			if code, stdout, stderr := runBriefly(f.args()...); code != cli.ExitUsage || stdout != "" || stderr != want {
				t.Errorf("arguments %q: got code %d, stdout %q, stderr:\n%swant code 2 and:\n%s", f.args(), code, stdout, stderr, want)
			}
			f.setenv(t)
			if code, stdout, stderr := runBriefly(); code != cli.ExitUsage || stdout != "" || stderr != want {
				t.Errorf("environment: got code %d, stdout %q, stderr:\n%swant code 2 and:\n%s", code, stdout, stderr, want)
			}
		})
	}
}

// TestLinesThatAreNotThere has names that no computer has: somebody who mistypes one learns it at once.
func TestLinesThatAreNotThere(t *testing.T) {
	t.Chdir(newFolder(t))
	f := good().with(flags{"siren": "NOWHERE:4095", "door": "front=NOWHERE:4096"})
	code, stdout, stderr := runBriefly(f.args()...)
	if want := "panel: --siren: line NOWHERE:4095: "; code != cli.ExitFailed || stdout != "" || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("got code %d, stdout %q, stderr:\n%swant code 1 and %q at the start", code, stdout, stderr, want)
	}
	if _, err := os.Stat("state"); err == nil {
		t.Error("the state folder was made")
	}
}

// TestFlagsThatAreNoValues has values that cannot even be read.
func TestFlagsThatAreNoValues(t *testing.T) {
	t.Chdir(newFolder(t))
	const unit = "expected a number and its unit, as in 30s or 5m"
	tests := []struct{ flag, value, want string }{
		{"insecure", "maybe", "expected true or false"},
		{"door", `a"b`, `parse error on line 1, column 2: bare " in non-quoted-field`},
		{"debounce", "200", "expected the unit as well, as in 200s or 200ms"},
		{"poll", "often", unit},
		{"heartbeat", "1 s", unit},
		{"exit-delay", "45", "expected the unit as well, as in 45s or 45ms"},
		{"entry-delay", "-", unit},
		{"siren-limit", "3min", unit},
		{"max-rings", "3.5", "expected a whole number"},
		{"max-rings", "99999999999999999999", "value out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.flag, func(t *testing.T) {
			f := good().with(flags{tt.flag: tt.value})
			about := fmt.Sprintf(" is %q: %s\nhint: %s\n", tt.value, tt.want, helpHint)
			if _, _, got := runBriefly(f.args()...); got != "panel: --"+tt.flag+about {
				t.Errorf("argument: got %q, want %q", got, about)
			}
			f.setenv(t)
			variable := "PANEL_" + strings.ToUpper(strings.ReplaceAll(tt.flag, "-", "_"))
			if _, _, got := runBriefly(); got != "panel: the environment variable "+variable+about {
				t.Errorf("environment: got %q, want %q", got, about)
			}
		})
	}
}

func TestCalledWrongly(t *testing.T) {
	t.Chdir(newFolder(t))
	tests := []struct {
		args       string
		want, hint string
	}{
		{"--simulat 127.0.0.1:0", "unknown flag: --simulat", helpHint},
		{"--hub", "flag needs an argument: --hub", helpHint},
		{"guard", `unknown command "guard": commands come before flags and are arm, disarm, check, selftest, siren-off, explain, replay`, helpHint},
		{"--insecure arm", `unknown command "arm": commands come before flags and are arm, disarm, check, selftest, siren-off, explain, replay`, helpHint},
		{"arm", "--state-dir is missing", "name a folder on a disk that survives a power cut; it is made when it isn't there"},
		{"disarm", "--state-dir is missing", "name a folder on a disk that survives a power cut; it is made when it isn't there"},
		{"arm now --state-dir state", `unexpected argument "now"`, "panel arm --help shows how to call it"},
		{"disarm --hub " + noHub, "unknown flag: --hub", "panel disarm --help shows how to call it"},
		{"check", "--hub is missing", "name the hub, as in --hub mqtts://HOST:8883"},
		{"check all", `unexpected argument "all"`, "panel check --help shows how to call it"},
		{"explain", "--state-dir is missing", "name a folder on a disk that survives a power cut; it is made when it isn't there"},
		{"explain yesterday --state-dir state", `"yesterday" is no time`, `write 23:10, "2026-11-21 23:10" or 2026-11-21T23:10:04+01:00`},
		{"explain 25:10 --state-dir state", `"25:10" is no time`, `write 23:10, "2026-11-21 23:10" or 2026-11-21T23:10:04+01:00`},
		{"explain 9999-01-01T00:00 --state-dir state", "9999-01-01T00:00 has not come yet", "panel explain --help shows how to call it"},
		{"explain 2026-11-21 23:10", `unexpected argument "23:10"`, "panel explain --help shows how to call it"},
		{"replay", "FILE is missing", "panel replay --help shows how to call it"},
		{"replay --entry-delay 256s story", "--entry-delay is 256s: expected 0s to 255s", "panel replay --help shows how to call it"},
		{"replay --siren-limit 20s story", "--siren-limit is 20s: expected 30s to 900s", "panel replay --help shows how to call it"},
		{"replay --max-rings 0 story", "--max-rings is 0: expected 1 to 6", "panel replay --help shows how to call it"},
		{"replay --state-dir state story", "unknown flag: --state-dir", "panel replay --help shows how to call it"},
		{"siren-off", "--siren is missing", "name the line of the siren's relay, as in --siren GPIO27"},
		{"siren-off --siren GPIO27 --siren-active loud", `--siren-active is "loud": expected high or low`, "panel siren-off --help shows how to call it"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			want := "panel: " + tt.want + "\nhint: " + tt.hint + "\n"
			if code, stdout, stderr := runBriefly(strings.Fields(tt.args)...); code != cli.ExitUsage || stdout != "" || stderr != want {
				t.Errorf("got code %d, stdout %q, stderr:\n%swant code 2 and:\n%s", code, stdout, stderr, want)
			}
		})
	}
}

// TestFlagsThatFit has the ends of each range and what else has to be accepted.
func TestFlagsThatFit(t *testing.T) {
	eight := "a=GPIO5,b=GPIO6,c=GPIO7,d=GPIO8,e=GPIO9,f=GPIO10,g=GPIO11,h=GPIO12"
	for _, set := range []flags{
		{},
		{"device-id": strings.ToUpper(deviceID)},
		{"hub": "mqtt://hub.example", "insecure": "true"},
		{"hub": "mqtts://hub.example", "cert": "device.pem", "key-file": "device.key"},
		{"hub": "mqtts://127.0.0.1:8883", "ca": "ca.pem"},
		{"hub": "mqtts://hub.example", "ca": "ca.pem", "secret-file": "secret"},
		{"hub": "mqtt://hub.example", "secret-file": "secret", "insecure": "true"},
		{"secret-file": "secret"},
		{"door": eight},
		{"door": "LABEL:17", "siren": "LABEL:4"},
		{"siren": "GPIO4", "siren-active": "low"},
		{"door-open-level": "low", "on-corrupt": "disarmed"},
		{"debounce": "20ms", "poll": "1s", "heartbeat": "5s", "exit-delay": "0s", "entry-delay": "0s", "siren-limit": "30s", "max-rings": "1"},
		{"debounce": "300ms", "poll": "1m", "heartbeat": "5m", "exit-delay": "255s", "entry-delay": "255s", "siren-limit": "15m", "max-rings": "6"},
		{"simulate": "127.0.0.1:0", "door": "", "siren": ""},
		{"simulate": "127.0.0.1:0", "door": "front=,back=", "simulate-door": "fault"},
	} {
		var c Config
		fs := pflag.NewFlagSet("panel", pflag.ContinueOnError)
		c.flags(fs)
		if err := fs.Parse(good().with(set).args()); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%v: got %v, want no error", set, err)
		}
	}
}

func TestWhereFlagsComeFrom(t *testing.T) {
	t.Chdir(newFolder(t))
	const other = "ffffffff-ffff-4fff-8fff-ffffffffffff"
	f := flags{"hub": noHub, "device-id": deviceID, "simulate": "127.0.0.1:0", "state-dir": "state"}
	tests := []struct {
		name string
		args []string
		env  flags
		want string // the device
	}{
		{"arguments", f.args(), nil, deviceID},
		{"environment", nil, f, deviceID},
		{"a flag wins", f.args(), flags{"device-id": other}, deviceID},
		{"a flag wins over nonsense", append(f.args(), "--poll=2s", "--max-rings=2"), flags{"poll": "often", "max-rings": "-", "state-dir": "/dev/null"}, deviceID},
		{"the last of two flags wins", append(f.args(), "--device-id", other), nil, other},
		{"an empty variable is none", f.args(), flags{"poll": ""}, deviceID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.env.setenv(t)
			code, stdout, stderr := runBriefly(tt.args...)
			if code != cli.ExitOK || !strings.HasSuffix(stdout, "\nguarding as device "+tt.want+"\n") {
				t.Errorf("got code %d, stdout %q, stderr:\n%swant code 0 and device %s", code, stdout, stderr, tt.want)
			}
		})
	}
}

// TestStateFolderOfAService has the folder that systemd hands to a service.
func TestStateFolderOfAService(t *testing.T) {
	t.Chdir(newFolder(t))
	f := flags{"hub": noHub, "device-id": deviceID, "simulate": "127.0.0.1:0"}
	for _, tt := range []struct {
		env  flags
		want string
	}{{nil, "given"}, {flags{"state-dir": "chosen"}, "chosen"}} {
		t.Setenv("STATE_DIRECTORY", "given")
		tt.env.setenv(t)
		if code, _, stderr := runBriefly(f.args()...); code != cli.ExitOK {
			t.Errorf("got code %d, stderr:\n%s", code, stderr)
		}
		if _, err := os.Stat(tt.want); err != nil {
			t.Errorf("with the environment %v: %v", tt.env, err)
		}
	}
}
