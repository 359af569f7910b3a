// Package durable keeps small files whole through power cuts.
//
// [Replace] puts a new content in a file's place so that whatever happens in between,
// the file holds the old content or the new one: never part of one, never nothing.
// [Create] makes a file where there is none, and never touches one that exists.
// [SyncDir] flushes a folder's names. [Read] reads no more than such a file can be.
// [Lock] keeps a second process out of a folder. [GiveAway] keeps what root makes there usable.
//
// The promise is that of the disk: a card that reports a write as done and loses it all
// the same breaks it.
package durable

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// Replace writes data to the file at path, which need not exist, and returns when it
// would survive a power cut. perm is used when the file is made, before the umask.
//
// After an error the file holds its old content, or the new one when only the last step
// failed. What an interrupted Replace leaves behind, path with ".new" at its end, is
// removed by the next one. A path has one writer at a time; [Lock] its folder.
func Replace(path string, data []byte, perm os.FileMode) error {
	return replace(disk{}, path, data, perm)
}

// Create makes the file at path and returns when it would survive a power cut. perm is before
// the umask. An error leaves nothing behind, and wraps [fs.ErrExist] where there is such a file
// already, which stays as it is. A power cut before the return may leave a part of the file.
func Create(path string, data []byte, perm os.FileMode) error {
	return create(disk{}, path, data, perm)
}

// A fileSystem is what replace and create ask of the disk, step by step, so that tests can
// stop them after each step.
type fileSystem interface {
	remove(path string) error
	create(path string, perm os.FileMode) (file, error) // fails when it exists
	rename(from, to string) error
	syncDir(path string) error
}

type file interface {
	io.WriteCloser
	Sync() error
}

func replace(fs fileSystem, path string, data []byte, perm os.FileMode) error {
	next := path + ".new"
	if err := fs.remove(next); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("removing what an interrupted write left: %w", err)
	}
	if err := write(fs, next, data, perm); err != nil {
		return err
	}
	if err := fs.rename(next, path); err != nil {
		fs.remove(next)
		return err
	}
	// The new name is in the folder, and the folder is a file too.
	if err := fs.syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("flushing the folder of %s: %w", path, err)
	}
	return nil
}

func create(fs fileSystem, path string, data []byte, perm os.FileMode) error {
	if err := write(fs, path, data, perm); err != nil {
		return err
	}
	if err := fs.syncDir(filepath.Dir(path)); err != nil {
		fs.remove(path)
		return fmt.Errorf("flushing the folder of %s: %w", path, err)
	}
	return nil
}

// write makes a file whose content is on the disk before the file gets its final name:
// the other way round, a power cut can leave the name with nothing behind it. It removes
// what it could not finish, as well as it can.
func write(fs fileSystem, path string, data []byte, perm os.FileMode) error {
	f, err := fs.create(path, perm)
	if err != nil {
		return err
	}
	if err := fill(f, path, data); err != nil {
		fs.remove(path)
		return err
	}
	return nil
}

// fill writes all of a file and closes it.
func fill(f file, path string, data []byte) error {
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return fmt.Errorf("flushing %s: %w", path, err)
	}
	return f.Close()
}

// disk is the fileSystem of this computer.
type disk struct{}

func (disk) remove(path string) error     { return os.Remove(path) }
func (disk) rename(from, to string) error { return os.Rename(from, to) }

func (disk) create(path string, perm os.FileMode) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
}

func (disk) syncDir(path string) error { return SyncDir(path) }

// SyncDir returns when the names of the files in a folder would survive a power cut.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be flushed there
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
