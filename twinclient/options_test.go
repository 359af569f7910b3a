package twinclient

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOptionsRefused(t *testing.T) {
	const forms = "write mqtt://HOST:1883 or mqtts://HOST:8883"
	id := deviceID
	files := func(o Options) Options { o.CertFile, o.KeyFile = "panel.crt", "panel.key"; return o }
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"nothing", Options{}, "no hub: " + forms},
		{"host alone", Options{Hub: "hub.example", DeviceID: id}, `hub "hub.example" has no scheme: ` + forms},
		{"host and port", Options{Hub: "hub.example:1883", DeviceID: id}, `hub "hub.example:1883" has no scheme: ` + forms},
		{"other scheme", Options{Hub: "tcp://hub.example:1883", DeviceID: id}, "hub has the unknown scheme tcp: " + forms},
		{"WebSocket", Options{Hub: "wss://hub.example/mqtt", DeviceID: id}, "hub has the scheme wss, but a device speaks MQTT over TCP: " + forms},
		{"REST address", Options{Hub: "http://hub.example", DeviceID: id}, "hub has the scheme http, but a device speaks MQTT over TCP: " + forms},
		{"no host", Options{Hub: "mqtt://", DeviceID: id}, "hub has no host: " + forms},
		{"port alone", Options{Hub: "mqtt://:1883", DeviceID: id}, "hub has no host: " + forms},
		{"port 0", Options{Hub: "mqtt://localhost:0", DeviceID: id}, "hub has the port 0: give one from 1 to 65535"},
		{"high port", Options{Hub: "mqtt://localhost:65536", DeviceID: id}, "hub has the port 65536: give one from 1 to 65535"},
		{"port in letters", Options{Hub: "mqtt://localhost:mqtt", DeviceID: id}, `hub is no URL (invalid port ":mqtt" after host): ` + forms},
		{"space", Options{Hub: "mqtt://my hub", DeviceID: id}, `hub is no URL (invalid character " " in host name): ` + forms},
		{"password", Options{Hub: "mqtt://me:sesame@localhost", DeviceID: id}, "hub has a user in its URL, but it is the device id that says who connects: " + forms},
		{"path", Options{Hub: "mqtt://localhost/mqtt", DeviceID: id}, "hub has something after host and port: " + forms},
		{"query", Options{Hub: "mqtt://localhost?tls=1", DeviceID: id}, "hub has something after host and port: " + forms},
		{"no device id", Options{Hub: "mqtt://localhost"}, `device id "": give the UUID that the hub shows for this device`},
		{"name for id", Options{Hub: "mqtt://localhost", DeviceID: "panel"}, `device id "panel": give the UUID that the hub shows for this device`},
		{"negative timeout", Options{Hub: "mqtt://localhost", DeviceID: id, Timeout: -time.Second}, "timeout -1s is negative: give a positive duration, or 0 for 5s"},
		{"certificate without key", Options{Hub: "mqtts://localhost", DeviceID: id, CertFile: "panel.crt"}, "certificate and key belong together: give both files or none"},
		{"key without certificate", Options{Hub: "mqtts://localhost", DeviceID: id, KeyFile: "panel.key"}, "certificate and key belong together: give both files or none"},
		{"authority without TLS", Options{Hub: "mqtt://localhost", DeviceID: id, CAFile: "ca.crt"}, "hub mqtt://localhost:1883 is plaintext and uses no certificates: write mqtts://, or leave the files out"},
		{"certificate without TLS", files(Options{Hub: "mqtt://localhost", DeviceID: id}), "hub mqtt://localhost:1883 is plaintext and uses no certificates: write mqtts://, or leave the files out"},
		{"plaintext over the network", Options{Hub: "mqtt://192.0.2.1", DeviceID: id}, "hub mqtt://192.0.2.1:1883 is plaintext, so anybody on the way can act as the device: write mqtts:// with the device's certificate and key, or with its secret, or say insecure"},
		{"secret in plaintext over the network", Options{Hub: "mqtt://192.0.2.1", DeviceID: id, SecretFile: "secret"}, "hub mqtt://192.0.2.1:1883 is plaintext, so anybody on the way can act as the device: write mqtts:// with the device's certificate and key, or with its secret, or say insecure"},
		{"TLS without a credential", Options{Hub: "mqtts://hub.example", DeviceID: id}, "hub mqtts://hub.example:8883 needs the device's certificate and key, or its secret, so that knowing the device id isn't enough: give these files, or say insecure"},
	} {
		err := test.o.Validate()
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got error %v\nwant %s", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error shows a password: %v", test.name, err)
		}
		if _, err := Dial(t.Context(), test.o); err == nil || err.Error() != test.want {
			t.Errorf("%s: Dial: got error %v", test.name, err)
		}
	}
}

func TestOptionsAccepted(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Hub: "mqtt://localhost"}, "mqtt://localhost:1883"},
		{Options{Hub: "mqtt://127.0.0.2:7883/"}, "mqtt://127.0.0.2:7883"},
		{Options{Hub: "mqtt://[::1]"}, "mqtt://[::1]:1883"},
		{Options{Hub: "mqtts://localhost"}, "mqtts://localhost:8883"},
		{Options{Hub: "mqtt://192.0.2.1", Insecure: true}, "mqtt://192.0.2.1:1883"},
		{Options{Hub: "mqtts://hub.example", Insecure: true}, "mqtts://hub.example:8883"},
		{Options{Hub: "MQTTS://hub.example", CertFile: "panel.crt", KeyFile: "panel.key"}, "mqtts://hub.example:8883"},
		{Options{Hub: "mqtts://hub.example", SecretFile: "secret"}, "mqtts://hub.example:8883"},
		{Options{Hub: "mqtts://hub.example", CertFile: "panel.crt", KeyFile: "panel.key", SecretFile: "secret"}, "mqtts://hub.example:8883"},
		{Options{Hub: "mqtt://192.0.2.1", SecretFile: "secret", Insecure: true}, "mqtt://192.0.2.1:1883"},
		{Options{Hub: "mqtt://127.0.0.1", SecretFile: "secret"}, "mqtt://127.0.0.1:1883"},
		{Options{Hub: "mqtts://[2001:db8::1]:443", CAFile: "ca.crt", CertFile: "panel.crt", KeyFile: "panel.key"}, "mqtts://[2001:db8::1]:443"},
	} {
		test.o.DeviceID = deviceID
		if a, err := test.o.address(); err != nil || a.String() != test.want {
			t.Errorf("%s: got %v, %v, want %s", test.o.Hub, a, err, test.want)
		}
	}
}

// Without Dial it's TCP to the host and port; here nothing listens.
func TestDialOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = Dial(t.Context(), Options{Hub: "mqtt://" + address, DeviceID: deviceID})
	if err == nil || !strings.HasPrefix(err.Error(), "connecting to mqtt://"+address+": ") {
		t.Errorf("got error %v", err)
	}
}

func TestTimeoutIsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub(t)
		o := h.options()
		o.Timeout = 700 * time.Millisecond
		c, err := Dial(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h.fault = func(string) fault { return lose }
		start := time.Now()
		if _, err := c.Get(t.Context(), "desired"); err == nil || time.Since(start) != o.Timeout {
			t.Errorf("got error %v after %v, want it after %v", err, time.Since(start), o.Timeout)
		}
	})
}
