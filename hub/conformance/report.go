package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A Report is what was said to a hub in use and what it answered, to the letter, on each way in to
// it. Ids are replaced by words and tokens don't appear. The zero Report is empty.
type Report struct{ entries []entry }

// An entry is one check on one way in.
type entry struct {
	way, check string
	ours       bool
	leftOut    string   // why it wasn't made; empty = it was
	said       []string // with the answers
	failures   []string
}

// Live holds the twin of a hub in use to the rules of the specification: one that is broken
// fails the test at once. Where the hub differs from choices that are this project's own, the report
// says so. What a check wrote it deletes, if the twin is a [Manager]. way is a word for the report:
// how the twin is reached.
func (r *Report) Live(t *testing.T, way string, tw Twin) { r.live(t.Context(), t, way, tw) }

func (r *Report) live(ctx context.Context, to reporter, way string, tw Twin) {
	for _, check := range checks() {
		e := entry{way: way, check: check.name, ours: check.ours, leftOut: check.leftOut(tw, true)}
		if e.leftOut == "" {
			e.ask(ctx, to, check, tw)
		}
		r.entries = append(r.entries, e)
		if len(e.failures) > 0 && !e.ours {
			to.Errorf("%s", &e)
		}
	}
}

// ask makes the check.
func (e *entry) ask(ctx context.Context, to reporter, c check, tw Twin) {
	said := new(trace)
	ctx, cancel := context.WithTimeout(withTrace(ctx, said), checkTimeout)
	defer cancel()
	logf := func(format string, args ...any) {
		to.Logf("%s: %s", e.check, said.redact(fmt.Sprintf(format, args...)))
	}
	failures := record(logf, func(r reporter) { c.do(ctx, r, tw) })
	e.said = said.take()
	for _, f := range failures {
		e.failures = append(e.failures, said.redact(f))
	}
}

// String is the check, what was said, and what is wrong with that behind an exclamation mark.
func (e *entry) String() string {
	lines := append([]string{e.check + ", over " + e.way}, e.said...)
	for _, f := range e.failures {
		lines = append(lines, "! "+f)
	}
	return strings.Join(lines, "\n    ")
}

// differsAs says that nothing is new in the second of two entries.
func (e *entry) differsAs(other entry) bool {
	return e.check == other.check && slices.Equal(e.failures, other.failures)
}

// String is the whole report.
func (r *Report) String() string {
	var s strings.Builder
	for _, part := range []struct {
		title        string
		ours, failed bool
	}{
		{"Rules of the specification that the hub breaks; ! says how", false, true},
		{"Where the specification is silent, and the hub answers otherwise than this project's; ! says how", true, true},
		{"Where the specification is silent, and the hub answers as this project's", true, false},
		{"Rules of the specification that the hub keeps", false, false},
	} {
		entries := r.made(func(e entry) bool { return e.ours == part.ours && len(e.failures) > 0 == part.failed })
		fmt.Fprintf(&s, "== %s: %d\n", part.title, len(entries))
		for _, e := range entries {
			fmt.Fprintln(&s, &e)
		}
	}
	fmt.Fprintln(&s, "== Left out")
	leftOut := r.leftOut()
	for _, why := range slices.Sorted(maps.Keys(leftOut)) {
		fmt.Fprintf(&s, "%s:\n    %s\n", why, strings.Join(leftOut[why], "\n    "))
	}
	return s.String()
}

// Summary is the report in short: what the hub does as this project's by the checks' names, what it
// does otherwise with what was said, where two ways in agree in this once, and what was left out. The rules that it breaks, which
// Live has told, are counted.
func (r *Report) Summary() string {
	var s strings.Builder
	broken := names(r.made(func(e entry) bool { return !e.ours && len(e.failures) > 0 }))
	rules := names(r.made(func(e entry) bool { return !e.ours }))
	fmt.Fprintf(&s, "The hub keeps %d rules of the specification and breaks %d.\n", len(rules)-len(broken), len(broken))

	differing := r.made(func(e entry) bool { return e.ours && len(e.failures) > 0 })
	otherwise := names(differing)
	same := slices.DeleteFunc(names(r.made(func(e entry) bool { return e.ours })), func(name string) bool {
		return slices.Contains(otherwise, name)
	})
	fmt.Fprintf(&s, "Where the specification is silent, it answers as this project's hub: %d\n", len(same))
	for _, name := range same {
		fmt.Fprintln(&s, "    "+name)
	}
	fmt.Fprintf(&s, "and otherwise; ! says how: %d\n", len(otherwise))
	for i, e := range differing {
		if !slices.ContainsFunc(differing[:i], e.differsAs) {
			fmt.Fprintln(&s, &e)
		}
	}
	leftOut := r.leftOut()
	for _, why := range slices.Sorted(maps.Keys(leftOut)) {
		fmt.Fprintf(&s, "Left out, because %[2]s: %[1]d\n", len(leftOut[why]), why)
	}
	return s.String()
}

// made are the entries of this kind whose checks were made.
func (r *Report) made(kind func(entry) bool) []entry {
	return slices.DeleteFunc(slices.Clone(r.entries), func(e entry) bool { return e.leftOut != "" || !kind(e) })
}

// leftOut are the checks that were made on no way in, by the reason.
func (r *Report) leftOut() map[string][]string {
	made := names(r.made(func(entry) bool { return true }))
	checks := map[string][]string{}
	for _, e := range r.entries {
		if e.leftOut != "" && !slices.Contains(made, e.check) && !slices.Contains(checks[e.leftOut], e.check) {
			checks[e.leftOut] = append(checks[e.leftOut], e.check)
		}
	}
	return checks
}

// names are the checks of entries, each once.
func names(entries []entry) []string {
	var all []string
	for _, e := range entries {
		if !slices.Contains(all, e.check) {
			all = append(all, e.check)
		}
	}
	return all
}
