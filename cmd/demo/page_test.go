package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

// refers finds what a page wants to have loaded.
var refers = regexp.MustCompile(`(?:src|href)="([^"]*)"|url\(([^)]*)\)|(?:from|import)\s*\(?\s*['"]([^'"]*)`)

// TestPageNeedsNothingButItself loads all that the page refers to, and finds nothing of elsewhere in it.
func TestPageNeedsNothingButItself(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	at := v.page(t)
	answer, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	policy := answer.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-src 'self'", "frame-ancestors 'none'"} {
		if !slices.Contains(strings.Split(policy, "; "), want) {
			t.Errorf("policy %q: got no %s", policy, want)
		}
	}
	var found []string
	for _, file := range []string{"", "demo.css", "demo.js"} {
		text := get(t, at+file)
		if file == "" && (strings.Contains(text, " style=") || strings.Contains(text, "<style") || regexp.MustCompile(` on\w+=`).MatchString(text)) {
			t.Error("the page has a script or style within, which its policy forbids")
		}
		for _, m := range refers.FindAllStringSubmatch(text, -1) {
			to := m[1] + m[2] + m[3]
			if strings.HasPrefix(to, "data:") {
				continue
			}
			if strings.Contains(to, ":") || path.IsAbs(to) {
				t.Errorf("%s refers to %s, which is elsewhere", file, to)
				continue
			}
			found = append(found, to)
			if body := get(t, at+to); len(body) == 0 {
				t.Errorf("%s is empty", to)
			}
		}
	}
	slices.Sort(found)
	if want := []string{"app/", "demo.css", "demo.js", "house/"}; !slices.Equal(found, want) {
		t.Errorf("the page refers to %q, want %q", found, want)
	}
}

func TestPageFramesAppAndHouse(t *testing.T) {
	t.Parallel()
	at := visitDemo(t).page(t)
	for _, frame := range []string{"app/", "house/"} {
		answer, err := http.Get(at + frame)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if policy := answer.Header.Get("Content-Security-Policy"); answer.StatusCode != http.StatusOK || !strings.Contains(policy, "frame-ancestors 'self'") {
			t.Errorf("%s: got %s with policy %q, want a page that this origin may frame", frame, answer.Status, policy)
		}
		r, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(at+frame, "/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := send(t, r); status != http.StatusFound {
			t.Errorf("%s without its slash: got %d, want to be sent there", frame, status)
		}
	}
	for _, missing := range []string{"house.css", "demo.go", "page/index.html", "../demo.go"} {
		r, err := http.NewRequest(http.MethodGet, at+missing, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := send(t, r); status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", missing, status)
		}
	}
}

// open opens a stream, which ends with the test.
func (v visit) open(t *testing.T, stream string) io.Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.page(t)+stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s", stream, answer.Status)
	}
	return answer.Body
}

// A watch reads the stream of a demo, line by line.
type watch struct {
	t         *testing.T
	stream    *bufio.Scanner
	all       string // what came
	messages  map[int]message
	documents map[twin.Name]document
}

func (v visit) watch(t *testing.T) *watch {
	t.Helper()
	w := &watch{t: t, stream: bufio.NewScanner(v.open(t, "wire")), messages: map[int]message{}, documents: map[twin.Name]document{}}
	w.stream.Buffer(nil, 1<<20)
	return w
}

// until reads until what was seen is enough.
func (w *watch) until(what string, enough func() bool) {
	w.t.Helper()
	for !enough() {
		if !w.stream.Scan() {
			w.t.Fatalf("%s did not come: %v, after\n%s", what, w.stream.Err(), w.all)
		}
		w.all += w.stream.Text() + "\n"
		data, ok := strings.CutPrefix(w.stream.Text(), "data: ")
		if !ok {
			continue
		}
		var n news
		if err := json.Unmarshal([]byte(data), &n); err != nil {
			w.t.Fatalf("%q: %v", data, err)
		}
		for _, m := range n.Messages {
			w.messages[m.ID] = m
		}
		for _, d := range n.Documents {
			w.documents[d.Name] = d
		}
	}
}

// line reads until there is such a line, and returns its id.
func (w *watch) line(from, to, what, payload string) (id int) {
	w.t.Helper()
	w.until(from+" "+what+" "+payload, func() bool {
		for _, m := range w.messages {
			if m.From == from && m.To == to && strings.Contains(m.What, what) && strings.Contains(m.Payload, payload) {
				id = m.ID
				return true
			}
		}
		return false
	})
	return id
}

