package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/internal/cli"
	"github.com/twinpanel/twinpanel/internal/durable"
)

// How long the app's own certificate is valid: Apple's devices accept no more than 825 days in all, and the two clocks
// may differ by certificateBehind.
const (
	certificateLife   = 825*24*time.Hour - time.Second
	certificateBehind = 7 * 24 * time.Hour
)

// The files of the app's own certificate.
const (
	certificateFile = "certificate.pem" // certificate and key, in one so that they always fit
	authorityFile   = "authority.crt"   // named as phones know such files
)

func certificateCommand() *cli.Command {
	var c ownCertificate
	return &cli.Command{
		Name:  "certificate",
		Short: "Make a certificate for the page, and a file that phones can trust it by.",
		Long: `Make a certificate for the page, valid for 818 days, and print what it is for.
Two files are written:

  DIR/certificate.pem   certificate and key: give it as --cert and as --key-file
  DIR/authority.crt     for phones: a phone that trusts it shows the page without
                        a warning and can install it as an app

The authority has signed this one certificate, and its key is gone: nobody, not
even who steals this computer, can sign another one with it. Compare authority_sha256
with what the phone shows before it trusts.`,
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&c.Dir, "out", "", "`folder` for the files; required")
			fs.StringSliceVar(&c.Names, "name", nil, "`host` name or IP address that phones call the app by; can be repeated; without it this computer's name, and that with .local")
			fs.BoolVar(&c.Replace, "replace", false, "replace the files that are there: phones have to trust the new ones")
			cli.FlagOnly(fs, "out", "name", "replace")
		},
		Run: c.run,
	}
}

// An ownCertificate is what app certificate is told.
type ownCertificate struct {
	Dir     string   // made if need be
	Names   []string // none = this computer
	Replace bool
}

func (c *ownCertificate) run(_ context.Context, _ []string, stdout, _ io.Writer) error {
	if c.Dir == "" {
		return cli.Hint(cli.Usagef("--out is missing"), "name the folder for the files, as in --out certificate")
	}
	names, err := hosts(c.Names)
	if err != nil {
		return cli.Usagef("--name: %w", err)
	}
	now := time.Now()
	if now.Year() < 2026 { // before this program was written
		return cli.Hint(fmt.Errorf("this computer's clock says %s: no phone would find the certificate valid", now.UTC().Format(time.DateOnly)), "set the clock, then try again")
	}
	if err := c.mayWrite(); err != nil {
		return err
	}
	made, err := issue(names, now)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		perm os.FileMode
	}{{authorityFile, made.authority, 0o644}, {certificateFile, made.certificate, 0o600}} {
		path := filepath.Join(c.Dir, f.name)
		if err := durable.Replace(path, f.data, f.perm); err != nil {
			return err
		}
		if err := durable.GiveAway(path, c.Dir); err != nil {
			return err
		}
	}
	return json.NewEncoder(stdout).Encode(made.line)
}

// mayWrite says which of the files is there already, unless it may be replaced.
func (c *ownCertificate) mayWrite() error {
	for _, name := range []string{authorityFile, certificateFile} {
		path := filepath.Join(c.Dir, name)
		if _, err := os.Lstat(path); !c.Replace && !errors.Is(err, fs.ErrNotExist) {
			return cli.Hint(fmt.Errorf("%s exists already", path), "--replace makes new files in place of the old: phones have to trust them anew")
		}
	}
	return nil
}

// A certificateLine is what is printed of a certificate.
type certificateLine struct {
	Names     []string  `json:"names"`
	NotAfter  time.Time `json:"not_after"`
	Authority string    `json:"authority_sha256"` // of authority.crt, as phones show it: hex
}

// issued is a certificate, with its key, and the authority that signed it, in PEM.
type issued struct {
	certificate, authority []byte
	line                   certificateLine
}

// issue makes a certificate for names, of an authority that is good for nothing else.
func issue(names []string, now time.Time) (made issued, err error) {
	begin := now.Add(-certificateBehind).UTC().Truncate(time.Second)
	template := func(usage x509.KeyUsage) *x509.Certificate {
		return &x509.Certificate{SerialNumber: serial(), NotBefore: begin, NotAfter: begin.Add(certificateLife), KeyUsage: usage}
	}
	leaf := template(x509.KeyUsageDigitalSignature)
	leaf.Subject.CommonName = names[0]
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	// Who doesn't believe that the key is gone can read in the authority what it could be good for.
	authority := template(x509.KeyUsageCertSign)
	authority.Subject = pkix.Name{Organization: []string{"Twinpanel"}, CommonName: "Twinpanel app at " + names[0]}
	authority.IsCA, authority.BasicConstraintsValid, authority.MaxPathLenZero = true, true, true
	authority.PermittedDNSDomainsCritical = true
	for _, name := range names {
		if ip, err := netip.ParseAddr(name); err == nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip.AsSlice())
			authority.PermittedIPRanges = append(authority.PermittedIPRanges, &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())})
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
			authority.PermittedDNSDomains = append(authority.PermittedDNSDomains, name)
		}
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made, fmt.Errorf("making a key: %w", err)
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, signer.Public(), signer)
	if err != nil {
		return made, fmt.Errorf("making the authority: %w", err)
	}
	if authority, err = x509.ParseCertificate(authorityDER); err != nil { // for the identifier of its key
		return made, fmt.Errorf("reading the authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return made, fmt.Errorf("making a key: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), signer)
	if err != nil {
		return made, fmt.Errorf("making the certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return made, fmt.Errorf("encoding the key: %w", err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	sum := sha256.Sum256(authorityDER)
	return issued{
		certificate: slices.Concat(block("CERTIFICATE", leafDER), block("PRIVATE KEY", keyDER)),
		authority:   block("CERTIFICATE", authorityDER),
		line:        certificateLine{names, leaf.NotAfter, hex.EncodeToString(sum[:])},
	}, nil
}

// serial is a number that no other certificate has.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] = b[0]&0x7f | 0x40 // positive, and always as long
	return new(big.Int).SetBytes(b)
}

// longestHostName is what X.509 leaves room for in the name that people are shown.
const longestHostName = 64 - len("Twinpanel app at ")

// label is a part of a host's name.
var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// isHostName tells whether browsers find a host by a name. One that ends in a number is an address to them.
func isHostName(name string) bool {
	labels := strings.Split(name, ".")
	return len(name) <= longestHostName && !slices.ContainsFunc(labels, func(l string) bool { return !label.MatchString(l) }) &&
		strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// hosts are the names of a certificate, each once and in lower case, with those that this computer calls itself at
// the end. None were given: this computer's name.
func hosts(names []string) ([]string, error) {
	if len(names) == 0 {
		host, err := os.Hostname()
		switch {
		case err != nil || !isHostName(host): // it has no name that anybody could call it by
		case strings.Contains(host, "."):
			names = []string{host}
		default:
			names = []string{host + ".local", host} // by mDNS, as its own network finds it
		}
	}
	var found []string
	for _, name := range slices.Concat(names, []string{"localhost", "127.0.0.1", "::1"}) {
		name = strings.ToLower(name)
		if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" && !ip.IsUnspecified() {
			name = ip.Unmap().String()
		} else if !isHostName(name) {
			return nil, fmt.Errorf("%q is no host: expected an IP address, or a name of at most %d letters, digits, - and dots, without a port", name, longestHostName)
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found, nil
}
