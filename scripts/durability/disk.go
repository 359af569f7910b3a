//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// privateName is the variable that tells this program that its mounts are its own.
const privateName = "DURABILITY_MOUNTS_ARE_PRIVATE"

// enterNamespace starts this program anew where no other process sees what it mounts. However it ends, the kernel then
// unmounts all of that and frees the loop devices.
func enterNamespace() error {
	for _, tool := range []string{"mkfs.ext4", "e2fsck", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return cli.Hint(err, "install e2fsprogs and mount, and have /usr/sbin in PATH")
		}
	}
	if os.Getenv(privateName) != "" {
		return nil
	}
	runtime.LockOSThread() // a namespace is one of a thread, and exec keeps that of the thread that calls it
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), privateName+"=1"))
	}
	return cli.Hint(fmt.Errorf("making mounts of its own: %w", err),
		"run it as root, or leave disks out: --power-cuts 0 --full-disks 0 --broken-disks 0")
}

// A disk is an ext4 file system in a file.
type disk struct{ image, dir string }

// newDisk makes a disk, which takes room as it is written to, and mounts it.
func newDisk(image, dir string, size int64) (*disk, error) {
	d := &disk{image, dir}
	f, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, err
	}
	// All that the file system needs for itself is really written now, so that a disk that breaks fails data alone.
	mkfs := exec.Command("mkfs.ext4", "-q", "-b", "4096", "-m", "0", "-J", "size=8", "-N", "1024", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", image)
	mkfs.Env = append(os.Environ(), "UNIX_IO_NOZEROOUT=1")
	if err := call(mkfs); err != nil {
		return nil, err
	}
	return d, d.mount()
}

// mount mounts the disk, which replays its journal. Its loop device goes when it is unmounted.
func (d *disk) mount() error { return tool("mount", "-o", "loop", d.image, d.dir) }

// unmount unmounts the disk, which the processes that used it may just be leaving.
func (d *disk) unmount() error { return unmount(d.dir) }

func unmount(dir string) error {
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if err := unix.Unmount(dir, 0); err != unix.EBUSY || time.Now().After(end) {
			return os.NewSyscallError("umount "+dir, err)
		}
	}
}

// cut is a power cut: the file system stops at once and writes nothing more, neither data nor journal.
func (d *disk) cut() error {
	const (
		shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN: _IOR('X', 125, __u32)
		noLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	err = unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
	return errors.Join(os.NewSyscallError("EXT4_IOC_SHUTDOWN", err), f.Close())
}

// comeBack is what happens when the power is back: the journal is replayed and the file system checked. What the
// page cache had is gone.
func (d *disk) comeBack() error {
	if err := errors.Join(d.unmount(), d.mount(), d.unmount()); err != nil {
		return err
	}
	if err := tool("e2fsck", "-f", "-n", d.image); err != nil {
		return err
	}
	return d.mount()
}

// sync has the file system write what it has of its own to the disk, so that it is data alone that a broken disk fails.
func (d *disk) sync() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd()))), f.Close())
}

// getWell leaves a disk that works again as it is, with what the page cache has and the disk has not. But a file system that
// was hurt itself takes no more writes until it is mounted again.
func (d *disk) getWell() error {
	var info unix.Statfs_t
	if err := unix.Statfs(d.dir, &info); err != nil {
		return os.NewSyscallError("statfs "+d.dir, err)
	}
	if info.Flags&unix.ST_RDONLY != 0 {
		return d.comeBack()
	}
	return nil
}

func tool(name string, args ...string) error { return call(exec.Command(name, args...)) }

// call runs a program that says nothing of interest when all is well.
func call(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// splitWrites has each block, which is a page of the image, written by a request of its own. A loop device whose file has no
// room for the second page of a request writes the first and says that all went well.
func (d *disk) splitWrites() error {
	var info unix.Stat_t
	if err := unix.Stat(d.dir, &info); err != nil {
		return os.NewSyscallError("stat "+d.dir, err)
	}
	limit := fmt.Sprintf("/sys/dev/block/%d:%d/queue/max_sectors_kb", unix.Major(info.Dev), unix.Minor(info.Dev))
	return os.WriteFile(limit, []byte("4"), 0)
}

// fillUp writes a file until nothing more fits on its disk.
func fillUp(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for len(block) >= 512 {
		if _, err = f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		return errors.Join(fmt.Errorf("filling a disk: %w", err), f.Close())
	}
	return f.Close()
}
