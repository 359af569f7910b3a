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
	"time"
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

// killFamily kills a server and its children, and returns when the children are gone: as long as one has the server's
// shared memory, no other can be started. The server is stopped first, since it would replace them.
func killFamily(pid int) error {
	err := syscall.Kill(pid, syscall.SIGSTOP)
	awaitState(pid, 'T')
	family := append(children(pid), pid)
	for _, child := range family {
		if e := syscall.Kill(child, syscall.SIGKILL); !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	for _, child := range family {
		awaitState(child, 'Z') // whoever is its parent now may take time to look after it
	}
	if errors.Is(err, syscall.ESRCH) { // it was gone already
		return nil
	}
	return err
}

// awaitState returns when a process has a state, or is gone.
func awaitState(pid int, state byte) {
	for deadline := time.Now().Add(stopPatience); time.Now().Before(deadline); time.Sleep(pollInterval / 10) {
		if now, _, ok := status(pid); !ok || now == state || now == 'Z' {
			return
		}
	}
}

// status returns a process's state and its parent, where /proc tells.
func status(pid int) (state byte, parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name before may have anything in it
	if len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return fields[0][0], parent, err == nil
}

// children are a process's, where /proc tells. Elsewhere they end by themselves when the server is gone.
func children(parent int) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, p, ok := status(pid); ok && p == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}
