package hubtest

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"

	"github.com/twinpanel/twinpanel/hub"
	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
)

// MQTTS is the hub's address for MQTT over TLS on loopback, mqtts://127.0.0.1:PORT. Its
// certificate is for 127.0.0.1 and localhost, and good for those who trust [Hub.CAFile].
// It stays the same when the hub restarts. [Hub.DropAnswers], [Hub.DelayAnswers] and [Hub.DropNotices]
// don't touch these connections, whose bytes nobody but client and hub can read.
func (h *Hub) MQTTS() string { return "mqtts://" + h.listen(mqttsSide) }

// CAFile is a file with the authorities of the hub, which clients over TLS have to trust, in PEM.
func (h *Hub) CAFile() string {
	h.t.Helper()
	return h.writeFile("ca.pem", credential.Bundle(h.authorities(), registry.ServerAuthority))
}

// AddSecureDevice adds a device that connects with a certificate alone: that of the files, in PEM.
func (h *Hub) AddSecureDevice(name string) (d registry.Device, certFile, keyFile string) {
	h.t.Helper()
	d, err := registry.NewDevice(name)
	if err != nil {
		h.t.Fatal(err)
	}
	der, cert, key, err := credential.Issue(h.authorities(), d)
	if err == nil {
		d.Certificate = der
		err = h.Registry.AddDevice(context.Background(), d)
	}
	if err != nil {
		h.t.Fatalf("adding device %s: %v", name, err)
	}
	return d, h.writeFile("cert.pem", cert), h.writeFile("key.pem", key)
}

func (h *Hub) authorities() []registry.Authority {
	h.t.Helper()
	all, err := credential.Ensure(context.Background(), h.Registry)
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// writeFile writes a file into a folder of its own.
func (h *Hub) writeFile(name string, content []byte) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// overTLS makes a hub's certificate when the first client comes: few tests need one.
func overTLS(of *hub.Hub, l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return of.TLS(context.Background())
	}})
}
