//go:build !linux

package main

import "github.com/twinpanel/twinpanel/internal/cli"

// peerCommands are for Linux only: they need its GPIO.
func peerCommands() []*cli.Command { return nil }
