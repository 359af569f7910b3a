package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
)

const (
	deviceID = "01234567-89ab-cdef-0123-456789abcdef"
	noHub    = "mqtt://127.0.0.1:1" // where nobody listens
)

// A process is a panel that runs with a simulated house.
type process struct {
	*clitest.Program
	read  int    // bytes of the log, up to the end of what was waited for
	house string // URL
}

// startPanel starts the program in dir, with dir/state as its state folder and no hub, and waits until it guards. Flags
// change that.
func startPanel(dir string, flags ...string) (*process, error) {
	return launch(dir, exec.Command("panel", append(usualFlags(), flags...)...))
}

func usualFlags() []string {
	return []string{
		"--hub", noHub, "--device-id", deviceID, "--simulate", "127.0.0.1:0", "--state-dir", "state",
		"--debounce", "20ms", "--poll", "1s",
	}
}

// launch starts a command that becomes the program.
func launch(dir string, command *exec.Cmd) (*process, error) {
	command.Dir = dir
	started, err := clitest.Start(command, "guarding as")
	if err != nil {
		return nil, err
	}
	p := &process{Program: started}
	if _, err := fmt.Sscanf(p.Head, "house at %s\n", &p.house); err != nil {
		_, killed := p.Stop(os.Kill)
		return nil, fmt.Errorf("reading %q: %w", p.Head, errors.Join(err, killed))
	}
	return p, nil
}

// look is what the house's API tells.
func (p *process) look() (string, error) {
	return call(http.NewRequest("GET", p.house+"/api/house", nil))
}

// door opens, closes, breaks or mends the door, by the body of the house's API.
func (p *process) door(body string) (string, error) {
	return call(http.NewRequest("PUT", p.house+"/api/house/door", strings.NewReader(body)))
}

// call sends a request and returns the body of the answer.
func call(r *http.Request, err error) (string, error) {
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if answer.StatusCode >= 300 {
		err = errors.Join(err, errors.New(answer.Status))
	}
	return string(body), err
}

// start is startIn the working directory.
func start(t *testing.T, flags ...string) *process {
	t.Helper()
	return startIn(t, ".", flags...)
}

// startIn is startPanel for a test at whose end the panel is killed.
func startIn(t *testing.T, dir string, flags ...string) *process {
	t.Helper()
	p, err := startPanel(dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_, _ = p.Stop(os.Kill)
		}
		if t.Failed() {
			t.Logf("log of the panel:\n%s", &p.Log)
		}
	})
	return p
}

// move is door for a test that cannot go on without it.
func (p *process) move(t *testing.T, body string) {
	t.Helper()
	if _, err := p.door(body); err != nil {
		t.Fatal(err)
	}
}

// logged waits until each pattern is somewhere in the log.
func (p *process) logged(t *testing.T, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		eventually(t, pattern, func() (string, error) { return p.Log.String(), nil })
	}
}

// eventually is await for a test that cannot go on without it.
func eventually(t *testing.T, pattern string, look func() (string, error)) {
	t.Helper()
	if _, err := await(pattern, look); err != nil {
		t.Fatal(err)
	}
}

// awaitLog waits for a line of the log after those that were waited for before.
func (p *process) awaitLog(pattern string) error {
	end, err := await(pattern, func() (string, error) { return p.Log.String()[p.read:], nil })
	p.read += end
	return err
}

// await looks again and again until what it sees matches, and returns where the match ends. It gives up after half a
// minute.
func await(pattern string, look func() (string, error)) (end int, err error) {
	want, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return 0, err
	}
	var seen string
	for range 3000 {
		seen, err = look()
		if match := want.FindStringIndex(seen); err == nil && match != nil {
			return match[1], nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, fmt.Errorf("waited in vain for %q: got %q, error %v", pattern, seen, err)
}

// newFolder is a folder for one test, in memory where there is such a place. These tests are not about the disk, and on a
// busy computer a flush can take longer than the 5 s after which a panel calls its journal slow.
func newFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "panel-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
