package pgtest

import (
	"errors"
	"os/exec"
)

// canRun is false: Windows has no signals for an orderly end, and no /bin/sh.
const canRun = false

func runAsServer(*exec.Cmd) {}

func giveToServer(...string) error { return nil }

func endFast(int) error { return errors.ErrUnsupported }

func killFamily(int) error { return errors.ErrUnsupported }

func children(int) []int { return nil }
