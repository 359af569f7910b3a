// Package registry keeps what a hub knows about who may connect: devices and
// tokens. A device's id is also its twin's id; a token opens the REST API.
//
// The hub asks the registry at each CONNECT and each request and keeps no copy,
// so that `hub device` and `hub token` act at once on a running hub.
package registry

import (
	"context"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A Device may connect over MQTT and owns the twin with its id.
type Device struct {
	ID                       twin.ID
	Name                     string    // unique in the hub, fixed for life
	AllowInsecure            bool      // may connect knowing nothing but the id
	AllowMultipleConnections bool      // a second connection doesn't drop the first
	Created                  time.Time // to the microsecond
}

// A Token opens the REST API, or the part of it that its scope leaves. Its secret is a
// UUID, shown once and stored as a SHA-256 hash only.
type Token struct {
	Name     string // unique in the hub
	Hash     [32]byte
	ReadOnly bool      // changes nothing
	Device   twin.ID   // the one twin that it opens; empty = all, also those to come
	Created  time.Time // to the microsecond
}

// Errors of a registry.
var (
	ErrNoDevice    = errors.New("no such device")
	ErrNoToken     = errors.New("no such token")
	ErrNameTaken   = errors.New("name is taken")
	ErrIDTaken     = errors.New("id is taken")
	ErrSecretTaken = errors.New("another token has this secret")
)

// A Registry keeps devices and tokens. It is safe for concurrent use; changes
// are durable when a call returns. Adding checks the name ([CheckName]).
// Removing a device removes its twin's documents with it, and the tokens that
// open nothing else. A new device starts with an empty twin, even if a request under
// way left a document behind when an earlier device with that id was removed.
type Registry interface {
	Device(ctx context.Context, id twin.ID) (Device, error) // ErrNoDevice
	AddDevice(ctx context.Context, d Device) error          // ErrNameTaken, ErrIDTaken
	RemoveDevice(ctx context.Context, id twin.ID) error     // ErrNoDevice; its twin's documents and its tokens go with it
	Devices(ctx context.Context) ([]Device, error)          // by name

	TokenByHash(ctx context.Context, hash [32]byte) (Token, error) // ErrNoToken
	AddToken(ctx context.Context, t Token) error                   // ErrNameTaken, ErrSecretTaken; ErrNoDevice when it is for one that isn't there
	RemoveToken(ctx context.Context, name string) error            // ErrNoToken
	Tokens(ctx context.Context) ([]Token, error)                   // by name
}
