//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A verdict is what the console of a machine says of its tests. The machine itself tells whether one has failed; what it
// can't tell is that there was none.
type verdict struct {
	suites []string // those that must run: how the guest calls them
	passed int      // tests, without those inside of others

	current string   // the suite that runs
	ran     []string // the suites of which a test has passed
	skipped []string // tests
}

// hear takes the next line.
func (v *verdict) hear(line string) {
	if args, ok := strings.CutPrefix(line, "gpio-vm: running "); ok {
		v.current, _, _ = strings.Cut(args, " -test.v")
	}
	if strings.HasPrefix(line, "--- PASS: ") {
		v.passed++
		if !slices.Contains(v.ran, v.current) {
			v.ran = append(v.ran, v.current)
		}
	}
	if name, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "--- SKIP: "); ok {
		v.skipped = append(v.skipped, name)
	}
}

// err says what is missing.
func (v *verdict) err() error {
	var missing []error
	for _, s := range v.suites {
		if !slices.Contains(v.ran, s) {
			missing = append(missing, fmt.Errorf("no test of %s has passed", s))
		}
	}
	for _, name := range v.skipped {
		missing = append(missing, fmt.Errorf("skipped, where everything is there that it needs: %s", name))
	}
	return errors.Join(missing...)
}
