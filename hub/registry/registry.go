// Package registry keeps what a hub knows about itself and about who may connect: devices,
// tokens, and the authorities that vouch for the hub and for devices. A device's id is also
// its twin's id; a token opens the REST API.
//
// The hub asks the registry at each CONNECT and each request and keeps no copy,
// so that `hub device` and `hub token` act at once on a running hub.
package registry

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A Device may connect over MQTT and owns the twin with its id.
type Device struct {
	ID          twin.ID
	Name        string // unique in the hub, fixed for life
	Description string // for people
	Disabled    bool   // may not connect, whatever it shows; its twin stays

	AllowInsecure            bool        // may connect knowing nothing but the id
	AllowMultipleConnections bool        // a second connection doesn't drop the first
	ReadOnly                 []twin.Name // documents that it may get but not write, in byte order

	// Certificate is the one certificate, in DER, that the device connects with. Where there
	// is none, a device authority of the hub vouches for a certificate with the device's name.
	Certificate       []byte
	CustomCertificate bool // somebody brought it; the hub didn't issue it

	// Secret is the [HashSecret] of the device's MQTT password; zero = it has none.
	Secret [sha256.Size]byte

	// MessageFilters are the vendor's, in their JSON; nil = the vendor's default. They are kept
	// for those who ask for them; nothing is routed here that they could filter.
	MessageFilters json.RawMessage

	Created      time.Time // to the microsecond, as the next two
	Updated      time.Time // of what somebody set; zero = never since it was created
	LastActivity time.Time // see [Registry.Seen]; zero = never

	// Epoch is raised by each new connection, where several hubs share the registry; a connection
	// made under a lower one is old. 0 = never. Only a link between hubs writes it, see package peers.
	Epoch int64
}

// Fingerprint is the SHA-256 of the device's certificate; zero = it has none of its own.
func (d Device) Fingerprint() (sum [sha256.Size]byte) {
	if len(d.Certificate) > 0 {
		sum = sha256.Sum256(d.Certificate)
	}
	return sum
}

// HasSecret tells whether the device has a password.
func (d Device) HasSecret() bool { return d.Secret != [sha256.Size]byte{} }

// Narrows tells whether connections that were made as the device was before may have no right to go on as it is now.
func (d Device) Narrows(before Device) bool {
	return d.Disabled || before.AllowInsecure && !d.AllowInsecure || before.AllowMultipleConnections && !d.AllowMultipleConnections ||
		d.Fingerprint() != before.Fingerprint() || d.Secret != before.Secret
}

// A Token opens the REST API, or the part of it that its scope leaves. Its secret is a
// UUID, shown once and stored as a SHA-256 hash only.
type Token struct {
	Name     string // unique in the hub
	Hash     [sha256.Size]byte
	ReadOnly bool      // changes nothing
	Device   twin.ID   // the one twin that it opens; empty = all, also those to come
	Created  time.Time // to the microsecond, as the next
	LastUsed time.Time // see [Registry.Seen]; zero = never
}

// Hub is what a hub knows about itself. A registry has one from the beginning, with an id of its own.
type Hub struct {
	ID               string // a UUID in lower case; empty while another hub is being copied here
	Name             string
	Graphite         string // URI that time series are pushed to, which may hold credentials; empty = none
	AutoProvisioning bool   // adds unknown devices that a device authority vouches for

	// The vendor's, kept for those who ask for them.
	ProjectID         string // UUIDs; empty = the hub's id
	OrganizationID    string
	DisableEvents     bool
	EventsTopicPrefix string

	Created time.Time // to the microsecond, as the next
	Updated time.Time // zero = never since it was created
}

// An AuthorityKind says whom an authority vouches for.
type AuthorityKind string

// The kinds of authorities.
const (
	ServerAuthority AuthorityKind = "server" // the hub, before devices and apps
	DeviceAuthority AuthorityKind = "device" // devices, before the hub
)

// An Authority signs certificates. All those of a kind are valid; the newest that has a key
// is the one that signs.
type Authority struct {
	Kind        AuthorityKind
	Certificate []byte // DER
	Key         []byte // PKCS #8 in DER; nil = somebody else has it
	// Cross is the same name and key in DER, certified by the server authority before this
	// one: who trusts only that one trusts this one through it. nil = there was none.
	Cross   []byte
	Created time.Time // to the microsecond
}

// IsCustom tells whether the authority vouches for devices with a key that somebody else has. One
// whose key the hub has vouches only for what the hub has on record.
func (a Authority) IsCustom() bool { return a.Kind == DeviceAuthority && a.Key == nil }

// Errors of a registry.
var (
	ErrNoDevice         = errors.New("no such device")
	ErrNoToken          = errors.New("no such token")
	ErrNameTaken        = errors.New("name is taken")
	ErrIDTaken          = errors.New("id is taken")
	ErrSecretTaken      = errors.New("another token has this secret")
	ErrCertificateTaken = errors.New("another device has this certificate")
	ErrAuthorityTwice   = errors.New("the hub has this authority already")
)

// A Registry keeps devices, tokens, authorities and what the hub knows about itself. It is safe for
// concurrent use; changes are durable when a call returns. Adding checks the name ([CheckName]).
// Removing a device removes its twin's documents with it, and the tokens that
// open nothing else. A new device starts with an empty twin, even if a request under
// way left a document behind when an earlier device with that id was removed.
//
// The functions given to the Update methods change what they are given, in one transaction, and must not
// use the registry. They are called once at most, and not any more when the method has returned. When one fails,
// nothing changes and its error is returned; one that panics does so in the caller, and nothing changes either.
// A device's id, name, time of creation and epoch stay as they are, whatever the function does to them.
// What is returned is what is kept now, and the caller's own.
type Registry interface {
	Device(ctx context.Context, id twin.ID) (Device, error)                                   // ErrNoDevice
	DeviceByName(ctx context.Context, name string) (Device, error)                            // ErrNoDevice
	DeviceByFingerprint(ctx context.Context, fingerprint [sha256.Size]byte) (Device, error)   // ErrNoDevice
	AddDevice(ctx context.Context, d Device) error                                            // ErrNameTaken, ErrIDTaken, ErrCertificateTaken
	UpdateDevice(ctx context.Context, id twin.ID, change func(*Device) error) (Device, error) // ErrNoDevice, ErrCertificateTaken
	RemoveDevice(ctx context.Context, id twin.ID) error                                       // ErrNoDevice; its twin's documents and its tokens go with it
	Devices(ctx context.Context) ([]Device, error)                                            // by name

	TokenByHash(ctx context.Context, hash [sha256.Size]byte) (Token, error) // ErrNoToken
	AddToken(ctx context.Context, t Token) error                            // ErrNameTaken, ErrSecretTaken; ErrNoDevice when it is for one that isn't there
	RemoveToken(ctx context.Context, name string) error                     // ErrNoToken
	Tokens(ctx context.Context) ([]Token, error)                            // by name

	Hub(ctx context.Context) (Hub, error)
	UpdateHub(ctx context.Context, change func(*Hub) error) (Hub, error)

	Authorities(ctx context.Context) ([]Authority, error) // oldest first
	// UpdateAuthorities replaces all authorities by what change makes of them, which has to pass [CheckAuthorities].
	UpdateAuthorities(ctx context.Context, change func([]Authority) ([]Authority, error)) ([]Authority, error)

	// Seen notes when devices were last active and when tokens, by name, were last used.
	// What is later is kept; who isn't there any more is left out.
	Seen(ctx context.Context, devices map[twin.ID]time.Time, tokens map[string]time.Time) error
}
