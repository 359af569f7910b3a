package main

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kinds of file systems by the number that statfs(2) has for them, where the word is worth telling.
var fileSystems = map[uint32]string{
	unix.BTRFS_SUPER_MAGIC:     "btrfs",
	0xff534d42:                 "cifs",
	unix.EXT4_SUPER_MAGIC:      "ext4",
	unix.F2FS_SUPER_MAGIC:      "f2fs",
	unix.FUSE_SUPER_MAGIC:      "fuse",
	unix.MSDOS_SUPER_MAGIC:     "vfat",
	unix.NFS_SUPER_MAGIC:       "nfs",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	unix.RAMFS_MAGIC:           "ramfs",
	unix.SMB2_SUPER_MAGIC:      "cifs",
	unix.SQUASHFS_MAGIC:        "squashfs",
	unix.TMPFS_MAGIC:           "tmpfs",
	unix.V9FS_MAGIC:            "9p",
	unix.XFS_SUPER_MAGIC:       "xfs",
}

// storageOf tells what a folder is stored on.
func storageOf(dir string) (storage, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return storage{}, err
	}
	return storage{
		kind:     fileSystems[uint32(st.Type)],
		free:     st.Bavail * uint64(st.Bsize),
		readOnly: st.Flags&unix.ST_RDONLY != 0,
	}, nil
}

// owner tells the user and the group of a file by number.
func owner(info fs.FileInfo) (user, group uint32, known bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}

// kernel is the release of the kernel and its processor, as in 6.6.31 and aarch64.
func kernel() (release, machine string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}
