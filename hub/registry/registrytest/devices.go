package registrytest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// updated is when the things of these tests were updated or seen.
var updated = made.Add(36 * time.Hour)

// errRefused is what a function gives to an Update method that shall change nothing.
var errRefused = errors.New("refused by the caller")

// fullDevice has something in every field.
func fullDevice(id twin.ID, name string) registry.Device {
	d := device(id, name)
	d.Description = "the one in the hall – 玄関\nbehind the \x00 \"plant\""
	d.Disabled, d.AllowInsecure, d.AllowMultipleConnections = true, true, true
	d.ReadOnly = []twin.Name{"_config", "desired", "z.-_~"}
	d.Certificate, d.CustomCertificate = []byte("\x30\x82 no certificate, "+name), true
	d.Secret = registry.HashSecret(name)
	d.MessageFilters = []byte(`{"publish":{"policy":"reject","topics":["a/#"]}}`)
	d.Updated, d.LastActivity = updated, updated.Add(time.Microsecond)
	return d
}

// updateDevice updates a device, which must be accepted.
func updateDevice(t *testing.T, r registry.Registry, id twin.ID, change func(*registry.Device)) registry.Device {
	t.Helper()
	d, err := r.UpdateDevice(t.Context(), id, func(d *registry.Device) error {
		change(d)
		return nil
	})
	if err != nil {
		t.Fatalf("UpdateDevice(%s): %v", id, err)
	}
	return d
}

func testFindsDevices(t *testing.T, r registry.Registry, _ docstore.Store) {
	panel, other := fullDevice(panelID, "panel"), device(otherID, "other")
	addDevice(t, r, panel)
	addDevice(t, r, other)
	for name, find := range map[string]func() (registry.Device, error){
		"DeviceByName in upper case":         func() (registry.Device, error) { return r.DeviceByName(t.Context(), "PANEL") },
		"DeviceByName, a part":               func() (registry.Device, error) { return r.DeviceByName(t.Context(), "pane") },
		"DeviceByName, a pattern":            func() (registry.Device, error) { return r.DeviceByName(t.Context(), "p%") },
		"DeviceByName, an id":                func() (registry.Device, error) { return r.DeviceByName(t.Context(), string(panelID)) },
		"DeviceByName, nothing":              func() (registry.Device, error) { return r.DeviceByName(t.Context(), "") },
		"DeviceByFingerprint of none":        func() (registry.Device, error) { return r.DeviceByFingerprint(t.Context(), other.Fingerprint()) },
		"DeviceByFingerprint, another's":     func() (registry.Device, error) { return r.DeviceByFingerprint(t.Context(), registry.HashSecret("x")) },
		"DeviceByFingerprint, a secret hash": func() (registry.Device, error) { return r.DeviceByFingerprint(t.Context(), panel.Secret) },
	} {
		d, err := find()
		if !errors.Is(err, registry.ErrNoDevice) {
			t.Errorf("%s: %q, %v; want %v", name, d.Name, err, registry.ErrNoDevice)
		}
	}
	for _, want := range []registry.Device{panel, other} {
		if d, err := r.DeviceByName(t.Context(), want.Name); err != nil || !sameDevice(d, want) {
			t.Errorf("DeviceByName(%q) = %+v, %v; want %+v", want.Name, d, err, want)
		}
	}
	if d, err := r.DeviceByFingerprint(t.Context(), panel.Fingerprint()); err != nil || !sameDevice(d, panel) {
		t.Errorf("DeviceByFingerprint = %+v, %v; want %+v", d, err, panel)
	}
	if err := r.RemoveDevice(t.Context(), panelID); err != nil {
		t.Fatal(err)
	}
	_, err := r.DeviceByName(t.Context(), "panel")
	wantError(t, "DeviceByName after RemoveDevice", err, registry.ErrNoDevice)
	_, err = r.DeviceByFingerprint(t.Context(), panel.Fingerprint())
	wantError(t, "DeviceByFingerprint after RemoveDevice", err, registry.ErrNoDevice)
}

