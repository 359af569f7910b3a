//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// A generator is the process with the panels. They are connected as long as it runs.
type generator struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	reports *json.Decoder
	log     bytes.Buffer
}

// startGenerator returns when all panels of a job are connected.
func startGenerator(ctx context.Context, j panels.Job) (*generator, error) {
	cmd, err := itself(ctx, "generate")
	if err != nil {
		return nil, err
	}
	g := &generator{cmd: cmd}
	cmd.Stderr = &g.log
	out, err := cmd.StdoutPipe()
	if err == nil {
		g.in, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting a generator: %w", err)
	}
	g.reports = json.NewDecoder(out)
	var r panels.Report
	if err := errors.Join(json.NewEncoder(g.in).Encode(j), g.reports.Decode(&r)); err != nil {
		return nil, g.failed(err)
	}
	return g, nil
}

// begin lets the panels do their job.
func (g *generator) begin() error {
	if _, err := io.WriteString(g.in, "\n"); err != nil {
		return g.failed(err)
	}
	return nil
}

// result waits until they have done it.
func (g *generator) result() (panels.Result, error) {
	var r panels.Report
	if err := g.reports.Decode(&r); err != nil {
		return panels.Result{}, g.failed(err)
	}
	return *r.Result, nil
}

// end ends the panels' connections.
func (g *generator) end() error {
	g.in.Close()
	if err := g.cmd.Wait(); err != nil {
		return fmt.Errorf("generator: %w\n%s", err, &g.log)
	}
	return nil
}

// failed says why a generator has ended before its time.
func (g *generator) failed(err error) error {
	g.in.Close()
	g.cmd.Process.Kill() // it may be waiting
	g.cmd.Wait()
	return fmt.Errorf("generator: %w\n%s", err, &g.log)
}

// A run is what came of a job, and what it took.
type run struct {
	panels.Result
	serverTime    time.Duration // of the processors, by all processes of the server
	generatorTime time.Duration
}

// rate is in requests a second.
func (r run) rate() float64 { return float64(r.Requests) / r.Time.Seconds() }

// hostileRate is how many connections hostile clients have made in a second.
func (r run) hostileRate() float64 { return float64(r.Hostile) / r.Time.Seconds() }

// perRequest is the server's processor time for each request, in nanoseconds.
func (r run) perRequest() float64 { return float64(r.serverTime) / float64(max(r.Requests, 1)) }

// do lets panels do a job at a server, from the first connection to the last.
func (s *stage) do(ctx context.Context, at *server, j panels.Job) (r run, err error) {
	j.ByID = at.byID
	if j.Servers == nil {
		j.Servers = at.plain
	}
	if j.Time == 0 {
		j.Time = s.time
	}
	g, err := startGenerator(ctx, j)
	if err != nil {
		return run{}, err
	}
	pids := at.pids()
	serverBefore, err := processTime(pids...)
	if err != nil {
		return run{}, g.failed(err)
	}
	generatorBefore, err := processTime(g.cmd.Process.Pid)
	if err == nil {
		err = g.begin()
	}
	if err != nil {
		return run{}, err
	}
	if r.Result, err = g.result(); err != nil {
		return run{}, err
	}
	serverAfter, err1 := processTime(pids...)
	generatorAfter, err2 := processTime(g.cmd.Process.Pid)
	r.serverTime, r.generatorTime = serverAfter-serverBefore, generatorAfter-generatorBefore
	return r, errors.Join(err1, err2, g.end())
}

// generatorPerRequest is the generator's.
func (r run) generatorPerRequest() float64 {
	return float64(r.generatorTime) / float64(max(r.Requests, 1))
}

// runs are those of one side of a row.
type runs []run

// of makes a sample of one figure of each.
func (r runs) of(figure func(run) float64) (s sample) {
	for _, one := range r {
		s = append(s, figure(one))
	}
	return s
}

// alternate does a job at the hub and at its peer by turns, n times.
func (s *stage) alternate(ctx context.Context, n int, hub, peer *server, j panels.Job) (ours, theirs runs, err error) {
	for range n {
		a, err := s.do(ctx, hub, j)
		if err != nil {
			return nil, nil, fmt.Errorf("hub: %w", err)
		}
		b, err := s.do(ctx, peer, j)
		if err != nil {
			return nil, nil, fmt.Errorf("peer: %w", err)
		}
		ours, theirs = append(ours, a), append(theirs, b)
	}
	return ours, theirs, nil
}
