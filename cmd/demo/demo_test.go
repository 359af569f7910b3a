package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// patience bounds each wait. What works takes a few seconds at most, or more on a computer with much else to do.
const patience = time.Minute

// A visit is a demo as its explanation describes it.
type visit struct {
	text     string
	commands []string // to paste, in order; the first one sets variables
}

// visitDemo runs a demo in this process until the test ends, and checks that it ends cleanly.
func visitDemo(t *testing.T, flags ...string) visit {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stdout, w := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, command(), append(flags, "--listen", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"), w, &log)
		w.Close()
		ended <- code
	}()
	t.Cleanup(func() {
		stop()
		select {
		case code := <-ended:
			if code != cli.ExitOK {
				t.Errorf("demo ended with code %d, want 0", code)
			}
			t.Logf("log of the demo:\n%s", &log)
		case <-time.After(patience):
			t.Errorf("demo did not end within %v", patience)
		}
	})
	r := bufio.NewReader(stdout)
	v := visit{}
	var err error
	for err == nil && !strings.Contains(v.text, lastCommand) {
		var line string
		line, err = r.ReadString('\n')
		v.text += line
	}
	if err != nil {
		t.Fatalf("reading the explanation: %v, after %q", err, v.text)
	}
	go io.Copy(io.Discard, r) // until w is closed
	for line := range strings.Lines(v.text) {
		for _, program := range []string{"export ", "curl ", "mosquitto_rr "} {
			if command, ok := strings.CutPrefix(line, "  "+program); ok {
				v.commands = append(v.commands, program+strings.TrimSpace(command))
			}
		}
	}
	return v
}

// says returns the word that the explanation has for a name.
func (v visit) says(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^  ` + name + ` +(\S+)`).FindStringSubmatch(v.text)
	if m == nil {
		t.Fatalf("the explanation does not tell %s:\n%s", name, v.text)
	}
	return m[1]
}

// page is the address of the page, which ends in a slash.
func (v visit) page(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`^Open (http://\S+/) `).FindStringSubmatch(v.text)
	if m == nil {
		t.Fatalf("the explanation does not begin with the page's address:\n%s", v.text)
	}
	return m[1]
}

// variables are those that the first command sets.
func (v visit) variables() map[string]string {
	variables := map[string]string{}
	for _, set := range strings.Fields(v.commands[0])[1:] {
		name, value, _ := strings.Cut(set, "=")
		variables[name] = value
	}
	return variables
}

// A terminal runs a printed command and returns what it prints. It knows the variables that the first one exports.
type terminal func(t *testing.T, command string) string

// follow does what the explanation tells a newcomer to do, and sees what it promises.
func (v visit) follow(t *testing.T, run terminal) {
	look := func() string { return get(t, v.page(t)+"api/house") }
	if len(v.commands) != 6 {
		t.Fatalf("got the commands %q, want variables, arm, open the door, current, disarm and the spare device", v.commands)
	}
	arm, openDoor, current, disarm, spare := v.commands[1], v.commands[2], v.commands[3], v.commands[4], v.commands[5]
	readCurrent := func() string { return run(t, current) }

	expect(t, run(t, arm), `"document_name":"desired","version":1,"data":{"alarm_armed":true}`)
	eventually(t, readCurrent, `"alarm_armed":true`, `"siren_ringing":false`, `"door_open":false`)
	expect(t, run(t, openDoor), `{"door_open":true,"siren_on":`)
	eventually(t, look, `{"door_open":true,"siren_on":true}`)
	eventually(t, readCurrent, `"siren_ringing":true`, `"door_open":true`)
	expect(t, run(t, disarm), `"document_name":"desired","version":2,"data":{"alarm_armed":false}`)
	eventually(t, look, `{"door_open":true,"siren_on":false}`)
	eventually(t, readCurrent, `"alarm_armed":false`, `"siren_ringing":false`, `"door_open":true`)
	expect(t, run(t, spare), `{"version":1,"data":{"hello":"twin"}}`)
}

// expect wants all parts in got.
func expect(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Fatalf("got %s, want %s in it", got, part)
		}
	}
}

