//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
)

// A stage is a hub under load, and what is known of it.
type stage struct {
	hub       *hub
	book      *book
	registrar *registrar
	load      *load // nil = nobody writes
	random    *rand.Rand
	found     string // folder for a copy of the data folder as it was found last

	figures *figures
}

// newStage makes a data folder.
func newStage(ctx context.Context, program, data string, random *rand.Rand, f *figures) (*stage, error) {
	if err := os.RemoveAll(data); err != nil {
		return nil, err
	}
	h, err := newHub(ctx, program, data)
	if err != nil {
		return nil, err
	}
	return &stage{hub: h, book: newBook(h.devices), registrar: newRegistrar(), random: random, figures: f}, nil
}

// restart starts the hub and holds what it has against what it said before.
func (s *stage) restart(ctx context.Context) error {
	took, err := s.hub.start()
	if err != nil {
		return fmt.Errorf("starting the hub: %w", err)
	}
	s.figures.starts = append(s.figures.starts, took)
	c := newRESTClient(s.hub.rest, s.hub.token)
	defer c.close()
	t, err := s.book.settle(c)
	if err != nil {
		return err
	}
	s.figures.tally.add(t)
	return errors.Join(s.hub.checkAuthorities(ctx), s.registrar.settle(ctx, s.hub))
}

// write has clients write and read, and commands add and remove devices and tokens, until they are told to end.
func (s *stage) write() {
	s.load = startLoad(s.hub, s.book, s.random)
	s.registrar.start(s.hub, s.book, s.random)
}

// kill kills the hub, and at times the command beside it; then it ends the load and looks at the database.
func (s *stage) kill() error {
	err := s.hub.kill()
	return errors.Join(err, s.end(s.random.IntN(2) == 0), s.inspect())
}

// end ends the load and the commands.
func (s *stage) end(killCommand bool) error {
	if s.load == nil {
		return nil
	}
	err := errors.Join(s.registrar.end(killCommand), s.load.end())
	s.load = nil
	s.figures.commands += s.registrar.acknowledged
	s.figures.commandsKilled += s.registrar.killed
	s.registrar.acknowledged, s.registrar.killed = 0, 0
	return err
}

func (s *stage) inspect() error { return inspect(s.hub.data, s.found) }

// close ends what runs.
func (s *stage) close() { _ = errors.Join(s.hub.kill(), s.end(true)) }

// explain adds to a violation what the hub has logged.
func (s *stage) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nend of the log of the hub that runs:\n%s", err, s.hub.log())
}
