package postgres

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/internal/pgtest"
)

// startPooler starts PgBouncer before a database's server and returns the database's URL there. Without PgBouncer the test is
// skipped, except in CI, where it fails.
func startPooler(t *testing.T, database, mode, setting string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	switch {
	case err != nil && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	config := filepath.Join(t.TempDir(), "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\n* = host=%s port=%s user=%s password=%s\n[pgbouncer]\nauth_type = any\nunix_socket_dir =\npool_mode = %s\n%s\n",
		u.Hostname(), u.Port(), u.User.Username(), password, mode, setting)
	if os.Getuid() == 0 {
		text += "user = nobody\n" // it refuses root
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	// It takes over a socket that listens already, as from systemd.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh", program, "--quiet", config)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{socket}, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	u.Host = l.Addr().String()
	return u.String()
}

// A pooler that shares the server's sessions is found out at the start, and not by hubs that hear nothing of each other.
func TestOpenThroughAPooler(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mode, setting, parameter, want, hint string }{
		{mode: "transaction", want: "shares its sessions", hint: "pool_mode = session"},
		{mode: "transaction", setting: "server_round_robin = 1", want: "shares its sessions", hint: "pool_mode = session"},
		{mode: "statement", want: "shares its sessions", hint: "pool_mode = session"},
		{mode: "session", setting: "default_pool_size = 1", parameter: "&connect_timeout=1", want: "a second connection", hint: "a hub takes up to 18"},
		{mode: "session"},
	} {
		t.Run(tt.mode+" "+tt.setting, func(t *testing.T) {
			pooled := startPooler(t, pgtest.URL(t), tt.mode, tt.setting) + tt.parameter
			db, err := Open(t.Context(), pooled, Options{})
			if err != nil || tt.want != "" {
				if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) || !strings.Contains(hintOf(err), tt.hint) {
					t.Fatalf("Open: %v; hint: %s\nwant %q; hint: %q", err, hintOf(err), tt.want, tt.hint)
				}
				return
			}
			t.Cleanup(func() { db.Close() })
			heard := db.listen(t)
			wantMissed(t, heard)
			mustOpen(t, pooled).Changed(panelKey("desired"))
			if n := next(t, heard); n.Changed == nil {
				t.Errorf("heard %+v of a change", n)
			}
		})
	}
}