func testRefusesUpdatesOfDevices(t *testing.T, r registry.Registry, _ docstore.Store) {
	panel, other := fullDevice(panelID, "panel"), device(otherID, "other")
	addDevice(t, r, panel)
	_, err := r.UpdateDevice(t.Context(), otherID, func(*registry.Device) error {
		t.Error("a device that isn't there is changed")
		return nil
	})
	wantError(t, "device that isn't there", err, registry.ErrNoDevice)
	addDevice(t, r, other)
	for name, change := range map[string]func(*registry.Device) error{
		"a change that fails": func(d *registry.Device) error {
			d.Description, d.Disabled, d.AllowInsecure = "changed", false, false
			d.ReadOnly[0], d.Certificate[0], d.MessageFilters[0] = "changed", 'x', 'x'
			d.ReadOnly = append(d.ReadOnly, "more")
			d.Secret, d.Updated, d.LastActivity = registry.HashSecret("changed"), time.Time{}, time.Time{}
			return errRefused
		},
		"a change that fails at once": func(*registry.Device) error { return errRefused },
	} {
		d, err := r.UpdateDevice(t.Context(), panelID, change)
		wantError(t, name, err, errRefused)
		if !sameDevice(d, registry.Device{}) {
			t.Errorf("%s: got %+v, want no device", name, d)
		}
		checkDevices(t, r, other, panel)
	}
}

func testRefusesCertificatesThatAreTaken(t *testing.T, r registry.Registry, _ docstore.Store) {
	panel, other := fullDevice(panelID, "panel"), device(otherID, "other")
	addDevice(t, r, panel)
	thief := device(otherID, "thief")
	thief.Certificate = panel.Certificate
	wantError(t, "AddDevice with another's certificate", r.AddDevice(t.Context(), thief), registry.ErrCertificateTaken)
	addDevice(t, r, other)
	take := func(d *registry.Device) error {
		d.Certificate, d.Description = []byte(string(panel.Certificate)), "with another's"
		return nil
	}
	_, err := r.UpdateDevice(t.Context(), otherID, take)
	wantError(t, "UpdateDevice to another's certificate", err, registry.ErrCertificateTaken)
	checkDevices(t, r, other, panel)

	// One's own is no other's, and no certificate is nobody's.
	updateDevice(t, r, panelID, func(d *registry.Device) { d.Description = "again" })
	third := device("0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e03", "third")
	addDevice(t, r, third)
	// What nobody has any more can be had.
	updateDevice(t, r, panelID, func(d *registry.Device) { d.Certificate = nil })
	if _, err := r.UpdateDevice(t.Context(), otherID, take); err != nil {
		t.Errorf("a certificate that another device has no longer: %v", err)
	}
	if d, err := r.DeviceByFingerprint(t.Context(), panel.Fingerprint()); err != nil || d.ID != otherID {
		t.Errorf("DeviceByFingerprint = %q, %v; want the device that has it now", d.Name, err)
	}
}

