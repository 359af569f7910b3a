package conformance

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// A trace is what a check said to a hub and what the hub answered, to the letter: one
// line for each thing said. People paste it, so ids are replaced by words.
type trace struct {
	mu     sync.Mutex
	hidden []string // what is hidden, each followed by what stands for it
	lines  []string
}

type traceKey struct{}

func withTrace(ctx context.Context, t *trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// traceOf is the trace of a check. Twins that aren't in a check's hands write into nothing.
func traceOf(ctx context.Context) *trace {
	t, _ := ctx.Value(traceKey{}).(*trace)
	if t == nil {
		t = new(trace)
	}
	return t
}

// hide lets a word stand for a secret from now on.
func (t *trace) hide(secret, word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if secret != "" && !slices.Contains(t.hidden, secret) {
		t.hidden = append(t.hidden, secret, word, strings.ToUpper(secret), word)
	}
}

// said adds a line.
func (t *trace) said(words string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, t.clear(words))
}

// heard adds to the last line.
func (t *trace) heard(words string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == 0 {
		t.lines = append(t.lines, ">")
	}
	t.lines[len(t.lines)-1] += "  " + t.clear(words)
}

// exchanged adds a line with both.
func (t *trace) exchanged(said, heard string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, t.clear(said)+"  < "+t.clear(heard))
}

func (t *trace) clear(words string) string {
	return brief(strings.ToValidUTF8(strings.TrimSpace(t.redact(words)), "\ufffd"))
}

// redact replaces what is hidden.
func (t *trace) redact(words string) string { return strings.NewReplacer(t.hidden...).Replace(words) }

// take returns the lines and forgets them.
func (t *trace) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.lines
	t.lines = nil
	return lines
}
