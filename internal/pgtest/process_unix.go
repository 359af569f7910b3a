//go:build unix

package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

const canRun = true

// serverUser is who the server's processes belong to, if not to this one's user: PostgreSQL refuses root.
func serverUser() *syscall.Credential {
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, e1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, e2 := strconv.ParseUint(u.Gid, 10, 32)
		if e1 == nil && e2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	return nil
}

// runAsServer makes a command run as the server's user, away from the terminal, whose Ctrl-C is not meant for it.
func runAsServer(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: serverUser()}
}

// giveToServer makes the server's user the owner of files.
func giveToServer(paths ...string) error {
	to := serverUser()
	for _, path := range paths {
		if to == nil {
			continue
		}
		if err := os.Chown(path, int(to.Uid), int(to.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// endFast asks a server to end without waiting for its clients.
func endFast(pid int) error { return syscall.Kill(pid, syscall.SIGINT) }

// killFamily kills a server and its children. The server is stopped first, since it would replace them.
func killFamily(pid int) error {
	err := syscall.Kill(pid, syscall.SIGSTOP)
	for _, child := range append(children(pid), pid) {
		if e := syscall.Kill(child, syscall.SIGKILL); !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	if errors.Is(err, syscall.ESRCH) { // it was gone already
		return nil
	}
	return err
}

// children are a process's, where /proc tells. Elsewhere they end by themselves when the server is gone.
func children(parent int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before may have anything in it
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}
