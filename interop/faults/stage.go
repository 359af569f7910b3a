//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twinpanel/twinpanel/internal/pgtest"
	"github.com/twinpanel/twinpanel/interop/faults/link"
	"github.com/twinpanel/twinpanel/twin"
)

// commandTimeout bounds a command beside the hubs. None that works comes near it.
const commandTimeout = time.Minute

// A stage is the system under test: hubs, what they keep their data in, and the network between everything.
type stage struct {
	program, dir string
	postgres     *pgtest.Server // nil = one hub with a data folder
	busy         sync.Mutex     // held by the fault that has to do with PostgreSQL
	database     string         // URL of the database, past all links
	hubs         []*hub
	devices      []twin.ID
	token        string
	mqtt, rest   string // addresses of the balancer

	stopListening context.CancelFunc
	balancers     []*link.Balancer
}

// newStage starts everything. What it has started ends with close, or with this process.
func newStage(ctx context.Context, c *Config, dir string) (_ *stage, err error) {
	s := &stage{program: c.Hub, dir: dir}
	listening, stop := context.WithCancel(context.Background())
	s.stopListening = stop
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if c.Store == storePostgres {
		if s.postgres, err = pgtest.Start(pgtest.Options{Sync: true}); err != nil {
			return nil, fmt.Errorf("starting PostgreSQL: %w", err)
		}
		if s.database, err = s.postgres.NewDatabase("twinpanel"); err != nil {
			return nil, err
		}
	}
	if err := s.addClients(ctx, c.Panels); err != nil {
		return nil, err
	}
	for i := range c.Hubs {
		if err := s.addHub(listening, fmt.Sprintf("hub-%d", i+1)); err != nil {
			return nil, err
		}
	}
	return s, s.balance(listening)
}

// addClients makes devices and a token.
func (s *stage) addClients(ctx context.Context, devices int) error {
	token, err := s.run(ctx, "token", "add", "load")
	if err != nil {
		return err
	}
	s.token = strings.TrimSpace(token)
	for i := range devices {
		out, err := s.run(ctx, "device", "add", fmt.Sprintf("panel-%d", i), "--allow-insecure")
		if err != nil {
			return err
		}
		var device struct{ ID twin.ID }
		if err := json.Unmarshal([]byte(out), &device); err != nil {
			return fmt.Errorf("reading a device's id in %q: %w", out, err)
		}
		s.devices = append(s.devices, device.ID)
	}
	return nil
}

// addHub starts a hub with its links.
func (s *stage) addHub(ctx context.Context, name string) error {
	h := &hub{name: name, logFile: filepath.Join(s.dir, name+".log"), clients: link.New()}
	s.hubs = append(s.hubs, h)
	var err error
	if h.mqttDirect, err = h.clients.Listen(ctx, h.mqttAddress); err != nil {
		return err
	}
	if h.restDirect, err = h.clients.Listen(ctx, h.restAddress); err != nil {
		return err
	}
	store := s.database
	if s.postgres != nil {
		h.store = link.New()
		u, err := url.Parse(s.database)
		if err != nil {
			return errors.New("the database's URL cannot be read") // it has a password
		}
		host := u.Host
		if u.Host, err = h.store.Listen(ctx, func() string { return host }); err != nil {
			return err
		}
		store = u.String()
	}
	h.command = func(args ...string) *exec.Cmd { return s.command(context.Background(), store, args...) }
	return h.startOnce()
}

// balance opens the addresses that clients know.
func (s *stage) balance(ctx context.Context) (err error) {
	var mqtt, rest []link.Backend
	for _, h := range s.hubs {
		mqtt = append(mqtt, link.Backend{Link: h.clients, Server: h.mqttAddress})
		rest = append(rest, link.Backend{Link: h.clients, Server: h.restAddress})
	}
	s.balancers = []*link.Balancer{link.NewBalancer(mqtt...), link.NewBalancer(rest...)}
	if s.mqtt, err = s.balancers[0].Listen(ctx); err != nil {
		return err
	}
	s.rest, err = s.balancers[1].Listen(ctx)
	return err
}

// command is a call of the hub's program. What it starts ends with this process, however that ends. Its environment has the store,
// whose password doesn't belong on a command line, and nothing that would change what is tried.
func (s *stage) command(ctx context.Context, store string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Env = []string{"HUB_STORE=" + store}
	if s.postgres == nil {
		cmd.Env = []string{"HUB_DATA=" + filepath.Join(s.dir, "data")}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs a command on the store and returns what it prints.
func (s *stage) run(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := s.command(ctx, s.database, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("hub %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}

// links are all there are.
func (s *stage) links() (all []*link.Link) {
	for _, h := range s.hubs {
		all = append(all, h.clients)
		if h.store != nil {
			all = append(all, h.store)
		}
	}
	return all
}

// close ends everything. Clients must have ended before.
func (s *stage) close() (err error) {
	s.stopListening()
	for _, h := range s.hubs {
		err = errors.Join(err, h.end())
	}
	for _, l := range s.links() {
		l.Close()
	}
	for _, b := range s.balancers {
		b.Wait()
	}
	if s.postgres != nil {
		err = errors.Join(err, s.postgres.Stop())
	}
	return err
}
