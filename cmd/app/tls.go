package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// How often files of a certificate are looked at, and when and how often the log says that it will expire.
const (
	lookAgain   = 10 * time.Second
	expiresSoon = 21 * 24 * time.Hour
	remindAgain = 24 * time.Hour
)

// A certificate is what phones are shown: that of two files, which somebody may renew while the app runs. Where they can't be used,
// what was there before stays.
type certificate struct {
	cert, key string
	log       *slog.Logger

	shown atomic.Pointer[tls.Certificate]

	mu       sync.Mutex // of who looks at the files; nobody waits for it
	looked   time.Time
	read     [2]os.FileInfo // of the files when shown was read
	trouble  string         // that is in the log; empty = none since a look went well
	reminded time.Time
}

// certificateOf is how to speak TLS, 1.2 or later, with the certificate of two files, which may be one.
func certificateOf(cert, key string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{cert: cert, key: key, log: log}
	if err := c.look(); err != nil {
		return nil, cli.Hint(fmt.Errorf("--cert and --key-file: %w", err), "--cert is a certificate and what leads to its authority, in PEM, --key-file its key without a passphrase; app certificate makes both, in one file")
	}
	c.looked = time.Now()
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}, nil
}

// current is what is shown now. One handshake in ten seconds looks at the files; those meanwhile are shown what there is.
func (c *certificate) current() *tls.Certificate {
	if c.mu.TryLock() {
		defer c.mu.Unlock()
		if time.Since(c.looked) >= lookAgain {
			c.note(c.look())
			c.looked = time.Now()
		}
	}
	return c.shown.Load()
}

// look reads the files if they have changed, or were in trouble.
func (c *certificate) look() error {
	var now [2]os.FileInfo
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		now[i] = info
	}
	if c.shown.Load() != nil && c.trouble == "" && sameFile(c.read[0], now[0]) && sameFile(c.read[1], now[1]) {
		c.remind()
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.shown.Store(&pair)
	c.read, c.reminded = now, time.Time{}
	c.log.Info("certificate read", "file", c.cert, "expires", pair.Leaf.NotAfter)
	if now[1].Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
		c.log.Warn("everybody on this computer can read the certificate's key", "file", c.key, "hint", "chmod o= "+c.key)
	}
	c.remind()
	return nil
}

// remind says once a day that the certificate will expire, or has.
func (c *certificate) remind() {
	now, end := time.Now(), c.shown.Load().Leaf.NotAfter
	if end.Sub(now) > expiresSoon || now.Sub(c.reminded) < remindAgain {
		return
	}
	c.reminded = now
	c.log.Warn("the certificate that phones are shown expires: then they show a warning in place of the page", "file", c.cert, "expires", end, "hint", "renew it; the app need not be started again")
}

// note logs trouble once.
func (c *certificate) note(err error) {
	if err == nil {
		c.trouble = ""
	} else if c.trouble != err.Error() {
		c.trouble = err.Error()
		c.log.Error("the certificate can't be renewed: the one before is still shown", "error", err, "expires", c.shown.Load().Leaf.NotAfter)
	}
}

func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
