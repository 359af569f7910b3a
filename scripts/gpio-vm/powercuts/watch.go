//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/powercuts/report"
)

// patience bounds what a machine takes for one thing. Nothing that works comes near it, on however slow a computer.
const patience = 2 * time.Minute

// take takes what was seen, and returns a violation or what is wrong with the machine.
func (s *stage) take(m *machine, seen any) error {
	switch seen := seen.(type) {
	case current:
		s.heard, s.fresh = seen, true
		return s.book.hear(seen)
	case string:
		s.console = append(s.console, fmt.Sprintf("%7.3f %s", time.Since(m.started).Seconds(), seen))
		text, ok := strings.CutPrefix(seen, report.Prefix)
		if !ok {
			return nil
		}
		var r report.Report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil // cut short, or the kernel has spoken in between
		}
		s.last = r
		if r.Kind == report.Answer || r.Kind == report.Started || r.Kind == report.Found {
			s.answer = r
		}
		return s.book.report(r)
	case net.Conn:
		m.conn, s.fresh = seen, false
	case ended:
		m.dead = true
	}
	return nil
}

// await takes what is seen until it is enough. It is an error when the machine ends before, or takes too long.
func (s *stage) await(ctx context.Context, m *machine, what string, enough func() bool) error {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !enough() {
		select {
		case seen := <-s.seen:
			if err := s.take(m, seen); err != nil {
				return err
			}
			if m.dead && !enough() {
				return fmt.Errorf("the machine has ended by itself, instead of %s", what)
			}
		case <-timeout.C:
			return violated("within %v it didn't come to %s", patience, what)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// pause takes what is seen for a while.
func (s *stage) pause(ctx context.Context, m *machine, d time.Duration) error {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case seen := <-s.seen:
			if err := s.take(m, seen); err != nil {
				return err
			}
			if m.dead {
				return errors.New("the machine has ended by itself")
			}
		case <-over.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send asks the machine something and doesn't wait.
func (m *machine) send(word string) error {
	m.asked++
	_, err := fmt.Fprintf(m.conn, "%d %s\n", m.asked, word)
	return err
}

// ask asks the machine something and waits for the answer.
func (s *stage) ask(ctx context.Context, m *machine, word string) (report.Report, error) {
	if err := m.send(word); err != nil {
		return report.Report{}, err
	}
	err := s.await(ctx, m, "an answer to "+word, s.answered(m))
	return s.answer, err
}

// answered says that the last ask has its answer.
func (s *stage) answered(m *machine) func() bool {
	return func() bool { return s.answer.Kind == report.Answer && s.answer.ID == m.asked }
}

// lookUntil looks at the panel until it is as it should be.
func (s *stage) lookUntil(ctx context.Context, m *machine, what string, good func(report.Report) bool) (report.Report, error) {
	deadline := time.Now().Add(patience)
	for {
		r, err := s.ask(ctx, m, report.Look)
		if err != nil || good(r) {
			return r, err
		}
		if time.Now().After(deadline) {
			return r, violated("within %v it didn't come to %s: %+v", patience, what, *r.Status)
		}
		if err := s.pause(ctx, m, 20*time.Millisecond); err != nil {
			return r, err
		}
	}
}
