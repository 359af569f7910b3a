package conformance

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestLive (go test -run '^TestLive$' -v) runs against a hub in use, which the environment
// names: docs/conformance.md has the variables. The twin's documents stay as they are. Over MQTT
// the devices must accept connections without a certificate, and their own connections are dropped.
func TestLive(t *testing.T) {
	s, err := readSettings(os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Skip("it needs somebody's hub: set TWIN_API, TWIN_TOKEN and TWIN_DEVICE, as docs/conformance.md says")
	}
	s.run(t)
}

// run asks the hub on each way in, and reports.
func (s *settings) run(t *testing.T) {
	ways, rest, err := s.ways(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.report != "" { // now, so that nobody waits for a report that can't be written
		if err := os.WriteFile(s.report, nil, 0o644); err != nil {
			t.Fatalf("TWIN_REPORT: %v", err)
		}
	}
	var report Report
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { report.Live(t, w.name, w.Twin) })
	}
	names, err := rest.List(t.Context())
	if err != nil {
		t.Errorf("looking for what the checks left behind: %v", err)
	}
	for _, name := range names {
		if strings.Contains(string(name), "conformance-") {
			t.Errorf("document %s is left behind: delete it", name)
		}
	}
	t.Log(strings.TrimSpace(report.Summary()))
	if s.report == "" {
		t.Log("for what was said and answered, to the letter, set TWIN_REPORT=$PWD/report.txt")
		return
	}
	if err := os.WriteFile(s.report, []byte(report.String()), 0o644); err != nil {
		t.Errorf("TWIN_REPORT: %v", err)
	}
}

// serve has the reference listen, with TLS or without, and returns the settings that lead there.
func serve(t *testing.T, r *reference, secure bool) []string {
	t.Helper()
	e := r.endpoint()
	mux := http.NewServeMux()
	mux.HandleFunc("/", r.serve)
	mux.HandleFunc("/mqtt", func(w http.ResponseWriter, request *http.Request) {
		conn, err := websocket.Accept(w, request, &websocket.AcceptOptions{Subprotocols: []string{"mqtt"}})
		if err == nil {
			e.serve(websocket.NetConn(context.Background(), conn, websocket.MessageBinary))
		}
	})
	web := httptest.NewUnstartedServer(mux)
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(web.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	environ := []string{"TWIN_TOKEN=" + referenceToken, "TWIN_DEVICE=" + string(referenceID)}
	if secure {
		web.StartTLS()
		ca := filepath.Join(t.TempDir(), "ca.pem")
		certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
		if err := os.WriteFile(ca, certificate, 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, "TWIN_CA="+ca, "TWIN_MQTT=mqtts://"+listener.Addr().String())
		listener = tls.NewListener(listener, web.TLS)
	} else {
		web.Start()
		environ = append(environ, "TWIN_MQTT=mqtt://"+listener.Addr().String())
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go e.serve(conn)
		}
	}()
	return append(environ, "TWIN_API="+web.URL, "TWIN_WS=ws"+strings.TrimPrefix(web.URL, "http")+"/mqtt",
		"TWIN_BYSTANDER="+string(referenceBystander), "TWIN_READ_TOKEN="+referenceReadOnly)
}

func TestLiveRunWritesItsReport(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "report.txt")
	s, err := readSettings(append(serve(t, newReference(""), false), "TWIN_REPORT="+file))
	if err != nil {
		t.Fatal(err)
	}
	s.quiet = 0 // the reference answers in order
	s.run(t)
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a list has _config, over REST\n", "MQTT: a ping is answered, over MQTT\n", "MQTT: a ping is answered, over WebSocket\n", "null removes a key, over twinclient\n",
		"MQTT: an answer goes to the connection that asked, and to no other, over MQTT\n",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(strings.ToLower(string(got)), "abcdef00") {
		t.Error("the report has an id or a token")
	}
}

// What is wrong with a setting is told once, with the variable to change.
func TestLiveRunEndsAtTheFirstTry(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	nowhere := closed.Addr().String()
	environ := serve(t, newReference(""), true)
	tests := []struct{ name, setting, want string }{ // want empty: nothing is wrong
		{"no hub over REST", "TWIN_API=http://" + nowhere, "TWIN_API: is a hub's REST API there? "},
		{"certificate of nobody", "TWIN_CA=", "TWIN_API: is a hub's REST API there? "},
		{"unknown token", "TWIN_TOKEN=" + nobodyToken, "TWIN_API, TWIN_TOKEN and TWIN_DEVICE open no twin: 401 "},
		{"token that only reads", "TWIN_TOKEN=" + referenceReadOnly, "TWIN_TOKEN may not write"},
		{"unknown device", "TWIN_DEVICE=" + nobody, "TWIN_API, TWIN_TOKEN and TWIN_DEVICE open no twin: 404 "},
		{"no hub over MQTT", "TWIN_MQTT=mqtt://" + nowhere, "TWIN_MQTT: is the hub there, "},
		{"no hub over WebSocket", "TWIN_WS=wss://" + nowhere + "/mqtt", "TWIN_WS: is the hub there, "},
		{"all as it is", "TWIN_REPORT=", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := readSettings(append(slices.Clone(environ), tt.setting))
			if err != nil {
				t.Fatal(err)
			}
			switch _, _, err := s.ways(t.Context()); {
			case tt.want == "":
				if err != nil {
					t.Errorf("got %v, want nothing", err)
				}
			case err == nil || !strings.HasPrefix(err.Error(), tt.want):
				t.Errorf("got %v, want %s…", err, tt.want)
			case strings.Contains(err.Error(), s.device) || strings.Contains(err.Error(), s.token):
				t.Errorf("the error has an id or a token: %v", err)
			}
		})
	}
}

