//go:build gpiovm

package cases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
	"github.com/twinpanel/twinpanel/internal/gpiosim"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// The lines that the tests use, of a chip that has 28, called as those of a Raspberry Pi.
const (
	front  gpiosim.Line = 17
	back   gpiosim.Line = 23
	sirens gpiosim.Line = 27
)

const label = "pinctrl-sim"

// patience bounds every wait. Nothing that works comes near it, on however slow a machine.
const patience = 2 * time.Minute

// A bench is a chip with a panel at it.
type bench struct {
	*gpiosim.Chip
	*testing.T
	dir string // the panel's state folder
}

// newBench makes a chip with lines called GPIO0 and so on, which is gone at the end of the test.
func newBench(t *testing.T) *bench {
	t.Helper()
	var names []string
	for i := range 28 {
		names = append(names, fmt.Sprintf("GPIO%d", i))
	}
	b := &bench{newChip(t, label, names...), t, t.TempDir()}
	return b
}

func newChip(t *testing.T, label string, lines ...string) *gpiosim.Chip {
	t.Helper()
	chip, err := gpiosim.New(label, lines...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chip.Remove(); err != nil {
			t.Error(err)
		}
	})
	return chip
}

// must ends the test on an error.
func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// command is a command of the program panel, or of the one that the environment variable PROGRAM names.
func (b *bench) command(args ...string) *exec.Cmd {
	command := exec.Command(cmp.Or(os.Getenv("PROGRAM"), "/bin/panel"), args...)
	command.Dir = b.dir
	return command
}

// flags are those of a panel with one door at the line front, and no hub that could be reached. More flags change that.
func (b *bench) flags(more ...string) []string {
	flags := []string{
		"--hub", "mqtt://127.0.0.1:1", "--device-id", "01234567-89ab-cdef-0123-456789abcdef", "--state-dir", b.dir,
		"--siren", "GPIO27",
	}
	if !slices.Contains(more, "--door") {
		flags = append(flags, "--door", "GPIO17")
	}
	return append(flags, more...)
}

// A running is a panel that guards.
type running struct {
	*clitest.Program
	*bench
}

// start starts a panel with flags, which is killed at the end of the test if it runs by then.
func (b *bench) start(more ...string) *running {
	b.Helper()
	return b.launch(b.command(b.flags(more...)...))
}

func (b *bench) launch(command *exec.Cmd) *running {
	b.Helper()
	program, err := clitest.Start(command, "guarding as")
	b.must(err)
	r := &running{program, b}
	b.Cleanup(func() {
		if r.ProcessState == nil {
			r.Process.Kill()
			r.Wait()
		}
		if b.Failed() {
			b.Logf("log of the panel:\n%s", &r.Log)
		}
	})
	return r
}

// stop sends a signal and waits for the end.
func (r *running) stop(signal os.Signal) {
	r.Helper()
	if _, err := r.Stop(signal); err != nil && signal != os.Kill {
		r.Fatalf("panel ended after %v: %v", signal, err)
	}
}

// status is what the panel says of itself, as in "armed; back fault, front closed; faults: back".
func (b *bench) status() string {
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	s, err := panel.Control(b.dir).Status(ctx)
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	text.WriteString(s.State + ";")
	for i, name := range slices.Sorted(maps.Keys(s.Doors)) {
		if i > 0 {
			text.WriteString(",")
		}
		text.WriteString(" " + name + " " + s.Doors[name])
	}
	// A machine has no clock that it could trust, and this is not about clocks.
	faults := slices.DeleteFunc(s.Faults, func(f string) bool { return f == "clock" })
	slices.Sort(faults)
	if len(faults) > 0 {
		text.WriteString("; faults: " + strings.Join(faults, ", "))
	}
	return text.String()
}

// is waits until the panel says this of itself.
func (b *bench) is(want string) {
	b.Helper()
	b.await("panel", want, b.status)
}

// await waits until what get returns is as wanted.
func (b *bench) await(what, want string, get func() string) {
	b.Helper()
	got := get()
	for end := time.Now().Add(patience); got != want; got = get() {
		if time.Now().After(end) {
			b.Fatalf("%s: %s; waited in vain for: %s", what, got, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// tell arms or disarms at the panel. When it returns, the panel has it on disk.
func (b *bench) tell(word string) {
	b.Helper()
	out, err := b.command(word, "--state-dir", b.dir).CombinedOutput()
	if err != nil {
		b.Fatalf("panel %s: %v\n%s", word, err, out)
	}
}

// move gives an input its level.
func (b *bench) move(l gpiosim.Line, high bool) {
	b.Helper()
	b.must(b.Pull(l, high))
}

// level reads a line.
func (b *bench) level(l gpiosim.Line) bool {
	b.Helper()
	high, err := b.Level(l)
	b.must(err)
	return high
}

// goes waits for the level of a line.
func (b *bench) goes(l gpiosim.Line, high bool) {
	b.Helper()
	word := map[bool]string{true: "high", false: "low"}
	b.await(fmt.Sprintf("line %d", l), word[high], func() string { return word[b.level(l)] })
}

// fails runs a command of the program panel that has to fail, and returns what it says.
func (b *bench) fails(command *exec.Cmd) string {
	b.Helper()
	out, err := command.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		b.Fatalf("%s: %v; want exit status 1\n%s", command, err, out)
	}
	return string(out)
}

// as has a command run by another user than root.
func as(command *exec.Cmd, uid, gid uint32) *exec.Cmd {
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	return command
}
