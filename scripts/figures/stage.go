package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A stage is a hub with one device, and the panel that runs as that device in a simulated house.
type stage struct {
	dir    string // with the programs; and all data
	client http.Client

	hub        *process
	mqtt, twin string // where a device and the phone reach the hub
	token      string
	device     string

	panel *process // nil = not started
	house string   // URL
}

// open starts a hub from dir.
func open(ctx context.Context, dir string) (*stage, error) {
	s := &stage{dir: dir, client: http.Client{Timeout: stepTimeout}}
	token, err := s.call(ctx, "hub", "token", "add", "phone", "--data", "data")
	if err != nil {
		return nil, err
	}
	s.token = strings.TrimSpace(token)
	if s.device, err = s.addDevice(ctx, "panel"); err != nil {
		return nil, err
	}

	s.hub, err = start(ctx, 2, dir, "hub", "--data", "data", "--mqtt", "127.0.0.1:0", "--rest", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var rest string
	if _, err := fmt.Sscanf(s.hub.head, "MQTT at %s\nREST at %s\n", &s.mqtt, &rest); err != nil {
		return nil, errors.Join(fmt.Errorf("reading where the hub is in %q: %w", s.hub.head, err), s.hub.end())
	}
	s.twin = rest + "/twins/" + s.device
	return s, nil
}

// addDevice makes a device and returns its id.
func (s *stage) addDevice(ctx context.Context, name string) (string, error) {
	added, err := s.call(ctx, "hub", "device", "add", name, "--allow-insecure", "--data", "data")
	if err != nil {
		return "", err
	}
	var device struct{ ID string }
	if err := json.Unmarshal([]byte(added), &device); err != nil {
		return "", fmt.Errorf("reading the device's id in %q: %w", added, err)
	}
	return device.ID, nil
}

// close ends panel and hub, and prints their logs if something went wrong.
func (s *stage) close(failed bool, stderr io.Writer) error {
	var err error
	for _, p := range []*process{s.panel, s.hub} {
		if p == nil {
			continue
		}
		e := p.end()
		if failed || e != nil {
			p.tellLog(stderr)
		}
		err = errors.Join(err, e)
	}
	return err
}

// startPanel starts the panel on a way to the hub and returns when it guards.
func (s *stage) startPanel(ctx context.Context, hub string) (err error) {
	s.panel, err = start(ctx, 2, s.dir, "panel", "--hub", hub, "--device-id", s.device, "--simulate", "127.0.0.1:0", "--state-dir", "state")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(s.panel.head, "house at %s\nguarding", &s.house); err != nil {
		return fmt.Errorf("reading where the house is in %q: %w", s.panel.head, err)
	}
	return nil
}

func (s *stage) endPanel() error {
	p := s.panel
	s.panel = nil
	return p.end()
}

// call runs a program to its end and returns what it prints.
func (s *stage) call(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	cmd := program(ctx, s.dir, name, args...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &failure)
	}
	return string(out), nil
}

// restartPanel starts the panel anew on a way to the hub and returns when it has published.
func (s *stage) restartPanel(ctx context.Context, hub string) error {
	if err := s.endPanel(); err != nil {
		return err
	}
	if err := s.forgetCurrent(ctx); err != nil {
		return err
	}
	if err := s.startPanel(ctx, hub); err != nil {
		return err
	}
	_, _, err := s.awaitCurrent(ctx, "anything", func(current) bool { return true })
	return err
}

// atPanel is the command of somebody at the panel: arm or disarm.
func (s *stage) atPanel(ctx context.Context, command string) error {
	_, err := s.call(ctx, "panel", command, "--state-dir", "state")
	return err
}
