package app

import "os/exec"

// inGroup does nothing: here, only the command itself is killed.
func inGroup(*exec.Cmd) {}
