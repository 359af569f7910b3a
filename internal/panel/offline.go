package panel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/twinpanel/twinpanel/internal/durable"
)

// ErrUnreadable says that the journal is there and cannot be read.
var ErrUnreadable = errors.New("journal is unreadable")

// CommandOffline arms or disarms in the journal of a panel that doesn't run, as [Panel.Command] does
// on one that does. While one runs the error is [durable.ErrLocked]. A journal that cannot be read stays as
// it is: [ErrUnreadable].
func CommandOffline(stateDir string, armed bool) error {
	lock, err := durable.Lock(stateDir)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	defer lock.Close()
	r, err := readJournal(stateDir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if armed != r.Armed {
		r = record{Armed: armed, DesiredSeen: r.DesiredSeen, WaitClosed: []string{}}
		if armed { // nothing is known of the contacts
			r.WaitClosed = append(r.WaitClosed, everyContact)
		}
	}
	r.Local = true
	path := filepath.Join(stateDir, journalName)
	if err := durable.Replace(path, r.format(), 0o600); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return durable.GiveAway(path, stateDir)
}

// ArmedOffline says whether a panel started on this folder would be armed. It changes nothing.
func ArmedOffline(stateDir string) (bool, error) {
	r, err := readJournal(stateDir)
	return r.Armed, err
}

// Installed says whether a panel has ever been told on this folder to arm or disarm. When nobody can say, it says yes.
func Installed(stateDir string) bool {
	_, err := os.Stat(filepath.Join(stateDir, journalName))
	return !errors.Is(err, fs.ErrNotExist)
}

// InUse says whether a process holds the state folder, be it a panel that answers on no socket.
func InUse(stateDir string) bool {
	lock, err := durable.Lock(stateDir)
	if err == nil {
		lock.Close()
	}
	return errors.Is(err, durable.ErrLocked)
}
