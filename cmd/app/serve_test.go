package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/app"
	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/cli/clitest"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/internal/simulator"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twinclient"
)

// patience bounds each wait. What works takes a few seconds at most.
const patience = time.Minute

// runPanel runs a panel in a simulated house until the test ends, and returns the house.
// Flags and environment lead an app to it, with the token that is good for it alone.
func runPanel(t *testing.T, h *hubtest.Hub) (house *simulator.House, flags []string) {
	t.Helper()
	device := h.AddDevice("panel").ID
	house, err := simulator.New(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	door, err := sensor.New(sensor.Config{Open: func() (sensor.Line, error) { return house.OpenDoor("door") }, OpenLevelHigh: true})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		Panel: panel.Config{
			Rules:    statemachine.DefaultRules(),
			Contacts: []panel.Contact{{Name: "door", Sensor: door}},
			Siren:    siren.New(siren.Config{Open: func() (siren.Line, error) { return house.OpenSiren() }, ActiveHigh: true}),
			StateDir: t.TempDir(),
		},
		Hub: twinclient.Options{Hub: h.MQTT(), DeviceID: device},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(tokenVariable, h.AddToken(registry.Token{Name: "app", Device: device}))
	background(t, "panel", func(ctx context.Context) error { return a.Run(ctx) })
	return house, []string{"--api", h.REST(), "--device-id", string(device)}
}

// background runs something until the test ends, and waits for it.
func background(t *testing.T, what string, run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Errorf("%s did not end within %v", what, patience)
		}
	})
}

// runApp runs the program in this process until the test ends, and returns the URL that it prints.
func runApp(t *testing.T, flags ...string) (url string) {
	t.Helper()
	stdout, w := io.Pipe()
	var log clitest.Log
	background(t, "app", func(ctx context.Context) error {
		defer w.Close()
		if code := cli.Run(ctx, command(), flags, w, &log); code != cli.ExitOK {
			return fmt.Errorf("ended with code %d:\n%s", code, &log)
		}
		return nil
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "app at ")
	if err != nil || !ok {
		t.Fatalf("got %q, %v\n%s", line, err, &log)
	}
	go io.Copy(io.Discard, stdout) // until w is closed
	return url
}

// A phone is a browser that keeps its cookies.
type phone struct {
	t    *testing.T
	url  string
	http http.Client
}

func newPhone(t *testing.T, url string) *phone {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t, url, http.Client{Jar: jar, Transport: &http.Transport{}}}
	t.Cleanup(p.http.CloseIdleConnections)
	return p
}

// ask makes a request, and wants this status and text in the answer.
func (p *phone) ask(method, path, body string, status int, want string) {
	p.t.Helper()
	answer := p.open(method, path, body)
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status || !strings.Contains(string(got), want) {
		p.t.Fatalf("%s %s: got %d %s, %v; want %d %s", method, path, answer.StatusCode, got, err, status, want)
	}
}

func (p *phone) open(method, path, body string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// A screen shows views as they come.
type screen struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (p *phone) look() *screen {
	p.t.Helper()
	answer := p.open("GET", "api/stream", "")
	closing := time.AfterFunc(patience, func() { answer.Body.Close() })
	p.t.Cleanup(func() {
		closing.Stop()
		answer.Body.Close()
	})
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	return &screen{p.t, lines}
}

// until reads views until one is as wanted.
func (s *screen) until(what string, as func(app.View) bool) app.View {
	s.t.Helper()
	var rows []app.Row
	for s.lines.Scan() {
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var v app.View
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			s.t.Fatal(err)
		}
		if rows = append(rows, v.Row); as(v) {
			return v
		}
	}
	s.t.Fatalf("the stream ended, with %v, before it showed %s: %v", rows, what, s.lines.Err())
	return app.View{}
}

func row(r app.Row) func(app.View) bool { return func(v app.View) bool { return v.Row == r } }

