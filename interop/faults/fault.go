//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/twinpanel/twinpanel/interop/faults/link"
)

// A fault is something that is done to the system, and undone. do returns what exactly it was.
type fault struct {
	name     string
	postgres bool // needs PostgreSQL
	do       func(*saboteur, context.Context) (string, error)
}

// faults are all kinds.
var faults = []fault{
	{"hub killed", false, (*saboteur).killHub},
	{"hub restarted", false, (*saboteur).restartHub},
	{"hub paused", false, (*saboteur).pauseHub},
	{"PostgreSQL killed", true, (*saboteur).killPostgres},
	{"PostgreSQL restarted", true, (*saboteur).restartPostgres},
	{"listener's connection ended", true, (*saboteur).endListener},
	{"link to hub: reset once", false, onLink(clientLink, once)},
	{"link to hub: cut", false, onLink(clientLink, cut)},
	{"link to hub: blocked", false, onLink(clientLink, blocked)},
	{"link to hub: answers blocked", false, onLink(clientLink, mute)},
	{"link to hub: slow", false, onLink(clientLink, slow)},
	{"link to PostgreSQL: reset once", true, onLink(storeLink, once)},
	{"link to PostgreSQL: cut", true, onLink(storeLink, cut)},
	{"link to PostgreSQL: blocked", true, onLink(storeLink, blocked)},
	{"link to PostgreSQL: answers blocked", true, onLink(storeLink, mute)},
	{"link to PostgreSQL: slow", true, onLink(storeLink, slow)},
	{"device connects to all hubs", false, (*saboteur).takeOver},
	{"device connects to deaf hubs", true, (*saboteur).deafTakeOver},
}

// A saboteur does one fault after the other.
type saboteur struct {
	stage  *stage
	load   *load
	random *rand.Rand
}

// hold is how long a fault lasts.
func (s *saboteur) hold(longest time.Duration) time.Duration {
	const shortest = 100 * time.Millisecond
	return shortest + time.Duration(s.random.Int64N(int64(longest-shortest)))
}

// freeHub is a hub whose process no other fault has to do with. The caller unlocks it.
func (s *saboteur) freeHub() *hub {
	for _, i := range s.random.Perm(len(s.stage.hubs)) {
		if h := s.stage.hubs[i]; h.busy.TryLock() {
			return h
		}
	}
	h := s.stage.hubs[s.random.IntN(len(s.stage.hubs))]
	h.busy.Lock()
	return h
}

func (s *saboteur) killHub(ctx context.Context) (string, error) {
	h := s.freeHub()
	defer h.busy.Unlock()
	down := s.hold(1500 * time.Millisecond)
	if err := h.kill(); err != nil {
		return h.name, err
	}
	sleep(ctx, down)
	return h.name, h.start(ctx, s.random)
}

func (s *saboteur) restartHub(ctx context.Context) (string, error) {
	h := s.freeHub()
	defer h.busy.Unlock()
	if err := h.end(); err != nil {
		return h.name, err
	}
	return h.name, h.start(ctx, s.random)
}

func (s *saboteur) pauseHub(ctx context.Context) (string, error) {
	h := s.freeHub()
	defer h.busy.Unlock()
	pause := s.hold(4 * time.Second)
	if err := h.signal(syscall.SIGSTOP); err != nil {
		return h.name, err
	}
	sleep(ctx, pause)
	return h.name, h.signal(syscall.SIGCONT)
}

func (s *saboteur) killPostgres(ctx context.Context) (string, error) {
	s.stage.busy.Lock()
	defer s.stage.busy.Unlock()
	down := s.hold(time.Second)
	if err := s.stage.postgres.Kill(); err != nil {
		return "", err
	}
	sleep(ctx, down)
	return "", s.stage.postgres.Restart()
}

func (s *saboteur) restartPostgres(context.Context) (string, error) {
	s.stage.busy.Lock()
	defer s.stage.busy.Unlock()
	return "", s.stage.postgres.Restart()
}

