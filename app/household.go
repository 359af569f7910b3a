package app

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Conditions of sign-ins and of phones.
var (
	ErrWrongPassphrase  = errors.New("that is not the passphrase")
	ErrNoPassphrase     = errors.New("no passphrase is set, so nobody signs in")
	ErrPassphraseBroken = errors.New("the stored passphrase can't be read, so nobody can sign in: set it anew with app passphrase")
	ErrNoPhone          = errors.New("no such phone is signed in")
)

// A NotKeptError says that phones were signed out, but that the disk doesn't know: they are out until the program ends, or
// until something can be written, and back in if it ends first.
type NotKeptError struct{ Err error }

func (e *NotKeptError) Error() string {
	return fmt.Sprintf("signed out, but only until this program starts again: %v", e.Err)
}

// Unwrap returns why nothing could be written.
func (e *NotKeptError) Unwrap() error { return e.Err }

// A Household knows a passphrase and the phones that signed in with it, in two files of a folder:
//
//	passphrase   a hash, see passphraseHash
//	phones       see phonesFile
//
// Both may be changed by other processes, such as app passphrase and app phones, and every method looks first whether they
// were. That costs two stat calls, so a stream that stays open may ask [Household.Phone] every second whether its phone still may look.
//
// Once there was a passphrase there always is one: when its file can't be read or is gone, phones that are signed in stay
// so, because the alarm may ring, and nobody else can sign in. Phones whose file is damaged are signed out, and the file
// is kept as phones.unreadable when another is written.
//
// It is safe for concurrent use. It locks its folder while it writes, and only then.
type Household struct {
	dir string
	log *slog.Logger

	attempts attempts
	queue    chan struct{} // one for each sign-in that hashes or waits
	hashing  chan struct{} // one for the sign-in that hashes: a Pi Zero has memory for one

	writing sync.Mutex // held by whoever changes the files; before mu
	saving  sync.WaitGroup

	mu         sync.Mutex // held for memory and reading, never for writing
	passphrase storedPassphrase
	phones     storedPhones
	seen       map[string]time.Time // by id, what isn't stored yet
	saved      time.Time            // when seen was last stored, or that was tried
	out        map[string]bool      // ids that are signed out, though the file may still have them
}

// OpenHousehold opens the household in a folder, which is made if it is missing. What is wrong with its files is logged and is no error:
// the alarm has to be seen. log may be nil.
func OpenHousehold(dir string, log *slog.Logger) (*Household, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	h := &Household{
		dir:     dir,
		log:     cmp.Or(log, slog.New(slog.DiscardHandler)),
		queue:   make(chan struct{}, 1+maxWaiting),
		hashing: make(chan struct{}, 1),
		seen:    map[string]time.Time{},
		saved:   time.Now(),
		out:     map[string]bool{},
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	return h, nil
}

// Close stores when phones were last seen.
func (h *Household) Close() {
	h.saving.Wait()
	h.mu.Lock()
	news := len(h.seen) > 0
	h.mu.Unlock()
	if news {
		h.saveSeen()
	}
}

// HasPassphrase tells whether phones have to sign in.
func (h *Household) HasPassphrase() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	return h.passphrase.needed
}

// SetPassphrase sets the passphrase, and with it signs all phones out.
func (h *Household) SetPassphrase(text string) error {
	if err := CheckPassphrase(text); err != nil {
		return err
	}
	h.hashing <- struct{}{}
	hash := hashPassphrase(text)
	<-h.hashing
	h.writing.Lock()
	defer h.writing.Unlock()
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	return h.store(passphraseName, []byte(hash.String()+"\n"))
}

// SignIn signs a phone in that shows the passphrase. The secret, of 130 random bits, is what [Household.Phone] knows it by. The name is one
// for [CleanName].
//
// Errors are ErrWrongPassphrase, ErrNoPassphrase, ErrPassphraseBroken, ErrBadName and *TooManyError; any other says that
// the phone could not be stored, and so is not signed in.
func (h *Household) SignIn(from netip.Addr, passphrase, name string) (secret string, p Phone, err error) {
	if name, err = CleanName(name); err != nil {
		return "", Phone{}, err
	}
	hash, fingerprint, err := h.current()
	if err != nil {
		return "", Phone{}, err
	}
	if CheckPassphrase(passphrase) != nil { // not worth a hash
		return "", Phone{}, ErrWrongPassphrase
	}
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return "", Phone{}, &TooManyError{waitWhenBusy}
	}
	if err := h.attempts.begin(from, time.Now()); err != nil {
		return "", Phone{}, err
	}
	h.hashing <- struct{}{}
	right := hash.matches(passphrase)
	<-h.hashing
	if !right {
		h.log.Warn("wrong passphrase", "from", from)
		return "", Phone{}, ErrWrongPassphrase
	}
	h.attempts.right(from)
	secret = rand.Text()
	err = h.change(func(f *phonesFile) error {
		if f.Passphrase != fingerprint {
			return ErrWrongPassphrase // another was set meanwhile
		}
		p = h.add(f, name, secret)
		return nil
	})
	if err != nil {
		return "", Phone{}, fmt.Errorf("signing a phone in: %w", err)
	}
	h.log.Info("phone signed in", "id", p.ID, "name", p.Name, "from", from)
	return secret, p, nil
}