// A household's evening: program, hub and panel as they are, over the network of this computer.
func TestFromDoorToPhone(t *testing.T) {
	h := hubtest.Start(t)
	house, flags := runPanel(t, h)
	dir := t.TempDir()
	household, err := app.OpenHousehold(dir, nil)
	if err == nil {
		err = household.SetPassphrase("correct horse")
	}
	if err != nil {
		t.Fatal(err)
	}
	url := runApp(t, append(flags, "--data", dir, "--listen", "127.0.0.1:0", "--poll", "100ms")...)
	anna, ben := newPhone(t, url), newPhone(t, url)
	anna.ask("GET", "", "", 200, "<html")
	anna.ask("POST", "api/wish", `{"armed":true}`, 401, `"signed_out"`)
	anna.ask("POST", "api/session", `{"passphrase":"correct house","name":"Anna"}`, 401, `"wrong_passphrase"`)
	anna.ask("POST", "api/session", `{"passphrase":"correct horse","name":"Anna"}`, 200, `{"signed_in":true,"passphrase":true,"name":"Anna"`)
	ben.ask("POST", "api/session", `{"passphrase":"correct horse","name":"Ben"}`, 200, `"name":"Ben"`)

	annas, bens := anna.look(), ben.look()
	annas.until("what the panel says", func(v app.View) bool { return v.Known != nil && !v.Known.Armed })
	anna.ask("POST", "api/wish", `{"armed":true}`, 200, `{"wish":{"armed":true,"by":"Anna"`)
	for _, s := range []*screen{annas, bens} {
		s.until("armed", row(app.Armed))
	}
	if err := house.MoveDoor("door", true); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*screen{annas, bens} {
		if v := s.until("ringing", row(app.Ringing)); v.Known.Doors[0].Is != "open" {
			t.Errorf("rings with the doors %v", v.Known.Doors)
		}
	}
	ben.ask("POST", "api/wish", `{"armed":false}`, 200, `{"wish":{"armed":false,"by":"Ben"`)
	annas.until("disarmed", row(app.Disarmed))
	if house.SirenOn() {
		t.Error("the siren sounds on")
	}
	annas.until("who disarmed", func(v app.View) bool { return len(v.Events) > 0 && v.Events[0].By == "Ben" })

	h.Stop()
	annas.until("that the hub is away", row(app.HubAway))
	ben.ask("POST", "api/wish", `{"armed":true}`, 502, `"hub_away"`)
	h.Restart()
	annas.until("disarmed again", row(app.Disarmed))

	ben.ask("GET", "api/phones", "", 200, `"name":"Anna"`)
	phones := household.Phones()
	anna.ask("DELETE", "api/phones/"+phones[1].ID, "", 200, `"name":"Anna"`)
	for bens.lines.Scan() { // what was on its way
	}
	ben.ask("POST", "api/wish", `{"armed":true}`, 401, `"signed_out"`)
	anna.ask("DELETE", "api/session", "", 200, `{"signed_in":false,"passphrase":true}`)
}

// Where phones come to this computer itself they may call it anything; where only a proxy can come, its name has to be known.
func TestNamesThatTheAppIsAskedFor(t *testing.T) {
	household, err := app.OpenHousehold(t.TempDir(), nil)
	if err == nil {
		err = household.SetPassphrase("correct horse")
	}
	if err != nil {
		t.Fatal(err)
	}
	wide, narrow := &net.TCPAddr{IP: net.IPv4zero, Port: 8443}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8090}
	origin := []string{"https://alarm.example.org:8443"}
	for _, tt := range []struct {
		at      net.Addr
		origins []string
		host    string
		status  int
	}{
		{narrow, nil, "alarm.example.org", 403},
		{narrow, origin, "attacker.example", 403},
		{narrow, nil, "localhost:8090", 200},
		{narrow, origin, "alarm.example.org:8443", 200},
		{narrow, origin, "127.0.0.1:8090", 200},
		{wide, origin, "alarm.example.org", 200},
		{wide, origin, "raspberrypi.local:8443", 200},
		{wide, nil, "192.168.1.20:8443", 200},
		{wide, nil, "raspberrypi.local:8443", 200},
	} {
		c := goodConfig()
		c.Origins = tt.origins
		handler, err := c.handler(app.NewWatcher(app.WatchConfig{}), household, tt.at, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "http://"+tt.host+"/api/session", nil))
		if w.Code != tt.status {
			t.Errorf("at %v with origins %v: %s got %d, want %d", tt.at, tt.origins, tt.host, w.Code, tt.status)
		}
	}
}

func TestLogOfConnections(t *testing.T) {
	var out bytes.Buffer
	l := &httpLog{log: slog.New(slog.NewTextHandler(&out, nil))}
	for range 1000 {
		fmt.Fprintln(l, "http: TLS handshake error from 192.0.2.7:50000: remote error: tls: unknown certificate")
	}
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "level=INFO") {
		t.Errorf("strangers write %d lines: %s", n, &out)
	}
	fmt.Fprintln(l, "http: panic serving 127.0.0.1:50000: it broke")
	if !strings.Contains(out.String(), "level=ERROR msg=\"fault in the app\"") {
		t.Errorf("a panic isn't told: %s", &out)
	}
}
