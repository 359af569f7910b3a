package twinclient

import (
	"crypto/x509"
	"fmt"
	"os"
	"runtime"
	"time"
)

// A Finding is what [Options.Inspect] found out about one of the files.
type Finding struct {
	What string // authority, certificate, key or secret; credential, if there is none
	Text string // the same words as long as it is the same
	Next string // what to do; empty = all is well
}

// Inspect reads the files with certificates, key and secret and says what is wrong with them now, or will
// be soon. It opens no connection.
func (o Options) Inspect(now time.Time) []Finding {
	a, err := o.address()
	if err != nil {
		return nil // [Options.Validate] says what
	}
	var found []Finding
	add := func(what, text, next string) { found = append(found, Finding{what, text, next}) }
	switch {
	case !a.tls:
	case o.CAFile == "":
		add("authority", "any that this system trusts may vouch for the hub", "")
	default:
		found = append(found, o.inspectAuthorities(now)...)
	}
	if o.CertFile != "" {
		found = append(found, o.inspectCertificate(now)...)
		if exposed(o.KeyFile) {
			add("key", o.KeyFile+" can be read by every user of this computer", "chmod o= "+o.KeyFile)
		}
	}
	if o.SecretFile != "" {
		switch _, err := readSecret(o.SecretFile); {
		case err != nil:
			add("secret", err.Error(), "write the secret into the file, as one line; hub device renew --secret makes a new one")
		case exposed(o.SecretFile):
			add("secret", o.SecretFile+" can be read by every user of this computer", "chmod o= "+o.SecretFile)
		default:
			add("secret", o.SecretFile+" holds one", "")
		}
	}
	if o.CertFile == "" && o.SecretFile == "" {
		add("credential", "none: whoever learns the device id can act as this device", "")
	}
	return found
}

// inspectAuthorities looks at each certificate of CAFile. What is well is one finding.
func (o Options) inspectAuthorities(now time.Time) []Finding {
	var found []Finding
	certs, err := readAuthorities(o.CAFile)
	if err != nil {
		found = append(found, Finding{"authority", err.Error(), "write them into the file anew: hub ca export prints the hub's"})
	}
	var end time.Time // of the first to end
	well := 0
	for _, cert := range certs {
		if text, next := inspectTime(subject(cert)+" in "+o.CAFile, "remove it from the file, or write the file anew: hub ca export prints the hub's authorities", cert, now); text != "" {
			found = append(found, Finding{"authority", text, next})
			continue
		}
		if well++; end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	switch {
	case well == 1:
		found = append(found, Finding{"authority", fmt.Sprintf("%s holds one, valid until %s", o.CAFile, date(end)), ""})
	case well > 1:
		found = append(found, Finding{"authority", fmt.Sprintf("%s holds %d, the first to end on %s", o.CAFile, well, date(end)), ""})
	}
	return found
}

// inspectCertificate looks at the device's certificate and those that come with it.
func (o Options) inspectCertificate(now time.Time) []Finding {
	const renew = "hub device renew makes a new one"
	pair, err := readCertificate(o.CertFile, o.KeyFile)
	if err != nil {
		return []Finding{{"certificate", err.Error(), "give the certificate of this device and the key that belongs to it; " + renew}}
	}
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return []Finding{{"certificate", fmt.Sprintf("%s: %v", o.CertFile, err), renew}}
		}
		if text, next := inspectTime(o.CertFile, renew, cert, now); text != "" {
			return []Finding{{"certificate", text, next}}
		}
	}
	return []Finding{{"certificate", fmt.Sprintf("%s is valid until %s", o.CertFile, date(pair.Leaf.NotAfter)), ""}}
}

// inspectTime says that a certificate has expired, isn't valid yet, or ends soon. Soon is 30 days, or a third of
// its life if that is shorter: some are made for a few days, and anew each day.
func inspectTime(what, renew string, cert *x509.Certificate, now time.Time) (text, next string) {
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return outOfTime(what, renew, cert, now)
	}
	soon := min(30*24*time.Hour, cert.NotAfter.Sub(cert.NotBefore)/3)
	if cert.NotAfter.Sub(now) < soon {
		return fmt.Sprintf("%s ends on %s", what, date(cert.NotAfter)), renew
	}
	return "", ""
}

// exposed tells whether all users of this computer may read a file. A group may be meant to.
func exposed(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}
