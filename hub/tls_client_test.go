package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// The ways into a hub, as a door's scheme names them.
var (
	allWays    = []string{"mqtt", "mqtts", "ws", "wss"}
	secureWays = []string{"mqtts", "wss"}
)

// A doorServer is a hub that is reached over net.Pipe in all of its ways, for use in a synctest
// bubble.
type doorServer struct {
	*testServer
	doors map[string]chan net.Conn
	roots *x509.CertPool // that vouch for the hub
}

// from is where the clients of the tests come from: an address that counts.
var from = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}

// A remoteConn is a pipe with an address.
type remoteConn struct {
	net.Conn
	remote net.Addr
}

func (c remoteConn) RemoteAddr() net.Addr { return c.remote }

func newDoorServer(t *testing.T, change func(*Config)) *doorServer {
	t.Helper()
	s := &doorServer{testServer: newTestServer(t, func(c *Config) {
		c.Names = []string{"hub.test"}
		if change != nil {
			change(c)
		}
	}), doors: make(map[string]chan net.Conn), roots: x509.NewCertPool()}
	ended := make(chan error)
	serve := map[string]func(net.Listener) error{"mqtt": s.ServeMQTT, "ws": s.ServeWS, "http": s.ServeREST}
	for scheme, run := range serve {
		for suffix := range map[string]bool{"": true, "s": true} {
			door := &doorListener{came: make(chan net.Conn), closed: make(chan struct{})}
			s.doors[scheme+suffix] = door.came
			var l net.Listener = door
			if suffix == "s" {
				config, err := s.TLS(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				l = tls.NewListener(door, config)
			}
			go func() { ended <- run(l) }()
		}
	}
	t.Cleanup(func() {
		s.Close()
		for range s.doors {
			if err := <-ended; err != nil {
				t.Errorf("serving: %v", err)
			}
		}
	})
	s.roots.AppendCertsFromPEM(credential.Bundle(s.authorities(), registry.ServerAuthority))
	synctest.Wait()
	s.log.take() // that the clock is not set
	return s
}

func (s *doorServer) authorities() []registry.Authority {
	s.t.Helper()
	all, err := credential.Ensure(context.Background(), s.registry)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// pipe is a connection to a door that has sent nothing yet.
func (s *doorServer) pipe(way string) net.Conn {
	ours, theirs := net.Pipe()
	s.t.Cleanup(func() { ours.Close() })
	s.doors[way] <- remoteConn{theirs, from}
	return ours
}

// config is a client's that shows these certificates.
func (s *doorServer) config(shows ...tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: s.roots, ServerName: "hub.test", Certificates: shows}
	if !credential.ClockIsSet(time.Now()) { // a bubble begins in 2000
		config.Time = func() time.Time { return time.Date(2027, time.January, 1, 0, 0, 0, 0, time.UTC) }
	}
	return config
}

// dialBy opens a connection in one of allWays that has sent nothing of MQTT yet.
func (s *doorServer) dialBy(way string, shows ...tls.Certificate) *rawClient {
	s.t.Helper()
	var conn net.Conn
	switch way {
	case "mqtt":
		conn = s.pipe(way)
	case "mqtts":
		conn = tls.Client(s.pipe(way), s.config(shows...))
	default:
		transport := &http.Transport{
			DialContext:     func(context.Context, string, string) (net.Conn, error) { return s.pipe(way), nil },
			TLSClientConfig: s.config(shows...),
		}
		ws, _, err := websocket.Dial(context.Background(), way+"://hub.test/mqtt", &websocket.DialOptions{
			HTTPClient:   &http.Client{Transport: transport},
			Subprotocols: []string{"mqtt"},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { ws.CloseNow() })
		conn = websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	}
	c := &rawClient{t: s.t, conn: conn}
	go c.read()
	return c
}

// connectBy connects with a CONNECT and subscribes to all answers.
func (s *doorServer) connectBy(way string, connect []byte, shows ...tls.Certificate) *rawClient {
	s.t.Helper()
	c := s.dialBy(way, shows...)
	c.send(connect)
	c.want("20020000")
	c.send(subscribePacket(1, "$SCW/twins/#"))
	c.want("9003000100")
	return c
}

// loginPacket is a CONNECT without keep-alive; an empty user name or password is left out.
func loginPacket(clientID, username, password string) []byte {
	flags, fields := 0x02, []any{"MQTT", 4, 0, uint16(0), clientID}
	if username != "" || password != "" {
		flags |= flagUsername
		fields = append(fields, username)
	}
	if password != "" {
		flags |= flagPassword
		fields = append(fields, password)
	}
	fields[2] = flags
	return packet(0x10, fields...)
}

// addDevice adds a device with an id of its own.
func (s *doorServer) addDevice(name string, change func(*registry.Device)) registry.Device {
	s.t.Helper()
	d, err := registry.NewDevice(name)
	if err == nil {
		if change != nil {
			change(&d)
		}
		err = s.registry.AddDevice(context.Background(), d)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// update changes a device as hub device set does.
func (s *doorServer) update(id twin.ID, change func(*registry.Device)) {
	s.t.Helper()
	if _, err := s.registry.UpdateDevice(context.Background(), id, func(d *registry.Device) error {
		change(d)
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

// issue makes a certificate that the hub signs, as hub device add does.
func (s *doorServer) issue(d *registry.Device) (pair tls.Certificate) {
	s.t.Helper()
	der, cert, key, err := credential.Issue(s.authorities(), *d)
	if err == nil {
		pair, err = tls.X509KeyPair(cert, key)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	d.Certificate = der
	return pair
}

// addCertified adds a device with a certificate.
func (s *doorServer) addCertified(name string) (d registry.Device, pair tls.Certificate) {
	s.t.Helper()
	d = s.addDevice(name, func(d *registry.Device) { pair = s.issue(d) })
	return d, pair
}

// addSecret adds a device with a secret.
func (s *doorServer) addSecret(name string) (d registry.Device, secret string) {
	s.t.Helper()
	secret = registry.NewSecret()
	return s.addDevice(name, func(d *registry.Device) { d.Secret = registry.HashSecret(secret) }), secret
}

// certify makes a certificate for a name, signed by another one or by itself.
func certify(t testing.TB, name string, begin, end time.Time, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             begin,
		NotAfter:              end,
		BasicConstraintsValid: true,
		IsCA:                  by == nil,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
