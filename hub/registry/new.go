package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/twinpanel/twinpanel/twin"
)

// MaxNameLen is the longest name of a device or token, in characters. A
// device's name becomes the common name of its certificate, which X.509 limits
// to 64 (RFC 5280, ub-common-name).
const MaxNameLen = 64

// MaxDescriptionLen is the longest description of a device, in characters.
const MaxDescriptionLen = 255

// CheckName says whether a name fits a device or a token: 1 to [MaxNameLen]
// printable characters, no space at either end. What looks like a device's id is
// refused, since commands take either. The error is a [*twin.InvalidError].
func CheckName(name string) error {
	invalid := func(reason, help string) error {
		return &twin.InvalidError{Argument: "name", Reason: reason, Help: help}
	}
	switch {
	case name == "":
		return invalid("required", "give a name, such as front-door")
	case !utf8.ValidString(name):
		return invalid("format", "write the name in UTF-8")
	case utf8.RuneCountInString(name) > MaxNameLen:
		return invalid("constraint", fmt.Sprintf("shorten the name to %d characters", MaxNameLen))
	case strings.HasPrefix(name, " ") || strings.HasSuffix(name, " "):
		return invalid("constraint", "remove the space at the beginning or end of the name")
	}
	if _, err := twin.ParseID(name); err == nil {
		return invalid("constraint", "a name of this form is taken for an id: choose a name for people, such as front-door")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return invalid("constraint", fmt.Sprintf("remove the unprintable character %U from the name", r))
		}
	}
	return nil
}

// NewDevice makes a device with a new random id. It may not connect without a
// credential until its AllowInsecure is set.
func NewDevice(name string) (Device, error) {
	if err := CheckName(name); err != nil {
		return Device{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Device{}, fmt.Errorf("making a device id: %w", err)
	}
	return Device{ID: twin.ID(id.String()), Name: name, Created: now()}, nil
}

// NewSecret makes a device's MQTT password: 26 letters and digits with 130 random bits. It is not
// kept: show it once, and give the device its [HashSecret].
func NewSecret() string { return rand.Text() }

// NewHub is what a new registry knows about its hub.
func NewHub() Hub {
	return Hub{ID: uuid.NewString(), Name: "hub", EventsTopicPrefix: "$SCW/events", Created: now()}
}

// CheckAuthorities refuses authorities that no registry keeps: without a certificate, of a kind that
// there is not, or one that is there twice ([ErrAuthorityTwice]).
func CheckAuthorities(all []Authority) error {
	seen := make(map[string]bool)
	for _, a := range all {
		switch {
		case a.Kind != ServerAuthority && a.Kind != DeviceAuthority:
			return fmt.Errorf("authority of the kind %q: expected %s or %s", a.Kind, ServerAuthority, DeviceAuthority)
		case len(a.Certificate) == 0:
			return errors.New("authority without a certificate")
		case seen[string(a.Certificate)]:
			return ErrAuthorityTwice
		}
		seen[string(a.Certificate)] = true
	}
	return nil
}

// NewToken makes a token with a new secret. The secret is not kept: show it
// once, and add the token to a registry.
func NewToken(name string) (t Token, secret string, err error) {
	if err := CheckName(name); err != nil {
		return Token{}, "", err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return Token{}, "", fmt.Errorf("making a token: %w", err)
	}
	secret = id.String()
	return Token{Name: name, Hash: HashSecret(secret), Created: now()}, secret, nil
}

// HashSecret is what a registry knows a secret by. A secret has 122 random
// bits or more, so a fast hash without salt is enough: there is nothing to guess.
// Looking the hash up gives nothing away by its timing either, since nobody
// can choose a hash's bytes without knowing a secret.
func HashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

func now() time.Time { return micro(time.Now()) }

// micro is a time as every registry keeps it.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
