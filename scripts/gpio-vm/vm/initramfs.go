//go:build linux

package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
)

// An Initramfs is the file system that a machine starts with, in memory: the guest as /init, kernel modules, the job, and
// whatever files the job needs.
type Initramfs struct {
	Kernel  *Kernel
	Init    string            // file: scripts/gpio-vm/guest, built for the kernel's architecture
	Modules []string          // names of modules to load, beside those that they depend on
	Files   map[string]string // file on this computer by its absolute path in the guest; each can be executed
	Job     job.Job           // Modules is filled in
}

// Write writes the initramfs to a file.
func (i *Initramfs) Write(name string) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a := archive{w: f, made: map[string]bool{"/": true}}
	a.file("/init", i.Init)
	modules, err := i.Kernel.ModuleFiles(i.Modules...)
	if err != nil {
		return err
	}
	told := i.Job
	for _, m := range modules {
		inGuest := "/modules/" + filepath.Base(m)
		a.file(inGuest, m)
		told.Modules = append(told.Modules, inGuest)
	}
	for inGuest, here := range i.Files {
		a.file(inGuest, here)
	}
	text, err := json.Marshal(told)
	if err != nil {
		return err
	}
	a.add(job.Path, text, 0o100644)
	a.add("/etc/passwd", []byte("root:x:0:0::/:/bin/sh\n"), 0o100644)
	a.add("/etc/group", []byte("root:x:0:\n"), 0o100644)
	return a.end()
}

// An archive writes the cpio format "newc" that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w    io.Writer
	n    int             // entries so far
	made map[string]bool // folders
	err  error           // the first; nothing is written after it
}

// file adds a file of this computer that can be executed.
func (a *archive) file(name, here string) {
	data, err := os.ReadFile(here)
	if err != nil && a.err == nil {
		a.err = err
	}
	a.add(name, data, 0o100755)
}

// add adds an entry, and the folders above it where they are missing. mode is that of stat(2).
func (a *archive) add(name string, data []byte, mode uint32) {
	if above := path.Dir(name); !a.made[above] {
		a.made[above] = true
		a.add(above, nil, 0o040755)
	}
	a.entry(strings.TrimPrefix(name, "/"), data, mode)
}

func (a *archive) entry(name string, data []byte, mode uint32) {
	if a.err != nil {
		return
	}
	a.n++
	const links, zero = 1, 0
	head := fmt.Appendf(nil, "070701")
	for _, field := range []uint32{uint32(a.n), mode, zero, zero, links, zero, uint32(len(data)),
		zero, zero, zero, zero, uint32(len(name) + 1), zero} {
		head = fmt.Appendf(head, "%08x", field)
	}
	head = append(append(head, name...), 0)
	for _, part := range [][]byte{head, data} {
		padding := make([]byte, -len(part)&3) // each part ends at a multiple of 4
		if _, err := a.w.Write(slices.Concat(part, padding)); err != nil {
			a.err = err
			return
		}
	}
}

func (a *archive) end() error {
	a.entry("TRAILER!!!", nil, 0)
	return a.err
}
