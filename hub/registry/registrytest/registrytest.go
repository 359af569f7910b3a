// Package registrytest is the contract of [registry.Registry] as tests: every
// registry of the project passes them.
package registrytest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Run tests the registries that open returns, each of them new and empty, with
// the store whose documents their devices own.
func Run(t *testing.T, open func(t *testing.T) (registry.Registry, docstore.Store)) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, registry.Registry, docstore.Store)
	}{
		{"Empty", testEmpty},
		{"RefusesNames", testRefusesNames},
		{"RefusesWhatIsTaken", testRefusesWhatIsTaken},
		{"KeepsDevices", testKeepsDevices},
		{"KeepsTokens", testKeepsTokens},
		{"KeepsScopesOfTokens", testKeepsScopesOfTokens},
		{"RemovedDeviceTakesItsTokensAlong", testRemovedDeviceTakesItsTokensAlong},
		{"RemovedDeviceTakesItsDocumentsAlong", testRemovedDeviceTakesItsDocumentsAlong},
		{"NewDeviceStartsWithAnEmptyTwin", testNewDeviceStartsWithAnEmptyTwin},
		{"FindsDevices", testFindsDevices},
		{"RefusesUpdatesOfDevices", testRefusesUpdatesOfDevices},
		{"RefusesCertificatesThatAreTaken", testRefusesCertificatesThatAreTaken},
		{"UpdatesDevices", testUpdatesDevices},
		{"UpdateKeepsWhoADeviceIs", testUpdateKeepsWhoADeviceIs},
		{"SharesNoDevice", testSharesNoDevice},
		{"RefusesUpdatesOfTheHub", testRefusesUpdatesOfTheHub},
		{"KeepsTheHub", testKeepsTheHub},
		{"RefusesAuthorities", testRefusesAuthorities},
		{"KeepsAuthorities", testKeepsAuthorities},
		{"SharesNoAuthority", testSharesNoAuthority},
		{"Seen", testSeen},
		{"EndedContext", testEndedContext},
		{"ContextThatEndsDuringAnUpdate", testContextThatEndsDuringAnUpdate},
		{"PanicInAnUpdate", testPanicInAnUpdate},
		{"OneWinsAName", testOneWinsAName},
		{"OneWinsACertificate", testOneWinsACertificate},
		{"UpdatesTakeTurns", testUpdatesTakeTurns},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, s := open(t)
			test.run(t, r, s)
		})
	}
}

// made is when the devices and tokens of these tests were made, in another time zone.
var made = time.Date(2023, time.October, 30, 12, 34, 56, 789_012_000, time.FixedZone("", 2*60*60))

func device(id twin.ID, name string) registry.Device {
	return registry.Device{ID: id, Name: name, Created: made}
}

func token(name, secret string) registry.Token {
	return registry.Token{Name: name, Hash: registry.HashSecret(secret), Created: made}
}

const (
	panelID twin.ID = "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e01"
	otherID twin.ID = "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e02"
)

func addDevice(t *testing.T, r registry.Registry, d registry.Device) {
	t.Helper()
	if err := r.AddDevice(t.Context(), d); err != nil {
		t.Fatalf("AddDevice(%q): %v", d.Name, err)
	}
}

