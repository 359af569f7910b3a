package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// hubCommand runs a command on a database and returns what it prints.
func hubCommand(t *testing.T, database string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), "hub", args...)
	c.Env = append(os.Environ(), "HUB_STORE="+database)
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("hub %q: %v\n%s", args, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// addPanel adds a device that connects with nothing but its id.
func addPanel(t *testing.T, database, name string) (d deviceLine) {
	t.Helper()
	if err := json.Unmarshal([]byte(hubCommand(t, database, "device", "add", name, "--allow-insecure", "--allow-multiple-connections")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// What a command does to a device ends its connections, though the device asks for nothing: those to all hubs.
func TestCommandsEndConnectionsOfHubs(t *testing.T) {
	database := pgtest.URL(t)
	hubCommand(t, database, "token", "add", "app")
	var hubs []*process
	for range 2 {
		p, err := startHub(t.TempDir(), database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = p.Stop(os.Kill) })
		hubs = append(hubs, p)
	}
	for name, command := range map[string][]string{
		"disabled":          {"device", "disable"},
		"renewed":           {"device", "renew"},
		"removed":           {"device", "remove"},
		"not without proof": {"device", "set", "--allow-insecure=false"},
		"one connection":    {"device", "set", "--allow-multiple-connections=false"},
	} {
		device := addPanel(t, database, name)
		var connections []net.Conn
		for _, p := range hubs {
			conn, err := net.Dial("tcp", p.mqtt)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// CONNECT of MQTT 3.1.1: clean session, no keep-alive, a client id of 36 bytes.
			if _, err := fmt.Fprintf(conn, "\x10\x30\x00\x04MQTT\x04\x02\x00\x00\x00\x24%s", device.ID); err != nil {
				t.Fatal(err)
			}
			var connack [4]byte
			if _, err := io.ReadFull(conn, connack[:]); err != nil || connack[3] != 0 {
				t.Fatalf("%s: CONNACK % x, %v", name, connack, err)
			}
			connections = append(connections, conn)
		}
		hubCommand(t, database, "device", "set", name, "--description", "nothing to end a connection for")
		for i, conn := range connections {
			var pong [2]byte
			if _, err := conn.Write([]byte{0xc0, 0}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, pong[:]); err != nil || pong != [2]byte{0xd0, 0} {
				t.Errorf("%s, hub %d, after another description: % x, %v; want the connection to go on", name, i, pong, err)
			}
		}
		hubCommand(t, database, append(command, name)...)
		for i, conn := range connections {
			conn.SetReadDeadline(time.Now().Add(time.Minute)) // a device that asks for nothing would stay for five
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s, hub %d: %v, want the end of the connection", name, i, err)
			}
		}
	}
}

// A hub goes on without its database: it says that it isn't ready, refuses what it can't do, and is the same
// process when the database is back.
func TestHubOutlivesItsDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t, pgtest.Options{})
	database, err := server.NewDatabase("twins")
	if err != nil {
		t.Fatal(err)
	}
	token := hubCommand(t, database, "token", "add", "app")
	device := addPanel(t, database, "panel")
	p, err := startHub(t.TempDir(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	put := func() int {
		t.Helper()
		status, _, err := p.call("PUT", "twins/"+string(device.ID)+"/documents/desired", token, `{"data":{}}`)
		if err != nil {
			t.Fatalf("the hub doesn't answer: %v\n%s", err, &p.Log)
		}
		return status
	}
	ready, _, _ := strings.Cut(p.rest, "/iot/")
	becomes := func(want int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			answer, err := http.Get(ready + "/readyz")
			if err != nil {
				t.Fatalf("the hub doesn't answer: %v\n%s", err, &p.Log)
			}
			answer.Body.Close()
			if answer.StatusCode == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("/readyz still says %d, want %d\n%s", answer.StatusCode, want, &p.Log)
			}
		}
	}
	becomes(http.StatusOK)
	if status := put(); status != http.StatusOK {
		t.Errorf("a PUT: status %d", status)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if status := put(); status < 500 {
		t.Errorf("a PUT without a database: status %d", status)
	}
	becomes(http.StatusServiceUnavailable)
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	becomes(http.StatusOK)
	if status := put(); status != http.StatusOK {
		t.Errorf("a PUT afterwards: status %d", status)
	}
	if _, err := p.Stop(os.Interrupt); err != nil {
		t.Errorf("the hub ended with %v\n%s", err, &p.Log)
	}
}

// A hub that started on what is being copied from would take writes that the copy doesn't have.
func TestHubDoesNotStartBesideACopy(t *testing.T) {
	database := pgtest.URL(t)
	db, err := postgres.Open(t.Context(), database, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	claim, err := db.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := startHub(t.TempDir(), database)
	if err == nil {
		_, _ = p.Stop(os.Kill)
		t.Fatal("a hub starts beside a copy")
	}
	if !strings.Contains(err.Error(), ": the database is in use by a copy or an import\nhint: wait for its end") {
		t.Errorf("got %v", err)
	}
	if err := claim.Check(t.Context()); err != nil {
		t.Errorf("the copy is disturbed: %v", err)
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = startHub(t.TempDir(), database); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Stop(os.Interrupt); err != nil {
		t.Error(err)
	}
}
