package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A siren is the siren of the simulated house, watched through the stream of its page.
type siren struct {
	turns chan turn
	ended chan error // gets why the stream has ended, once
	stop  context.CancelFunc
}

// A turn is the moment when it was seen that the siren had been turned on or off.
type turn struct {
	on bool
	at time.Time
}

// watchSiren watches a siren that is off.
func (s *stage) watchSiren(ctx context.Context) (*siren, error) {
	ctx, stop := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.house+"/api/house/events", nil)
	if err != nil {
		stop()
		return nil, err
	}
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		stop()
		return nil, fmt.Errorf("watching the siren: %w", err)
	}
	// A round has two turns, and both are taken: the watcher never waits, so that its times are right.
	w := &siren{turns: make(chan turn, 2), ended: make(chan error, 1), stop: stop}
	go func() {
		defer stream.Body.Close()
		w.ended <- w.watch(ctx, bufio.NewScanner(stream.Body))
	}()
	return w, nil
}

// watch reads events until the stream or ctx ends.
func (w *siren) watch(ctx context.Context, lines *bufio.Scanner) error {
	on := false
	for lines.Scan() {
		at := time.Now()
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var event struct {
			SirenOn bool `json:"siren_on"`
		}
		if err := json.Unmarshal(data, &event); err != nil {
			return fmt.Errorf("reading an event of the house: %w", err)
		}
		if event.SirenOn == on {
			continue
		}
		on = event.SirenOn
		select {
		case w.turns <- turn{on, at}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("watching the siren: %w", err)
	}
	return errors.New("the house has ended its stream")
}

// close ends the watch and waits until it is over.
func (w *siren) close() {
	w.stop()
	<-w.ended
}

// await returns when the siren's next turn was seen, which has to be this one.
func (w *siren) await(ctx context.Context, on bool) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("siren did not turn within %v; wanted on: %t", stepTimeout, on))
	defer cancel()
	select {
	case t := <-w.turns:
		if t.on != on {
			return t.at, fmt.Errorf("siren turned at the wrong time: on %t, wanted %t", t.on, on)
		}
		return t.at, nil
	case err := <-w.ended:
		w.ended <- err // for close
		return time.Time{}, err
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}
