package pgtest

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const ownerVariable = "PGTEST_OWNER"

// TestMain is also the process whose death a server must not outlive.
func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := Start(Options{})
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	os.Stdout.WriteString(s.dir + " " + s.URL("postgres") + "\n")
	select {}
}

func query(t *testing.T, url, sql string) (result string, err error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return "", err
	}
	defer conn.Close(t.Context())
	return result, conn.QueryRow(t.Context(), sql).Scan(&result)
}

func mustQuery(t *testing.T, url, sql string) string {
	t.Helper()
	result, err := query(t, url, sql)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestURLIsAnEmptyDatabaseOfOnesOwn(t *testing.T) {
	t.Parallel()
	one, two := URL(t), URL(t)
	mustQuery(t, one, "WITH made AS (SELECT 1) SELECT 'x' FROM made")
	if a, b := mustQuery(t, one, "SELECT current_database()"), mustQuery(t, two, "SELECT current_database()"); a == b {
		t.Errorf("two tests share the database %s", a)
	}
	if n := mustQuery(t, one, "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"); n != "0" {
		t.Errorf("a new database has %s tables", n)
	}
}

func TestProgramsInThePathComeFirst(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"initdb", "postgres"} {
		if err := os.WriteFile(filepath.Join(dir, program), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	bin, err := findPrograms()
	Require(t, err)
	if bin != dir {
		t.Errorf("found %s, want %s", bin, dir)
	}
}

func TestProcessesAreTheServers(t *testing.T) {
	t.Parallel()
	s := New(t, Options{})
	ids := s.Processes()
	if len(ids) < 2 || !slices.Contains(ids, s.process.pid) {
		t.Errorf("got %v, want the server %d and its children", ids, s.process.pid)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if ids := s.Processes(); len(ids) > 0 {
		t.Errorf("a server that was killed has %v", ids)
	}
}

func TestServerKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := New(t, Options{Sync: true})
	url, err := s.NewDatabase("house")
	if err != nil {
		t.Fatal(err)
	}
	if got := mustQuery(t, url, "SHOW fsync"); got != "on" {
		t.Errorf("fsync = %s, want on", got)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t, url, "SELECT '1'"); err == nil {
		t.Error("a killed server answers")
	}
	for range 2 { // after a crash, and of a running server
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		if got := mustQuery(t, url, "SELECT current_database()"); got != "house" {
			t.Errorf("after a restart the database is %s", got)
		}
	}
}

// The process that started a server is killed, and nothing is left of the server.
func TestServerEndsWithItsOwner(t *testing.T) {
	t.Parallel()
	if _, err := findPrograms(); err != nil {
		Require(t, err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner := exec.CommandContext(t.Context(), self)
	owner.Env = append(os.Environ(), ownerVariable+"=1")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, err := out.Read(line)
	dir, url, ok := strings.Cut(strings.TrimSpace(string(line[:n])), " ")
	if err != nil || !ok {
		t.Fatalf("the owner said %q, %v", line[:n], err)
	}
	mustQuery(t, url, "SELECT '1'")
	owner.Process.Kill()
	owner.Wait()
	for { // the test's own time is the limit
		_, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		time.Sleep(pollInterval)
	}
	if _, err := query(t, url, "SELECT '1'"); err == nil {
		t.Error("the server outlived its owner")
	}
}
