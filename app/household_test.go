package app

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
)

const correct = "correct horse"

var kitchen = netip.MustParseAddr("192.0.2.1")

// A house is a household whose log is read.
type house struct {
	*Household
	t   *testing.T
	log *logText
}

// A logText is a log that is safe for concurrent use.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openHouse opens a household as another process does.
func openHouse(t *testing.T, dir string) house {
	t.Helper()
	log := &logText{}
	h, err := OpenHousehold(dir, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return house{h, t, log}
}

// newHouse opens a household with a passphrase that costs little to hash.
func newHouse(t *testing.T) house {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, passphraseName), cheapHash(correct).String()+"\n")
	return openHouse(t, dir)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := durable.Replace(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// signIn signs a phone in.
func (h house) signIn(name string) (secret string, p Phone) {
	h.t.Helper()
	secret, p, err := h.SignIn(kitchen, correct, name)
	if err != nil {
		h.t.Fatalf("signing %s in: %v", name, err)
	}
	return secret, p
}

// in wants a phone to be signed in, or not.
func (h house) in(secret string, want bool) {
	h.t.Helper()
	if p, got := h.Phone(secret); got != want {
		h.t.Errorf("Phone() = %+v, %t; want %t", p, got, want)
	}
}

// names are the phones that are signed in.
func (h house) names() string {
	var names []string
	for _, p := range h.Phones() {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

// fillDisk makes writes of a file fail until the returned function is called: its next content has no room.
func fillDisk(t *testing.T, dir, name string) (mend func()) {
	t.Helper()
	next := filepath.Join(dir, name+".new")
	if err := os.MkdirAll(filepath.Join(next, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() { os.RemoveAll(next) }
}

func TestSignInRefuses(t *testing.T) {
	h := newHouse(t)
	tests := []struct {
		name, passphrase, phone string
		want                    error
	}{
		{"nothing", "", "Anna", ErrWrongPassphrase},
		{"one letter less", correct[1:], "Anna", ErrWrongPassphrase},
		{"a space more", correct + " ", "Anna", ErrWrongPassphrase},
		{"capitals", strings.ToUpper(correct), "Anna", ErrWrongPassphrase},
		{"a megabyte", strings.Repeat(correct, 1<<20/len(correct)), "Anna", ErrWrongPassphrase},
		{"a name with control characters", correct, "An\x1bna", ErrBadName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret, _, err := h.SignIn(kitchen, tt.passphrase, tt.phone)
			if secret != "" || !errors.Is(err, tt.want) {
				t.Errorf("SignIn() = %q, %v; want %v", secret, err, tt.want)
			}
		})
	}
	if got := h.names(); got != "" {
		t.Errorf("signed in: %s", got)
	}
}

func TestSignInKeepsNoSecret(t *testing.T) {
	h := newHouse(t)
	secret, p := h.signIn(" Anna ")
	if len(secret) < 26 || p.Name != "Anna" || p.Since.IsZero() || p.Seen != p.Since {
		t.Errorf("SignIn() = %q, %+v; want a secret of 130 bits, and Anna", secret, p)
	}
	if other, _ := h.signIn(""); other == secret {
		t.Error("two phones have the same secret")
	}
	h.in(secret, true)
	for _, wrong := range []string{"", secret[1:], strings.ToLower(secret), sha256Hex([]byte(secret)), p.ID} {
		h.in(wrong, false)
	}
	if got, want := h.names(), "Anna Phone"; got != want {
		t.Errorf("signed in: %q, want %q", got, want)
	}
	for _, name := range []string{passphraseName, phonesName} {
		path := filepath.Join(h.dir, name)
		if text := read(t, path); strings.Contains(text, secret) || strings.Contains(text, correct) {
			t.Errorf("%s holds a secret: %s", name, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got mode %v, %v; want that only its owner reads it", name, info.Mode(), err)
		}
	}
	if log := h.log.String(); strings.Contains(log, secret) || strings.Contains(log, correct) {
		t.Errorf("the log has a secret: %s", log)
	}
	again := openHouse(t, h.dir)
	again.in(secret, true)
	if got, want := again.names(), "Anna Phone"; got != want {
		t.Errorf("after a restart: %q, want %q", got, want)
	}
}

func TestHouseholdWithoutPassphrase(t *testing.T) {
	h := openHouse(t, filepath.Join(t.TempDir(), "data"))
	if h.HasPassphrase() {
		t.Error("a new household has a passphrase")
	}
	if _, _, err := h.SignIn(kitchen, "", "Anna"); !errors.Is(err, ErrNoPassphrase) {
		t.Errorf("SignIn: got %v, want %v", err, ErrNoPassphrase)
	}
	if err := errors.Join(h.SignOutAll(), os.Remove(h.dir)); err != nil {
		t.Errorf("looking left something behind: %v", err)
	}
}

func TestSetPassphraseSignsAllPhonesOutInEveryProcess(t *testing.T) {
	h := newHouse(t)
	secret, _ := h.signIn("Anna")
	command := openHouse(t, h.dir)
	if err := command.SetPassphrase("short"); err == nil {
		t.Error("a short passphrase is taken")
	}
	h.in(secret, true)
	for _, text := range []string{"another horse", correct} { // also the same again
		secret, _, err := h.SignIn(kitchen, correct, "Anna")
		if err != nil {
			t.Fatal(err)
		}
		if err := command.SetPassphrase(text); err != nil {
			t.Fatal(err)
		}
		h.in(secret, false)
		command.in(secret, false)
		openHouse(t, h.dir).in(secret, false)
		if got := h.names(); got != "" {
			t.Errorf("signed in: %s", got)
		}
		_, _, err = h.SignIn(kitchen, correct, "Anna")
		if right := text == correct; right != (err == nil) || !right && !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("the passphrase is now %q; signing in with %q: %v", text, correct, err)
		}
		write(t, filepath.Join(h.dir, passphraseName), cheapHash(correct).String()+"\n")
	}
	if !strings.Contains(h.log.String(), "the passphrase has changed") {
		t.Errorf("the log doesn't tell of it: %s", h.log)
	}
}

func TestPassphraseThatCannotBeReadLetsNobodyInAndNobodyOut(t *testing.T) {
	whole := cheapHash(correct).String() + "\n"
	damages := map[string]func(path string) error{
		"gone":      os.Remove,
		"a folder":  func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a link":    func(path string) error { return errors.Join(os.Remove(path), os.Symlink("nowhere", path)) },
		"garbage":   func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{0}, len(whole)), 0o600) },
		"very long": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte(whole), 1000), 0o600) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			secret, p := h.signIn("Anna")
			path := filepath.Join(h.dir, passphraseName)
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			for _, h := range []house{h, openHouse(t, h.dir)} { // it runs meanwhile; it starts afterwards
				if !h.HasPassphrase() {
					t.Error("nobody has to sign in any more")
				}
				if _, _, err := h.SignIn(kitchen, correct, "Eve"); !errors.Is(err, ErrPassphraseBroken) {
					t.Errorf("SignIn: got %v, want %v", err, ErrPassphraseBroken)
				}
				h.in(secret, true)
				if err := h.Rename(p.ID, "Bert"); err != nil {
					t.Error(err)
				}
				h.in(secret, true)
				if got := strings.Count(h.log.String(), "level=ERROR"); got != 1 || !strings.Contains(h.log.String(), "app passphrase") {
					t.Errorf("%d errors are logged, want one with the next step: %s", got, h.log)
				}
			}
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, whole)
			h.in(secret, true)
			h.signIn("Carl")
		})
	}
}

