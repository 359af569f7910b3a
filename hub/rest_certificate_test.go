package hub_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/twin"
)

// A madeCertificate is one that somebody made without the hub.
type madeCertificate struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// makeCertificate makes a certificate for a name, signed by parent; nil = by itself.
func makeCertificate(t *testing.T, name string, parent *madeCertificate, change func(*x509.Certificate)) madeCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	signer := madeCertificate{template, key}
	if parent != nil {
		signer = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Certificate, key.Public(), signer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return madeCertificate{cert, key}
}

func (c madeCertificate) pem() string { return string(credential.CertificatePEM(c.Raw)) }

func isAuthority(c *x509.Certificate) {
	c.BasicConstraintsValid, c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
}

func isExpired(c *x509.Certificate) {
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
}

// newAuthority is an authority's certificate, and the challenge that shows who has its key.
func newAuthority(t *testing.T, hubID string) (ca, challenge string) {
	t.Helper()
	authority := makeCertificate(t, "my authority", nil, isAuthority)
	return authority.pem(), makeCertificate(t, hubID, &authority, nil).pem()
}

// identified is the device that the hub takes a certificate for.
func identified(t *testing.T, h deviceHub, cert *x509.Certificate) (twin.ID, error) {
	t.Helper()
	d, err := credential.Identify(t.Context(), h.registry, []*x509.Certificate{cert}, time.Now())
	return d.ID, err
}

