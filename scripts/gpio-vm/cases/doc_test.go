//go:build gpiovm

// Package cases tests the program panel on the kernel's own GPIO, with chips that gpio-sim simulates. It runs in the
// machine of scripts/gpio-vm only: it makes chips and device nodes, and expects /bin/panel.
package cases
