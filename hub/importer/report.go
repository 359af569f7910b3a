package importer

import (
	"cmp"
	"fmt"
	"slices"
)

// A Report says what became of what the source has.
type Report struct {
	Hub       string `json:"hub"` // its id
	Name      string `json:"name"`
	DryRun    bool   `json:"dry_run"`
	Devices   Count  `json:"devices"`
	Documents Count  `json:"documents"`
	// Verified is whether everything was read again at the end and found to be here, but for what was left behind.
	Verified bool `json:"verified"`
	// Findings are in the order of their kinds, then of their texts.
	Findings []Finding `json:"-"`

	found map[Kind]int // all of each kind, while Findings has at most maxFindings
}

// A Count is about devices or documents.
type Count struct {
	Found      int `json:"found"` // at the source
	Added      int `json:"added"`
	Updated    int `json:"updated"`     // the source's was newer
	Unchanged  int `json:"unchanged"`   // the same on both sides
	Kept       int `json:"kept"`        // the one here is newer
	Conflicts  int `json:"conflicts"`   // nobody can say which one is right: the one here was left as it is
	LeftBehind int `json:"left_behind"` // can't be had here
	Changed    int `json:"changed"`     // at the source, since it was read
}

// A Kind is what a finding means.
type Kind string

// The kinds of findings, the gravest first.
const (
	Conflict   Kind = "conflict"    // nobody can say which side is right; nothing was overwritten
	LeftBehind Kind = "left behind" // the source has it and it can't be had here
	Changed    Kind = "changed"     // at the source, while the import ran
	Kept       Kind = "kept"        // here, since it is newer than at the source or isn't there
	Note       Kind = "note"        // something to know
)

var kinds = []Kind{Conflict, LeftBehind, Changed, Kept, Note}

// A Finding is one thing that a person should know.
type Finding struct {
	Kind Kind
	Text string
}

func (f Finding) String() string { return string(f.Kind) + ": " + f.Text }

// maxFindings of each kind are kept. The counts have them all.
const maxFindings = 1000

// Complete says why the import is not, or nil.
func (r Report) Complete() error {
	changed, conflicts, left := r.found[Changed], r.found[Conflict], r.found[LeftBehind]
	switch {
	case changed > 0:
		return &Error{
			fmt.Errorf("the source changed while it was read: %s", listed(changed)),
			"run the same command again; once the hub at the source is disabled, nothing changes there any more",
		}
	case conflicts > 0:
		return &Error{
			fmt.Errorf("source and data folder contradict each other: %s", listed(conflicts)),
			"put the right document once more on its side, since the higher version stands, and run the same command again",
		}
	case left > 0:
		return &Error{
			fmt.Errorf("not everything came over: %s", listed(left)),
			"change that at the source and run the same command again, or go on without it",
		}
	}
	return nil
}

func listed(n int) string {
	if n == 1 {
		return "see the line above"
	}
	return fmt.Sprintf("see the lines above, %d of them", n)
}

// add takes a finding in.
func (r *Report) add(kind Kind, text string) {
	if r.found == nil {
		r.found = make(map[Kind]int)
	}
	if r.found[kind]++; r.found[kind] <= maxFindings {
		r.Findings = append(r.Findings, Finding{kind, text})
	}
}

// finish puts the findings into an order that doesn't depend on which goroutine was faster.
func (r *Report) finish() {
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Text, b.Text))
	})
	for _, kind := range kinds {
		if more := r.found[kind] - maxFindings; more > 0 {
			r.Findings = append(r.Findings, Finding{kind, fmt.Sprintf("and %d more", more)})
		}
	}
}

// after joins what the last look found with what was brought before it.
func (r Report) after(brought Report) Report {
	r.Devices = r.Devices.after(brought.Devices)
	r.Documents = r.Documents.after(brought.Documents)
	r.Verified = r.found[Changed] == 0 && r.found[Conflict] == 0
	return r
}

func (c Count) after(brought Count) Count {
	c.Changed = c.Added + c.Updated
	c.Added, c.Updated, c.Unchanged = brought.Added, brought.Updated, brought.Unchanged
	return c
}
