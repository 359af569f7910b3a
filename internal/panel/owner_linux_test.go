package panel

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// "sudo panel disarm" while no panel runs: the panel's user must be able to read the journal afterwards.
func TestAJournalWrittenByRootBelongsToThePanel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: only root can write for others")
		return
	}
	const nobody = 65534
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := CommandOffline(dir, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != nobody || owner.Gid != nobody {
		t.Errorf("the journal belongs to %d:%d, want %d:%d", owner.Uid, owner.Gid, nobody, nobody)
	}
}
