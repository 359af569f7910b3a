// Package importer brings a hub, its devices and their documents over from a vendor-shaped API:
// Scaleway's IoT Hub, or another hub of this project. Devices keep their ids, names and certificates,
// documents their versions.
//
// The source is only read. An import that was interrupted, in whatever way, is run again and goes on: what is the same on both sides is
// left alone, and of two versions the higher one stands. So devices can move while others still work
// at the source. Nothing is overwritten where it isn't clear which side is right.
//
// The source is not trusted: what it sends is bounded in size and time, and checked as if a client had sent it.
package importer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Config says what to import.
type Config struct {
	Source    string            // root of the API, with or without its path: https://api.scaleway.com
	Token     string            // opens the source
	Hub       string            // id of the hub; empty = the only one there
	CAFile    string            // certificates, in PEM, of the authorities that may vouch for the source; empty = those that the system trusts
	Insecure  bool              // ask in plain text also outside loopback
	Transport http.RoundTripper // nil = the network; otherwise CAFile has no say
	Progress  func(line string) // what is being done, for people, called by one goroutine at a time; nil = nobody listens
}

// A Target is where an import goes: an empty registry, or the one of an earlier import of the same hub. No
// hub may be at work on it.
type Target struct {
	Documents docstore.Store
	Registry  registry.Registry
}

// A Source is a hub that can be imported.
type Source struct {
	client *client
	id     string
}

// Open finds the hub at the source. Errors that a person can do something about have a method Hint() string.
func Open(ctx context.Context, c Config) (*Source, error) {
	client, err := newClient(c)
	if err != nil {
		return nil, err
	}
	s := &Source{client: client}
	if c.Hub != "" {
		id, err := twin.ParseID(c.Hub)
		if err != nil {
			return nil, &Error{fmt.Errorf("the hub's id is %q: expected a UUID", excerpt(c.Hub)), "without --hub, the hubs that are there are listed if there are several"}
		}
		s.id = string(id)
	}
	h, err := s.hub(ctx)
	if err != nil {
		return nil, err
	}
	s.id = h.ID
	return s, nil
}

// hub reads the hub, or finds the only one.
func (s *Source) hub(ctx context.Context) (vendorHub, error) {
	all, err := s.client.hubs(ctx)
	if err != nil {
		return vendorHub{}, err
	}
	var list strings.Builder
	for _, h := range all {
		if h.ID == s.id || s.id == "" && len(all) == 1 {
			return h, nil
		}
		fmt.Fprintf(&list, "\n  %s %q, %d devices", h.ID, excerpt(h.Name), h.DeviceCount)
	}
	switch {
	case len(all) == 0:
		return vendorHub{}, &Error{errors.New("the token sees no hub at the source"), "check that the token is of the project that has the hub, and may read it"}
	case s.id == "":
		return vendorHub{}, &Error{fmt.Errorf("the source has several hubs:%s", &list), "choose one with --hub ID"}
	}
	return vendorHub{}, &Error{fmt.Errorf("the source has no hub %s, but:%s", s.id, &list), "choose one of those with --hub ID"}
}

// Import brings everything over, then reads the source again and compares. It reports also where it fails half-way;
// then, and wherever the report is not [Report.Complete], it can be run again.
func (s *Source) Import(ctx context.Context, t Target) (Report, error) {
	if err := s.checkTarget(ctx, t); err != nil {
		return Report{}, err
	}
	brought, err := s.pass(ctx, t, writing)
	if err != nil {
		return brought, err
	}
	found, err := s.pass(ctx, t, verifying)
	return found.after(brought), err
}

// Plan reports what Import would do, and writes nothing.
func (s *Source) Plan(ctx context.Context, t Target) (Report, error) {
	if err := s.checkTarget(ctx, t); err != nil {
		return Report{}, err
	}
	return s.pass(ctx, t, planning)
}

// checkTarget refuses what belongs to another hub. A registry without devices is nobody's.
func (s *Source) checkTarget(ctx context.Context, t Target) error {
	h, err := t.Registry.Hub(ctx)
	if err != nil || h.ID == s.id {
		return err
	}
	devices, err := t.Registry.Devices(ctx)
	if err != nil || len(devices) == 0 {
		return err
	}
	return &Error{
		fmt.Errorf("the data folder has the %d devices of another hub, %s %q", len(devices), h.ID, h.Name),
		"name a new folder with --data, or the one in which the import of this hub was begun",
	}
}
