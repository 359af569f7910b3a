package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twinpanel/twinpanel/internal/blackbox"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// checkFolder looks at the state folder and what is in it.
func (c *Config) checkFolder(f *findings) {
	info, err := os.Stat(c.StateDir)
	if err == nil && info.IsDir() {
		err = tryFolder(c.StateDir)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.ok("state folder", "%s is not there yet; the panel makes it and begins disarmed", c.StateDir)
		c.checkStorage(f)
		return
	case errors.Is(err, fs.ErrPermission):
		f.wrong("state folder", err, "run this as the panel's user, or choose another --state-dir")
		return
	case err == nil && !info.IsDir(), errors.Is(err, syscall.ENOTDIR):
		f.wrong("state folder", fmt.Errorf("%s is no folder", c.StateDir), "choose another --state-dir")
		return
	case errors.Is(err, syscall.EROFS):
		f.wrong("state folder", err, "mount its file system writable, or choose a --state-dir on another; the panel guards, but a power cut loses what is armed")
	case err != nil:
		f.wrong("state folder", err, "make room on its disk, or replace the card; the panel guards, but a power cut may lose what is armed")
	default:
		f.ok("state folder", "%s can be written", c.StateDir)
		c.checkStorage(f)
	}
	c.checkOwners(f, info)
	c.checkJournal(f)
	if err := blackbox.Check(c.StateDir); err != nil {
		f.wrong("black box", err, "run this as the panel's user, or move the file away; the panel guards all the same, but can't explain what was before")
	}
}

func (c *Config) checkJournal(f *findings) {
	armed, err := panel.ArmedOffline(c.StateDir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.wrong("journal", err, "run this as the panel's user")
	case err != nil:
		f.wrong("journal", err, fmt.Sprintf("a panel that starts on it is %s until the hub or somebody says otherwise, and keeps a copy", c.OnCorrupt))
	case armed:
		f.ok("journal", "armed")
	default:
		f.ok("journal", "disarmed")
	}
}

// tryFolder writes about as much as a panel does, and removes it again.
func tryFolder(dir string) error {
	file, err := os.CreateTemp(dir, "check-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(make([]byte, 4096))
	return errors.Join(err, file.Sync(), file.Close())
}

// checkOwners finds what belongs to another user than the folder. The panel, whose folder it is, may not be able to read it.
func (c *Config) checkOwners(f *findings, folder fs.FileInfo) {
	if folder.Mode().Perm()&0o022 != 0 {
		f.wrong("state folder", fmt.Errorf("others may write to it (mode %#o)", folder.Mode().Perm()), "chmod 700 "+c.StateDir)
	}
	user, _, known := owner(folder)
	entries, err := os.ReadDir(c.StateDir)
	if !known || err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // it is gone
		}
		if other, _, _ := owner(info); other != user {
			path := filepath.Join(c.StateDir, entry.Name())
			f.wrong("state folder", fmt.Errorf("%s belongs to user %d, the folder to user %d", path, other, user),
				fmt.Sprintf("chown %d %s", user, path))
		}
	}
}

// leastFree is the room that the state folder's disk should have.
const leastFree = 16 << 20

// A storage is what a folder is stored on.
type storage struct {
	kind     string // of the file system; empty = not known
	free     uint64 // bytes
	readOnly bool
}

// checkStorage finds a disk that doesn't keep what the panel writes there. A simulated house may be forgotten.
func (c *Config) checkStorage(f *findings) {
	if c.Simulate != "" {
		return
	}
	s, err := storageOf(existing(c.StateDir))
	if err != nil {
		return // where this can't be asked for, there is no real house
	}
	s.check(f)
}

// existing is the folder, or the one above it that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func (s storage) check(f *findings) {
	bad := f.bad
	elsewhere := "choose a --state-dir on the card or another disk of this computer: ext4 is a good one"
	switch s.kind {
	case "tmpfs", "ramfs":
		f.wrong("storage", fmt.Errorf("%s is memory: at a power cut the panel forgets that it was armed", s.kind), elsewhere)
	case "overlay":
		f.wrong("storage", errors.New("overlay, as of a read-only root: its writes are probably in memory, and at a power cut the panel forgets that it was armed"),
			"give the state folder a partition of its own that is mounted writable")
	case "squashfs":
		f.wrong("storage", errors.New("squashfs can't be written: at a power cut the panel forgets that it was armed"), elsewhere)
	case "nfs", "cifs", "9p":
		f.wrong("storage", fmt.Errorf("%s needs the network, and the panel has to guard without", s.kind), elsewhere)
	case "vfat":
		f.wrong("storage", errors.New("vfat: a power cut amid a write can lose both the old and the new journal"), elsewhere)
	}
	switch {
	case s.readOnly:
		f.wrong("storage", errors.New("its file system is mounted read-only"), "mount it writable: a card that fails is often mounted so by the system; then replace it")
	case s.free < leastFree:
		f.wrong("storage", fmt.Errorf("only %s are free", megabytes(s.free)), fmt.Sprintf("make room: the panel should have %s", megabytes(leastFree)))
	}
	if f.bad == bad {
		f.ok("storage", "%s", s)
	}
}

func (s storage) String() string {
	return strings.TrimPrefix(s.kind+", ", ", ") + megabytes(s.free) + " free"
}

func megabytes(n uint64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%d GB", n>>30)
	}
	return fmt.Sprintf("%d MB", n>>20)
}
