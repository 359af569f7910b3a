// Package pgtest runs PostgreSQL servers of one's own, for tests and measurements: each in a
// folder of its own, on a port of the loopback interface, and gone with the process that
// started it, however that one ends.
//
// It needs PostgreSQL's programs: those in the PATH, otherwise the newest where Debian and Homebrew put them. So PATH=FOLDER:$PATH
// before a command tries another version, and scripts/postgresql does so with one that it gets.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/internal/durable/durabletest"
)

const (
	startPatience = 60 * time.Second // for a server to take connections, also after a crash
	stopPatience  = 20 * time.Second // for a server to end by itself
	pollInterval  = 10 * time.Millisecond
	superuser     = "postgres"
	maxAttempts   = 5 // to find a port that nobody else takes
)

// ErrNotInstalled says that PostgreSQL's programs are not on this computer.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: no initdb and postgres in the PATH or in /usr/lib/postgresql")

// Options of [Start]. The zero value suits tests.
type Options struct {
	// Sync makes a commit wait for the disk, and the server do what keeps it fast. Without it, a crash of the computer
	// destroys what the server holds, but not [Server.Kill]; its folder is in memory where that has room.
	Sync bool
}

// A Server is a running PostgreSQL server. Its methods but URL and NewDatabase are for one caller at a time.
type Server struct {
	Port int // on 127.0.0.1, the same after a restart

	bin      string
	dir      string // has the folder data, the log and the password
	args     []string
	password string
	process  *process // nil = not running
	janitor  *janitor
}

// A process is a server's, with its outcome.
type process struct {
	pid   int
	ended chan struct{} // closed when it is gone
}

// Start makes a server with nothing in it and returns when it takes connections. End it with
// [Server.Stop]; it ends with the calling process at the latest. Started by root, it runs as another user, who must be able
// to reach the system's folder for temporary files.
func Start(o Options) (_ *Server, err error) {
	s, err := prepare(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	model, err := initialized()
	if err != nil {
		return nil, err
	}
	s.password = model.password
	if err := s.run("cp", "-R", model.data(), s.data()); err != nil {
		return nil, err
	}
	return s, s.startAnywhere()
}

// initialized is a server that never runs: its data folder is what those of the process begin with. A copy costs a
// twentieth of what initdb does.
var initialized = sync.OnceValues(func() (_ *Server, err error) {
	s, err := prepare(Options{})
	if err != nil {
		return nil, err
	}
	if err := s.initialize(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
})

// prepare makes a server's folder, and what removes it.
func prepare(o Options) (*Server, error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, err
	}
	var where string
	if !o.Sync {
		where = durabletest.Memory()
	}
	dir, err := os.MkdirTemp(where, "twinpanel-pg-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, password: rand.Text()}
	if s.janitor, err = startJanitor(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("starting what ends a PostgreSQL server: %w", err), os.RemoveAll(dir))
	}
	settings := []string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=64MB", "log_min_messages=warning"}
	if !o.Sync {
		settings = append(settings, "fsync=off", "full_page_writes=off", "autovacuum=off")
	}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	return s, nil
}

// startAnywhere runs the server on a port that nobody else takes.
func (s *Server) startAnywhere() (err error) {
	for range maxAttempts {
		if s.Port, err = freePort(); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return nil
		}
	}
	return err
}

// initialize makes the data folder, with a superuser and a password.
func (s *Server) initialize() error {
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := giveToServer(s.dir, passwordFile); err != nil {
		return err
	}
	return s.run(filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", superuser, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync")
}

// run runs a command as the server's user.
func (s *Server) run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "PGPASSWORD="+s.password)
	runAsServer(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out)
	}
	return nil
}

