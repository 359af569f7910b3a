package pgtest

import (
	"errors"
	"path/filepath"
	"strconv"
)

// Standby makes a second server that follows this one, which must be running, and takes reads only until [Server.Promote].
// By itself it follows a moment later; see PostgreSQL's synchronous_standby_names for a server that waits for it.
func (s *Server) Standby() (_ *Server, err error) {
	standby, err := prepare(Options{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, standby.Stop())
		}
	}()
	standby.password = s.password
	if err := standby.run(filepath.Join(s.bin, "pg_basebackup"), "--pgdata", standby.data(), "--write-recovery-conf", "--checkpoint", "fast", "--no-sync",
		"--host", "127.0.0.1", "--port", strconv.Itoa(s.Port), "--username", superuser, "--no-password"); err != nil {
		return nil, err
	}
	return standby, standby.startAnywhere()
}

// Promote makes a standby a server that takes writes, and returns when it does.
func (s *Server) Promote() error { return s.exec("SELECT pg_promote()") }
