package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/twinpanel/twinpanel/internal/cli/clitest"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

func TestMain(m *testing.M) {
	clitest.Main(m, map[string]func(){"hub": main})
}

// TestCommands runs the scripts in testdata. Beside the commands of testscript they have
//
//	fails CODE hub [arg...]     run a program that has to end with this exit code
//	start [URL] [flag...]       start a hub on data or a database in the background; sets $MQTT and $REST
//	dev [flag...]               start hub dev instead; sets what its line has: $MQTT, $REST, $WS, $TOKEN, $READ_ONLY_TOKEN, $ID
//	end SIGNAL|EOF              send TERM, INT or KILL to it, or end its stdin, and wait; prints what it printed
//	rest METHOD PATH [BODY]     call $REST/PATH with $TOKEN; prints status and body
//	connect ID                  CONNECT to $MQTT; prints the CONNACK's code
//	publish ID TOPIC            CONNECT to $MQTT and PUBLISH nothing; prints acknowledged or closed
//	websocket ID [ORIGIN]       CONNECT to $WS as a page of this origin does: prints the CONNACK's code, or the refusal
//	secure DIR                  CONNECT to $MQTTS and $WSS with what hub device add wrote there, and GET $HTTPS; prints codes
//	occupy                      listen on a port; sets $TAKEN to its address
//	capture NAME PATTERN        set $NAME to the first group of PATTERN in the last stdout
func TestCommands(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata", nil)
}

// TestCommandsOnPostgres runs the scripts in testdata/postgres, which have three empty databases: $DATABASE, whose name is
// $NAME, $OTHER and $THIRD, on $SERVER. Their URLs hold $PASSWORD.
func TestCommandsOnPostgres(t *testing.T) {
	t.Parallel()
	variables := make(map[string]string)
	for _, name := range []string{"DATABASE", "OTHER", "THIRD"} {
		variables[name] = pgtest.URL(t)
	}
	u, err := url.Parse(variables["DATABASE"])
	if err != nil {
		t.Fatal(err)
	}
	variables["PASSWORD"], _ = u.User.Password()
	variables["SERVER"], variables["NAME"] = u.Host, strings.Trim(u.Path, "/")
	runScripts(t, "testdata/postgres", variables)
}

func runScripts(t *testing.T, dir string, variables map[string]string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			e.Values[state{}] = new(state)
			for name, value := range variables {
				e.Setenv(name, value)
			}
			return clitest.Setup(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":     clitest.Fails,
			"start":     cmdStart,
			"dev":       cmdDev,
			"end":       cmdEnd,
			"rest":      cmdREST,
			"connect":   cmdConnect,
			"publish":   cmdPublish,
			"websocket": cmdWebSocket,
			"secure":    cmdSecure,
			"occupy":    clitest.Occupy,
			"capture":   cmdCapture,
		},
	})
}

// A process is a hub that runs.
type process struct {
	*clitest.Program
	mqtt, rest string
	ws         string            // empty without --ws
	tls        map[string]string // addresses by scheme
	stdin      io.Closer         // of hub dev
}

// startHub starts the program on a folder or a database, on free ports and waits until it says where it listens.
func startHub(dir, data string, flags ...string) (*process, error) {
	flag := "--data"
	if strings.Contains(data, "://") {
		flag = "--store"
	}
	command := exec.Command("hub", append([]string{flag, data, "--mqtt", "127.0.0.1:0", "--rest", "127.0.0.1:0"}, flags...)...)
	command.Dir = dir
	ready := "REST at"
	switch {
	case slices.Contains(flags, "--ws") || slices.Contains(flags, "--wss"):
		ready = "Console at"
	case slices.Contains(flags, "--https"):
		ready = "REST over TLS at"
	}
	started, err := clitest.Start(command, ready)
	if err != nil {
		return nil, err
	}
	p := &process{Program: started}
	p.tls = make(map[string]string)
	for line := range strings.Lines(p.Head) {
		what, where, _ := strings.Cut(strings.TrimSpace(line), " at ")
		scheme, address, _ := strings.Cut(where, "://")
		switch what {
		case "MQTT":
			p.mqtt = address
		case "REST":
			p.rest = where
		case "WebSocket":
			p.ws = where
		case "MQTT over TLS", "REST over TLS", "WebSocket over TLS":
			p.tls[scheme] = address
		}
	}
	if p.mqtt == "" || p.rest == "" {
		_, killed := p.Stop(os.Kill)
		return nil, errors.Join(fmt.Errorf("no MQTT and REST in %q", p.Head), killed)
	}
	return p, nil
}

