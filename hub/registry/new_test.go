package registry_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

func TestCheckName(t *testing.T) {
	for _, test := range []struct {
		name, reason string // reason "" = accepted
		help         string // part of the help
	}{
		{"", "required", "front-door"},
		{" ", "constraint", "space"},
		{" panel", "constraint", "space"},
		{"panel ", "constraint", "space"},
		{"pan\x00el", "constraint", "U+0000"},
		{"panel\n", "constraint", "U+000A"},
		{"pan\tel", "constraint", "U+0009"},
		{"pan\u00a0el", "constraint", "U+00A0"},    // a space that doesn't break
		{"pan\u200bel", "constraint", "U+200B"},    // no width at all
		{"pan\u202elenap", "constraint", "U+202E"}, // turns the writing direction
		{"pan\xffel", "format", "UTF-8"},
		{strings.Repeat("x", 65), "constraint", "64"},
		{strings.Repeat("é", 65), "constraint", "64"},
		{"0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e01", "constraint", "front-door"},
		{"0B6E2B2E-7A4B-4C39-9D5E-2F6B5C1A9E01", "constraint", "front-door"},

		{"x", "", ""},
		{"0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e0", "", ""},
		{"Front door, no. 2/b (été)", "", ""},
		{strings.Repeat("é", 64), "", ""},
	} {
		err := registry.CheckName(test.name)
		if test.reason == "" {
			if err != nil {
				t.Errorf("CheckName(%q) = %v, want no error", test.name, err)
			}
			continue
		}
		invalid, ok := errors.AsType[*twin.InvalidError](err)
		if !ok || invalid.Argument != "name" || invalid.Reason != test.reason || !strings.Contains(invalid.Help, test.help) {
			t.Errorf("CheckName(%q) = %#v, want reason %q and help with %q", test.name, err, test.reason, test.help)
		}
		if _, err := registry.NewDevice(test.name); err == nil {
			t.Errorf("NewDevice(%q) was accepted", test.name)
		}
		if _, _, err := registry.NewToken(test.name); err == nil {
			t.Errorf("NewToken(%q) was accepted", test.name)
		}
	}
}

func TestNewDevice(t *testing.T) {
	d, err := registry.NewDevice("front-door")
	if err != nil {
		t.Fatal(err)
	}
	id, err := uuid.Parse(string(d.ID))
	if err != nil || id.Version() != 4 || id.String() != string(d.ID) {
		t.Errorf("id %q, %v; want a random UUID in lower case", d.ID, err)
	}
	if d.Name != "front-door" || d.AllowInsecure || d.AllowMultipleConnections {
		t.Errorf("got %+v, want a device that may do nothing special", d)
	}
	checkCreated(t, d.Created)
	other, err := registry.NewDevice("front-door")
	if err != nil || other.ID == d.ID {
		t.Errorf("the second device has id %q, %v; the first %q", other.ID, err, d.ID)
	}
}

func TestNewToken(t *testing.T) {
	token, secret, err := registry.NewToken("phone")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := uuid.Parse(secret); err != nil || id.Version() != 4 {
		t.Errorf("secret %q, %v; want a random UUID", secret, err)
	}
	if token.Name != "phone" || token.Hash != registry.HashSecret(secret) {
		t.Errorf("got %+v, want the hash of the secret", token)
	}
	checkCreated(t, token.Created)
	if _, other, err := registry.NewToken("phone"); err != nil || other == secret {
		t.Errorf("the second token has the first one's secret, or %v", err)
	}
}

func TestHashSecret(t *testing.T) {
	// The example of FIPS 180-4 for SHA-256.
	got := registry.HashSecret("abc")
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if hex.EncodeToString(got[:]) != want {
		t.Errorf("HashSecret = %x, want %s", got, want)
	}
}

// checkCreated wants a time that every registry keeps as it is.
func checkCreated(t *testing.T, created time.Time) {
	t.Helper()
	if created.IsZero() || created.Location() != time.UTC || created.Nanosecond()%1000 != 0 {
		t.Errorf("created %v, want a time in UTC without fractions of a microsecond", created)
	}
}
