package hub

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/metrics"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Why a client is not, or no longer, taken for a device, beside what is wrong with a certificate.
var (
	errNoIdentity  = errors.New("neither client id nor user name is a device's id: see hub device list")
	errInsecure    = errors.New("the id alone does not open this device: it needs its certificate or secret (hub device renew), or hub device set --allow-insecure")
	errNoSecret    = errors.New("password shown, but the device has no secret: see hub device renew --secret")
	errWrongSecret = errors.New("password is not the device's secret: see hub device renew --secret")
	errOtherDevice = errors.New("client id or user name is the id of another device than the certificate's")
	errOff         = errors.New("device is disabled: see hub device enable")
	errReplaced    = errors.New("what the device connected with was replaced or taken back")
	errGuessing    = errors.New("too many failed logins from this address")
)

// A refusal says why a client is not taken for a device. The client itself learns no more than that.
type refusal struct {
	device registry.Device // that it was taken for so far; zero = none
	reason error
}

func (r *refusal) Error() string { return r.reason.Error() }
func (r *refusal) Unwrap() error { return r.reason }

func isRefused(err error) bool {
	_, ok := errors.AsType[*refusal](err)
	return ok
}

// credentials are what a client shows of itself at CONNECT.
type credentials struct {
	clientID string
	username string
	password string
	chain    []*x509.Certificate // over TLS, its own first, with the key to it; empty = none
	remote   string
}

