package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore/postgres"
	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// A hub goes on without its database: it says that it isn't ready, refuses what it can't do, and is the same
// process when the database is back.
func TestHubOutlivesItsDatabase(t *testing.T) {
	server := pgtest.New(t, pgtest.Options{})
	database, err := server.NewDatabase("twins")
	if err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "hub", args...)
		c.Env = append(os.Environ(), "HUB_STORE="+database)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("hub %q: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	token := command("token", "add", "app")
	var device deviceLine
	if err := json.Unmarshal([]byte(command("device", "add", "panel", "--allow-insecure")), &device); err != nil {
		t.Fatal(err)
	}
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