func TestLiveRunDeviceMayNotConnect(t *testing.T) {
	hub := newReference("MQTT: a client id is no device")
	s, err := readSettings(serve(t, hub, false))
	if err != nil {
		t.Fatal(err)
	}
	want := "TWIN_MQTT: is the hub there, and may the device connect without a certificate? CONNECT"
	if _, _, err := s.ways(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

func TestSettingsThatCannotBeMeant(t *testing.T) {
	const api, token, device = "TWIN_API=http://hub/iot/v1/regions/fr-par", "TWIN_TOKEN=secret", "TWIN_DEVICE=" + nobody
	folder := t.TempDir()
	tests := []struct {
		environ []string
		want    string
	}{
		{[]string{api}, "set TWIN_TOKEN, TWIN_DEVICE too"},
		{[]string{api, token, "TWIN_DEVICE="}, "set TWIN_DEVICE too"},
		{[]string{"TWIN_MQTT=mqtt://hub"}, "set TWIN_API, TWIN_TOKEN, TWIN_DEVICE too"},
		{[]string{"TWIN_API="}, "set TWIN_API, TWIN_TOKEN, TWIN_DEVICE too"},
		{[]string{"TWIN_TOKN=secret"}, "TWIN_TOKN is no variable of this test; there are TWIN_API, "},
		{[]string{api, token, device, "TWIN_HUB=hub"}, "TWIN_HUB is no variable of this test; "},
		{[]string{api, token, "TWIN_DEVICE=porch"}, "TWIN_DEVICE: "},
		{[]string{api, token, device, "TWIN_BYSTANDER=porch"}, "TWIN_BYSTANDER: "},
		{[]string{api, token, device, "TWIN_BYSTANDER=" + strings.ToUpper(nobody)}, "TWIN_BYSTANDER is TWIN_DEVICE: "},
		{[]string{"TWIN_API=hub:8081", token, device}, `TWIN_API is "hub:8081": write https://`},
		{[]string{api, token, device, "TWIN_MQTT=127.0.0.1:1883"}, `TWIN_MQTT is "127.0.0.1:1883": write mqtt://HOST:1883`},
		{[]string{api, token, device, "TWIN_MQTT=localhost:1883"}, `TWIN_MQTT is "localhost:1883": write mqtt://HOST:1883`},
		{[]string{api, token, device, "TWIN_MQTT=mqtt:hub"}, `TWIN_MQTT is "mqtt:hub": write mqtt://HOST:1883`},
		{[]string{api, token, device, "TWIN_MQTT=ws://hub/mqtt"}, `TWIN_MQTT is "ws://hub/mqtt": write mqtt://HOST:1883`},
		{[]string{api, token, device, "TWIN_WS=http://hub/mqtt"}, `TWIN_WS is "http://hub/mqtt": write ws://HOST/mqtt`},
		{[]string{api, token, device, "TWIN_REPORT=report.txt"}, `TWIN_REPORT is "report.txt": write the whole path, such as $PWD/report.txt`},
		{[]string{api, token, device, "TWIN_CA=ca.pem"}, `TWIN_CA is "ca.pem": write the whole path`},
		{[]string{api, token, device, "TWIN_CA=" + filepath.Join(folder, "ca.pem")}, "TWIN_CA: "},
	}
	for _, tt := range tests {
		if s, err := readSettings(tt.environ); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: got %v, %v, want the error %s…", tt.environ, s, err, tt.want)
		}
	}
	if s, err := readSettings([]string{"HOME=/", "TWINS=2"}); s != nil || err != nil {
		t.Errorf("without a variable of this test: got %v, %v, want nothing", s, err)
	}
	if s, err := readSettings([]string{api, token, device, "TWIN_MQTT=", "HOME=/"}); s == nil || err != nil {
		t.Errorf("with what is required: got %v, %v, want settings", s, err)
	}
}

func TestVariablesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	variables := new(settings).variables()
	documented := map[string]bool{}
	for _, name := range regexp.MustCompile(`\bTWIN_[A-Z_]+\b`).FindAllString(string(page), -1) {
		if documented[name] = true; variables[name] == nil {
			t.Errorf("docs/conformance.md has %s, which is no variable", name)
		}
	}
	for name := range variables {
		if !documented[name] {
			t.Errorf("docs/conformance.md lacks %s", name)
		}
	}
}
