package interop

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/twin"
	"github.com/twinpanel/twinpanel/twinclient"
)

// haproxyConfig passes TCP on to a hub: MQTT over TLS with version 2 of the PROXY protocol, REST with version 1. It looks
// all the time whether the hub is ready.
const haproxyConfig = `defaults
	mode tcp
	timeout connect 5s
	timeout client 1m
	timeout server 1m
listen mqtts
	bind %s
	server hub %s send-proxy-v2 check inter 100ms
listen rest
	bind %s
	option httpchk GET /readyz
	server hub %s send-proxy check inter 100ms
`

// Behind Debian's HAProxy a hub serves as without it, and knows where its clients are.
func TestBehindHAProxy(t *testing.T) {
	haproxy := tool(t, "haproxy", "haproxy")
	h := &household{t: t, dir: t.TempDir()}
	h.addPanel()
	h.token = h.addToken("app")
	h.hub = start(t, "hub", nil, "--data", h.file("hub"), "--mqtt", "", "--mqtts", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--name", "127.0.0.1", "--balancer", "127.0.0.1/32")
	mqtts, rest := freeAddr(t), freeAddr(t)
	api := must(url.Parse(h.hub.said(`^REST at (\S+)`)))
	config := fmt.Sprintf(haproxyConfig, mqtts, h.hub.said(`^MQTT over TLS at mqtts://(\S+)`), rest, api.Host)
	if err := os.WriteFile(h.file("haproxy.cfg"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	startHAProxy(t, exec.Command(haproxy, "-db", "-f", h.file("haproxy.cfg")), "http://"+rest+"/readyz")

	panel := twinclient.Options{Hub: "mqtts://" + mqtts, DeviceID: h.device, SecretFile: h.file("panel/secret"), CAFile: h.file("panel/ca.pem")}
	conn, err := twinclient.Dial(t.Context(), panel)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Put(t.Context(), "current", twin.Update{Data: []byte(`{"door_open":true}`)}); err != nil {
		t.Error(err)
	}
	var current struct{ Version int }
	getJSON(t, "http://"+rest+api.Path+"/twins/"+string(h.device)+"/documents/current", h.token, &current)
	if current.Version != 1 {
		t.Errorf("an app reads version %d of current, want 1", current.Version)
	}

	// Somebody guesses, from elsewhere.
	guess := panel
	guess.SecretFile = h.file("guess")
	if err := os.WriteFile(guess.SecretFile, []byte("let me in\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	guess.Dial = func(ctx context.Context) (net.Conn, error) {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}}
		return d.DialContext(ctx, "tcp", mqtts)
	}
	if conn, err := twinclient.Dial(t.Context(), guess); err == nil {
		conn.Close()
		t.Error("a wrong secret opens")
	}
	h.hub.logs("remote=127.0.0.5:")
}

// startHAProxy starts a balancer, which ends with the test, and returns when it leads to something that is well.
func startHAProxy(t *testing.T, haproxy *exec.Cmd, url string) {
	t.Helper()
	var log output
	haproxy.Stdout, haproxy.Stderr = &log, &log
	if err := haproxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		haproxy.Process.Kill()
		haproxy.Wait()
		if t.Failed() {
			t.Logf("what HAProxy said:\n%s", log.String())
		}
	})
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(url)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the hub isn't ready behind HAProxy: %v", err)
		}
	}
}

// logs waits until the program has logged something.
func (p *process) logs(what string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		p.mu.Lock()
		found := strings.Contains(p.log.String(), what)
		p.mu.Unlock()
		switch {
		case found:
			return
		case time.Now().After(end):
			p.t.Fatalf("%s never logs %s", p.name, what)
		}
	}
}
