package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
)

// deviceFiles are the files of a handover, on disk.
type deviceFiles struct {
	dir     string
	madeDir bool
	made    []string // names, in the order in which they were made
}

// save writes the files of a handover to a folder: all of them, or none. A file that exists stays as it
// is, which is all right where it holds the same.
func (h handover) save(dir string) (*deviceFiles, error) {
	f := &deviceFiles{dir: dir}
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		f.madeDir = true
	case errors.Is(err, fs.ErrNotExist):
		return nil, cli.Hint(fmt.Errorf("--out: %w", err), "make the folder that it is to be in")
	case !errors.Is(err, fs.ErrExist):
		return nil, cannotWrite(err)
	}
	err := f.write("ca.pem", string(h.authorities), 0o644)
	if h.Certificate != nil && err == nil {
		err = f.write("cert.pem", h.Certificate.Crt, 0o644)
	}
	if h.Certificate != nil && h.Certificate.Key != "" && err == nil {
		err = f.write("key.pem", h.Certificate.Key, 0o600)
	}
	if h.Secret != "" && err == nil {
		err = f.write("secret", h.Secret+"\n", 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

func (f *deviceFiles) write(name, content string, perm os.FileMode) error {
	path := filepath.Join(f.dir, name)
	err := durable.Create(path, []byte(content), perm)
	switch {
	case err == nil:
		f.made = append(f.made, name)
		return nil
	case errors.Is(err, fs.ErrExist):
		if old, e := os.ReadFile(path); e == nil && bytes.Equal(old, []byte(content)) {
			return nil
		}
		return cli.Hint(fmt.Errorf("--out: %s exists already and is not overwritten", path), "move it away, or choose another folder")
	case errors.Is(err, syscall.ENOTDIR):
		return cli.Hint(fmt.Errorf("--out: %s is no folder", f.dir), "choose another name")
	}
	return cannotWrite(err)
}

func cannotWrite(err error) error {
	err = fmt.Errorf("--out: %w", err)
	if errors.Is(err, fs.ErrPermission) {
		err = cli.Hint(err, "choose a folder that this user may write")
	}
	return err
}

// remove takes back what save did.
func (f *deviceFiles) remove() error {
	var errs []error
	for _, name := range f.made {
		errs = append(errs, os.Remove(filepath.Join(f.dir, name)))
	}
	if f.madeDir {
		errs = append(errs, os.Remove(f.dir))
	}
	return errors.Join(errs...)
}

// String says what was written, for people.
func (f *deviceFiles) String() string {
	if len(f.made) == 0 {
		return fmt.Sprintf("wrote nothing to %s: what belongs there is there already", f.dir)
	}
	return fmt.Sprintf("wrote %s to %s", strings.Join(f.made, ", "), f.dir)
}