// endListener ends the connections on which hubs hear of each other.
func (s *saboteur) endListener(ctx context.Context) (string, error) {
	s.stage.busy.Lock()
	defer s.stage.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	for {
		n, err := s.deafen(ctx)
		if err != nil || n > 0 {
			return fmt.Sprintf("%d of them", n), err
		}
		if !sleep(ctx, 100*time.Millisecond) { // after other faults, a hub may not listen again yet
			return "", errors.New("nobody listens")
		}
	}
}

const endListeners = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query ILIKE 'listen%' AND datname = current_database()`

// deafen ends those connections that there are, and returns how many.
func (s *saboteur) deafen(ctx context.Context) (n int, err error) {
	conn, err := pgx.Connect(ctx, s.stage.database)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, endListeners).Scan(&n)
	return n, err
}

// deafTakeOver connects a device to all hubs while these hear nothing of each other. Only what is in the database can stop the older connections.
func (s *saboteur) deafTakeOver(ctx context.Context) (string, error) {
	s.stage.busy.Lock()
	defer s.stage.busy.Unlock()
	deaf, hear := context.WithCancel(ctx)
	var work sync.WaitGroup
	var failed error
	work.Go(func() {
		for deaf.Err() == nil && failed == nil {
			if _, err := s.deafen(deaf); err != nil && deaf.Err() == nil {
				failed = err
			}
			sleep(deaf, 10*time.Millisecond)
		}
	})
	name, err := s.takeOver(ctx)
	hear()
	work.Wait()
	return name, errors.Join(err, failed)
}

// takeOver connects one device to each hub, past the balancer, while it is connected.
func (s *saboteur) takeOver(ctx context.Context) (string, error) {
	p := s.load.panels[s.random.IntN(len(s.load.panels))]
	ctx, cancel := context.WithTimeout(ctx, s.hold(2*time.Second))
	defer cancel()
	var visits sync.WaitGroup
	for _, h := range s.stage.hubs {
		own := newRandom(s.random)
		visits.Go(func() { p.visit(ctx, h.mqttDirect, own) })
		sleep(ctx, s.hold(300*time.Millisecond))
	}
	visits.Wait()
	return p.process, nil
}

func clientLink(h *hub) *link.Link { return h.clients }
func storeLink(h *hub) *link.Link  { return h.store }

// What can be wrong with a link, and for how long at most.
func once(*rand.Rand) (link.State, time.Duration)    { return link.State{}, 0 }
func cut(*rand.Rand) (link.State, time.Duration)     { return link.State{Cut: true}, 2 * time.Second }
func blocked(*rand.Rand) (link.State, time.Duration) { return link.State{Hold: true}, 6 * time.Second }
func mute(*rand.Rand) (link.State, time.Duration)    { return link.State{Mute: true}, 5 * time.Second }
func slow(r *rand.Rand) (link.State, time.Duration) {
	return link.State{Delay: time.Duration(r.IntN(200)) * time.Millisecond, Rate: 100 + r.IntN(5000)}, 4 * time.Second
}

// onLink does something to one hub's link. What was blocked arrives at last, or is lost with its connection.
func onLink(which func(*hub) *link.Link, how func(*rand.Rand) (link.State, time.Duration)) func(*saboteur, context.Context) (string, error) {
	return func(s *saboteur, ctx context.Context) (string, error) {
		h := s.stage.hubs[s.random.IntN(len(s.stage.hubs))]
		state, longest := how(s.random)
		if longest == 0 {
			which(h).Reset()
			return h.name, nil
		}
		which(h).Set(state)
		sleep(ctx, s.hold(longest))
		note := h.name
		if state.Rate > 0 {
			note = fmt.Sprintf("%s, %v later, %d bytes a second", h.name, state.Delay, state.Rate)
		}
		if s.random.IntN(2) == 0 {
			which(h).Reset()
			note += ", then reset"
		}
		which(h).Set(link.State{})
		return note, nil
	}
}