// eventually looks until all parts are in what is seen.
func eventually(t *testing.T, look func() string, parts ...string) {
	t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		got = look()
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(got, part) }) {
			return
		}
	}
	t.Fatalf("got %s for %v, want %q in it", got, patience, parts)
}

// get reads what has to be there.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, body := send(t, r)
	if status != http.StatusOK {
		t.Fatalf("GET %s: got %d %s, want status 200", url, status, body)
	}
	return body
}

// send sends a request and returns the answer, be it a good one or not. Like curl, it follows no redirect.
func send(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	client := http.Client{
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestWhatIsPrintedWorks needs nothing but Go: it reads the printed commands and does what they would do.
func TestWhatIsPrintedWorks(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	variables := v.variables()
	if v.variables()["PANEL_DEVICE_ID"] == v.says(t, "spare") {
		t.Error("the spare device is the panel")
	}
	v.follow(t, func(t *testing.T, command string) string {
		words := split(t, command, variables)
		if words[0] == "curl" {
			_, body := send(t, curl(t, words)) // curl's exit code doesn't tell the status either
			return body
		}
		return mosquittoRR(t, v, words)
	})
}

// word is a word of a shell: bare, in double quotes, or in single quotes, which keep variables as they are.
var word = regexp.MustCompile(`"([^"]*)"|'([^']*)'|[^\s"']+`)

// split splits a command as a shell would.
func split(t *testing.T, command string, variables map[string]string) []string {
	t.Helper()
	var words []string
	for _, m := range word.FindAllStringSubmatch(command, -1) {
		if strings.HasPrefix(m[0], "'") {
			words = append(words, m[2])
			continue
		}
		words = append(words, os.Expand(strings.Trim(m[0], `"`), func(name string) string {
			if variables[name] == "" {
				t.Fatalf("%s: variable %s is not set", command, name)
			}
			return variables[name]
		}))
	}
	return words
}

// curl is the request that curl would send.
func curl(t *testing.T, words []string) *http.Request {
	t.Helper()
	var url, body string
	method, header := http.MethodGet, http.Header{}
	for i := 1; i < len(words); i++ {
		switch option := words[i]; {
		case option == "-sS":
		case !strings.HasPrefix(option, "-"):
			url = option
		case i+1 == len(words):
			t.Fatalf("%q: nothing follows the last option", words)
		default:
			i++
			switch value := words[i]; option {
			case "-X":
				method = value
			case "-d":
				body = value
			case "-H":
				name, text, _ := strings.Cut(value, ": ")
				header.Set(name, text)
			default:
				t.Fatalf("%q: unknown option %s", words, option)
			}
		}
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	return r
}

// mosquittoRR does with twinclient what the printed call of mosquitto_rr would do.
func mosquittoRR(t *testing.T, v visit, words []string) string {
	t.Helper()
	options := map[string]string{}
	for pair := range slices.Chunk(words[1:], 2) {
		options[pair[0]] = pair[1]
	}
	if hub := "mqtt://" + net.JoinHostPort(options["-h"], options["-p"]); hub != v.says(t, "MQTT") {
		t.Errorf("%q: got hub %s, want the one above, %s", words, hub, v.says(t, "MQTT"))
	}
	if id := options["-i"]; id != v.says(t, "spare") {
		t.Errorf("%q: got device %s, want the spare one, %s", words, id, v.says(t, "spare"))
	}
	topic, err := twin.ParseTopic(options["-t"])
	if err != nil || topic.Method != twin.Put || topic.Response(twin.Success).String() != options["-e"] {
		t.Fatalf("%q: got topic %v, error %v, want a put and its answer", words, topic, err)
	}
	update, err := twin.ParsePut([]byte(options["-m"]))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := twinclient.Dial(ctx, twinclient.Options{Hub: v.says(t, "MQTT"), DeviceID: twin.ID(options["-i"])})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	doc, err := conn.Put(ctx, twin.Name(topic.Document), update)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc.Encode())
}

// TestWhatIsPrintedCanBePasted runs the printed commands in a shell, to the letter. What they do is
// tested above without these programs.
func TestWhatIsPrintedCanBePasted(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "mosquitto_rr"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("CI has to install %s", program)
			}
			t.Skipf("this computer has no %s", program)
		}
	}
	v := visitDemo(t)
	v.follow(t, func(t *testing.T, command string) string {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		shell := exec.CommandContext(ctx, "bash", "-euc", v.commands[0]+"\n"+command)
		var failure bytes.Buffer
		shell.Stderr = &failure
		out, err := shell.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", command, err, &failure)
		}
		return string(out)
	})
}

