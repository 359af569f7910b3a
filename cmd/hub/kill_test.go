package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestKilledMidRequestKeepsEveryAnsweredWrite kills a hub while clients write as
// fast as they can, each to a document of its own, and looks at what is left: what was
// answered is there, at most the write under way came on top, and no version was skipped.
func TestKilledMidRequestKeepsEveryAnsweredWrite(t *testing.T) {
	const (
		clients = 4
		writes  = 100 // in all, before the kill
	)
	dir := t.TempDir()
	token := strings.TrimSpace(output(t, dir, "token", "add", "app"))
	var device struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(output(t, dir, "device", "add", "panel")), &device); err != nil {
		t.Fatal(err)
	}
	path := func(client int) string { return fmt.Sprintf("twins/%s/documents/client-%d", device.ID, client) }

	p := start(t, dir)
	var (
		answered = make([]int, clients)
		total    atomic.Int64
		enough   = make(chan struct{})
		running  sync.WaitGroup
		ended    = make(chan struct{})
	)
	for client := range clients {
		running.Go(func() {
			for n := 1; ; n++ {
				status, answer, err := p.call("PUT", path(client), token, fmt.Sprintf(`{"data":{"n":%d}}`, n))
				if err != nil {
					return // killed
				}
				if status != 200 {
					t.Errorf("client %d, write %d: got %d %s, want 200", client, n, status, answer)
					return
				}
				answered[client] = n
				if total.Add(1) == writes {
					close(enough)
				}
			}
		})
	}
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-enough:
	case <-ended: // refused, or ended by itself
		t.Error("the clients ended before the kill")
	}
	_, _ = p.Stop(os.Kill)
	<-ended

	p = start(t, dir)
	for client, n := range answered {
		status, answer, err := p.call("GET", path(client), token, "")
		var doc struct {
			Version int             `json:"version"`
			Data    struct{ N int } `json:"data"`
		}
		if err != nil || status != 200 || json.Unmarshal([]byte(answer), &doc) != nil {
			t.Fatalf("client %d: got %d %s, error %v", client, status, answer, err)
		}
		if doc.Version < n || doc.Version > n+1 || doc.Data.N != doc.Version {
			t.Errorf("client %d, %d writes answered: got version %d with n %d", client, n, doc.Version, doc.Data.N)
		}
	}
	if _, err := p.Stop(os.Interrupt); err != nil {
		t.Errorf("hub ended with %v\n%s", err, &p.Log)
	}
}

// TestStallingClientsDontHoldUpTheEnd ends a hub while one client says nothing and another
// one stops in the middle of a body.
func TestStallingClientsDontHoldUpTheEnd(t *testing.T) {
	dir := t.TempDir()
	token := strings.TrimSpace(output(t, dir, "token", "add", "app"))
	p := start(t, dir)
	address, _, _ := strings.Cut(strings.TrimPrefix(p.rest, "http://"), "/")
	for _, sends := range []string{"", "PUT /iot/v1/regions/fr-par/twins/01234567-89ab-cdef-0123-456789abcdef/documents/desired HTTP/1.1\r\n" +
		"Host: hub\r\nExpect: 100-continue\r\nX-Auth-Token: " + token + "\r\nContent-Length: 100\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, sends); err != nil {
			t.Fatal(err)
		}
		if sends != "" { // the hub asks for the body: the request is under way
			if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("got %q, %v; want to be asked for the body", line, err)
			}
		}
	}
	if _, err := p.Stop(os.Interrupt); err != nil || strings.Contains(p.Log.String(), "level=WARN") {
		t.Errorf("hub ended with %v\n%s", err, &p.Log)
	}
}

// start starts a hub that ends with the test at the latest.
func start(t *testing.T, dir string) *process {
	t.Helper()
	p, err := startHub(dir, "data")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// output runs the program on dir/data and returns what it prints on stdout.
func output(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("hub", append(args, "--data", "data")...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("hub %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}
