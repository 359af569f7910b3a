package twinclient

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// secretFile makes a file with a secret.
func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, content)
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSecretRefused(t *testing.T) {
	for _, test := range []struct{ name, content, want string }{
		{"empty", "", "is empty"},
		{"only an end of line", "\n", "is empty"},
		{"only an end of line of Windows", "\r\n", "is empty"},
		{"two lines", "sesame\nsesame\n", "has several lines: expected one"},
		{"a line and an empty one", "sesame\n\n", "has several lines: expected one"},
		{"key", "-----BEGIN PRIVATE KEY-----\nsesame\n-----END PRIVATE KEY-----\n", "has several lines: expected one"},
		{"too long", strings.Repeat("sesame", maxSecret), "is longer than 4096 bytes"},
		{"a byte too long", strings.Repeat("s", maxSecret+1) + "\n", "is longer than 4096 bytes"},
	} {
		h := newFakeHub(t)
		o := h.options()
		o.SecretFile = secretFile(t, test.content)
		_, err := Dial(t.Context(), o)
		if want := "connecting to mqtt://localhost:1883: reading the device's secret: " + o.SecretFile + " " + test.want; err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %s", test.name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") || h.dials > 0 {
			t.Errorf("%s: the error has the secret, or the hub was called %d times: %v", test.name, h.dials, err)
		}
	}
	o := Options{Hub: "mqtt://localhost", DeviceID: deviceID, SecretFile: filepath.Join(t.TempDir(), "secret")}
	if _, err := Dial(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got error %v", err)
	}
}

// What the hub is told: over TLS without a certificate of the device, and in plaintext on loopback.
func TestSecretShown(t *testing.T) {
	longest := strings.Repeat("s", maxSecret)
	for _, test := range []struct{ name, content, secret string }{
		{"one line", "sesame\n", "sesame"},
		{"no end of line", "sesame", "sesame"},
		{"line of Windows", "sesame\r\n", "sesame"},
		{"spaces and signs", " open sesame ü☃\t\n", " open sesame ü☃\t"},
		{"longest", longest + "\n", longest},
	} {
		for _, encrypted := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				h := newSecuredHub(t)
				h.secret = test.secret
				o := h.options()
				o.CertFile, o.KeyFile, o.SecretFile = "", "", secretFile(t, test.content)
				h.tls.ClientAuth = tls.NoClientCert
				if !encrypted {
					o.Hub, o.CAFile, h.tls = "mqtt://localhost", "", nil
				}
				c, err := Dial(t.Context(), o)
				if err != nil {
					t.Fatalf("%s, encrypted %t: %v", test.name, encrypted, err)
				}
				defer c.Close()
				if _, err := c.Get(t.Context(), "desired"); !errors.Is(err, twin.ErrDocumentNotFound) {
					t.Errorf("%s, encrypted %t: got error %v", test.name, encrypted, err)
				}
				if shown := c.HubCertificate(); (shown != nil) != encrypted || encrypted && shown.DNSNames[0] != "localhost" {
					t.Errorf("%s, encrypted %t: the hub's certificate is %v", test.name, encrypted, shown)
				}
			})
		}
	}
}

// A secret that is changed on the hub, and then on the device's disk, needs no restart.
func TestSecretRotated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.secret = "first"
		file := secretFile(t, "wrong\n")
		d := start(t, h, `{"n":0}`, func(c *SyncConfig) { c.Connect.SecretFile = file })
		for _, step := range []struct {
			change func()
			want   string // of the link, at last
		}{
			{func() {}, "down: connecting to mqtt://localhost:1883: hub refused the device with this secret: see the reason in the hub's log; " +
				"check the device id, and with hub device list that the device is there and enabled; hub device renew --secret makes a new one"},
			{func() { write(t, file, "first\n") }, "up"},
			{func() { h.do(func() { h.secret = "second" }) }, "up"}, // until it connects anew
			{h.takeOver, "down: connecting to mqtt://localhost:1883: hub refused the device with this secret: "},
			{func() { os.Remove(file) }, "down: connecting to mqtt://localhost:1883: reading the device's secret: open "},
			{func() { write(t, file, "second\n") }, "up"},
		} {
			step.change()
			time.Sleep(2 * longestRetry)
			synctest.Wait()
			d.read(func() {
				if last := d.links[len(d.links)-1]; !strings.HasPrefix(last, step.want) {
					t.Errorf("link: got %q, want %q", last, step.want)
				}
			})
		}
		log := d.logged()
		if n := strings.Count(log, "hub refused the device with this secret"); n != 2 {
			t.Errorf("the log has %d refusals, want one for each secret that was wrong:\n%s", n, log)
		}
		if strings.Contains(log, "first") || strings.Contains(log, "second") || strings.Contains(log, "wrong") {
			t.Errorf("the log has a secret:\n%s", log)
		}
		d.stop()
	})
}

// What is not wrong yet is in the log of a device that is connected, and once.
func TestSyncWarnsOfCredentials(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no rights there")
	}
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		h.secret = "sesame"
		file := secretFile(t, "sesame\n")
		d := start(t, h, `{"n":0}`, func(c *SyncConfig) { c.Connect.SecretFile = file })
		time.Sleep(time.Hour)
		const care = "credentials need care"
		if strings.Contains(d.logged(), care) {
			t.Errorf("all is well, but the log says\n%s", d.logged())
		}
		os.Chmod(file, 0o644)
		time.Sleep(putEvery * DefaultHeartbeat)
		synctest.Wait()
		want := `msg="credentials need care" what=secret problem="` + file + ` can be read by every user of this computer" next="chmod o= ` + file + `"`
		if !strings.Contains(d.logged(), want) {
			t.Errorf("log: got\n%s\nwant %s", d.logged(), want)
		}
		h.takeOver()
		time.Sleep(time.Hour)
		if n := strings.Count(d.logged(), care); n != 1 {
			t.Errorf("the log says it %d times, want once", n)
		}
		d.stop()
	})
}
