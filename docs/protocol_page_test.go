package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A page is a Markdown file of this folder.
type page struct {
	file  string
	lines []string
}

func readPage(t *testing.T, file string) page {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return page{file, strings.Split(string(text), "\n")}
}

// at names a line, counted from 0, as editors do.
func (p page) at(line int) string { return fmt.Sprintf("%s:%d", p.file, line+1) }

// A block is a fenced block. Kind is the first word behind the fence, note the rest.
type block struct {
	kind, note string
	first      int // line of the page on which the block's content begins
	lines      []string
}

func (p page) blocks(t *testing.T) []block {
	t.Helper()
	var all []block
	open := -1
	for i, line := range p.lines {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case !fence:
		case open < 0:
			kind, note, _ := strings.Cut(info, " ")
			all = append(all, block{kind: kind, note: note, first: i + 1})
			open = i
		default:
			all[len(all)-1].lines = p.lines[open+1 : i]
			open = -1
		}
	}
	if open >= 0 {
		t.Fatalf("%s: the block is never closed", p.at(open))
	}
	return all
}

// A step is one line of a block: somebody says or hears something, or something happens.
type step struct {
	line  int
	who   string // the connection's name, empty for the only one
	what  string // ">" said, "<" heard, "(" happens
	words string
}

var spoken = regexp.MustCompile(`^(\w*)([<>])( .*)?$`)

// steps reads a block. A line whose words begin with more than one space goes on with the one before.
func (p page) steps(t *testing.T, b block) []step {
	t.Helper()
	var steps []step
	for i, line := range b.lines {
		m := spoken.FindStringSubmatch(line)
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "(") && strings.HasSuffix(line, ")"):
			steps = append(steps, step{b.first + i, "", "(", line[1 : len(line)-1]})
		case m == nil:
			t.Fatalf("%s: %q is nothing that a block can say", p.at(b.first+i), line)
		case strings.HasPrefix(m[3], "  ") && len(steps) > 0 && steps[len(steps)-1].what == m[2]:
			steps[len(steps)-1].words += strings.TrimLeft(m[3], " ")
		default:
			steps = append(steps, step{b.first + i, m[1], m[2], strings.TrimPrefix(m[3], " ")})
		}
	}
	return steps
}

// A row is one line of a table, without the code marks around its cells.
type row struct {
	line  int
	cells []string
}

// table returns the rows of the first table below a heading.
func (p page) table(t *testing.T, heading string) []row {
	t.Helper()
	start := slices.Index(p.lines, heading)
	if start < 0 {
		t.Fatalf("%s has no heading %q", p.file, heading)
	}
	var rows []row
	for i, line := range p.lines[start+1:] {
		if strings.HasPrefix(line, "#") || len(rows) > 0 && !strings.HasPrefix(line, "|") {
			break
		}
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.Trim(strings.TrimSpace(cell), "`"))
		}
		rows = append(rows, row{start + 1 + i, cells})
	}
	if len(rows) < 3 {
		t.Fatalf("%s: there is no table with rows below %q", p.at(start), heading)
	}
	return rows[2:] // without the head
}
