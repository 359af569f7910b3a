package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestCheckFindsDisksThatForget has each file system that doesn't keep a journal.
func TestCheckFindsDisksThatForget(t *testing.T) {
	const plenty = 1 << 30
	const elsewhere = "                   -> choose a --state-dir on the card or another disk of this computer: ext4 is a good one\n"
	for _, tt := range []struct {
		storage
		want string
	}{
		{storage{"tmpfs", plenty, false}, "BAD  storage       tmpfs is memory: at a power cut the panel forgets that it was armed\n" + elsewhere},
		{storage{"ramfs", plenty, false}, "BAD  storage       ramfs is memory: at a power cut the panel forgets that it was armed\n" + elsewhere},
		{storage{"overlay", plenty, false}, "BAD  storage       overlay, as of a read-only root: its writes are probably in memory, and at a power cut the panel forgets that it was armed\n" +
			"                   -> give the state folder a partition of its own that is mounted writable\n"},
		{storage{"nfs", plenty, false}, "BAD  storage       nfs needs the network, and the panel has to guard without\n" + elsewhere},
		{storage{"vfat", plenty, false}, "BAD  storage       vfat: a power cut amid a write can lose both the old and the new journal\n" + elsewhere},
		{storage{"ext4", plenty, true}, "BAD  storage       its file system is mounted read-only\n                   -> mount it writable: a card that fails is often mounted so by the system; then replace it\n"},
		{storage{"ext4", 15 << 20, false}, "BAD  storage       only 15 MB are free\n                   -> make room: the panel should have 16 MB\n"},
		{storage{"ext4", 16 << 20, false}, "ok   storage       ext4, 16 MB free\n"},
		{storage{"", 58 << 30, false}, "ok   storage       58 GB free\n"},
	} {
		var out bytes.Buffer
		f := &findings{w: &out}
		tt.storage.check(f)
		if out.String() != tt.want || f.bad != strings.Count(tt.want, "BAD") {
			t.Errorf("%+v: got %d bad and\n%swant\n%s", tt.storage, f.bad, &out, tt.want)
		}
	}
}

// TestCheckKnowsMemory asks the kernel where this test can.
func TestCheckKnowsMemory(t *testing.T) {
	s, err := storageOf("/dev/shm")
	if err != nil {
		t.Logf("no /dev/shm here: %v", err)
		return
	}
	if s.kind != "tmpfs" || s.free == 0 {
		t.Errorf("/dev/shm: got %+v, want a tmpfs with room", s)
	}
}

func TestCheckFindsWhoElseMayWrite(t *testing.T) {
	folder(t, map[string]string{"journal": armedJournal})
	if err := os.Chmod("state", 0o770); err != nil {
		t.Fatal(err)
	}
	check(t, simulated(noHub, deviceID), goodDir+
		"BAD  state folder  others may write to it (mode 0770)\n                   -> chmod 700 state\n"+
		"ok   journal       armed\n"+goodClock+noPanel+doors+badHub)
}

// TestCheckFindsTheJournalOfAnotherUser has a journal that root wrote, say, which the panel's user cannot read.
func TestCheckFindsTheJournalOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: only root can give files away")
		return
	}
	folder(t, map[string]string{"journal": armedJournal})
	if err := os.Chown("state", 12345, 12345); err != nil {
		t.Fatal(err)
	}
	check(t, simulated(noHub, deviceID), goodDir+
		fmt.Sprintf("BAD  state folder  state/journal belongs to user %d, the folder to user 12345\n                   -> chown 12345 state/journal\n", os.Geteuid())+
		"ok   journal       armed\n"+goodClock+noPanel+doors+badHub)
}