// claims are the device ids among them, the one that decides first.
func (c credentials) claims() (ids []twin.ID) {
	for _, claim := range []string{c.clientID, c.username} {
		if id, err := twin.ParseID(claim); err == nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// A proof is what a session was taken for its device by: a certificate, a secret, or else
// nothing but the id.
type proof struct {
	chain       []*x509.Certificate // of a certificate
	fingerprint [sha256.Size]byte   // of the device's own certificate on record; zero = an authority vouches for it
	secret      [sha256.Size]byte   // the hash; zero = none
	checked     time.Time           // when all of this was last looked at
}

// holds returns a refusal if the proof isn't good any more for its device as it is now. What
// it can't see, the end of a certificate or of an authority, is looked at less often: see verify.
func (p *proof) holds(d registry.Device) error {
	var reason error
	switch bySecret := p.secret != [sha256.Size]byte{}; {
	case d.Disabled:
		reason = errOff
	case p.chain != nil:
		if d.Fingerprint() != p.fingerprint {
			reason = errReplaced
		}
	case bySecret:
		if d.Secret != p.secret {
			reason = errReplaced
		}
	case !d.AllowInsecure:
		reason = errInsecure
	}
	if reason == nil {
		return nil
	}
	return &refusal{d, reason}
}

// holds returns a refusal if the session may not go on for its device as it is now: see [proof.holds],
// or because it is old.
func (s *session) holds(d registry.Device) error {
	if err := s.proof.holds(d); err != nil {
		return err
	}
	if s.epoch != unknownEpoch && s.epoch != d.Epoch {
		return &refusal{d, errOld}
	}
	return nil
}

// identify finds the device that the credentials belong to. A client that shows a certificate
// is the device of that one or nothing. Any other is the device whose id is the client id, else
// the one whose id is the user name, if the password is its secret or its id alone is enough.
func (e *endpoint) identify(c credentials) (registry.Device, proof, error) {
	ctx, cancel := context.WithTimeout(context.Background(), registryTime)
	defer cancel()
	d, p, err := e.prove(ctx, c)
	if err == nil {
		err = p.holds(d) // disabled, most likely
	}
	if err != nil {
		return registry.Device{}, proof{}, err
	}
	return d, p, nil
}

func (e *endpoint) prove(ctx context.Context, c credentials) (registry.Device, proof, error) {
	if len(c.chain) > 0 {
		return e.byCertificate(ctx, c)
	}
	if wait := e.logins.wait(c.remote); wait > 0 {
		e.metrics.FailedLogin(metrics.MQTT, false)
		return registry.Device{}, proof{}, &refusal{reason: fmt.Errorf("%w: looked at again in %v", errGuessing, (wait + time.Second - 1).Truncate(time.Second))}
	}
	d, p, err := e.bySecret(ctx, c)
	if ids := c.claims(); isRefused(err) && len(ids) > 0 && !e.takesPlain(err) {
		shown := fmt.Sprintf("%q %q", ids, c.password)
		if d.ID != "" { // a client id may be another one each time
			shown = fmt.Sprintf("%q %q", d.ID, c.password)
		}
		e.logins.failed(c.remote, registry.HashSecret(shown))
		e.metrics.FailedLogin(metrics.MQTT, true)
	}
	return d, p, err
}

// bySecret is identify without a certificate. A refused device is returned as well.
func (e *endpoint) bySecret(ctx context.Context, c credentials) (d registry.Device, p proof, err error) {
	p.checked = time.Now()
	unknown := errNoIdentity
	for _, id := range c.claims() {
		d, err = e.registry.Device(ctx, id)
		switch {
		case errors.Is(err, registry.ErrNoDevice):
			// The whole of it might be a token, or the id of a device of another hub.
			unknown = fmt.Errorf("%w: %s is none", errNoIdentity, shortID(id))
			continue
		case err != nil:
			return d, p, fmt.Errorf("%w: %w", errUnavailable, err)
		}
		shown := registry.HashSecret(c.password)
		switch {
		case c.password == "": // the id alone, which holds looks at
		case d.HasSecret() && subtle.ConstantTimeCompare(shown[:], d.Secret[:]) == 1:
			p.secret = shown
		case d.HasSecret():
			return d, p, &refusal{d, errWrongSecret}
		case !d.AllowInsecure:
			return d, p, &refusal{d, errNoSecret}
		}
		return d, p, p.holds(d)
	}
	return d, p, &refusal{reason: unknown}
}

// byCertificate is identify with a certificate. It is looked at however many logins have failed:
// nobody can guess a certificate, and a neighbour must not lock it out.
func (e *endpoint) byCertificate(ctx context.Context, c credentials) (registry.Device, proof, error) {
	d, err := credential.Identify(ctx, e.registry, c.chain, time.Now())
	if unknown, ok := errors.AsType[*credential.UnknownNameError](err); ok {
		d, err = e.provision(ctx, unknown, c)
	}
	switch {
	case errors.Is(err, errUnavailable):
		return d, proof{}, err
	case err != nil:
		return d, proof{}, &refusal{reason: err}
	}
	for _, id := range c.claims() {
		if id == d.ID {
			continue
		}
		switch _, err := e.registry.Device(ctx, id); {
		case err == nil:
			return d, proof{}, &refusal{d, errOtherDevice}
		case !errors.Is(err, registry.ErrNoDevice):
			return d, proof{}, fmt.Errorf("%w: %w", errUnavailable, err)
		}
	}
	return d, proof{chain: c.chain, fingerprint: d.Fingerprint(), checked: time.Now()}, nil
}

// provision adds the device that a device authority vouches for, where the hub is set up so.
func (e *endpoint) provision(ctx context.Context, unknown *credential.UnknownNameError, c credentials) (registry.Device, error) {
	h, err := e.registry.Hub(ctx)
	switch {
	case err != nil:
		return registry.Device{}, fmt.Errorf("%w: %w", errUnavailable, err)
	case !h.AutoProvisioning:
		return registry.Device{}, unknown
	}
	d, err := registry.NewDevice(unknown.Name)
	if err != nil {
		return d, fmt.Errorf("%w, and none can have that name: %w", unknown, err)
	}
	switch err := e.registry.AddDevice(ctx, d); {
	case errors.Is(err, registry.ErrNameTaken): // by another connection, a moment ago
		return credential.Identify(ctx, e.registry, c.chain, time.Now())
	case err != nil:
		return d, fmt.Errorf("%w: adding a device: %w", errUnavailable, err)
	}
	e.log.info(string(d.ID), "device added: an authority vouches for it, and auto provisioning is on", "device", d.Name, "id", shortID(d.ID), "remote", c.remote)
	return d, nil
}

// verify looks at everything once more: whether the session's device is still there, whether what it
// connected with is still good for it, and whether its certificate is still vouched for. A
// registry that can't be read for a while is no reason to end connections.
func (s *session) verify() error {
	s.proof.checked = time.Now()
	if s.device == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), registryTime)
	defer cancel()
	d, err := s.endpoint.registry.Device(ctx, s.device)
	switch {
	case errors.Is(err, registry.ErrNoDevice):
		return errRemoved
	case err != nil:
		return nil
	}
	if err := s.holds(d); err != nil || s.proof.chain == nil {
		return err
	}
	switch again, err := credential.Identify(ctx, s.endpoint.registry, s.proof.chain, time.Now()); {
	case errors.Is(err, errUnavailable):
		return nil
	case err != nil:
		return &refusal{d, err}
	case again.ID != s.device:
		return &refusal{d, errReplaced}
	}
	return nil
}
