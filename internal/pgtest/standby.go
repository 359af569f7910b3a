package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Standby makes a second server that follows this one, and takes reads only until [Server.Promote]. This one is restarted for it:
// what is copied is at rest. By itself a standby follows a moment later; see PostgreSQL's synchronous_standby_names for a server that
// waits for it.
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
	if err := s.end(); err != nil {
		return nil, err
	}
	if err := errors.Join(standby.run("cp", "-R", s.data(), standby.data()), s.start()); err != nil {
		return nil, err
	}
	// As pg_basebackup would write it, which not all builds of PostgreSQL come with.
	signal, settings := filepath.Join(standby.data(), "standby.signal"), filepath.Join(standby.data(), "postgresql.auto.conf")
	primary := fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=%s password=%s'\n", s.Port, superuser, s.password)
	if err := errors.Join(os.WriteFile(signal, nil, 0o600), os.WriteFile(settings, []byte(primary), 0o600), giveToServer(signal, settings)); err != nil {
		return nil, err
	}
	return standby, standby.startAnywhere()
}

// Promote makes a standby a server that takes writes, and returns when it does.
func (s *Server) Promote() error { return s.exec("SELECT pg_promote()") }
