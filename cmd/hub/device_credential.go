package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// soon is how long before a certificate's end somebody should hear of it.
const soon = 30 * 24 * time.Hour

// A credentialOrder is what flags say about what a device is to show of itself.
type credentialOrder struct {
	secret    bool
	cert, csr string // files in PEM; empty = none
	out       string // folder for the device's part; empty = it is printed

	certificate *x509.Certificate // read from cert
	request     []byte            // read from csr
}

func (o *credentialOrder) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.secret, "secret", false, "make a secret for it, to be used as MQTT password with its id as user name")
	textFlag(fs, &o.cert, "cert", "`file` with a certificate that it has already, in PEM; its fingerprint is what counts", "no file is named")
	textFlag(fs, &o.csr, "csr", "`file` with a certificate request in PEM, which the hub is to sign; its common name is the device's name", "no file is named")
	textFlag(fs, &o.out, "out", "`folder` for ca.pem and what else the device needs, made if need be; no file in it is ever overwritten", "no folder is named")
	// HUB_CERT is the hub's own.
	cli.FlagOnly(fs, "secret", "cert", "csr", "out")
}

// read checks the flags and reads their files.
func (o *credentialOrder) read() error {
	switch {
	case o.cert != "" && o.csr != "":
		return cli.Hint(cli.Usagef("--cert with --csr: a device has one certificate"), "leave out the one or the other")
	case o.cert != "":
		data, err := os.ReadFile(o.cert)
		if err != nil {
			return fmt.Errorf("reading --cert: %w", err)
		}
		if o.certificate, err = credential.ParseCertificate(data); err != nil {
			return fmt.Errorf("--cert %s: %w", o.cert, err)
		}
	case o.csr != "":
		data, err := os.ReadFile(o.csr)
		if err != nil {
			return fmt.Errorf("reading --csr: %w", err)
		}
		o.request = data
	}
	return nil
}

// asks tells whether the flags ask for anything in particular.
func (o *credentialOrder) asks() bool { return o.secret || o.cert != "" || o.csr != "" }

// A handover is the device's part of its credential. The hub doesn't keep secret and key: they are handed
// over once.
type handover struct {
	Certificate *keyPair `json:"certificate,omitempty"` // made by the hub
	Secret      string   `json:"secret,omitempty"`

	authorities []byte // that vouch for the hub, in PEM
	foreign     bool   // there are authorities for devices whose key somebody else has
}

// A keyPair is a certificate and its key, in PEM, with the vendor's names of the fields.
type keyPair struct {
	Crt string `json:"crt"`
	Key string `json:"key,omitempty"` // empty = the device has it already
}

// make gives d what was ordered, in the place of all that it could show of itself before.
// With issue, the hub makes it a key and a certificate.
func (o *credentialOrder) make(ctx context.Context, r registry.Registry, all []registry.Authority, d *registry.Device, issue bool) (handover, error) {
	h := handover{authorities: credential.Bundle(all, registry.ServerAuthority), foreign: slices.ContainsFunc(all, registry.Authority.IsCustom)}
	d.Certificate, d.CustomCertificate, d.Secret = nil, false, [sha256.Size]byte{}
	switch {
	case issue:
		der, cert, key, err := credential.Issue(all, *d)
		if err != nil {
			return handover{}, err
		}
		d.Certificate, h.Certificate = der, &keyPair{Crt: string(cert), Key: string(key)}
	case o.request != nil:
		der, err := credential.SignRequest(all, *d, o.request)
		if err != nil {
			return handover{}, fmt.Errorf("--csr %s: %w", o.csr, err)
		}
		d.Certificate, h.Certificate = der, &keyPair{Crt: string(credential.CertificatePEM(der))}
	case o.certificate != nil:
		d.Certificate, d.CustomCertificate = o.certificate.Raw, true
		switch other, err := r.DeviceByFingerprint(ctx, d.Fingerprint()); {
		case err == nil && other.ID != d.ID:
			return handover{}, cli.Hint(fmt.Errorf("--cert %s: it is the certificate of device %q", o.cert, other.Name),
				"each device needs a certificate of its own")
		case err != nil && !errors.Is(err, registry.ErrNoDevice):
			return handover{}, err
		}
	}
	if o.secret {
		h.Secret = registry.NewSecret()
		d.Secret = registry.HashSecret(h.Secret)
	}
	return h, nil
}

// fill makes d's credential as make does, saves the device's part if there is a folder for it, and then stores d.
// Where d can't be stored, its files are taken back.
func (o *credentialOrder) fill(ctx context.Context, r registry.Registry, all []registry.Authority, d *registry.Device, issue bool, store func() error) (h handover, files *deviceFiles, err error) {
	if h, err = o.make(ctx, r, all, d, issue); err != nil {
		return h, nil, err
	}
	if o.out != "" {
		if files, err = h.save(o.out); err != nil {
			return h, nil, err
		}
	}
	err = store()
	// The files may be a credential that works by now.
	if _, unknown := errors.AsType[*docstore.OutcomeError](err); err != nil && !unknown && files != nil {
		err = errors.Join(err, files.remove())
	}
	return h, files, err
}

// hand prints a device, with its part of the credential if that isn't in files.
func (o *credentialOrder) hand(stdout, stderr io.Writer, d registry.Device, h handover, files *deviceFiles) error {
	if o.certificate != nil {
		for _, text := range warnings(o.certificate, d.Name, time.Now()) {
			warn(stderr, "%s", text)
		}
	}
	if h.foreign && len(d.Certificate) == 0 {
		fmt.Fprintf(stderr, "%q connects with any certificate in its name that a device authority of others has signed (hub ca list); "+
			"hub device renew makes one here, which is then the only one\n", d.Name)
	}
	if files != nil {
		fmt.Fprintln(stderr, files)
		return printLine(stdout, newDeviceLine(d))
	}
	err := printLine(stdout, struct {
		deviceLine
		handover
	}{newDeviceLine(d), h})
	if err != nil && (h.Certificate != nil || h.Secret != "") {
		return cli.Hint(fmt.Errorf("printing the device: %w", err), "nobody has its credential now: hub device renew makes another one")
	}
	return err
}

// warnings say what is strange about a certificate that somebody brought for a device.
func warnings(cert *x509.Certificate, name string, now time.Time) []string {
	var all []string
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case !credential.ClockIsSet(now):
	case now.After(cert.NotAfter):
		all = append(all, fmt.Sprintf("the certificate expired on %s: the hub refuses it", day(cert.NotAfter)))
	case now.Before(cert.NotBefore):
		all = append(all, fmt.Sprintf("the certificate is not valid before %s: the hub refuses it until then", day(cert.NotBefore)))
	case cert.NotAfter.Sub(now) < soon:
		all = append(all, fmt.Sprintf("the certificate ends on %s: hub device renew puts another one in its place", day(cert.NotAfter)))
	}
	if cn := cert.Subject.CommonName; cn != name {
		all = append(all, fmt.Sprintf("the certificate's common name is %q and not %q: the hub goes by the fingerprint and takes it all the same", cn, name))
	}
	return all
}