func testUpdatesDevices(t *testing.T, r registry.Registry, _ docstore.Store) {
	bare, full := device(panelID, "panel"), fullDevice(panelID, "panel")
	empty := bare
	empty.MessageFilters = []byte("{}")
	other := fullDevice(otherID, "other")
	addDevice(t, r, bare)
	addDevice(t, r, other)
	// From nothing to everything and back, with what is there but empty on the way.
	for _, want := range []registry.Device{full, empty, full, bare} {
		got := updateDevice(t, r, panelID, func(d *registry.Device) { *d = want })
		if !sameDevice(got, want) {
			t.Errorf("UpdateDevice = %+v, want %+v", got, want)
		}
		checkDevices(t, r, other, want)
		if got.HasSecret() != (want.Secret == registry.HashSecret("panel")) {
			t.Errorf("HasSecret = %t with the secret %x", got.HasSecret(), got.Secret)
		}
	}
	// Each field alone: the others stay.
	want := full
	updateDevice(t, r, panelID, func(d *registry.Device) { *d = full })
	for _, change := range []func(*registry.Device){
		func(d *registry.Device) { d.Description = strings.Repeat("long ", 1000) },
		func(d *registry.Device) { d.Disabled = false },
		func(d *registry.Device) { d.AllowInsecure = false },
		func(d *registry.Device) { d.AllowMultipleConnections = false },
		func(d *registry.Device) { d.ReadOnly = []twin.Name{"desired"} },
		func(d *registry.Device) { d.CustomCertificate = false },
		func(d *registry.Device) { d.Certificate = []byte("another certificate") },
		func(d *registry.Device) { d.Secret = registry.HashSecret("another secret") },
		func(d *registry.Device) { d.MessageFilters = []byte(`{"subscribe":{}}`) },
		func(d *registry.Device) { d.Updated = updated.Add(time.Hour) },
		func(d *registry.Device) { d.LastActivity = made },
	} {
		change(&want)
		updateDevice(t, r, panelID, change)
		if got, err := r.Device(t.Context(), panelID); err != nil || !sameDevice(got, want) {
			t.Errorf("Device = %+v, %v; want %+v", got, err, want)
		}
	}
	if d, err := r.DeviceByFingerprint(t.Context(), want.Fingerprint()); err != nil || d.ID != panelID {
		t.Errorf("DeviceByFingerprint of the new certificate = %q, %v", d.Name, err)
	}
	_, err := r.DeviceByFingerprint(t.Context(), full.Fingerprint())
	wantError(t, "DeviceByFingerprint of the old certificate", err, registry.ErrNoDevice)
}

func testUpdateKeepsWhoADeviceIs(t *testing.T, r registry.Registry, _ docstore.Store) {
	want := device(panelID, "panel")
	addDevice(t, r, want)
	got := updateDevice(t, r, panelID, func(d *registry.Device) {
		if !sameDevice(*d, want) {
			t.Errorf("the device to change is %+v, want %+v", *d, want)
		}
		d.ID, d.Name, d.Created, d.Description = otherID, "other", updated, "still the same"
	})
	want.Description = "still the same"
	if !sameDevice(got, want) {
		t.Errorf("UpdateDevice = %+v, want %+v", got, want)
	}
	checkDevices(t, r, want)
}

// What a caller gave or got is the caller's: changing it changes nothing in the registry.
func testSharesNoDevice(t *testing.T, r registry.Registry, _ docstore.Store) {
	want, given := fullDevice(panelID, "panel"), fullDevice(panelID, "panel")
	spoil := func(d registry.Device) {
		d.ReadOnly[0], d.Certificate[0], d.MessageFilters[0] = "spoilt", 'x', 'x'
	}
	addDevice(t, r, given)
	spoil(given)
	checkDevices(t, r, want)

	var kept registry.Device
	got := updateDevice(t, r, panelID, func(d *registry.Device) {
		kept = *d
		d.Disabled = false
	})
	want.Disabled = false
	spoil(kept)
	if !sameDevice(got, want) {
		t.Errorf("UpdateDevice = %+v, want %+v", got, want)
	}
	spoil(got)
	checkDevices(t, r, want)
	for name, get := range map[string]func() (registry.Device, error){
		"Device":              func() (registry.Device, error) { return r.Device(t.Context(), panelID) },
		"DeviceByName":        func() (registry.Device, error) { return r.DeviceByName(t.Context(), "panel") },
		"DeviceByFingerprint": func() (registry.Device, error) { return r.DeviceByFingerprint(t.Context(), want.Fingerprint()) },
		"Devices": func() (registry.Device, error) {
			all, err := r.Devices(t.Context())
			return all[0], err
		},
	} {
		d, err := get()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		spoil(d)
		checkDevices(t, r, want)
	}
}
