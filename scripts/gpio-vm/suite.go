//go:build linux

package main

import (
	"strings"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
	"github.com/twinpanel/twinpanel/scripts/gpio-vm/vm"
)

// A suite is a program of tests that runs in the machine.
type suite struct {
	job      job.Program
	programs map[string]vm.Program // what it needs, itself included, by file in the guest
}

// name is what the guest calls it when it runs it.
func (s suite) name() string { return strings.Join(s.job.Args, " ") }

// underRace are the cases in which the panel has the most to do at once.
const underRace = "ManyEdges|SeveralContacts|Unplugged|SirenLine|KeySwitch|Buzzer"

// suites are those for an architecture: all, or of the cases those whose name matches run.
func suites(arch, run string) []suite {
	const cases = "/tests/cases"
	programs := map[string]vm.Program{cases: tests("scripts/gpio-vm/cases", false), "/bin/panel": {Package: "./cmd/panel"}}
	if arch == "arm64" {
		programs["/bin/panel-armv6"] = vm.Program{Package: "./cmd/panel", GOARM: "6"}
	}
	if run != "" {
		return []suite{{job.Program{Args: []string{cases, "-test.run", run}}, programs}}
	}
	all := []suite{
		{job.Program{Args: []string{cases}}, programs},
		packageSuite("internal/board", false), packageSuite("sensor", false), packageSuite("siren", false),
	}
	if arch != "amd64" {
		return all
	}
	const program = "/bin/panel-race"
	return append(all,
		packageSuite("internal/board", true),
		suite{
			job.Program{Args: []string{cases, "-test.run", underRace}, Env: []string{"PROGRAM=" + program}},
			map[string]vm.Program{cases: programs[cases], program: {Package: "./cmd/panel", Race: true}},
		},
	)
}

// packageSuite is the tests of a package.
func packageSuite(path string, race bool) suite {
	file := "/tests/" + strings.ReplaceAll(path, "/", "-")
	if race {
		file += "-race"
	}
	return suite{job.Program{Args: []string{file}}, map[string]vm.Program{file: tests(path, race)}}
}

func tests(path string, race bool) vm.Program {
	return vm.Program{Package: "./" + path, Test: true, Tags: "gpiovm", Race: race}
}