func TestPassphraseOfSomebodyElseNeedsNoOther(t *testing.T) {
	err := &fs.PathError{Op: "open", Path: passphraseName, Err: syscall.EACCES}
	if got := passphraseHint(err); !strings.Contains(got, "who owns the file") || strings.Contains(got, "anew") {
		t.Errorf("the next step is %q", got)
	}
}

func TestPassphraseThatIsCutAnywhereLetsNobodyIn(t *testing.T) {
	h := newHouse(t)
	secret, _ := h.signIn("Anna")
	path := filepath.Join(h.dir, passphraseName)
	whole := read(t, path)
	for n := range len(whole) {
		if err := os.WriteFile(path, []byte(whole[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, h := range []house{h, openHouse(t, h.dir)} {
			if _, _, err := h.SignIn(kitchen, correct, "Eve"); !errors.Is(err, ErrPassphraseBroken) || !h.HasPassphrase() {
				t.Errorf("SignIn with the first %d bytes: got %v, want %v", n, err, ErrPassphraseBroken)
			}
			h.in(secret, true)
		}
	}
}

func TestPassphraseIsNeededWhereThereArePhones(t *testing.T) {
	for _, name := range []string{phonesName, damagedPhones} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, name), goodFile)
		if !openHouse(t, dir).HasPassphrase() {
			t.Errorf("with a file %s and no passphrase, everybody comes in", name)
		}
	}
}

