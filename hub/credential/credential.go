// Package credential makes and checks what a hub and its devices show of themselves: the
// authorities that vouch for them, their certificates, and requests for such.
//
// A hub has authorities of two kinds ([registry.Authority]), each with one that signs and any number
// that are valid. Keys are ECDSA on P-256. An authority is valid for twenty years, a device's certificate
// for ten, and the hub's own, which is in memory alone, for ninety days.
//
// Which device a certificate is: the one that has it on record, whoever signed it. A device with none on record
// may show one with its name as the common name, signed by a device authority whose key somebody
// else has. What the hub itself made counts only while it is on record: once it is taken back it opens nothing, not even
// where nothing took its place, nor another device that later has the same name.
//
// Clocks: nothing here needs the hub's clock to be right. While it shows a time before this program was
// written ([ClockIsSet]), the dates of devices' certificates are not checked, and what is made
// is valid as long as its authority.
package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// How long certificates are valid.
const (
	AuthorityLife = 20 * 365 * 24 * time.Hour
	DeviceLife    = 10 * 365 * 24 * time.Hour
	ServerLife    = 90 * 24 * time.Hour
)

// clockStart is before this program was written: a clock that shows less is wrong. Authorities are valid
// from then on, so that a device whose clock is behind finds a new one valid.
var clockStart = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// ClockIsSet tells whether a computer's clock can be right. A small computer without a battery begins in 1970.
func ClockIsSet(now time.Time) bool { return !now.Before(clockStart) }

// CertificatePEM is a certificate in PEM.
func CertificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// ParseCertificate reads the first certificate of a PEM file. What else is there is ignored.
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	block, err := findPEM(data, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(block)
	if err != nil {
		return nil, fmt.Errorf("certificate can't be read: %w", err)
	}
	return cert, nil
}

// findPEM is the content of the first block of one of the types, the first of which names what is looked for.
func findPEM(data []byte, types ...string) ([]byte, error) {
	var found []string
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if slices.Contains(types, block.Type) {
			return block.Bytes, nil
		}
		found = append(found, block.Type)
	}
	what := strings.ToLower(types[0])
	if found != nil {
		return nil, fmt.Errorf("expected a %s, found %s", what, strings.Join(slices.Compact(found), ", "))
	}
	return nil, fmt.Errorf("no %s in PEM: expected all lines from -----BEGIN %s----- to -----END %[2]s-----", what, types[0])
}

// Fingerprint is the SHA-256 of a certificate in lower-case hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// shortFingerprint is how many hex digits of a fingerprint a person has to write.
const shortFingerprint = 8

// ParseFingerprint reads a fingerprint, 64 hex digits, or at least the first 8 of it. There may be colons between the bytes.
func ParseFingerprint(s string) (string, error) {
	plain := strings.ToLower(strings.ReplaceAll(s, ":", ""))
	if len(plain) < shortFingerprint || len(plain) > 2*sha256.Size || strings.Trim(plain, "0123456789abcdef") != "" {
		return "", fmt.Errorf("not a fingerprint: expected the SHA-256 of a certificate, 64 hex digits, or at least the first %d", shortFingerprint)
	}
	return plain, nil
}

// serial is a random number of 127 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}
