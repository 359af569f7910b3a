package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	deviceID = "01234567-89ab-cdef-0123-456789abcdef"
	noHub    = "mqtt://127.0.0.1:1" // where nobody listens
)

// A process is a panel that runs with a simulated house.
type process struct {
	*exec.Cmd
	head  string // what it has printed on stdout until it guarded
	out   *bufio.Reader
	log   log
	read  int    // bytes of the log, up to the end of what was waited for
	house string // URL
}

// A log is what a process has written so far.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
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
	p := &process{Cmd: command}
	p.Dir = dir
	p.Stderr = &p.log
	out, err := p.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	for range 2 {
		line, err := p.out.ReadString('\n')
		p.head += line
		if err != nil {
			return nil, fmt.Errorf("panel ended: %w\n%s%s", errors.Join(err, p.Wait()), p.head, &p.log)
		}
	}
	if _, err := fmt.Sscanf(p.head, "house at %s\n", &p.house); err != nil {
		p.Process.Kill()
		return nil, fmt.Errorf("reading %q: %w", p.head, errors.Join(err, p.Wait()))
	}
	return p, nil
}

// stop sends a signal and waits for the end: stdout, and how it ended.
func (p *process) stop(signal os.Signal) (stdout string, err error) {
	if err := p.Process.Signal(signal); err != nil {
		return "", err
	}
	rest, err := io.ReadAll(p.out)
	err = errors.Join(err, p.Wait())
	return p.head + string(rest), err
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

// start is startPanel in the working directory, for a test at whose end the panel is killed.
func start(t *testing.T, flags ...string) *process {
	t.Helper()
	p, err := startPanel(".", flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_, _ = p.stop(os.Kill)
		}
		if t.Failed() {
			t.Logf("log of the panel:\n%s", &p.log)
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
		eventually(t, pattern, func() (string, error) { return p.log.String(), nil })
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
	end, err := await(pattern, func() (string, error) { return p.log.String()[p.read:], nil })
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