func (s *Server) data() string    { return filepath.Join(s.dir, "data") }
func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// start runs the server and waits until it takes connections.
func (s *Server) start() error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), append([]string{"-D", s.data(), "-p", strconv.Itoa(s.Port)}, s.args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	runAsServer(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	p := &process{cmd.Process.Pid, make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	s.process = p
	if err := s.await(p); err != nil {
		s.Kill()
		return err
	}
	return nil
}

// await returns when the server takes connections.
func (s *Server) await(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.ended:
			return fmt.Errorf("PostgreSQL ended at its start:\n%s", s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL takes no connections: %w\n%s", err, s.logTail())
		case <-time.After(pollInterval):
		}
	}
}

// logTail is the end of what the server has logged.
func (s *Server) logTail() string {
	const enough = 4096
	log, _ := os.ReadFile(s.logFile())
	return string(bytes.ToValidUTF8(log[max(0, len(log)-enough):], nil))
}

// URL returns where a database of the server is, with the superuser's password.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(superuser, s.password),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)),
		Path:   database,
		// The server has no TLS; a client that is not told so asks, and then connects a second time.
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// NewDatabase makes an empty database and returns its URL.
func (s *Server) NewDatabase(name string) (string, error) {
	if err := s.exec("CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " STRATEGY file_copy"); err != nil {
		return "", fmt.Errorf("making database %s: %w", name, err)
	}
	return s.URL(name), nil
}

// exec runs a statement beside the databases.
func (s *Server) exec(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// Kill ends all of the server's processes at once, as a crash does, and returns when they are gone.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	err := killFamily(s.process.pid)
	<-s.process.ended
	s.process = nil
	return err
}

// Restart starts the server again on its port: after [Server.Kill] with what it finds, otherwise
// after an orderly end, for which it waits for no client.
func (s *Server) Restart() error {
	if err := s.end(); err != nil {
		return err
	}
	return s.start()
}

// Processes are the ids of the server's processes now, where /proc tells: for whoever measures them.
func (s *Server) Processes() []int {
	if s.process == nil {
		return nil
	}
	return append(children(s.process.pid), s.process.pid)
}

// end stops the server as its operator would, in a hurry: transactions under way are rolled back.
func (s *Server) end() error {
	if s.process == nil {
		return nil
	}
	if err := endFast(s.process.pid); err != nil {
		return err
	}
	select {
	case <-s.process.ended:
		s.process = nil
		return nil
	case <-time.After(stopPatience):
		return errors.Join(fmt.Errorf("PostgreSQL did not end within %v", stopPatience), s.Kill())
	}
}

// Stop ends the server and removes what it held.
func (s *Server) Stop() error {
	return errors.Join(s.Kill(), s.janitor.stop(), os.RemoveAll(s.dir))
}

// A janitor is a process that outlives this one by a moment: when its standard input ends, it ends the
// server that is left and removes the folder.
type janitor struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// sweep gets the server's folder.
const sweep = `cat >/dev/null
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
	kill -QUIT "$pid" 2>/dev/null
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
rm -rf "$1"`

func startJanitor(dir string) (*janitor, error) {
	if err := giveToServer(dir); err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", sweep, "sh", dir)
	cmd.Dir = "/"
	runAsServer(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &janitor{cmd, stdin}, cmd.Start()
}

func (j *janitor) stop() error {
	j.stdin.Close()
	return j.cmd.Wait()
}

// freePort returns a port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// findPrograms returns the folder with the programs of the PostgreSQL in the PATH, or else of the newest.
func findPrograms() (string, error) {
	if !canRun {
		return "", ErrNotInstalled
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"} {
		dirs, _ := filepath.Glob(pattern)
		found = append(found, dirs...)
	}
	slices.SortFunc(found, func(a, b string) int { return strings.Compare(version(b), version(a)) })
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			found = slices.Insert(found, 0, filepath.Dir(initdb))
		}
	}
	for _, dir := range found {
		if has(dir, "initdb") && has(dir, "postgres") {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// version is the two digits in a path such as /usr/lib/postgresql/15/bin.
func version(path string) string {
	return strings.TrimFunc(path, func(r rune) bool { return r < '0' || r > '9' })
}

func has(dir, program string) bool {
	info, err := os.Stat(filepath.Join(dir, program))
	return err == nil && info.Mode()&0o111 != 0
}