func addToken(t *testing.T, r registry.Registry, k registry.Token) {
	t.Helper()
	if err := r.AddToken(t.Context(), k); err != nil {
		t.Fatalf("AddToken(%q): %v", k.Name, err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func sameDevice(a, b registry.Device) bool {
	times := a.Created.Equal(b.Created) && a.Updated.Equal(b.Updated) && a.LastActivity.Equal(b.LastActivity)
	a.Created, a.Updated, a.LastActivity = b.Created, b.Updated, b.LastActivity
	return times && reflect.DeepEqual(a, b)
}

func sameToken(a, b registry.Token) bool {
	times := a.Created.Equal(b.Created) && a.LastUsed.Equal(b.LastUsed)
	a.Created, a.LastUsed = b.Created, b.LastUsed
	return times && a == b
}

func checkDevices(t *testing.T, r registry.Registry, want ...registry.Device) {
	t.Helper()
	got, err := r.Devices(t.Context())
	if err != nil || got == nil || !slices.EqualFunc(got, want, sameDevice) {
		t.Errorf("Devices = %+v, %v; want %+v", got, err, want)
	}
}

func checkTokens(t *testing.T, r registry.Registry, want ...registry.Token) {
	t.Helper()
	got, err := r.Tokens(t.Context())
	if err != nil || got == nil || !slices.EqualFunc(got, want, sameToken) {
		t.Errorf("Tokens = %+v, %v; want %+v", got, err, want)
	}
}

func testEmpty(t *testing.T, r registry.Registry, _ docstore.Store) {
	_, err := r.Device(t.Context(), panelID)
	wantError(t, "Device", err, registry.ErrNoDevice)
	_, err = r.DeviceByName(t.Context(), "panel")
	wantError(t, "DeviceByName", err, registry.ErrNoDevice)
	_, err = r.DeviceByFingerprint(t.Context(), device(panelID, "panel").Fingerprint())
	wantError(t, "DeviceByFingerprint", err, registry.ErrNoDevice)
	_, err = r.TokenByHash(t.Context(), registry.HashSecret("secret"))
	wantError(t, "TokenByHash", err, registry.ErrNoToken)
	wantError(t, "RemoveDevice", r.RemoveDevice(t.Context(), panelID), registry.ErrNoDevice)
	wantError(t, "RemoveToken", r.RemoveToken(t.Context(), "phone"), registry.ErrNoToken)
	checkDevices(t, r)
	checkTokens(t, r)
}

func testRefusesNames(t *testing.T, r registry.Registry, _ docstore.Store) {
	for _, name := range []string{"", " panel", "pan\nel"} {
		if _, ok := errors.AsType[*twin.InvalidError](r.AddDevice(t.Context(), device(panelID, name))); !ok {
			t.Errorf("device name %q was not refused as invalid", name)
		}
		if _, ok := errors.AsType[*twin.InvalidError](r.AddToken(t.Context(), token(name, "secret"))); !ok {
			t.Errorf("token name %q was not refused as invalid", name)
		}
	}
	checkDevices(t, r)
	checkTokens(t, r)
}

func testRefusesWhatIsTaken(t *testing.T, r registry.Registry, _ docstore.Store) {
	panel, phone := device(panelID, "panel"), token("phone", "secret")
	addDevice(t, r, panel)
	addToken(t, r, phone)
	wantError(t, "same device again", r.AddDevice(t.Context(), panel), registry.ErrIDTaken)
	wantError(t, "same id", r.AddDevice(t.Context(), device(panelID, "other")), registry.ErrIDTaken)
	wantError(t, "same device name", r.AddDevice(t.Context(), device(otherID, "panel")), registry.ErrNameTaken)
	wantError(t, "same token again", r.AddToken(t.Context(), phone), registry.ErrNameTaken)
	wantError(t, "same token name", r.AddToken(t.Context(), token("phone", "other")), registry.ErrNameTaken)
	wantError(t, "same secret", r.AddToken(t.Context(), token("tablet", "secret")), registry.ErrSecretTaken)
	checkDevices(t, r, panel)
	checkTokens(t, r, phone)
}

func testKeepsDevices(t *testing.T, r registry.Registry, _ docstore.Store) {
	panel, upper, shed := device(panelID, "panel"), device(otherID, "Panel"), device("0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e03", "été – 小屋")
	panel.AllowInsecure = true
	shed.AllowMultipleConnections = true
	for _, d := range []registry.Device{panel, shed, upper} {
		addDevice(t, r, d)
	}
	checkDevices(t, r, upper, panel, shed)
	for _, want := range []registry.Device{panel, upper, shed} {
		if got, err := r.Device(t.Context(), want.ID); err != nil || !sameDevice(got, want) {
			t.Errorf("Device(%s) = %+v, %v; want %+v", want.ID, got, err, want)
		}
	}
	if err := r.RemoveDevice(t.Context(), panelID); err != nil {
		t.Fatal(err)
	}
	_, err := r.Device(t.Context(), panelID)
	wantError(t, "Device after RemoveDevice", err, registry.ErrNoDevice)
	wantError(t, "RemoveDevice again", r.RemoveDevice(t.Context(), panelID), registry.ErrNoDevice)
	checkDevices(t, r, upper, shed)
	addDevice(t, r, panel)
}

func testKeepsTokens(t *testing.T, r registry.Registry, _ docstore.Store) {
	phone, app := token("phone", "secret"), token("app", "another secret")
	app.LastUsed = updated // of one that was moved here
	addToken(t, r, phone)
	addToken(t, r, app)
	checkTokens(t, r, app, phone)
	for secret, want := range map[string]registry.Token{"secret": phone, "another secret": app} {
		if got, err := r.TokenByHash(t.Context(), registry.HashSecret(secret)); err != nil || !sameToken(got, want) {
			t.Errorf("TokenByHash(%q) = %+v, %v; want %+v", secret, got, err, want)
		}
	}
	if err := r.RemoveToken(t.Context(), "phone"); err != nil {
		t.Fatal(err)
	}
	_, err := r.TokenByHash(t.Context(), phone.Hash)
	wantError(t, "TokenByHash after RemoveToken", err, registry.ErrNoToken)
	wantError(t, "RemoveToken again", r.RemoveToken(t.Context(), "phone"), registry.ErrNoToken)
	checkTokens(t, r, app)
}

func testKeepsScopesOfTokens(t *testing.T, r registry.Registry, _ docstore.Store) {
	addDevice(t, r, device(panelID, "panel"))
	var want []registry.Token
	for _, scope := range []registry.Token{
		{},
		{ReadOnly: true},
		{Device: panelID},
		{ReadOnly: true, Device: panelID},
	} {
		k := token(fmt.Sprint("token ", len(want)), fmt.Sprint("secret ", len(want)))
		k.ReadOnly, k.Device = scope.ReadOnly, scope.Device
		addToken(t, r, k)
		want = append(want, k)
		if got, err := r.TokenByHash(t.Context(), k.Hash); err != nil || !sameToken(got, k) {
			t.Errorf("TokenByHash = %+v, %v; want %+v", got, err, k)
		}
	}
	checkTokens(t, r, want...)
	stranger := token("stranger", "stranger")
	stranger.Device = otherID
	wantError(t, "token for a device that isn't there", r.AddToken(t.Context(), stranger), registry.ErrNoDevice)
	checkTokens(t, r, want...)
}

func testRemovedDeviceTakesItsTokensAlong(t *testing.T, r registry.Registry, _ docstore.Store) {
	addDevice(t, r, device(panelID, "panel"))
	addDevice(t, r, device(otherID, "other"))
	all, panel, other := token("all", "1"), token("panel", "2"), token("other", "3")
	panel.Device, other.Device = panelID, otherID
	for _, k := range []registry.Token{all, panel, other} {
		addToken(t, r, k)
	}
	if err := r.RemoveDevice(t.Context(), panelID); err != nil {
		t.Fatal(err)
	}
	checkTokens(t, r, all, other)
	_, err := r.TokenByHash(t.Context(), panel.Hash)
	wantError(t, "token of a removed device", err, registry.ErrNoToken)
	addDevice(t, r, device(panelID, "panel")) // as somebody who moves a hub does
	checkTokens(t, r, all, other)
}

func putDocument(t *testing.T, s docstore.Store, id twin.ID, want uint32) {
	t.Helper()
	version, err := s.Put(t.Context(), docstore.Key{Twin: id, Name: "desired"}, docstore.Any, []byte("{}"))
	if err != nil || version != want {
		t.Fatalf("Put = version %d, %v; want %d", version, err, want)
	}
}

func testRemovedDeviceTakesItsDocumentsAlong(t *testing.T, r registry.Registry, s docstore.Store) {
	addDevice(t, r, device(panelID, "panel"))
	addDevice(t, r, device(otherID, "other"))
	putDocument(t, s, panelID, 1)
	putDocument(t, s, otherID, 1)
	if err := r.RemoveDevice(t.Context(), panelID); err != nil {
		t.Fatal(err)
	}
	if names, err := s.List(t.Context(), panelID); err != nil || len(names) != 0 {
		t.Errorf("documents of a removed device: %q, %v; want none", names, err)
	}
	putDocument(t, s, otherID, 2)
}

func testNewDeviceStartsWithAnEmptyTwin(t *testing.T, r registry.Registry, s docstore.Store) {
	putDocument(t, s, panelID, 1) // of a request that outlived an earlier device
	putDocument(t, s, otherID, 1)
	addDevice(t, r, device(panelID, "panel"))
	if names, err := s.List(t.Context(), panelID); err != nil || len(names) != 0 {
		t.Errorf("documents of a new device: %q, %v; want none", names, err)
	}
	wantError(t, "same id", r.AddDevice(t.Context(), device(panelID, "again")), registry.ErrIDTaken)
	wantError(t, "same name", r.AddDevice(t.Context(), device(otherID, "panel")), registry.ErrNameTaken)
	putDocument(t, s, otherID, 2) // a refused device clears nothing
}
