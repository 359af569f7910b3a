package registry

import "testing"

func TestDeviceNarrows(t *testing.T) {
	before := Device{AllowInsecure: true, AllowMultipleConnections: true, Certificate: []byte("certificate"), Secret: HashSecret("secret")}
	for _, tt := range []struct {
		name   string
		change func(*Device)
		want   bool
	}{
		{"disabled", func(d *Device) { d.Disabled = true }, true},
		{"not by its id alone any more", func(d *Device) { d.AllowInsecure = false }, true},
		{"one connection", func(d *Device) { d.AllowMultipleConnections = false }, true},
		{"another certificate", func(d *Device) { d.Certificate = []byte("another") }, true},
		{"no certificate", func(d *Device) { d.Certificate = nil }, true},
		{"another secret", func(d *Device) { d.Secret = HashSecret("another") }, true},
		{"nothing", func(*Device) {}, false},
		{"what has to do with no connection", func(d *Device) { d.Description, d.ReadOnly, d.CustomCertificate = "x", nil, true }, false},
	} {
		d := before
		tt.change(&d)
		if got := d.Narrows(before); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
	narrow := Device{}
	if wide := (Device{AllowInsecure: true, AllowMultipleConnections: true}); wide.Narrows(narrow) {
		t.Error("a device that may do more narrows what it was")
	}
}
