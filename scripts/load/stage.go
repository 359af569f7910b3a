//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/scripts/load/panels"
)

// A stage is where rows are measured: a folder with programs and data, and the figures so far.
type stage struct {
	dir      string
	size     size
	runs     int
	time     time.Duration
	progress io.Writer
	table    table

	filled bool // there is a data folder with all devices

	// What printMillion needs; nil = not measured.
	idle   sample // memory of an idle connection with TLS
	shared costs  // of requests to one hub on PostgreSQL
}

// build builds the hub as it ships.
func (s *stage) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", s.path("hub"), "github.com/twinpanel/twinpanel/cmd/hub")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building hub: %w\n%s", err, out)
	}
	return nil
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// startHub starts a hub on the data folder, at an address of its own or at a given one.
func (s *stage) startHub(ctx context.Context, at string) (*server, error) {
	return s.startHubAt(ctx, folderStore{s}, at)
}

// startHubs starts so many hubs on a store.
func (s *stage) startHubs(ctx context.Context, on store, n int) (*server, error) {
	all := new(server)
	for range n {
		h, err := s.startHubAt(ctx, on, "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, all.end())
		}
		all.plain, all.secure = append(all.plain, h.plain...), append(all.secure, h.secure...)
		all.processes = append(all.processes, h.processes...)
	}
	return all, nil
}

func (s *stage) startHubAt(ctx context.Context, on store, at string) (*server, error) {
	if err := on.fill(ctx); err != nil {
		return nil, err
	}
	cmd := program(ctx, s.path("hub"), "--mqtt", at, "--mqtts", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--name", "127.0.0.1")
	cmd.Env = []string{on.env()}
	p, err := s.start(cmd, "hub", "REST at ")
	if err != nil {
		return nil, err
	}
	h := &server{processes: []*process{p}, plain: make([]string, 1), secure: make([]string, 1)}
	if _, err := fmt.Sscanf(p.head, "MQTT at mqtt://%s\nMQTT over TLS at mqtts://%s\n", &h.plain[0], &h.secure[0]); err != nil {
		return nil, errors.Join(fmt.Errorf("the hub doesn't say where it is: %q", p.head), h.end())
	}
	return h, nil
}

// fill puts devices with their document "desired" into a store, as fast as it takes them.
func fill(ctx context.Context, documents docstore.Store, devices registry.Registry, n int) error {
	const writers = 128
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += writers {
				errs[w] = addPanel(ctx, documents, devices, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func addPanel(ctx context.Context, documents docstore.Store, devices registry.Registry, i int) error {
	d := registry.Device{ID: panels.ID(i), Name: fmt.Sprintf("panel %d", i), AllowInsecure: true, Created: time.Now()}
	if err := devices.AddDevice(ctx, d); err != nil {
		return fmt.Errorf("adding device %d: %w", i, err)
	}
	key := docstore.Key{Twin: d.ID, Name: panels.DesiredName}
	if _, err := documents.Put(ctx, key, docstore.Absent, panels.Desired(i)); err != nil {
		return fmt.Errorf("writing a document of device %d: %w", i, err)
	}
	return nil
}

// freeAddress is one that nobody listens at, nor is given by the system to whoever asks for any: it has to stay free until a
// program listens there that takes its time, and while it is started again.
func freeAddress() (_ string, err error) {
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20_000+rand.IntN(10_000))); err == nil { // Linux gives ports from 32768 on
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// awaitListener waits until somebody listens at an address.
func awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("nobody listens at %s", address))
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
