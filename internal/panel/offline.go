package panel

import (
	"fmt"
	"path/filepath"

	"github.com/twinpanel/twinpanel/internal/durable"
)

// CommandOffline arms or disarms in the journal of a panel that doesn't run, as [Panel.Command] does
// on one that does. While one runs the error is [durable.ErrLocked].
func CommandOffline(stateDir string, armed bool) error {
	lock, err := durable.Lock(stateDir)
	if err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	defer lock.Close()
	r, err := readJournal(stateDir)
	if err != nil {
		return fmt.Errorf("journal is unreadable: %w", err)
	}
	if armed != r.Armed {
		r = record{Armed: armed, DesiredSeen: r.DesiredSeen, WaitClosed: []string{}}
		if armed { // nothing is known of the contacts
			r.WaitClosed = append(r.WaitClosed, everyContact)
		}
	}
	r.Local = true
	if err := durable.Replace(filepath.Join(stateDir, journalName), r.format(), 0o600); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// ArmedOffline says whether a panel started on this folder would be armed. It changes nothing.
func ArmedOffline(stateDir string) (bool, error) {
	r, err := readJournal(stateDir)
	return r.Armed, err
}
