package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A process is one of this project's programs. It ends with its test.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd

	mu    sync.Mutex
	lines []string      // of stdout
	news  chan struct{} // closed at the next line
	log   bytes.Buffer  // stderr
	ended chan struct{} // closed when it has ended
}

// start starts a program of the environment variable with its name in capitals, where scripts/interop has put its path.
func start(t *testing.T, name string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, news: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.Command(built(t, name), args...)
	p.cmd.Env = append(os.Environ(), env...)
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.hear(lines.Text())
		}
		io.Copy(io.Discard, stdout)
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("what %s said:\n%s", name, p.log.String())
		}
	})
	return p
}

// Write takes what the process writes to stderr.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) hear(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.news)
	p.news = make(chan struct{})
}

// said waits for a line of stdout, and returns what stands in the parentheses of its pattern.
func (p *process) said(pattern string) string {
	p.t.Helper()
	want := regexp.MustCompile(pattern)
	for {
		p.mu.Lock()
		lines, news := p.lines, p.news
		p.mu.Unlock()
		for _, line := range lines {
			if found := want.FindStringSubmatch(line); found != nil {
				return found[1]
			}
		}
		select {
		case <-news:
		case <-p.ended:
			p.t.Fatalf("%s ended before it said %s", p.name, pattern)
		case <-time.After(patience):
			p.t.Fatalf("%s never says %s", p.name, pattern)
		}
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// built is the path of a program of this project: what scripts/interop has built, or what is built now, once.
func built(t *testing.T, name string) string {
	t.Helper()
	if path := os.Getenv(strings.ToUpper(name)); path != "" {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("the environment variable %s names no program: run scripts/interop", strings.ToUpper(name))
	}
	folder, err := buildAll()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, name)
}

var buildAll = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(os.TempDir(), "twinpanel-interop")
	build := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./cmd/...")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return folder, nil
})

// run runs a command of a program to its end, and returns what it printed.
func run(t *testing.T, name, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(built(t, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// A household is what a family has: a hub, a panel in a simulated house, and an app. Each is a process of its own. Flags can be
// given before a part is started, and a part that was killed is started again as it was.
type household struct {
	t   *testing.T
	dir string

	hub, panel, app                *process
	panelFlags, appFlags           []string
	token                          string
	device                         twin.ID
	rest, mqtt, house, page, toApp string // addresses; toApp is where the app finds the hub, if not at rest
}

// newHousehold starts a hub that knows a panel.
func newHousehold(t *testing.T) *household {
	t.Helper()
	h := &household{t: t, dir: t.TempDir(), rest: "127.0.0.1:0", mqtt: "127.0.0.1:0", house: "127.0.0.1:0", page: "127.0.0.1:0"}
	h.addPanel()
	h.token = h.addToken("app")
	h.startHub()
	return h
}

// addPanel makes the panel known to the hub, which has not been started.
func (h *household) addPanel() {
	h.t.Helper()
	var device struct {
		ID twin.ID `json:"id"`
	}
	added := run(h.t, "hub", "", "device", "add", "panel", "--secret", "--read-only", "desired", "--out", h.file("panel"), "--data", h.file("hub"))
	if err := json.Unmarshal([]byte(added), &device); err != nil {
		h.t.Fatal(err)
	}
	h.device = device.ID
}

func (h *household) file(name string) string { return filepath.Join(h.dir, name) }

// addToken makes a token for the panel's documents alone.
func (h *household) addToken(name string, flags ...string) string {
	h.t.Helper()
	return run(h.t, "hub", "", append([]string{"token", "add", name, "--device", "panel", "--data", h.file("hub")}, flags...)...)
}

func (h *household) startHub() {
	h.t.Helper()
	h.hub = start(h.t, "hub", nil, "--data", h.file("hub"), "--mqtt", h.mqtt, "--rest", h.rest)
	h.mqtt = h.hub.said(`^MQTT at mqtt://(.+)`)
	h.rest = h.hub.said(`^REST at http://([^/]+)/`)
}

// startPanel starts the panel and waits until it guards.
func (h *household) startPanel() {
	h.t.Helper()
	h.panel = start(h.t, "panel", nil, append([]string{
		"--hub", "mqtt://" + h.mqtt, "--device-id", string(h.device), "--secret-file", h.file("panel/secret"),
		"--simulate", h.house, "--state-dir", h.file("state"),
	}, h.panelFlags...)...)
	h.house = h.panel.said(`^house at http://([^/]+)`)
}

func (h *household) startApp() {
	h.t.Helper()
	h.app = start(h.t, "app", []string{"SCW_SECRET_KEY=" + h.token}, append([]string{
		"--api", "http://" + h.api(), "--device-id", string(h.device), "--listen", h.page, "--data", h.file("app"),
	}, h.appFlags...)...)
	h.page = h.app.said(`^app at http://([^/]+)/`)
}

func (h *household) api() string {
	if h.toApp != "" {
		return h.toApp
	}
	return h.rest
}

// startAll starts panel and app.
func (h *household) startAll() {
	h.t.Helper()
	h.startPanel()
	h.startApp()
}

// door opens or closes the door of the house.
func (h *household) door(open bool) {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodPut, "http://"+h.house+"/api/house/door", strings.NewReader(fmt.Sprintf(`{"open":%t}`, open)))
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		h.t.Fatalf("moving the door: %s", answer.Status)
	}
}

// siren says whether the siren of the house sounds.
func (h *household) siren() bool {
	h.t.Helper()
	var house struct {
		On bool `json:"siren_on"`
	}
	getJSON(h.t, "http://"+h.house+"/api/house", "", &house)
	return house.On
}

// document reads a document of the panel's twin.
func (h *household) document(name twin.Name, to any) {
	h.t.Helper()
	got := struct {
		Data any `json:"data"`
	}{to}
	getJSON(h.t, fmt.Sprintf("http://%s/iot/v1/regions/fr-par/twins/%s/documents/%s", h.rest, h.device, name), h.token, &got)
}

func getJSON(t *testing.T, url, token string, to any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("X-Auth-Token", token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	if err == nil {
		err = json.Unmarshal(body, to)
	}
	if err != nil {
		t.Fatalf("GET %s: %v: %s", url, err, body)
	}
}
