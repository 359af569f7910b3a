package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twinpanel/twinpanel/app"
)

// A terminal is one with app passphrase in it.
type terminal struct {
	t       *testing.T
	keys    *os.File // what is typed, and what is shown
	screen  *os.File // what the program has as its terminal
	shown   bytes.Buffer
	command *exec.Cmd
	dir     string
}

// openTerminal starts app passphrase in a terminal.
func openTerminal(t *testing.T) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys := os.NewFile(uintptr(fd), "/dev/ptmx") // not blocking, so that it has deadlines
	t.Cleanup(func() { keys.Close() })
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), keys.SetDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	screen, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	c := &terminal{t: t, keys: keys, screen: screen, dir: filepath.Join(t.TempDir(), "data")}
	c.command = exec.Command("app", "passphrase", "--data", c.dir)
	c.command.Stdin, c.command.Stdout, c.command.Stderr = screen, screen, screen
	c.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.command.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { c.command.Process.Kill() })
	t.Cleanup(func() { kill.Stop() })
	return c
}

// echoes tells whether the terminal shows what is typed.
func (c *terminal) echoes() bool {
	c.t.Helper()
	state, err := unix.IoctlGetTermios(int(c.screen.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// answer waits for a prompt, and until what is typed isn't shown any more, and types.
func (c *terminal) answer(prompt, text string) {
	c.t.Helper()
	c.wait(prompt)
	for start := time.Now(); c.echoes() && time.Since(start) < patience; { // the prompt comes first
		time.Sleep(time.Millisecond)
	}
	if _, err := c.keys.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// wait reads the screen until text is on it.
func (c *terminal) wait(text string) {
	c.t.Helper()
	buffer := make([]byte, 1)
	for !strings.HasSuffix(c.shown.String(), text) {
		if _, err := c.keys.Read(buffer); err != nil {
			c.t.Fatalf("waiting for %q on the screen: %v; it shows %q", text, err, &c.shown)
		}
		c.shown.Write(buffer)
	}
}

// end waits for the program's end.
func (c *terminal) end(code int, lastLine string) {
	c.t.Helper()
	c.wait(lastLine)
	_ = c.command.Wait() // the exit code says it
	if got := c.command.ProcessState.ExitCode(); got != code {
		c.t.Errorf("got exit code %d, want %d; the screen shows %q", got, code, &c.shown)
	}
	if !c.echoes() {
		c.t.Error("the terminal doesn't show any more what is typed")
	}
	if strings.Contains(c.shown.String(), "horse") {
		c.t.Errorf("the passphrase is on the screen: %q", &c.shown)
	}
	household, err := app.OpenHousehold(c.dir, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if got, want := household.HasPassphrase(), code == 0; got != want {
		c.t.Errorf("a passphrase is set: %t, want %t", got, want)
	}
}

func TestPassphraseIsAskedForWithoutShowingIt(t *testing.T) {
	t.Run("too short", func(t *testing.T) {
		c := openTerminal(t)
		c.answer("New passphrase: ", "horse\n")
		c.end(1, "hint: app passphrase --generate makes one\r\n")
	})
	t.Run("typed differently", func(t *testing.T) {
		c := openTerminal(t)
		c.answer("New passphrase: ", "correct horse\n")
		c.answer("The same again: ", "correct  horse\n")
		c.end(1, "the two passphrases differ; nothing was changed\r\n")
	})
	t.Run("interrupted", func(t *testing.T) {
		c := openTerminal(t)
		c.answer("New passphrase: ", "correct horse\n")
		c.answer("The same again: ", "correct hor\x03")
		c.end(1, "app: interrupted; nothing was changed\r\n")
	})
	t.Run("twice the same", func(t *testing.T) {
		c := openTerminal(t)
		c.answer("New passphrase: ", "correct horse\n")
		c.answer("The same again: ", "correct horse\n")
		c.end(0, "The passphrase is set. All phones are signed out.\r\n")
	})
}
