package board

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A lineName is a parsed name of a line: as the kernel names it, or chip and offset.
type lineName struct {
	text   string
	chip   string // label of the chip or its beginning; empty = text is the kernel's name
	offset int
}

// maxOffset is far above the largest chip there is.
const maxOffset = 1 << 16

func parseName(s string) (lineName, error) {
	if s == "" {
		return lineName{}, errors.New("line has no name; give one such as GPIO17")
	}
	if strings.TrimSpace(s) != s {
		return lineName{}, fmt.Errorf("line %q has a space at its start or end", s)
	}
	chip, offset, split := strings.Cut(s, ":")
	if !split {
		return lineName{text: s}, nil
	}
	n, err := strconv.ParseUint(offset, 10, 32)
	if chip == "" || err != nil || n > maxOffset {
		return lineName{}, fmt.Errorf("line %q: want the label of a chip, a colon and the line's number there, such as pinctrl-bcm2711:17", s)
	}
	return lineName{text: s, chip: chip, offset: int(n)}, nil
}

// chipLines is what a chip is called and what its lines are called, by offset. A line can
// be without a name.
type chipLines struct {
	label string
	lines []string
}

// find returns the index of the chip and the offset of the line there.
func (n lineName) find(chips []chipLines) (chip, line int, err error) {
	if n.chip == "" {
		var all []string
		for i, c := range chips {
			if l := slices.Index(c.lines, n.text); l >= 0 {
				return i, l, nil
			}
			all = append(all, c.lines...)
		}
		return 0, 0, fmt.Errorf("no line of this computer is called %s%s", n.text, didYouMean(nearest(n.text, all)))
	}
	var found, labels []string
	for i, c := range chips {
		labels = append(labels, c.label)
		if strings.HasPrefix(c.label, n.chip) {
			found = append(found, c.label)
			chip = i
		}
		if c.label == n.chip { // beats chips whose label only begins with it
			found, chip = []string{c.label}, i
			break
		}
	}
	switch {
	case len(found) == 0:
		return 0, 0, fmt.Errorf("line %s: no GPIO chip has a label that begins with %s; the labels are %s", n.text, n.chip, strings.Join(labels, ", "))
	case len(found) > 1:
		return 0, 0, fmt.Errorf("line %s: several GPIO chips have a label that begins with %s; write more of the one you mean: %s", n.text, n.chip, strings.Join(found, ", "))
	case n.offset >= len(chips[chip].lines):
		return 0, 0, fmt.Errorf("line %s: chip %s has %d lines, numbered from 0", n.text, found[0], len(chips[chip].lines))
	}
	return chip, n.offset, nil
}

func didYouMean(names []string) string {
	if len(names) == 0 {
		return "; gpioinfo lists them"
	}
	return "; did you mean " + strings.Join(names, ", ") + "?"
}

// nearest returns up to five of the names, those that begin and end most like name first.
func nearest(name string, names []string) []string {
	names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { return alike(name, s) == 0 })
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(alike(name, b), alike(name, a)), cmp.Compare(len(a), len(b)))
	})
	names = slices.Compact(names)
	return names[:min(len(names), 5)]
}

// alike counts the letters at the start and at the end that two names share, whatever
// their case.
func alike(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	most := min(len(a), len(b))
	start := 0
	for start < most && a[start] == b[start] {
		start++
	}
	end := 0
	for end < most-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	return start + end
}
