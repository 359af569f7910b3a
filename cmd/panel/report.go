package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/twinpanel/twinpanel/internal/board"
	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/panel"
)

// public are the findings that a report tells in full. The others may name hosts, devices and files.
var public = []string{"flags", "clock", "storage", "kernel", "gpio", "lines", "siren", "key", "buzzer", "doors", "fault"}

// secrets returns what hides in a finding what a report must not tell.
func (c *Config) secrets() func(what, text string) string {
	return func(what, text string) string {
		if slices.Contains(public, what) || strings.HasPrefix(what, "door ") {
			return text
		}
		return "(left out)"
	}
}

// report prints what this program runs on, for others to read.
func (c *Config) report(w io.Writer, b bench) {
	say := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-13s %s\n", what, fmt.Sprintf(format, args...))
	}
	computer := os.DirFS("/")
	release, machine := kernel()
	say("panel", "%s %s", cli.Version(), build())
	say("system", "%s", cmp.Or(osRelease(computer), "unknown"))
	say("kernel", "%s", cmp.Or(strings.TrimSpace(release+" "+machine), "unknown"))
	say("board", "%s", cmp.Or(firmware(computer, "model"), "unknown"))
	say("compatible", "%s", cmp.Or(firmware(computer, "compatible"), "unknown"))
	say("memory", "%s", cmp.Or(memory(computer), "unknown"))
	say("init", "%s", cmp.Or(firstLine(computer, "proc/1/comm"), "unknown"))
	say("network time", "%s", networkTime())
	if s, err := storageOf(existing(c.StateDir)); err == nil && c.StateDir != "" {
		say("storage", "%s", s)
	}
	chips, err := b.chips()
	if err != nil || len(chips) == 0 {
		say("chip", "none")
	}
	for _, chip := range chips {
		say("chip", "%s", chipLine(chip))
	}
}

// build is what the program was built with and for: "go1.26.0 linux/arm GOARM=6".
func build() string {
	arm := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "GOARM" {
				arm = " GOARM=" + s.Value
			}
		}
	}
	return runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + arm
}

// networkTime says whether the kernel is told the time.
func networkTime() string {
	switch yes, known := panel.Synchronised(); {
	case !known:
		return "unknown"
	case yes:
		return "yes"
	}
	return "no"
}

// chipLine is a chip with what uses its lines: "pinctrl-bcm2711, 58 lines; GPIO27 out by panel".
func chipLine(chip board.Chip) string {
	if chip.Err != nil {
		return chip.Path + " may not be opened"
	}
	text := chip.Label + ", " + count(chip.Lines, "line")
	var used []string
	for _, l := range chip.Used {
		direction := "in"
		if l.Output {
			direction = "out"
		}
		used = append(used, fmt.Sprintf("%s %s by %s", cmp.Or(l.Name, strconv.Itoa(l.Offset)), direction, cmp.Or(l.By, "somebody")))
	}
	if len(used) > 0 {
		text += "; " + strings.Join(used, ", ")
	}
	return text
}

// firstLine is that of a file; empty if there is none.
func firstLine(computer fs.FS, name string) string {
	b, err := fs.ReadFile(computer, name)
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.TrimSpace(string(first))
}

// firmware is a property of the device tree, whose words end with zeros.
func firmware(computer fs.FS, property string) string {
	return strings.TrimSpace(strings.ReplaceAll(firstLine(computer, "proc/device-tree/"+property), "\x00", " "))
}

// osRelease is the name of the system, as os-release(5) has it.
func osRelease(computer fs.FS) string { return field(computer, "etc/os-release", "PRETTY_NAME=") }

// memory is how much there is.
func memory(computer fs.FS) string {
	words := strings.Fields(field(computer, "proc/meminfo", "MemTotal:"))
	if len(words) == 0 {
		return ""
	}
	kib, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil {
		return ""
	}
	return megabytes(kib << 10)
}

// field is the rest of the first line that begins with a key, without quotes.
func field(computer fs.FS, name, key string) string {
	b, err := fs.ReadFile(computer, name)
	if err != nil {
		return ""
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if value, found := strings.CutPrefix(s.Text(), key); found {
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}