// TestConsoleIsTheSpareDevice follows the console's link as a browser does.
func TestConsoleIsTheSpareDevice(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	link, id, _ := strings.Cut(v.says(t, "console"), "#")
	if id != v.says(t, "spare") {
		t.Errorf("the link is for %s, want the spare device", id)
	}
	if page := get(t, link); !strings.Contains(page, "<title>Console</title>") {
		t.Errorf("got %q, want the console", page)
	}
	if script := get(t, link+"/console.js"); !strings.Contains(script, "import") {
		t.Errorf("got %q, want a script", script)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, v.says(t, "WebSocket"), &websocket.DialOptions{
		Subprotocols: []string{"mqtt"},
		HTTPHeader:   http.Header{"Origin": {strings.TrimSuffix(link, "/console")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	// CONNECT of MQTT 3.1.1 as the page has it: no client id, the device as user name.
	connect := "\x10\x32\x00\x04MQTT\x04\x82\x00\x3c\x00\x00\x00\x24" + id
	if err := ws.Write(ctx, websocket.MessageBinary, []byte(connect)); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := ws.Read(ctx); err != nil || string(answer) != "\x20\x02\x00\x00" {
		t.Errorf("got %x and error %v, want CONNACK 0", answer, err)
	}
}

// TestPanelsIDIsNoCredential has a reader of the page who tries the panel's id as the spare device's.
func TestPanelsIDIsNoCredential(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := twinclient.Dial(ctx, twinclient.Options{Hub: v.says(t, "MQTT"), DeviceID: twin.ID(v.variables()["PANEL_DEVICE_ID"])})
	if err == nil {
		conn.Close()
	}
	if _, ok := errors.AsType[*twinclient.TrustError](err); !ok {
		t.Errorf("got %v, want the hub to refuse the device", err)
	}
}

// TestDelaysAreThePanels sees an exit delay, and a ring that the entry delay holds back.
func TestDelaysAreThePanels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ flag, state string }{
		{"--exit-delay=45s", `"state":"exit_delay"`},
		{"--entry-delay=30s", `"state":"entry_delay"`},
	} {
		v := visitDemo(t, tt.flag)
		run := func(i int) string {
			_, body := send(t, curl(t, split(t, v.commands[i], v.variables())))
			return body
		}
		run(1)
		current := func() string { return run(3) }
		eventually(t, current, `"alarm_armed":true`)
		run(2)
		eventually(t, current, tt.state, `"siren_ringing":false`, `"door_open":true`)
	}
}

// TestForgottenVariableIsToldByTheHub sends what curl makes of a device id that isn't set. With a redirect
// in place of the hub's error, curl would print HTML and do nothing.
func TestForgottenVariableIsToldByTheHub(t *testing.T) {
	t.Parallel()
	v := visitDemo(t)
	r, err := http.NewRequest(http.MethodPut, v.variables()["IOT_API"]+"/twins//documents/desired", strings.NewReader(`{"data":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := send(t, r); status != http.StatusNotFound || !strings.Contains(body, `"Not Found: paths here begin with /iot/v1/regions/fr-par/"`) {
		t.Errorf("got %d %s, want the hub's 404", status, body)
	}
}

// TestBrokenServerEndsTheDemo takes the listeners away from a demo.
func TestBrokenServerEndsTheDemo(t *testing.T) {
	for name, broken := range map[string]func(*demo) net.Listener{
		"web":  func(d *demo) net.Listener { return d.web },
		"MQTT": func(d *demo) net.Listener { return d.mqtt },
	} {
		c := Config{Listen: "127.0.0.1:0", MQTT: "127.0.0.1:0"}
		d, err := c.open(t.TempDir(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := broken(d).Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err = d.serve(ctx)
		if err == nil || !strings.Contains(err.Error(), "use of closed network connection") || ctx.Err() != nil {
			t.Errorf("%s: got error %v, context %v, want the listener's error at once", name, err, ctx.Err())
		}
		cancel()
	}
}
