//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"time"
)

const brokerConfig = "mosquitto.conf" // in the stage's folder

// mosquittoConfig has no log and no persistence, no limit on what waits for the responder, and sends without waiting for
// more: all in its favour.
const mosquittoConfig = `user root
per_listener_settings false
allow_anonymous true
persistence false
log_dest none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
listener %s %s
listener %s %s
certfile %s
keyfile %s
`

// startBroker starts mosquitto and the responder behind it.
func (s *stage) startBroker(ctx context.Context) (*server, error) {
	cert, key := s.path("broker.pem"), s.path("broker.key")
	if err := makeCertificate(cert, key); err != nil {
		return nil, err
	}
	var at []string
	var parts []any
	for range 2 {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		at, parts = append(at, address), append(parts, port, host)
	}
	if err := os.WriteFile(s.path(brokerConfig), fmt.Appendf(nil, mosquittoConfig, append(parts, cert, key)...), 0o600); err != nil {
		return nil, err
	}
	b := &server{plain: at[:1], secure: at[1:], byID: true}
	if err := s.startMosquitto(ctx, b); err != nil {
		return nil, err
	}
	responder, err := itself(ctx, "respond", "--broker", at[0], "--panels", fmt.Sprint(s.size.devices()))
	if err == nil {
		var p *process
		if p, err = s.start(responder, "responder", "responding"); err == nil {
			b.processes = append(b.processes, p)
		}
	}
	if err != nil {
		return nil, errors.Join(err, b.end())
	}
	return b, nil
}

// startMosquitto puts the broker at the head of a server's processes.
func (s *stage) startMosquitto(ctx context.Context, b *server) error {
	path, err := findMosquitto()
	if err != nil {
		return missing(err, "mosquitto")
	}
	// mosquitto says nothing when it is ready: that is asked for at its address.
	p, err := s.start(program(ctx, path, "-c", s.path(brokerConfig)), "mosquitto", "")
	if err != nil {
		return err
	}
	b.processes = append([]*process{p}, b.processes...)
	if err := awaitListener(ctx, b.plain[0]); err != nil {
		return errors.Join(err, b.end())
	}
	return nil
}

// findMosquitto looks also where Debian has it and a user's PATH has not.
func findMosquitto() (string, error) {
	path, err := exec.LookPath("mosquitto")
	if err == nil {
		return path, nil
	}
	if found, e := exec.LookPath("/usr/sbin/mosquitto"); e == nil {
		return found, nil
	}
	return "", err
}

// makeCertificate makes a key of the same kind as the hub's, and a certificate that it signs itself.
func makeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(file, kind string, b []byte) error {
		return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600)
	}
	return errors.Join(write(certFile, "CERTIFICATE", cert), write(keyFile, "PRIVATE KEY", der))
}