func TestDamagedPhonesAreSignedOutAndKeptAside(t *testing.T) {
	h := newHouse(t)
	secret, _ := h.signIn("Anna")
	h.signIn("Bert")
	path := filepath.Join(h.dir, phonesName)
	whole := read(t, path)
	files := []string{strings.Repeat("\x00", len(whole)), whole + whole, strings.Replace(whole, `"version": 1`, `"version": 2`, 1)}
	for n := range len(whole) - 1 { // without its last line end it says the same
		files = append(files, whole[:n])
	}
	for i, file := range files {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, h := range []house{h, openHouse(t, h.dir)} {
			h.in(secret, false)
			if got := h.names(); got != "" {
				t.Fatalf("of %q, %s is signed in", file, got)
			}
			if !strings.Contains(h.log.String(), "the stored phones can't be read") {
				t.Fatalf("the log doesn't tell of %q: %s", file, h.log)
			}
		}
		if i%20 != 0 { // each takes a few writes
			continue
		}
		h.signIn("Carl")
		if got := openHouse(t, h.dir).names(); got != "Carl" {
			t.Fatalf("of %q: signed in: %q, want Carl", file, got)
		}
		if kept := read(t, filepath.Join(h.dir, damagedPhones)); kept != file {
			t.Fatalf("%q is kept as %q", file, kept)
		}
	}
}

func TestPhonesThatCannotBeReadNowAreNotForgotten(t *testing.T) {
	h := newHouse(t)
	secret, _ := h.signIn("Anna")
	path := filepath.Join(h.dir, phonesName)
	whole := read(t, path)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil { // to be read, a folder is an error of the disk
		t.Fatal(err)
	}
	h.in(secret, true)
	if _, _, err := h.SignIn(kitchen, correct, "Bert"); err == nil {
		t.Error("a phone is signed in that can't be stored")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, whole)
	h.signIn("Bert")
	if got, want := h.names(), "Anna Bert"; got != want {
		t.Errorf("signed in: %q, want %q", got, want)
	}
}

func TestSignOut(t *testing.T) {
	h := newHouse(t)
	secret, p := h.signIn("Anna")
	other, _ := h.signIn("Bert")
	for _, id := range []string{"", "Anna", secret, strings.ToUpper(p.ID)} {
		if err := h.SignOut(id); !errors.Is(err, ErrNoPhone) {
			t.Errorf("SignOut(%q): got %v, want %v", id, err, ErrNoPhone)
		}
	}
	command := openHouse(t, h.dir)
	if err := command.SignOut(p.ID); err != nil {
		t.Fatal(err)
	}
	h.in(secret, false)
	h.in(other, true)
	if err := h.SignOut(p.ID); !errors.Is(err, ErrNoPhone) {
		t.Errorf("signing out twice: got %v, want %v", err, ErrNoPhone)
	}
	if err := command.SignOutAll(); err != nil {
		t.Fatal(err)
	}
	h.in(other, false)
	h.signIn("Carl")
	if got := openHouse(t, h.dir).names(); got != "Carl" {
		t.Errorf("signed in: %q, want Carl", got)
	}
}

func TestRename(t *testing.T) {
	h := newHouse(t)
	secret, p := h.signIn("Anna")
	for _, tt := range []struct {
		id, name string
		want     error
	}{{p.ID, "\x00", ErrBadName}, {"aaaaaaaa", "Bert", ErrNoPhone}} {
		if err := h.Rename(tt.id, tt.name); !errors.Is(err, tt.want) {
			t.Errorf("Rename(%q, %q): got %v, want %v", tt.id, tt.name, err, tt.want)
		}
	}
	if err := openHouse(t, h.dir).Rename(p.ID, " Bert "); err != nil {
		t.Fatal(err)
	}
	if got, ok := h.Phone(secret); !ok || got.Name != "Bert" || got.ID != p.ID || got.Since != p.Since {
		t.Errorf("Phone() = %+v, %t; want Bert", got, ok)
	}
}

