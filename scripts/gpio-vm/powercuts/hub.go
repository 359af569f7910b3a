//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/twin"
)

// current is what matters here of the document of that name.
type current struct {
	AlarmArmed bool     `json:"alarm_armed"`
	Faults     []string `json:"faults"`
}

// A panelHub is the panel's hub, in this process.
type panelHub struct {
	hub      *hub.Hub
	listener net.Listener
	device   twin.ID
	secret   string
	served   chan error
}

// newHub starts a hub. It calls heard for each document current that it has stored, before it says so to the panel.
func newHub(heard func(current)) (*panelHub, error) {
	h := &panelHub{secret: registry.NewSecret(), served: make(chan error, 1)}
	device, err := registry.NewDevice("panel")
	if err != nil {
		return nil, err
	}
	device.Secret, device.ReadOnly = registry.HashSecret(h.secret), []twin.Name{agent.Desired}
	h.device = device.ID
	devices := registry.NewMemory()
	if err := devices.AddDevice(context.Background(), device); err != nil {
		return nil, err
	}
	h.hub, err = hub.New(hub.Config{Documents: listeningStore{docstore.NewMemory(), heard}, Registry: devices})
	if err != nil {
		return nil, err
	}
	if h.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, h.hub.Close())
	}
	go func() { h.served <- h.hub.ServeMQTT(h.listener) }()
	return h, nil
}

func (h *panelHub) port() int { return h.listener.Addr().(*net.TCPAddr).Port }

// want puts a new version of desired.
func (h *panelHub) want(ctx context.Context, armed bool) (twin.Document, error) {
	data := fmt.Appendf(nil, `{"alarm_armed":%t}`, armed)
	return h.hub.Do(ctx, h.device, agent.Desired, twin.Put, twin.Update{Data: data}.Encode())
}

func (h *panelHub) close() error { return errors.Join(h.hub.Close(), <-h.served) }

// A listeningStore tells of each document current that it stores.
type listeningStore struct {
	docstore.Store
	heard func(current)
}

func (s listeningStore) Put(ctx context.Context, key docstore.Key, cond docstore.If, data []byte) (uint32, error) {
	version, err := s.Store.Put(ctx, key, cond, data)
	if err == nil && key.Name == agent.Current {
		var c current
		if err := json.Unmarshal(data, &c); err != nil {
			return version, err
		}
		s.heard(c)
	}
	return version, err
}