// call sends a REST request.
func (p *process) call(method, path, token, body string) (status int, answer string, err error) {
	r, err := http.NewRequest(method, p.rest+"/"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("X-Auth-Token", token)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a.StatusCode, strings.TrimSpace(string(b)), err
}

// state is what the commands of one script share.
type state struct{ hub *process }

func stateOf(ts *testscript.TestScript) *state { return ts.Value(state{}).(*state) }

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	place := "data"
	if len(args) > 0 && strings.Contains(args[0], "://") {
		place, args = args[0], args[1:]
	}
	p, err := startHub(ts.MkAbs("."), place, args...)
	if neg || err != nil {
		ts.Fatalf("start: got error %v, negation %t", err, neg)
	}
	started(ts, p)
}

// started sets the variables that every hub has, and sees to its end.
func started(ts *testscript.TestScript, p *process) {
	stateOf(ts).hub = p
	ts.Defer(func() {
		if stateOf(ts).hub == p { // the script failed before it stopped the hub
			_, _ = p.Stop(os.Kill)
		}
	})
	ts.Setenv("MQTT", p.mqtt)
	ts.Setenv("REST", p.rest)
	ts.Setenv("WS", p.ws)
	for scheme, address := range p.tls {
		ts.Setenv(strings.ToUpper(scheme), address)
	}
}

func cmdDev(ts *testscript.TestScript, neg bool, args []string) {
	command := exec.Command("hub", append([]string{"dev"}, args...)...)
	stdin, err := command.StdinPipe()
	ts.Check(err)
	program, err := clitest.Start(command, "\n")
	if neg || err != nil {
		ts.Fatalf("dev: got error %v, negation %t", err, neg)
	}
	var line devLine
	decoder := json.NewDecoder(strings.NewReader(program.Head))
	decoder.DisallowUnknownFields()
	p := &process{Program: program, stdin: stdin}
	if err := decoder.Decode(&line); err != nil || line.MQTT == "" || line.REST != line.APIURL+"/iot/v1/regions/fr-par" {
		_, _ = p.Stop(os.Kill)
		ts.Fatalf("dev: reading %q: %v", program.Head, err)
	}
	p.mqtt, p.rest, p.ws = strings.TrimPrefix(line.MQTT, "mqtt://"), line.REST, line.WS
	started(ts, p)
	for url, want := range map[string]int{
		line.Console: http.StatusOK,
		strings.Replace(line.WS, "ws:", "http:", 1): http.StatusUpgradeRequired,
	} {
		answer, err := http.Get(url)
		ts.Check(err)
		answer.Body.Close()
		if answer.StatusCode != want {
			ts.Fatalf("dev: %s: status %d, want %d", url, answer.StatusCode, want)
		}
	}
	ts.Setenv("TOKEN", line.Token)
	ts.Setenv("READ_ONLY_TOKEN", line.ReadOnlyToken)
	ts.Setenv("ID", string(line.Device.ID))
}

func cmdEnd(ts *testscript.TestScript, neg bool, args []string) {
	hub := stateOf(ts).hub
	eof := len(args) == 1 && args[0] == "EOF" && hub != nil && hub.stdin != nil
	if len(args) != 1 || hub == nil || !eof && clitest.Signals[args[0]] == nil {
		ts.Fatalf("usage: end TERM|INT|KILL, after start, or end EOF, after dev")
	}
	var stdout string
	var err error
	if eof {
		ts.Check(hub.stdin.Close())
		stdout, err = hub.End()
	} else {
		stdout, err = hub.Stop(clitest.Signals[args[0]])
	}
	stateOf(ts).hub = nil
	if (err != nil) != neg {
		ts.Fatalf("hub ended with %v\n%s%s", err, stdout, &hub.Log)
	}
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), &hub.Log)
}

