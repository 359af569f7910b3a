package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/statemachine"
)

// A panel's clock stands before its hub's certificate begins. It guards and says why it has no connection; when the clock is
// right, it connects by itself.
func TestACertificateThatIsNotValidYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t, statemachine.DefaultRules(), true, func(n *night) { n.secure(time.Now().Add(time.Hour)) })
		n.tap(true) // which the panel can't know of
		n.after(time.Minute)
		const reason = "the hub's certificate is not valid before 2000-01-01 01:00 UTC"
		next := "this computer's clock says 2000-01-01 00:00 UTC"
		if s := n.status(); !strings.Contains(s.Hub, reason) || !strings.Contains(s.HubNext, next) || !slices.Equal(s.Faults, []string{"clock"}) || s.Armed {
			t.Errorf("an hour early: %+v, want disarmed with the fault clock, because %s; %s", s, reason, next)
		}
		if s, err := n.agent.Panel.Command(t.Context(), true); err != nil || !s.Armed {
			t.Errorf("armed at the panel: %+v, %v", s, err)
		}
		n.door(true)
		n.after(doorToSiren)
		n.wantSiren("no connection, and the door opens", true)
		n.door(false)
		n.after(180 * time.Second)
		n.wantSiren("the siren limit", false)

		n.after(time.Hour) // as far as TLS can see, the clock is set
		n.after(reconnected)
		if s := n.status(); s.Hub != "connected" || len(s.Faults) > 0 {
			t.Errorf("the clock is right: %+v, want connected and no fault", s)
		}
		n.want("the clock is right", "armed", false)
		n.end()
	})
}

func (n *night) status() panel.Status {
	n.t.Helper()
	s, err := n.agent.Panel.Status(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// secure puts TLS before the hub, with a certificate that begins at a time.
func (n *night) secure(begins time.Time) {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub"}, DNSNames: []string{"localhost"},
		NotBefore: begins, NotAfter: begins.AddDate(1, 0, 0),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "hub"}}, key.Public(), key)
	if err != nil {
		n.t.Fatal(err)
	}
	n.connect.CAFile = filepath.Join(n.t.TempDir(), "ca.pem")
	if err := os.WriteFile(n.connect.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.connect.Hub, n.connect.Dial = "mqtts://localhost", func(ctx context.Context) (net.Conn, error) {
		hub, err := n.hub.Dial(ctx)
		if err != nil {
			return nil, err
		}
		client, server := net.Pipe()
		secured := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		relay(secured, hub)
		return client, nil
	}
}

// relay passes on what either end says, until one of them closes.
func relay(a, b net.Conn) {
	end := sync.OnceFunc(func() {
		a.Close()
		b.Close()
	})
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			io.Copy(way[0], way[1])
			end()
		}()
	}
}
