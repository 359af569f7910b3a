package interop

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	iot "github.com/scaleway/scaleway-sdk-go/api/iot/v1"
)

// patience bounds what a client may take to connect or to end.
const patience = 20 * time.Second

// A client is one of mosquitto's clients with a device's certificate, over TLS.
type client struct {
	t    *testing.T
	hub  *secureHub
	dir  string
	cert string // file, as the next
	key  string
}

// newClient has the files that a device is given.
func newClient(t *testing.T, h *secureHub, c *iot.Certificate) client {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("ca.pem", string(h.ca))
	return client{t, h, dir, file("cert.pem", c.Crt), file("key.pem", c.Key)}
}

func (c client) command(program string, options ...string) *exec.Cmd {
	c.t.Helper()
	host, port, err := net.SplitHostPort(c.hub.mqtts)
	if err != nil {
		c.t.Fatal(err)
	}
	options = append([]string{"-h", host, "-p", port, "-V", "mqttv311", "--cafile", filepath.Join(c.dir, "ca.pem"), "--cert", c.cert, "--key", c.key}, options...)
	return exec.Command(tool(c.t, program, "mosquitto-clients"), options...)
}

// refused is what the hub answers a CONNECT that it refuses, and the client's exit code.
const refused = 5

// connects tries a get, and returns the client's exit code: 0, or why the hub refused it.
func (c client) connects() int {
	c.t.Helper()
	out, err := c.command("mosquitto_rr", "-W", "10", "-t", "$SCW/twins/me/desired/get", "-e", "$SCW/twins/me/desired/get/response/error", "-m", "").CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if got := strings.TrimSpace(string(out)); err != nil || got != `{"error":"document not found"}` {
		c.t.Errorf("the device gets %s, %v; want that there is no document", got, err)
	}
	return 0
}

// stay connects until the test ends.
func (c client) stay() {
	c.t.Helper()
	cmd := c.command("mosquitto_sub", "-t", "$SCW/twins/me/#", "-k", "60")
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		var ended *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &ended) {
			c.t.Error(err)
		}
	})
}

// A device that a program of the vendor's has created connects with the certificate it was given, is seen to
// be connected, and is out as soon as the program says so.
func TestVendorSDKDeviceConnects(t *testing.T) {
	overBoth(t, func(t *testing.T, h *secureHub, api *iot.API) {
		made := createDevice(t, api, "front door")
		id := made.Device.ID
		state := func() *iot.Device {
			d, err := api.GetDevice(&iot.GetDeviceRequest{DeviceID: id})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		await := func(what string, connected bool) *iot.Device {
			t.Helper()
			for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				d := state()
				hub, err := api.GetHub(&iot.GetHubRequest{HubID: d.HubID})
				if err != nil {
					t.Fatal(err)
				}
				if d.IsConnected == connected && hub.ConnectedDeviceCount == map[bool]uint64{true: 1}[connected] {
					return d
				}
				if time.Now().After(end) {
					t.Fatalf("%s: is_connected is %v, and %d devices are", what, d.IsConnected, hub.ConnectedDeviceCount)
				}
			}
		}
		if d := state(); d.IsConnected || !d.LastActivityAt.Equal(time.Unix(0, 0)) {
			t.Errorf("before its first connection it is %+v", d)
		}
		first := newClient(t, h, made.Certificate)
		began := time.Now().Truncate(time.Millisecond)
		first.stay()
		if d := await("connected", true); d.LastActivityAt.Before(began) || d.LastActivityAt.After(time.Now()) {
			t.Errorf("connected, its last activity was at %v, want one since %v", d.LastActivityAt, began)
		}

		if _, err := api.DisableDevice(&iot.DisableDeviceRequest{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
		await("disabled", false)
		check := func(what string, c client, want int) {
			t.Helper()
			if got := c.connects(); got != want {
				t.Errorf("%s: the client ends with %d, want %d", what, got, want)
			}
		}
		check("a disabled device", first, refused)
		if _, err := api.EnableDevice(&iot.EnableDeviceRequest{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
		check("an enabled device", first, 0)

		renewed, err := api.RenewDeviceCertificate(&iot.RenewDeviceCertificateRequest{DeviceID: id})
		if err != nil {
			t.Fatal(err)
		}
		check("the certificate before", first, refused)
		second := newClient(t, h, renewed.Certificate)
		check("the new certificate", second, 0)

		second.stay()
		await("connected again", true)
		if err := api.DeleteDevice(&iot.DeleteDeviceRequest{DeviceID: id}); err != nil {
			t.Fatal(err)
		}
		check("a removed device", second, refused)
	})
}