func cmdREST(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 || stateOf(ts).hub == nil {
		ts.Fatalf("usage: rest METHOD PATH [BODY], after start")
	}
	status, answer, err := stateOf(ts).hub.call(args[0], args[1], ts.Getenv("TOKEN"), strings.Join(args[2:], ""))
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", status, answer)
}

func cmdConnect(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: connect ID")
	}
	conn, err := net.Dial("tcp", ts.Getenv("MQTT"))
	ts.Check(err)
	defer conn.Close()
	mqttConnect(ts, conn, args[0])
}

func cmdPublish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: publish ID TOPIC")
	}
	conn, err := net.Dial("tcp", ts.Getenv("MQTT"))
	ts.Check(err)
	defer conn.Close()
	mqttConnect(ts, conn, args[0])
	// PUBLISH with QoS 1 and packet id 1.
	_, err = fmt.Fprintf(conn, "\x32%c\x00%c%s\x00\x01", 4+len(args[1]), len(args[1]), args[1])
	ts.Check(err)
	var puback [4]byte
	switch _, err = io.ReadFull(conn, puback[:]); {
	case err == nil && puback[0] == 0x40:
		fmt.Fprintln(ts.Stdout(), "acknowledged")
	case err != nil:
		fmt.Fprintln(ts.Stdout(), "closed")
	}
}

// mqttConnect connects as a device and prints the answer.
func mqttConnect(ts *testscript.TestScript, conn net.Conn, id string) {
	// CONNECT of MQTT 3.1.1: clean session, no keep-alive, a client id of 36 bytes.
	_, err := fmt.Fprintf(conn, "\x10\x30\x00\x04MQTT\x04\x02\x00\x00\x00\x24%s", id)
	ts.Check(err)
	var connack [4]byte
	_, err = io.ReadFull(conn, connack[:])
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "code %d\n", connack[3])
}

func cmdWebSocket(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: websocket ID [ORIGIN]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ws, answer, err := websocket.Dial(ctx, ts.Getenv("WS"), &websocket.DialOptions{
		Subprotocols: []string{"mqtt"},
		HTTPHeader:   http.Header{"Origin": args[1:]},
	})
	if answer == nil {
		ts.Check(err)
	}
	if err != nil {
		body, readErr := io.ReadAll(answer.Body)
		ts.Check(readErr)
		fmt.Fprintf(ts.Stdout(), "%d %s", answer.StatusCode, body)
		return
	}
	defer ws.CloseNow()
	mqttConnect(ts, websocket.NetConn(ctx, ws, websocket.MessageBinary), args[0])
}

func cmdSecure(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: secure DIR, after start with --mqtts, --https and --wss")
	}
	dir := ts.MkAbs(args[0])
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	ts.Check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile(filepath.Join(dir, "ca.pem"))))
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: "hub.example"}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	conn, err := tls.Dial("tcp", ts.Getenv("MQTTS"), config)
	ts.Check(err)
	defer conn.Close()
	mqttConnect(ts, conn, strings.Repeat("x", 36))
	ws, _, err := websocket.Dial(ctx, "wss://"+ts.Getenv("WSS"), &websocket.DialOptions{Subprotocols: []string{"mqtt"}, HTTPClient: client})
	ts.Check(err)
	defer ws.CloseNow()
	mqttConnect(ts, websocket.NetConn(ctx, ws, websocket.MessageBinary), strings.Repeat("x", 36))
	answer, err := client.Get("https://" + ts.Getenv("HTTPS") + "/twins/" + ts.Getenv("ID"))
	ts.Check(err)
	answer.Body.Close()
	fmt.Fprintf(ts.Stdout(), "%s %s\n", answer.Proto, answer.Status)
}

func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("%q not found in %q", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], m[1])
}
