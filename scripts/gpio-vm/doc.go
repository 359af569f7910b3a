//go:build linux

// Gpio-vm shows that the panel works on the kernel's own GPIO, without hardware: it boots Debian's kernel with a simulated
// chip in QEMU and runs tests inside.
//
//	go run ./scripts/gpio-vm [--arch amd64,arm64] [--run EXPRESSION] [--cache DIR] [--timeout 15m]
//
// The tests are those of scripts/gpio-vm/cases, which run the program panel as a process and move its contacts, and those
// of internal/board, sensor and siren, including what is tested on gpio-sim only (build tag gpiovm). On amd64, board and the
// cases in which the panel has the most to do run once more under the race detector. The machine for arm64 has the device tree
// of a Raspberry Pi 5, as far as programs look at it, and runs the program for the oldest Pi (GOARM=6), too.
//
// What it shows: that lines are found, opened, read, waited for and driven as the kernel wants it, that its errors are
// understood, and what is done to the siren's line from the start to the end of the process, recorded by the kernel itself.
//
// The kernel is Debian 12's, which has no gpio-sim: the module is built from Debian's source of that kernel, with the edits
// in vm/kernel.go. An oops or a panic of the kernel fails the run.
//
// What it can't show: anything electrical (a contact that bounces, a pull that is too weak, a relay), what another chip's
// driver does with a line that nobody holds, and how fast a real computer is.
//
// scripts/gpio-vm/vm is the machine, for other tests that need one, and internal/gpiosim the chip.
package main
