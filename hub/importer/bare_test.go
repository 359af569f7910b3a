package importer_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/importer"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// Devices that nothing here lets in are named, until they have got something here.
func TestImportNamesDevicesWithoutCertificate(t *testing.T) {
	bubble(t, func(t *testing.T, v *vendor) {
		v.hubs[0]["has_custom_ca"] = true
		_, v.ca = newCertificate(t, "our devices", true, future)
		for n := range 12 {
			v.add(n + 10)
		}
		d, _ := v.add(22)
		d["allow_insecure"] = true
		_, id := v.add(23)
		_, v.certs[id] = newCertificate(t, "panel-23", false, future)
		target := newTarget()
		named := func(what string, report importer.Report, want string) {
			t.Helper()
			want = "note: devices without a certificate on record: " + want + `; they need one that "CN=our devices" has signed, or hub device renew` + "\n"
			if got := findings(report); strings.Count(got, "without a certificate on record") != 1 || !strings.Contains(got, want) {
				t.Errorf("%s: findings:\n%swant once\n%s", what, got, want)
			}
		}
		const all = `12 ("panel-10", "panel-11", "panel-12", "panel-13", "panel-14", "panel-15", "panel-16", "panel-17", "panel-18", "panel-19", …)`
		source, err := importer.Open(t.Context(), v.config())
		if err != nil {
			t.Fatal(err)
		}
		plan, err := source.Plan(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		named("a plan", plan, all)
		named("an import", v.mustRun(t, target), all)
		update(t, target, deviceID(10), func(d *registry.Device) { d.Secret, d.Updated = sha256.Sum256([]byte("secret")), future })
		update(t, target, deviceID(11), func(d *registry.Device) {
			der, _ := newCertificate(t, "panel-11", false, future)
			d.Certificate, d.Updated = der, future
		})
		named("the next one", v.mustRun(t, target), strings.NewReplacer("12 (", "10 (", `"panel-10", "panel-11", `, "", ", …", `, "panel-20", "panel-21"`).Replace(all))
	})
}

// update changes a device of a target.
func update(t *testing.T, target importer.Target, id twin.ID, change func(*registry.Device)) {
	t.Helper()
	if _, err := target.Registry.UpdateDevice(t.Context(), id, func(d *registry.Device) error { change(d); return nil }); err != nil {
		t.Fatal(err)
	}
}
