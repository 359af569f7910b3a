package app

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
)

// Files of a household's folder.
const (
	passphraseName = "passphrase"
	phonesName     = "phones"
	damagedPhones  = "phones.unreadable"
)

// Times of a household's folder.
const (
	seenEvery = time.Hour       // at most, phones are stored to say when they were seen: a card wears out
	lockWait  = 2 * time.Second // for another process that writes
	lockAgain = 10 * time.Millisecond
)

// storedPassphrase is what was learned of the passphrase's file.
type storedPassphrase struct {
	storedFile
	needed      bool // there is one, or was
	hash        passphraseHash
	fingerprint string // of the last that could be read; empty: there was none since the start
}

// storedPhones is what was learned of the phones' file.
type storedPhones struct {
	storedFile
	phonesFile
	damaged bool // it can be read and makes no sense
}

// A storedFile is a file that other processes may replace.
type storedFile struct {
	info os.FileInfo // when it was read; nil: it has to be read again
	err  error       // what is wrong with it
}

// read returns what the file holds if it isn't the one that was read before.
func (s *storedFile) read(path string, most int64) (data []byte, news bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		s.info = nil
		return nil, true, err
	}
	if s.info != nil && os.SameFile(s.info, info) && s.info.ModTime().Equal(info.ModTime()) && s.info.Size() == info.Size() {
		return nil, false, nil
	}
	s.info = nil
	if data, err = durable.Read(path, most+1); err == nil {
		s.info = info
	}
	return data, true, err
}

// refresh learns what other processes have changed. h.mu is held.
func (h *Household) refresh() {
	h.refreshPassphrase()
	h.refreshPhones()
}

func (h *Household) refreshPassphrase() {
	p := &h.passphrase
	data, news, err := p.read(h.path(passphraseName), maxHashFile)
	if !news {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		// A lost file must open no door: behind a proxy, everybody would come in.
		p.needed = p.needed || h.has(passphraseName) || h.has(phonesName) || h.has(damagedPhones)
		if !p.needed {
			return
		}
	}
	p.needed = true
	var hash passphraseHash
	if err == nil {
		hash, err = parseHash(data)
	}
	h.note(&p.storedFile, err, "the stored passphrase can't be read: nobody can sign in", passphraseHint(err))
	if err != nil {
		return
	}
	fingerprint := sha256Hex(data)
	if p.fingerprint != "" && p.fingerprint != fingerprint {
		h.log.Info("the passphrase has changed: all phones are signed out")
	}
	p.hash, p.fingerprint = hash, fingerprint
}

// passphraseHint is what to do about a passphrase that can't be read: one that is only somebody else's is a good one.
func passphraseHint(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "see who owns the file: it has to be the user who runs this"
	}
	return "set it anew with app passphrase"
}

func (h *Household) refreshPhones() {
	p := &h.phones
	data, news, err := p.read(h.path(phonesName), maxPhonesFile)
	if !news {
		return
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.phonesFile, p.damaged, err = phonesFile{}, false, nil
	case err == nil:
		p.phonesFile, err = parsePhones(data)
		p.damaged = err != nil
	}
	// What can't be read now may be readable soon: until then, those stay in who are known.
	hint := "see to the disk, and to who owns the file"
	if p.damaged {
		hint = "sign in again; the file will be kept as " + damagedPhones
	}
	h.note(&p.storedFile, err, "the stored phones can't be read", hint)
	h.forgetStored()
}

// note keeps what is wrong with a file, and logs it once.
func (h *Household) note(s *storedFile, err error, what, hint string) {
	switch {
	case err != nil && (s.err == nil || s.err.Error() != err.Error()):
		h.log.Error(what, "error", err, "hint", hint)
	case err == nil && s.err != nil:
		h.log.Info("what couldn't be read can be read again", "was", s.err)
	}
	s.err = err
}

// forgetStored forgets what the file of the phones says too, and what is about phones that it doesn't have.
func (h *Household) forgetStored() {
	stored := map[string]time.Time{}
	for _, s := range h.phones.Phones {
		stored[s.ID] = s.Seen
	}
	for id := range h.out {
		if _, ok := stored[id]; !ok {
			delete(h.out, id)
		}
	}
	for id, seen := range h.seen {
		if at, ok := stored[id]; !ok || !seen.After(at) {
			delete(h.seen, id)
		}
	}
}

// signedIn returns the phones that are signed in, and may be changed. h.mu is held.
func (h *Household) signedIn() []storedPhone {
	phones := []storedPhone{}
	// A passphrase that could never be read can't be compared: those who are signed in stay so.
	if known := h.passphrase.fingerprint; known != "" && known != h.phones.Passphrase {
		return phones
	}
	for _, s := range h.phones.Phones {
		if h.out[s.ID] {
			continue
		}
		if seen, ok := h.seen[s.ID]; ok {
			s.Seen = seen
		}
		phones = append(phones, s)
	}
	return phones
}

// change stores the phones that are signed in as edit leaves them. An error of edit leaves the file as it is.
func (h *Household) change(edit func(*phonesFile) error) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	h.mu.Lock()
	h.refresh()
	f := phonesFile{phonesVersion, cmp.Or(h.passphrase.fingerprint, h.phones.Passphrase), h.signedIn()}
	unread, damaged := h.phones.err, h.phones.damaged
	h.mu.Unlock()
	if err := edit(&f); err != nil {
		return err
	}
	if damaged {
		if err := os.Rename(h.path(phonesName), h.path(damagedPhones)); err != nil {
			return err
		}
	} else if unread != nil {
		return unread
	}
	data, err := f.encode()
	if err != nil {
		return err
	}
	return h.store(phonesName, data)
}

// saveSeen stores when phones were last seen.
func (h *Household) saveSeen() {
	if err := h.change(func(*phonesFile) error { return nil }); err != nil {
		h.log.Warn("when phones were last seen can't be stored", "error", err)
	}
}

// store writes one of the files and learns it. h.writing and the folder's lock are held.
func (h *Household) store(name string, data []byte) error {
	if err := durable.Replace(h.path(name), data, 0o600); err != nil {
		return err
	}
	err := durable.GiveAway(h.path(name), h.dir) // root may set the passphrase of a service that isn't root's
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	return err
}

// lock keeps other processes from writing. It waits for them, but not for long.
func (h *Household) lock() (io.Closer, error) {
	for start := time.Now(); ; time.Sleep(lockAgain) {
		lock, err := durable.Lock(h.dir)
		if err == nil || !errors.Is(err, durable.ErrLocked) || time.Since(start) >= lockWait {
			return lock, err
		}
	}
}

func (h *Household) path(name string) string { return filepath.Join(h.dir, name) }

// has tells whether there is such a file, whatever it is.
func (h *Household) has(name string) bool {
	_, err := os.Lstat(h.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}
