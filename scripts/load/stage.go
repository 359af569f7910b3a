//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/docstore/sqlite"
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

	seeded bool // there is a data folder with all devices
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
	data := s.path("data")
	if err := s.seed(ctx, data); err != nil {
		return nil, err
	}
	cmd := program(ctx, s.path("hub"), "--data", data, "--mqtt", at, "--mqtts", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--name", "127.0.0.1")
	p, err := s.start(cmd, "hub", "REST at ")
	if err != nil {
		return nil, err
	}
	h := &server{processes: []*process{p}, addresses: make([]string, 2)}
	if _, err := fmt.Sscanf(p.head, "MQTT at mqtt://%s\nMQTT over TLS at mqtts://%s\n", &h.addresses[plain], &h.addresses[secure]); err != nil {
		return nil, errors.Join(fmt.Errorf("the hub doesn't say where it is: %q", p.head), h.end())
	}
	return h, nil
}

// seed fills the data folder of a hub, once.
func (s *stage) seed(ctx context.Context, data string) error {
	if s.seeded {
		return nil
	}
	db, err := sqlite.Open(data, sqlite.Options{})
	if err != nil {
		return err
	}
	err = errors.Join(fill(ctx, db, db, s.size.devices()), db.Close())
	s.seeded = err == nil
	return err
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

// freeAddress is one that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// awaitListener waits until somebody listens at an address.
func awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, fmt.Errorf("nobody listens at %s", address))
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
