package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// A house is a hub that runs, with a token and whatever devices a test adds to it.
type house struct {
	*process
	t     *testing.T
	dir   string
	token string
}

// newHouse starts a hub that speaks TLS. It ends with the test, and has then logged no secret.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.token = strings.TrimSpace(output(t, h.dir, "token", "add", "app"))
	p, err := startHub(h.dir, "data", "--mqtts", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.process = p
	t.Cleanup(func() {
		stdout, err := p.Stop(os.Interrupt)
		if err != nil {
			t.Errorf("hub ended with %v\n%s", err, &p.Log)
		}
		h.checkLog(stdout + p.Log.String())
	})
	return h
}

// checkLog wants no secret, whole id or token in what the hub printed.
func (h *house) checkLog(log string) {
	h.t.Helper()
	secrets, err := filepath.Glob(filepath.Join(h.dir, "*", "secret"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range secrets {
		secret, err := os.ReadFile(path)
		if err != nil {
			h.t.Fatal(err)
		}
		if strings.Contains(log, string(bytes.TrimSpace(secret))) {
			h.t.Errorf("the log has %s:\n%s", path, log)
		}
	}
	if strings.Contains(log, h.token) {
		h.t.Errorf("the log has the token:\n%s", log)
	}
}

// device runs hub device COMMAND NAME and returns the device.
func (h *house) device(args ...string) deviceLine {
	h.t.Helper()
	var d deviceLine
	if err := json.Unmarshal([]byte(output(h.t, h.dir, append([]string{"device"}, args...)...)), &d); err != nil {
		h.t.Fatal(err)
	}
	return d
}

// options connect as a device with what a folder of hub device add has.
func (h *house) options(id twin.ID, folder string) twinclient.Options {
	h.t.Helper()
	dir := filepath.Join(h.dir, folder)
	o := twinclient.Options{Hub: "mqtts://" + h.tls["mqtts"], DeviceID: id, CAFile: filepath.Join(dir, "ca.pem")}
	if path := filepath.Join(dir, "cert.pem"); exists(path) {
		o.CertFile, o.KeyFile = path, filepath.Join(dir, "key.pem")
	}
	if path := filepath.Join(dir, "secret"); exists(path) {
		o.SecretFile = path
	}
	return o
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// dial connects and must be let in.
func (h *house) dial(o twinclient.Options) *twinclient.Conn {
	h.t.Helper()
	c, err := twinclient.Dial(h.t.Context(), o)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, &h.Log)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// refuses wants a connection to be answered with CONNACK 5.
func (h *house) refuses(what string, o twinclient.Options) {
	h.t.Helper()
	c, err := twinclient.Dial(h.t.Context(), o)
	if err == nil {
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "hub refused") {
		h.t.Errorf("%s: got %v, want to be refused", what, err)
	}
}

// loses wants a connection to end at its next request.
func (h *house) loses(what string, c *twinclient.Conn) {
	h.t.Helper()
	if _, err := c.Get(h.t.Context(), "current"); err == nil || c.Err() == nil {
		h.t.Errorf("%s: got %v and connection error %v, want the connection to end", what, err, c.Err())
	}
}

// arm wishes over REST that a panel be armed.
func (h *house) arm(id twin.ID) {
	h.t.Helper()
	if status, answer, err := h.call("PUT", desiredOf(id), h.token, `{"data":{"alarm_armed":true}}`); err != nil || status != 200 {
		h.t.Fatalf("arming: %d %s, %v", status, answer, err)
	}
}

// isArmed wants desired to be as arm has left it, and the panel to know that.
func (h *house) isArmed(id twin.ID, panel *twinclient.Conn) {
	h.t.Helper()
	status, answer, err := h.call("GET", desiredOf(id), h.token, "")
	if want := `"version":1,"data":{"alarm_armed":true}}`; err != nil || status != 200 || !strings.Contains(answer, want) {
		h.t.Errorf("desired: %d %s, %v; want %s", status, answer, err, want)
	}
	if doc, err := panel.Get(h.t.Context(), "desired"); err != nil || doc.Version != 1 {
		h.t.Errorf("the panel gets %+v, %v; want version 1 on the connection it has", doc, err)
	}
}

func desiredOf(id twin.ID) string { return "twins/" + string(id) + "/documents/desired" }

// A knock is a CONNECT of MQTT 3.1.1 with whatever somebody makes up.
type knock struct{ clientID, username, password string }

// code sends it and returns the answer's code.
func (k knock) code(conn net.Conn) (byte, error) {
	flags := byte(0x02)
	fields := text(k.clientID)
	if k.username != "" {
		flags |= 0x80
		fields += text(k.username)
	}
	if k.password != "" {
		flags |= 0x40
		fields += text(k.password)
	}
	if _, err := conn.Write(packet(0x10, "\x00\x04MQTT\x04"+string([]byte{flags, 0, 0})+fields)); err != nil {
		return 0, err
	}
	var connack [4]byte
	_, err := io.ReadFull(conn, connack[:])
	return connack[3], err
}

// packet is one of MQTT, short enough for a length of one byte.
func packet(first byte, body string) []byte {
	if len(body) > 127 {
		panic("packet is too long for this test")
	}
	return append([]byte{first, byte(len(body))}, body...)
}

// text is a short string as MQTT has it.
func text(s string) string { return string([]byte{0, byte(len(s))}) + s }

// dialTLS speaks TLS with the hub; cert may be nil.
func (h *house) dialTLS(cert *tls.Certificate) net.Conn {
	h.t.Helper()
	pem, err := os.ReadFile(filepath.Join(h.dir, "panel", "ca.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	conn, err := tls.Dial("tcp", h.tls["mqtts"], config)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// TestWhoKnowsOnlyTheIDCannotDisarm tries everything that somebody can do who has learnt a panel's id and name, and
// even owns another device of the same hub.
func TestWhoKnowsOnlyTheIDCannotDisarm(t *testing.T) {
	h := newHouse(t)
	panel := h.device("add", "panel", "--read-only", "desired", "--out", "panel")
	meter := h.device("add", "meter", "--out", "meter")
	h.device("add", "lamp", "--secret", "--out", "lamp")
	meterToken := strings.TrimSpace(output(t, h.dir, "token", "add", "meter", "--device", "meter"))
	readToken := strings.TrimSpace(output(t, h.dir, "token", "add", "reader", "--read-only"))
	h.arm(panel.ID)
	conn := h.dial(h.options(panel.ID, "panel"))

	id := string(panel.ID)
	pair := func(cert, key []byte) *tls.Certificate {
		c, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &c
	}
	foreign := pair(ownCertificate(t, "panel", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	other, err := tls.LoadX509KeyPair(filepath.Join(h.dir, "meter", "cert.pem"), filepath.Join(h.dir, "meter", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	lamp, err := os.ReadFile(filepath.Join(h.dir, "lamp", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		cert *tls.Certificate
		knock
	}{
		{"the id as client id", nil, knock{clientID: id}},
		{"the id in upper case", nil, knock{clientID: strings.ToUpper(id)}},
		{"the id as user name", nil, knock{username: id}},
		{"the name as client id", nil, knock{clientID: "panel"}},
		{"the id and a guess", nil, knock{clientID: id, username: id, password: "password"}},
		{"the id and the id as password", nil, knock{clientID: id, username: id, password: id}},
		{"the id and another device's secret", nil, knock{clientID: id, username: id, password: strings.TrimSpace(string(lamp))}},
		{"the id with a certificate in the panel's name", foreign, knock{clientID: id}},
		{"the id with another device's certificate", &other, knock{clientID: id}},
		{"the id as user name with another device's certificate", &other, knock{clientID: string(meter.ID), username: id}},
	} {
		for _, listener := range []string{"mqtts", "mqtt"} {
			var to net.Conn
			switch {
			case listener == "mqtts":
				to = h.dialTLS(tt.cert)
			case tt.cert != nil: // plaintext shows none
				continue
			default:
				if to, err = net.Dial("tcp", h.mqtt); err != nil {
					t.Fatal(err)
				}
				defer to.Close()
			}
			if code, err := tt.code(to); err != nil || code != 5 {
				t.Errorf("%s, over %s: got code %d, %v; want 5", tt.name, listener, code, err)
			}
		}
	}

	// Another device asks for the panel's documents on a connection of its own.
	own := h.dialTLS(&other)
	if code, err := (knock{clientID: string(meter.ID)}).code(own); err != nil || code != 0 {
		t.Fatalf("the other device: got code %d, %v; want 0", code, err)
	}
	publish := packet(0x30, text("$SCW/twins/"+id+"/desired/put")+`{"data":{"alarm_armed":false}}`)
	if _, err := own.Write(append(publish, packet(0xc0, "")...)); err != nil {
		t.Fatal(err)
	}
	var pong [2]byte
	if _, err := io.ReadFull(own, pong[:]); err != nil || pong != [2]byte{0xd0, 0} {
		t.Errorf("the other device: got % x, %v; want the answer to its ping and to nothing else", pong, err)
	}

	// Over REST.
	for name, tt := range map[string]struct {
		token string
		want  int
	}{
		"no token":                  {"", 401},
		"the id as token":           {id, 401},
		"a token that reads":        {readToken, 403},
		"a token of another device": {meterToken, 403},
	} {
		for _, method := range []string{"PUT", "PATCH", "DELETE"} {
			if status, answer, err := h.call(method, desiredOf(panel.ID), tt.token, `{"data":{"alarm_armed":false}}`); err != nil || status != tt.want {
				t.Errorf("%s with %s: got %d %s, %v; want %d", method, name, status, answer, err, tt.want)
			}
		}
	}
	h.isArmed(panel.ID, conn)
}

// TestStolenPanelCannotDisarm has everything that is on the panel. It can say what it likes about
// itself, but not what it is wished to do; and it can be shut out.
func TestStolenPanelCannotDisarm(t *testing.T) {
	for _, tt := range []struct {
		credential string
		flags      []string
	}{
		{"certificate", nil},
		{"secret", []string{"--secret"}},
	} {
		t.Run(tt.credential, func(t *testing.T) {
			h := newHouse(t)
			panel := h.device(append([]string{"add", "panel", "--read-only", "desired", "--out", "panel"}, tt.flags...)...)
			h.arm(panel.ID)
			options := h.options(panel.ID, "panel")
			conn := h.dial(options)
			disarm := twin.Update{Data: []byte(`{"alarm_armed":false}`)}
			if _, err := conn.Put(t.Context(), "desired", disarm); !errors.Is(err, twin.ErrPermissionDenied) {
				t.Errorf("put: got %v, want %v", err, twin.ErrPermissionDenied)
			}
			if _, err := conn.Patch(t.Context(), "desired", disarm); !errors.Is(err, twin.ErrPermissionDenied) {
				t.Errorf("patch: got %v, want %v", err, twin.ErrPermissionDenied)
			}
			if _, err := conn.Put(t.Context(), "current", disarm); err != nil {
				t.Errorf("its own document: %v", err)
			}
			for name, token := range map[string]string{"its id": string(panel.ID), "nothing": ""} {
				if status, answer, err := h.call("PUT", desiredOf(panel.ID), token, `{"data":{"alarm_armed":false}}`); err != nil || status != 401 {
					t.Errorf("over REST with %s: got %d %s, %v; want 401", name, status, answer, err)
				}
			}
			h.isArmed(panel.ID, conn)

			h.device("disable", "panel")
			h.loses("disabled", conn)
			h.refuses("disabled", options)
			h.device("enable", "panel")
			conn = h.dial(options)
			h.device(append([]string{"renew", "panel", "--out", "panel-2"}, tt.flags...)...)
			h.loses("renewed", conn)
			h.refuses("renewed", options)
			h.isArmed(panel.ID, h.dial(h.options(panel.ID, "panel-2")))
		})
	}
}

// TestDeviceSetHoldsAtTheNextRequest changes what a device may do while it is connected.
func TestDeviceSetHoldsAtTheNextRequest(t *testing.T) {
	h := newHouse(t)
	device := h.device("add", "panel", "--secret", "--allow-insecure", "--out", "panel")
	known := h.options(device.ID, "panel")
	bare := known
	bare.SecretFile = ""
	guess := knock{clientID: string(device.ID), username: string(device.ID), password: "password"}
	if code, err := guess.code(h.dialTLS(nil)); err != nil || code != 5 {
		t.Errorf("a wrong secret, where the id alone is enough: got code %d, %v; want 5", code, err)
	}
	conn := h.dial(bare)
	disarm := twin.Update{Data: []byte(`{"alarm_armed":false}`)}
	if _, err := conn.Put(t.Context(), "desired", disarm); err != nil {
		t.Errorf("before --read-only: %v", err)
	}
	h.device("set", "panel", "--read-only", "desired")
	if _, err := conn.Put(t.Context(), "desired", disarm); !errors.Is(err, twin.ErrPermissionDenied) {
		t.Errorf("after --read-only: got %v, want %v", err, twin.ErrPermissionDenied)
	}
	h.device("set", "panel", "--allow-insecure=false")
	h.loses("allowed no more", conn)
	h.refuses("allowed no more", bare)
	known.Hub, known.CAFile = "mqtt://"+h.mqtt, ""
	conn = h.dial(known)
	h.device("set", "panel", "--read-only=")
	if _, err := conn.Put(t.Context(), "desired", disarm); err != nil {
		t.Errorf("after --read-only=: %v", err)
	}
	output(t, h.dir, "device", "remove", "panel")
	h.loses("removed", conn)
	h.refuses("removed", known)
}

// TestRenewTakesBack goes from each credential to each other one while the hub runs and the device is connected.
func TestRenewTakesBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	kinds := []string{"certificate", "secret", "request", "own certificate", "secret and own certificate"}
	n := 0
	// order prepares a folder with what the device has itself, and returns flags for the rest.
	order := func(kind string) (folder string, flags []string) {
		n++
		folder = fmt.Sprintf("device-%d", n)
		dir := filepath.Join(h.dir, folder)
		files := map[string][]byte{}
		if strings.Contains(kind, "secret") {
			flags = append(flags, "--secret")
		}
		switch {
		case kind == "request":
			files["request.pem"], files["key.pem"] = request(t, "device")
			flags = append(flags, "--csr", filepath.Join(dir, "request.pem"))
		case strings.Contains(kind, "own certificate"):
			files["cert.pem"], files["key.pem"] = ownCertificate(t, "device", time.Now().Add(-time.Hour), time.Now().Add(365*24*time.Hour))
			flags = append(flags, "--cert", filepath.Join(dir, "cert.pem"))
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return folder, append(flags, "--out", dir)
	}
	// Each kind after each kind, once.
	var sequence []string
	for i, kind := range kinds {
		sequence = append(sequence, kind)
		for _, later := range kinds[i+1:] {
			sequence = append(sequence, kind, later)
		}
	}
	folder, flags := order(sequence[0])
	id := h.device(append([]string{"add", "device"}, flags...)...).ID
	for i, from := range sequence {
		to := sequence[(i+1)%len(sequence)]
		what := fmt.Sprintf("from %s to %s", from, to)
		before := h.options(id, folder)
		conn := h.dial(before)
		folder, flags = order(to)
		h.device(append([]string{"renew", "device"}, flags...)...)
		h.loses(what, conn)
		h.refuses(what, before)
		if before.SecretFile != "" && before.CertFile != "" {
			before.CertFile, before.KeyFile = "", ""
			h.refuses(what+", without the certificate", before)
		}
	}
	h.dial(h.options(id, folder))
}
