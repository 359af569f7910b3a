package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestBackupOfABusyHub backs up a hub while clients write as fast as they can, each to a document
// of its own, and starts a hub on each backup: it has every write that was answered before the backup
// began, and none that was sent after it ended.
func TestBackupOfABusyHub(t *testing.T) {
	const clients, backups = 4, 3
	dir, parent := t.TempDir(), t.TempDir()
	token := strings.TrimSpace(output(t, dir, "token", "add", "app"))
	var device struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(output(t, dir, "device", "add", "panel", "--allow-insecure")), &device); err != nil {
		t.Fatal(err)
	}
	path := func(client int) string { return fmt.Sprintf("twins/%s/documents/client-%d", device.ID, client) }

	p := start(t, dir)
	var (
		sent, answered [clients]atomic.Int64
		ended          atomic.Bool
		running, begun sync.WaitGroup
	)
	for client := range clients {
		begun.Add(1)
		running.Go(func() {
			for n := int64(1); !ended.Load(); n++ {
				sent[client].Store(n)
				status, answer, err := p.call("PUT", path(client), token, fmt.Sprintf(`{"data":{"n":%d}}`, n))
				if err != nil || status != 200 {
					t.Errorf("client %d, write %d: got %d %s, %v; want 200", client, n, status, answer, err)
					ended.Store(true)
				}
				answered[client].Store(n)
				if n == 1 {
					begun.Done()
				}
			}
		})
	}
	begun.Wait()
	var least, most [backups][clients]int64
	for n := range backups {
		for client := range clients {
			least[n][client] = answered[client].Load()
		}
		var line contentLine
		if err := json.Unmarshal([]byte(output(t, dir, "backup", filepath.Join(parent, fmt.Sprint(n)))), &line); err != nil || line.Documents != clients {
			t.Errorf("backup %d: %+v, %v; want %d documents", n, line, err, clients)
		}
		for client := range clients {
			most[n][client] = sent[client].Load()
		}
	}
	ended.Store(true)
	running.Wait()
	if _, err := p.Stop(os.Interrupt); err != nil {
		t.Errorf("hub ended with %v\n%s", err, &p.Log)
	}

	for n := range backups {
		restored := t.TempDir()
		output(t, restored, "restore", filepath.Join(parent, fmt.Sprint(n)))
		p := start(t, restored)
		for client := range clients {
			status, answer, err := p.call("GET", path(client), token, "")
			var doc struct {
				Version int64             `json:"version"`
				Data    struct{ N int64 } `json:"data"`
			}
			if err != nil || status != 200 || json.Unmarshal([]byte(answer), &doc) != nil {
				t.Fatalf("backup %d, client %d: got %d %s, error %v", n, client, status, answer, err)
			}
			if doc.Version < least[n][client] || doc.Version > most[n][client] || doc.Data.N != doc.Version {
				t.Errorf("backup %d, client %d: version %d with n %d, want one from %d to %d", n, client, doc.Version, doc.Data.N, least[n][client], most[n][client])
			}
		}
		if status, answer, err := p.call("PUT", path(0), token, `{"data":{}}`); err != nil || status != 200 {
			t.Errorf("backup %d: writing to the restored hub: %d %s, %v", n, status, answer, err)
		}
		if _, err := p.Stop(os.Interrupt); err != nil {
			t.Errorf("the restored hub ended with %v\n%s", err, &p.Log)
		}
	}
}
