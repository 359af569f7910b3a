//go:build unix

package app

import (
	"os/exec"
	"syscall"
)

// inGroup makes a command the head of a group of processes that is killed as a whole.
func inGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