func TestFullDisk(t *testing.T) {
	h := newHouse(t)
	secret, p := h.signIn("Anna")
	other, q := h.signIn("Bert")
	mend := fillDisk(t, h.dir, phonesName)
	if secret, _, err := h.SignIn(kitchen, correct, "Carl"); err == nil || secret != "" {
		t.Errorf("SignIn() = %q, %v; want an error", secret, err)
	}
	if err := h.Rename(p.ID, "Dora"); err == nil {
		t.Error("a phone is renamed")
	}
	if got, want := h.names(), "Anna Bert"; got != want {
		t.Errorf("signed in: %q, want %q", got, want)
	}
	err := h.SignOut(p.ID)
	if _, ok := errors.AsType[*NotKeptError](err); !ok {
		t.Errorf("SignOut: got %v, want that the disk doesn't know", err)
	}
	h.in(secret, false)
	h.in(other, true)
	if !strings.Contains(h.log.String(), "level=ERROR") {
		t.Errorf("the log doesn't tell of it: %s", h.log)
	}
	mend()
	h.in(secret, false)
	if err := h.Rename(q.ID, "Emil"); err != nil { // anything that is written
		t.Fatal(err)
	}
	again := openHouse(t, h.dir)
	again.in(secret, false)
	if got := again.names(); got != "Emil" {
		t.Errorf("after a restart: signed in: %q, want Emil", got)
	}

	mend = fillDisk(t, h.dir, passphraseName)
	if err := h.SetPassphrase("another horse"); err == nil {
		t.Error("a passphrase is set that can't be stored")
	}
	mend()
	h.in(other, true)
	h.signIn("Fritz")
}

func TestTheNextPhoneAfter64EndsTheOneThatWasNotSeenForLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		var secrets []string
		for range maxPhones {
			time.Sleep(time.Second)
			secret, _ := h.signIn("Phone")
			secrets = append(secrets, secret)
		}
		time.Sleep(time.Second)
		h.in(secrets[0], true)
		last, _ := h.signIn("Anna")
		for i, secret := range append(secrets, last) {
			h.in(secret, i != 1)
		}
		if !strings.Contains(h.log.String(), "to make room") {
			t.Errorf("the log doesn't tell of it: %s", h.log)
		}
	})
}

func TestSeenIsStoredOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		secret, p := h.signIn("Anna")
		path := filepath.Join(h.dir, phonesName)
		last, writes := read(t, path), 0
		for range 24 * 6 {
			time.Sleep(10 * time.Minute)
			h.in(secret, true)
			synctest.Wait()
			if now := read(t, path); now != last {
				last, writes = now, writes+1
			}
		}
		if writes < 23 || writes > 24 {
			t.Errorf("the file was written %d times in a day in which a phone looked every ten minutes, want once an hour", writes)
		}
		time.Sleep(10 * time.Minute)
		h.in(secret, true)
		want := p.Since.Add(24*time.Hour + 10*time.Minute)
		if got := h.Phones()[0].Seen; !got.Equal(want) {
			t.Errorf("seen %v, want %v", got, want)
		}
		h.Close()
		if got := openHouse(t, h.dir).Phones()[0].Seen; !got.Equal(want) {
			t.Errorf("after a restart: seen %v, want %v", got, want)
		}
	})
}