// issued reads the certificate of an answer, with its key.
func issued(t *testing.T, values []string) tls.Certificate {
	t.Helper()
	var text [2]string
	for i := range text {
		if err := json.Unmarshal([]byte(values[i]), &text[i]); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair([]byte(text[0]), []byte(text[1]))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// The certificate that a device is created with opens it, until it is renewed.
func TestRESTRenewCertificate(t *testing.T) {
	h := newDeviceHub(t)
	got := h.ask(t, "POST", devices, `{"name":"shed","hub_id":"`+hubID+`"}`, "certificate.crt", "certificate.key", "device.id")
	first := issued(t, got)
	shed := twin.ID(strings.Trim(got[2], `"`))
	if id, err := identified(t, h, first.Leaf); id != shed || err != nil || first.Leaf.Subject.CommonName != "shed" {
		t.Errorf("the first certificate opens %q, %v; want %s", id, err, shed)
	}
	path := devices + "/" + string(shed)
	got = h.ask(t, "POST", path+"/renew-certificate", `{}`, "certificate.crt", "certificate.key", "device.has_custom_certificate")
	second := issued(t, got)
	if id, err := identified(t, h, second.Leaf); id != shed || err != nil || got[2] != "false" {
		t.Errorf("the second certificate opens %q, %v; want %s", id, err, shed)
	}
	if id, err := identified(t, h, first.Leaf); err == nil {
		t.Errorf("the first certificate still opens %s", id)
	}
	if first.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(second.Leaf.PublicKey) {
		t.Error("the second certificate has the first one's key")
	}
	want := jsonText(t, string(credential.CertificatePEM(second.Leaf.Raw)))
	if got := h.ask(t, "GET", path+"/certificate", "", "certificate_pem"); got[0] != want {
		t.Errorf("get certificate: got %s, want the second", got[0])
	}
}

func TestRESTSetCertificate(t *testing.T) {
	h := newDeviceHub(t)
	shed := h.add(t, "shed")
	own := makeCertificate(t, "whatever", nil, nil)
	got := h.ask(t, "PUT", device+"/certificate", jsonText(t, map[string]string{"certificate_pem": own.pem() + "more"}), "certificate_pem", "device.has_custom_certificate", "device.id")
	if got[0] != jsonText(t, own.pem()) || got[1] != "true" || got[2] != jsonText(t, panelID) {
		t.Errorf("got %q", got)
	}
	if id, err := identified(t, h, own.Certificate); id != panelID || err != nil {
		t.Errorf("the certificate opens %q, %v; want the panel", id, err)
	}
	before := h.state(t)
	key, err := x509.MarshalPKCS8PrivateKey(own.key)
	if err != nil {
		t.Fatal(err)
	}
	expired := makeCertificate(t, "old", nil, isExpired)
	for _, tt := range []struct{ name, pem, reason, help string }{
		{"the panel's", own.pem(), "constraint", "another device has this certificate: each needs its own"},
		{"expired", expired.pem(), "constraint", "certificate expired on " + expired.NotAfter.UTC().Format(time.RFC3339)},
		{"cut short", own.pem()[:200], "format", parseError(own.pem()[:200])},
		{"a key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), "format",
			parseError(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))},
		{"not ASN.1", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "format",
			parseError(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer := call(h.rest, "PUT", devices+"/"+string(shed)+"/certificate", jsonText(t, map[string]string{"certificate_pem": tt.pem}))
			checkAnswer(t, answer, 400, invalid("certificate_pem", tt.reason, tt.help))
		})
	}
	before.check(t, h)
	// Its own again is no other device's.
	h.ask(t, "PUT", device+"/certificate", jsonText(t, map[string]string{"certificate_pem": own.pem()}))
	if got := h.ask(t, "POST", device+"/renew-certificate", "", "device.has_custom_certificate"); got[0] != "false" {
		t.Errorf("after a renewal has_custom_certificate is %s", got[0])
	}
}

func parseError(text string) string {
	_, err := credential.ParseCertificate([]byte(text))
	return err.Error()
}

// An authority of one's own vouches for devices by their names, is shown, and is replaced by the next.
func TestRESTSetAuthority(t *testing.T) {
	h := newDeviceHub(t)
	own := h.ask(t, "GET", theHub+"/ca", "", "ca_cert_pem")[0]
	issuedBefore := issued(t, h.ask(t, "POST", devices, `{"name":"old","hub_id":"`+hubID+`"}`, "certificate.crt", "certificate.key"))

	first := makeCertificate(t, "first", nil, isAuthority)
	set := func(ca, challenge string) string {
		return jsonText(t, map[string]string{"ca_cert_pem": ca, "challenge_cert_pem": challenge})
	}
	got := h.ask(t, "POST", theHub+"/ca", set(first.pem(), makeCertificate(t, strings.ToUpper(hubID), &first, nil).pem()), "has_custom_ca", "id")
	if got[0] != "true" || got[1] != jsonText(t, hubID) {
		t.Errorf("got %q", got)
	}
	if got := h.ask(t, "GET", theHub+"/ca", "", "ca_cert_pem"); got[0] != jsonText(t, first.pem()) || got[0] == own {
		t.Errorf("get ca: got %s, want the first", got[0])
	}

	// A device has no certificate of the hub's now, and connects by its name.
	answer := h.ask(t, "POST", devices, `{"name":"shed","hub_id":"`+hubID+`"}`, "certificate", "device.id")
	shed := twin.ID(strings.Trim(answer[1], `"`))
	if answer[0] != "" {
		t.Errorf("the device was created with the certificate %s, want none", answer[0])
	}
	byName := makeCertificate(t, "shed", &first, nil)
	if id, err := identified(t, h, byName.Certificate); id != shed || err != nil {
		t.Errorf("a certificate with the name opens %q, %v; want %s", id, err, shed)
	}
	if _, err := identified(t, h, issuedBefore.Leaf); err != nil {
		t.Errorf("a certificate that the hub issued before: %v", err)
	}
	if got := h.ask(t, "PATCH", theHub, `{"enable_device_auto_provisioning":true}`, "enable_device_auto_provisioning"); got[0] != "true" {
		t.Errorf("auto provisioning is %s", got[0])
	}

	second := makeCertificate(t, "second", nil, isAuthority)
	h.ask(t, "POST", theHub+"/ca", set(second.pem(), makeCertificate(t, hubID, &second, nil).pem()))
	if id, err := identified(t, h, byName.Certificate); err == nil {
		t.Errorf("a certificate of the first authority still opens %s", id)
	}
	if got := h.ask(t, "GET", theHub+"/ca", "", "ca_cert_pem"); got[0] != jsonText(t, second.pem()) {
		t.Errorf("get ca: got %s, want the second", got[0])
	}
	if _, err := identified(t, h, issuedBefore.Leaf); err != nil {
		t.Errorf("a certificate that the hub issued before: %v", err)
	}
}

func TestRESTSetAuthorityRefuses(t *testing.T) {
	h := newDeviceHub(t)
	h.ask(t, "GET", theHub+"/ca", "")
	before := h.state(t)
	ca := makeCertificate(t, "my authority", nil, isAuthority)
	stranger := makeCertificate(t, "my authority", nil, isAuthority)
	leaf := makeCertificate(t, "leaf", nil, nil)
	expired := makeCertificate(t, "expired", nil, func(c *x509.Certificate) { isAuthority(c); isExpired(c) })
	noSigner := makeCertificate(t, "no signer", nil, func(c *x509.Certificate) { isAuthority(c); c.KeyUsage = x509.KeyUsageDigitalSignature })
	challenge := func(name string, by madeCertificate) string { return makeCertificate(t, name, &by, nil).pem() }
	var own registry.Authority
	for _, a := range before.authorities {
		if a.Kind == registry.DeviceAuthority {
			own = a
		}
	}
	ownKey, err := x509.ParsePKCS8PrivateKey(own.Key)
	if err != nil {
		t.Fatal(err)
	}
	ownCert, err := x509.ParseCertificate(own.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	hubs := madeCertificate{ownCert, ownKey.(*ecdsa.PrivateKey)}
	for _, tt := range []struct{ name, ca, challenge, argument, reason, help string }{
		{"no challenge", ca.pem(), "", "challenge_cert_pem", "required", "missing: send a certificate in PEM"},
		{"no authority", leaf.pem(), challenge(hubID, leaf), "ca_cert_pem", "constraint", "certificate is of no authority: its basic constraints have to say CA:TRUE"},
		{"expired", expired.pem(), challenge(hubID, expired), "ca_cert_pem", "constraint", "certificate expired on " + expired.NotAfter.UTC().Format(time.RFC3339)},
		{"may not sign", noSigner.pem(), challenge(hubID, noSigner), "challenge_cert_pem", "constraint", "certificate is not signed by the authority: x509: invalid signature: parent certificate cannot sign this kind of certificate"},
		{"challenge for another hub", ca.pem(), challenge(otherHubID, ca), "challenge_cert_pem", "constraint", "the common name has to be the hub's id, " + hubID},
		{"challenge of somebody else", ca.pem(), challenge(hubID, stranger), "challenge_cert_pem", "constraint", "certificate is not signed by the authority: x509: ECDSA verification failure"},
		{"challenge signed by itself", ca.pem(), makeCertificate(t, hubID, nil, nil).pem(), "challenge_cert_pem", "constraint", "certificate is not signed by the authority: x509: ECDSA verification failure"},
		{"the authority as its own challenge", ca.pem(), ca.pem(), "challenge_cert_pem", "constraint", "the common name has to be the hub's id, " + hubID},
		{"the hub's own", hubs.pem(), challenge(hubID, hubs), "ca_cert_pem", "constraint", "the hub has this authority already, and its key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := map[string]string{"ca_cert_pem": tt.ca, "challenge_cert_pem": tt.challenge}
			checkAnswer(t, call(h.rest, "POST", theHub+"/ca", jsonText(t, body)), 400, invalid(tt.argument, tt.reason, tt.help))
		})
	}
	before.check(t, h)
}

// Whoever may have come in by the authority that is replaced has to come again; who has a certificate on
// record stays.
func TestRESTSetAuthorityEndsConnections(t *testing.T) {
	h := newDeviceHub(t)
	shed := h.add(t, "shed")
	h.ask(t, "PATCH", devices+"/"+string(shed), `{"allow_insecure":true}`)
	connect := func(id twin.ID) net.Conn {
		conn, theirs := net.Pipe()
		t.Cleanup(func() { conn.Close() })
		go h.ServeConn(theirs)
		if _, err := conn.Write(append([]byte("\x10\x30\x00\x04MQTT\x04\x02\x00\x00\x00\x24"), id...)); err != nil {
			t.Fatal(err)
		}
		if connack := make([]byte, 4); !reads(conn, connack, "\x20\x02\x00\x00") {
			t.Fatalf("device %s does not connect", id)
		}
		return conn
	}
	byName, onRecord := connect(panelID), connect(shed)
	ca, challenge := newAuthority(t, hubID)
	h.ask(t, "POST", theHub+"/ca", jsonText(t, map[string]string{"ca_cert_pem": ca, "challenge_cert_pem": challenge}))
	if n, err := byName.Read(make([]byte, 1)); err == nil {
		t.Errorf("the device without a certificate got %d bytes, want the end", n)
	}
	if _, err := onRecord.Write([]byte("\xc0\x00")); err != nil || !reads(onRecord, make([]byte, 2), "\xd0\x00") {
		t.Errorf("the device with a certificate gets no answer to a ping, %v", err)
	}
}

// reads tells whether these bytes come.
func reads(conn net.Conn, b []byte, want string) bool {
	_, err := io.ReadFull(conn, b)
	return err == nil && string(b) == want
}