// add adds a phone to those in f. Where there is no room for one more, the one that wasn't seen for longest is signed out.
func (h *Household) add(f *phonesFile, name, secret string) Phone {
	if len(f.Phones) == maxPhones {
		i := 0
		for j, s := range f.Phones {
			if s.Seen.Before(f.Phones[i].Seen) {
				i = j
			}
		}
		h.log.Warn("phone signed out to make room for another", "id", f.Phones[i].ID, "name", f.Phones[i].Name, "most", maxPhones)
		f.Phones = slices.Delete(f.Phones, i, i+1)
	}
	now := time.Now().UTC().Truncate(time.Second)
	p := Phone{ID: newID(), Name: name, Since: now, Seen: now}
	for slices.ContainsFunc(f.Phones, func(s storedPhone) bool { return s.ID == p.ID }) {
		p.ID = newID()
	}
	f.Phones = append(f.Phones, storedPhone{p, sha256Hex([]byte(secret))})
	return p
}

// current returns the passphrase to sign in with.
func (h *Household) current() (hash passphraseHash, fingerprint string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	switch p := &h.passphrase; {
	case !p.needed:
		return hash, "", ErrNoPassphrase
	case p.err != nil:
		return hash, "", ErrPassphraseBroken
	default:
		return p.hash, p.fingerprint, nil
	}
}

// Phone returns the phone that has this secret, and takes note that it was seen.
func (h *Household) Phone(secret string) (p Phone, signedIn bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	sum := sha256Hex([]byte(secret)) // which no timing of a comparison helps to guess
	phones := h.signedIn()
	i := slices.IndexFunc(phones, func(s storedPhone) bool { return s.Secret == sum })
	if i < 0 {
		return Phone{}, false
	}
	now := time.Now()
	p = phones[i].Phone
	p.Seen = now.UTC().Truncate(time.Second)
	h.seen[p.ID] = p.Seen
	if now.Sub(h.saved) >= seenEvery {
		h.saved = now
		h.saving.Go(h.saveSeen) // a tap doesn't wait for the disk
	}
	return p, true
}

// Phones returns the phones that are signed in, in the order in which they did.
func (h *Household) Phones() []Phone {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	phones := []Phone{}
	for _, s := range h.signedIn() {
		phones = append(phones, s.Phone)
	}
	return phones
}

// Rename gives a phone another name. Errors are ErrNoPhone and ErrBadName; any other says that it could not be stored.
func (h *Household) Rename(id, name string) error {
	name, err := CleanName(name)
	if err != nil {
		return err
	}
	return h.change(func(f *phonesFile) error {
		i := slices.IndexFunc(f.Phones, func(s storedPhone) bool { return s.ID == id })
		if i < 0 {
			return ErrNoPhone
		}
		f.Phones[i].Name = name
		return nil
	})
}

// SignOut signs a phone out at once. Errors are ErrNoPhone and *NotKeptError.
func (h *Household) SignOut(id string) error {
	return h.signOut(func(p Phone) bool { return p.ID == id }, ErrNoPhone)
}

// SignOutAll signs all phones out at once. The error is a *NotKeptError.
func (h *Household) SignOutAll() error {
	return h.signOut(func(Phone) bool { return true }, nil)
}

// signOut signs out whom is true of; if that is nobody, it returns nobody. What can't be written is true in memory.
func (h *Household) signOut(whom func(Phone) bool, nobody error) error {
	h.mu.Lock()
	h.refresh()
	gone := 0
	for _, s := range h.signedIn() {
		if whom(s.Phone) {
			gone++
			h.out[s.ID] = true
			h.log.Info("phone signed out", "id", s.ID, "name", s.Name)
		}
	}
	h.mu.Unlock()
	if gone == 0 {
		return nobody
	}
	if err := h.change(func(*phonesFile) error { return nil }); err != nil { // change leaves out those who are
		h.log.Error("phones are signed out only until this program ends", "error", err, "hint", "make room on the disk, and sign them out again")
		return &NotKeptError{err}
	}
	return nil
}
