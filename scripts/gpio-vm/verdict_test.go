//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	const run, pass = "gpio-vm: running /tests/cases -test.v\n", "--- PASS: TestA (0.00s)\n"
	for _, tt := range []struct {
		name, console string
		passed        int
		want          string // the error; empty = none
	}{
		{"nothing was said", "", 0, "no test of /tests/cases has passed"},
		{"no test", run + "testing: warning: no tests to run\nPASS\n", 0, "no test of /tests/cases has passed"},
		{"tests of another suite", "gpio-vm: running /tests/board\n" + pass, 1, "no test of /tests/cases has passed"},
		{"only a part of a test", run + "    --- PASS: TestA/part (0.00s)\n", 0, "no test of /tests/cases has passed"},
		{"skipped", run + pass + "--- SKIP: TestB (0.00s)\n", 1, "skipped, where everything is there that it needs: TestB (0.00s)"},
		{"part skipped", run + "    --- SKIP: TestA/part (0.00s)\n" + pass, 1, "skipped, where everything is there that it needs: TestA/part (0.00s)"},
		{"well", run + pass + pass, 2, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := verdict{suites: []string{"/tests/cases"}}
			for line := range strings.Lines(tt.console) {
				v.hear(strings.TrimSuffix(line, "\n"))
			}
			got := ""
			if err := v.err(); err != nil {
				got = err.Error()
			}
			if v.passed != tt.passed || got != tt.want {
				t.Errorf("%d passed, error %q; want %d, %q", v.passed, got, tt.passed, tt.want)
			}
		})
	}
}
