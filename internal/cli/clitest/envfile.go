package clitest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// CheckEnvFile holds the file with a service's variables against the help of its program: the file has
// each variable once, in a line "#NAME=default".
func CheckEnvFile(t *testing.T, file, help string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^#([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		if _, twice := has[m[1]]; twice {
			t.Errorf("%s has %s twice", file, m[1])
		}
		has[m[1]] = m[2]
	}
	variable := regexp.MustCompile(`\[([A-Z]+_[A-Z_]+)\](?: \(default "?(.*?)"?\))?$`)
	bools := regexp.MustCompile(`^ *--[a-z-]+ {3,}`) // no word for a value
	flags := regexp.MustCompile(`(?m)^(?:  -\w,|     ) --`).Split(help, -1)[1:]
	for _, f := range flags {
		m := variable.FindStringSubmatch(strings.Join(strings.Fields(f), " "))
		if m == nil {
			continue // a flag without a variable
		}
		want := m[2]
		if want == "" && bools.MatchString("--"+strings.SplitN(f, "\n", 2)[0]) {
			want = "false"
		}
		got, ok := has[m[1]]
		if !ok {
			t.Errorf("%s lacks the line #%s=%s, with a comment that says what it is", file, m[1], want)
		} else if got != want && (want != "" || got != "0s") { // help leaves out a default of zero
			t.Errorf("%s says #%s=%s, the program's help %q", file, m[1], got, want)
		}
		delete(has, m[1])
	}
	for name := range has {
		t.Errorf("%s has %s, which the program doesn't know", file, name)
	}
	if len(flags) == 0 {
		t.Errorf("the help has no flags: %s", help)
	}
}