// TestWireShowsAWishAndWhatComesOfIt arms as curl does, and sees it go to the hub, the panel and the app.
func TestWireShowsAWishAndWhatComesOfIt(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	variables := v.variables()
	v.open(t, "app/api/stream") // somebody looks, so the app looks often
	w := v.watch(t)
	w.line("panel", "hub", "CONNECT as "+variables["PANEL_DEVICE_ID"]+", with a secret", "")
	w.line("hub", "panel", "CONNACK accepted", "")
	w.until("current", func() bool { return w.documents["current"].Version > 0 })
	if d, ok := w.documents["desired"]; !ok || d.Version != 0 || d.Text != "" {
		t.Errorf("desired: got %+v, want to be told that there is none", d)
	}
	_, body := send(t, curl(t, split(t, v.commands[1], variables)))
	wished := w.line("you", "hub", "PUT /iot/", `{"data": {"alarm_armed": true}}`)
	notice := w.line("hub", "panel", "PUBLISH $SCW/twins/me/desired/changed", `{"version":1}`)
	done := w.line("panel", "hub", "PUBLISH $SCW/twins/me/current/patch", `"alarm_armed":true`)
	seen := w.line("hub", "app", "/documents/current", `"alarm_armed":true`)
	if !(wished < notice && notice < done && done < seen) {
		t.Errorf("got wish, notice, patch and the app's look in lines %d, %d, %d, %d, want them in this order", wished, notice, done, seen)
	}
	w.line("hub", "you", "PUT /iot/", strings.TrimSpace(body))
	w.until("documents", func() bool {
		return w.documents["desired"] == document{"desired", 1, "{\n  \"alarm_armed\": true\n}"} &&
			strings.Contains(w.documents["current"].Text, "\n  \"alarm_armed\": true,\n")
	})
}

// TestWireHidesSecrets has somebody write the token where it doesn't belong, and a stranger with a wrong one.
func TestWireHidesSecrets(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	variables := v.variables()
	token, wrong := variables["SCW_SECRET_KEY"], "5ee2eaf7-9a44-4b0c-8ccf-000000000000"
	call := func(method, path, token, body string) (int, string) {
		r, err := http.NewRequest(method, variables["IOT_API"]+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Auth-Token", token)
		return send(t, r)
	}
	for _, tt := range []struct {
		method, path, token, body string
		status                    int
	}{
		{http.MethodGet, "/twins/" + variables["PANEL_DEVICE_ID"] + "/documents/current", wrong, "", http.StatusUnauthorized},
		{http.MethodPut, "/twins/" + v.says(t, "spare") + "/documents/" + token, token, `{"data":{"token":"` + token + `"}}`, http.StatusOK},
		{http.MethodPut, "/twins/" + variables["PANEL_DEVICE_ID"] + "/documents/desired", token, `{"data":{"token":"` + token + `"}}`, http.StatusOK},
		{http.MethodGet, "/devices?name=" + token, token, "", http.StatusOK},
	} {
		if status, body := call(tt.method, tt.path, tt.token, tt.body); status != tt.status {
			t.Errorf("%s %s: got %d %s, want %d", tt.method, tt.path, status, body, tt.status)
		}
	}
	const key = "PRIVATE KEY" // of a new device, which the hub tells once
	_, hubs := call(http.MethodGet, "/hubs", token, "")
	hub := regexp.MustCompile(`"id":"([^"]*)"`).FindStringSubmatch(hubs)
	if _, body := call(http.MethodPost, "/devices", token, `{"name":"last","hub_id":"`+hub[1]+`"}`); !strings.Contains(body, key) {
		t.Errorf("got %s, want a new device with its key", body)
	}
	w := v.watch(t)
	w.line("hub", "you", "POST /iot/v1/regions/fr-par/devices", "")
	w.line("hub", "you", "/documents/(hidden)", `"(hidden)"`)
	w.until("desired", func() bool { return strings.Contains(w.documents["desired"].Text, "(hidden)") })
	for _, secret := range []string{token, wrong, key} {
		if strings.Contains(w.all, secret) {
			t.Errorf("got %s on the wire", secret)
		}
	}
}

// TestWireHasRoomForSoMany fills a demo with viewers, one of whom goes.
func TestWireHasRoomForSoMany(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	ask := func() *http.Request {
		r, err := http.NewRequest(http.MethodGet, v.page(t)+"wire", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range maxViewers - 1 {
		v.open(t, "wire")
	}
	ctx, leave := context.WithCancel(t.Context())
	last, err := http.DefaultClient.Do(ask().WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer last.Body.Close()
	if status, body := send(t, ask()); status != http.StatusServiceUnavailable || !strings.Contains(body, "close one") {
		t.Errorf("got %d %s, want to be told that there is no room", status, body)
	}
	leave()
	eventually(t, func() string {
		r, err := http.DefaultClient.Do(ask())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.Status
	}, "200")
}
