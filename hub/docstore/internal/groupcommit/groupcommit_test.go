package groupcommit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/internal/groupcommit"
)

// A disk takes a second for each commit and remembers the batches.
type disk struct {
	batches [][]string
	fail    error
}

func (d *disk) commit(ops []string) error {
	time.Sleep(time.Second)
	if d.fail != nil {
		return d.fail
	}
	d.batches = append(d.batches, slices.Clone(ops))
	return nil
}

func (d *disk) check(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, b := range d.batches {
		slices.Sort(b)
		got = append(got, strings.Join(b, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("batches %q, want %q", got, want)
	}
}

// start hands over an operation and returns where its answer comes.
func start(ctx context.Context, w *groupcommit.Writer[string], op string) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- w.Do(ctx, op) }()
	synctest.Wait()
	return answer
}

func wantNothingWritten(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
	if unknown, ok := errors.AsType[*docstore.OutcomeError](err); ok {
		t.Errorf("%v, want an error that says that nothing was written", unknown)
	}
}

func wantUnknown(t *testing.T, err, want error) {
	t.Helper()
	if _, ok := errors.AsType[*docstore.OutcomeError](err); !ok || !errors.Is(err, want) {
		t.Errorf("got error %v, want an unknown outcome because of %v", err, want)
	}
}

func TestWhatWaitsIsCommittedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := groupcommit.New(d.commit, nil)
		defer w.Close()
		began := time.Now()
		first := start(t.Context(), w, "first")
		var others []<-chan error
		for _, op := range []string{"a", "b", "c"} {
			others = append(others, start(t.Context(), w, op))
		}
		for _, answer := range append(others, first) {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("four operations took %v, want the time of two commits", took)
		}
		d.check(t, "first", "a b c")
	})
}

func TestBatchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := groupcommit.New(d.commit, nil)
		defer w.Close()
		var wg sync.WaitGroup
		for range 1500 {
			wg.Go(func() {
				if err := w.Do(t.Context(), "x"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		total := 0
		for _, b := range d.batches {
			total += len(b)
			if len(b) > 512 {
				t.Errorf("a batch of %d operations, want 512 at most", len(b))
			}
		}
		if total != 1500 {
			t.Errorf("%d operations were committed, want 1500", total)
		}
	})
}

// What is beyond the bytes of one commit is not taken, so that nobody has to doubt whether it was written.
func TestBatchIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := groupcommit.New(d.commit, func(op string) int { return len(op) << 20 })
		defer w.Close()
		first := start(t.Context(), w, "first")
		bb, ccc := start(t.Context(), w, "bb"), start(t.Context(), w, "ccc")
		short, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond) // within the second commit
		defer cancel()
		late, last := start(short, w, "late"), start(t.Context(), w, "last")
		wantNothingWritten(t, <-late, context.DeadlineExceeded)
		for _, answer := range []<-chan error{first, bb, ccc, last} {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		d.check(t, "first", "bb ccc", "last")
	})
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := groupcommit.New(d.commit, nil)
		defer w.Close()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		wantNothingWritten(t, w.Do(ended, "ended before"), context.Canceled)

		short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		committing := start(short, w, "committing")
		waiting := start(short, w, "waiting")
		patient := start(t.Context(), w, "patient")
		wantUnknown(t, <-committing, context.DeadlineExceeded)
		wantNothingWritten(t, <-waiting, context.DeadlineExceeded)
		if err := <-patient; err != nil {
			t.Error(err)
		}
		d.check(t, "committing", "patient")
	})
}

func TestFailureBeforeCommitEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk is full")
		d := &disk{fail: full}
		w := groupcommit.New(d.commit, nil)
		defer w.Close()
		wantNothingWritten(t, w.Do(t.Context(), "a"), full)
		d.fail = nil
		if err := w.Do(t.Context(), "b"); err != nil {
			t.Errorf("after a failure that left no doubt: %v", err)
		}
		d.check(t, "b")
	})
}

func TestCommitWithoutAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := errors.New("connection lost")
		d := &disk{fail: &docstore.OutcomeError{Err: cut}}
		w := groupcommit.New(d.commit, nil)
		defer w.Close()
		wantUnknown(t, w.Do(t.Context(), "first"), cut)
		d.fail = nil // what follows is the store's to decide
		if err := w.Do(t.Context(), "second"); err != nil {
			t.Error(err)
		}
		d.check(t, "second")
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := groupcommit.New(d.commit, nil)
		committing := start(t.Context(), w, "committing")
		waiting := start(t.Context(), w, "waiting")
		w.Close()
		w.Close()
		if err := <-committing; err != nil {
			t.Errorf("the commit under way: %v", err)
		}
		wantNothingWritten(t, <-waiting, docstore.ErrClosed)
		wantNothingWritten(t, w.Do(t.Context(), "late"), docstore.ErrClosed)
		d.check(t, "committing")
	})
}