func TestWrongPassphrasesMakeTheirAddressWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		secret, _ := h.signIn("Anna")
		for range 5 {
			if _, _, err := h.SignIn(kitchen, "wrong horse", "Eve"); !errors.Is(err, ErrWrongPassphrase) {
				t.Fatal(err)
			}
		}
		for _, wait := range []time.Duration{5 * time.Second, 10 * time.Second} {
			_, _, err := h.SignIn(kitchen, correct, "Anna")
			if got := waitOf(err); got != wait {
				t.Fatalf("right but too soon: got %v, want a wait of %v", err, wait)
			}
			time.Sleep(wait)
			if _, _, err := h.SignIn(kitchen, "wrong horse", "Eve"); !errors.Is(err, ErrWrongPassphrase) {
				t.Fatalf("after %v: %v", wait, err)
			}
		}
		h.in(secret, true)
		garden := netip.MustParseAddr("192.0.2.2")
		if _, _, err := h.SignIn(garden, correct, "Bert"); err != nil {
			t.Errorf("another address: %v", err)
		}
		time.Sleep(20 * time.Second)
		h.signIn("Carl")
		for range 5 {
			if _, _, err := h.SignIn(kitchen, "wrong horse", "Eve"); !errors.Is(err, ErrWrongPassphrase) {
				t.Fatalf("after a right one: %v", err)
			}
		}
	})
}

func TestManySignInsAtOnceDoNotQueueForEver(t *testing.T) {
	h := newHouse(t)
	secret, _ := h.signIn("Anna")
	h.hashing <- struct{}{} // a slow one
	answers := make(chan error)
	const all = 20
	for n := range all {
		go func() {
			_, _, err := h.SignIn(address(n), "wrong horse", "Eve")
			answers <- err
		}()
	}
	for range all - 1 - maxWaiting {
		if err := <-answers; waitOf(err) <= 0 {
			t.Errorf("with %d that wait: got %v, want to come back later", 1+maxWaiting, err)
		}
	}
	h.in(secret, true)
	<-h.hashing
	for range 1 + maxWaiting {
		if err := <-answers; !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("got %v, want %v", err, ErrWrongPassphrase)
		}
	}
}

func TestManyAtOnceFromOneAddressAreCounted(t *testing.T) {
	h := newHouse(t)
	answers := make(chan error)
	for range maxWaiting {
		go func() {
			_, _, err := h.SignIn(kitchen, "wrong horse", "Eve")
			answers <- err
		}()
	}
	tried := 0
	for range maxWaiting {
		if errors.Is(<-answers, ErrWrongPassphrase) {
			tried++
		}
	}
	if tried != freeAttempts {
		t.Errorf("%d of %d at once were tried, want %d", tried, maxWaiting, freeAttempts)
	}
}

// Nothing that one process writes gets lost under what another one does.
func TestTwoProcessesWriteAtOnce(t *testing.T) {
	first := newHouse(t)
	second := openHouse(t, first.dir)
	var all sync.WaitGroup
	const each = 12
	gone := make(chan string, each)
	for range each {
		_, p := first.signIn("gone")
		gone <- p.ID
	}
	for range each {
		all.Go(func() { first.SignIn(kitchen, correct, "first") })
		all.Go(func() { second.SignIn(kitchen, correct, "second") })
		all.Go(func() {
			if err := second.SignOut(<-gone); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() { first.Phones() })
	}
	all.Wait()
	third := openHouse(t, first.dir).names()
	if f, s := first.names(), second.names(); f != third || s != third {
		t.Errorf("the processes know:\n%s\n%s\n%s", f, s, third)
	}
	if strings.Contains(third, "gone") {
		t.Errorf("still signed in: %s", third)
	}
}

func TestFolderThatAnotherProcessKeepsLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		secret, p := h.signIn("Anna")
		lock, err := durable.Lock(h.dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.SignIn(kitchen, correct, "Bert"); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("SignIn: got %v, want %v", err, durable.ErrLocked)
		}
		if err := h.SignOut(p.ID); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("SignOut: got %v, want %v", err, durable.ErrLocked)
		}
		h.in(secret, false)
		time.AfterFunc(time.Second, func() { lock.Close() })
		h.signIn("Carl")
		if got := openHouse(t, h.dir).names(); got != "Carl" {
			t.Errorf("signed in: %q, want Carl", got)
		}
	})
}

func TestOpenHouseholdRefusesWhatIsNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "")
	if _, err := OpenHousehold(path, nil); err == nil {
		t.Error("a file is taken for a folder")
	}
	if _, err := OpenHousehold(filepath.Join(path, "below"), nil); errors.Is(err, fs.ErrNotExist) || err == nil {
		t.Errorf("below a file: got %v, want that it can't be", err)
	}
}
