package hubtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/hubtest"
)

// A device connects with its certificate, also after the hub was restarted, and
// without it not.
func TestMQTTS(t *testing.T) {
	h := hubtest.Start(t)
	_, certFile, keyFile := h.AddSecureDevice("panel")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(h.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	code := func(shows ...tls.Certificate) byte {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(h.MQTTS(), "mqtts://"), &tls.Config{RootCAs: roots, Certificates: shows})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x"); err != nil {
			t.Fatal(err)
		}
		var connack [4]byte
		if _, err := io.ReadFull(conn, connack[:]); err != nil {
			t.Fatal(err)
		}
		return connack[3]
	}
	if got := code(); got != 5 {
		t.Errorf("without a certificate: code %d, want 5", got)
	}
	if got := code(pair); got != 0 {
		t.Errorf("with its certificate: code %d, want 0", got)
	}
	h.Restart()
	if got := code(pair); got != 0 {
		t.Errorf("after a restart: code %d, want 0", got)
	}
}
