package app

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Phone is a browser that is signed in.
type Phone struct {
	ID    string    `json:"id"`   // made at random, and no secret
	Name  string    `json:"name"` // as CleanName makes it; two phones may have the same
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"` // up to an hour older after a restart
}

// Limits of phones.
const (
	maxPhones = 64
	maxName   = 40 // characters
	idLength  = 8
)

// defaultName is the name of a phone that was given none.
const defaultName = "Phone"

// ErrBadName says that a phone can't be called so.
var ErrBadName = errors.New("a phone's name has 1 to 40 characters that can be seen, and no others")

// CleanName returns a phone's name as it is kept and shown: without spaces at its ends, and one where there are several. Without any
// it is "Phone". Control characters, and those that turn the direction of writing, are ErrBadName.
func CleanName(name string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, hidden) {
		return "", ErrBadName
	}
	if name == "" {
		return defaultName, nil
	}
	return name, nil
}

// phonesVersion is the version of the format of phonesFile.
const phonesVersion = 1

// A phonesFile is what is stored of the phones, as JSON. They are signed in for as long as the passphrase is the one whose
// fingerprint stands beside them, so that setting another signs them all out in the same moment.
type phonesFile struct {
	Version    int           `json:"version"`
	Passphrase string        `json:"passphrase"` // SHA-256 of the passphrase's file, in hex
	Phones     []storedPhone `json:"phones"`     // in the order in which they signed in
}

// A storedPhone is a phone, and what recognises its secret, which itself is not stored.
type storedPhone struct {
	Phone
	Secret string `json:"secret_sha256"` // in hex
}

// maxPhonesFile is more than the file can have: 64 phones whose names have 40 characters of 4 bytes.
const maxPhonesFile = 64 << 10 // bytes

// parsePhones reads what a phones' file holds. It takes all of it or nothing.
func parsePhones(data []byte) (phonesFile, error) {
	var f phonesFile
	if len(data) > maxPhonesFile {
		return f, fmt.Errorf("it has more than %d bytes", maxPhonesFile)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return phonesFile{}, err
	}
	if f.Version != phonesVersion {
		return phonesFile{}, fmt.Errorf("its version is %d, and this program knows only %d", f.Version, phonesVersion)
	}
	if len(f.Phones) > maxPhones {
		return phonesFile{}, fmt.Errorf("it has more than %d phones", maxPhones)
	}
	if !isSHA256(f.Passphrase) {
		return phonesFile{}, errors.New("passphrase is no SHA-256")
	}
	ids, secrets := map[string]bool{}, map[string]bool{}
	for i, p := range f.Phones {
		clean, err := CleanName(p.Name)
		switch {
		case err != nil || clean != p.Name:
			return phonesFile{}, fmt.Errorf("the name of phone %d: %w", i+1, ErrBadName)
		case len(p.ID) != idLength || strings.Trim(p.ID, idAlphabet) != "" || ids[p.ID]:
			return phonesFile{}, fmt.Errorf("the id of phone %d is none", i+1)
		case !isSHA256(p.Secret) || secrets[p.Secret]:
			return phonesFile{}, fmt.Errorf("the secret_sha256 of phone %d is none", i+1)
		}
		ids[p.ID], secrets[p.Secret] = true, true
	}
	return f, nil
}

func (f phonesFile) encode() ([]byte, error) {
	data, err := json.MarshalIndent(f, "", "\t")
	return append(data, '\n'), err
}

// sha256Hex is how secrets are kept: they are random, so nothing slower is needed.
func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func isSHA256(text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == text
}

// idAlphabet is that of [rand.Text], in lower case: an id may have to be typed.
const idAlphabet = "abcdefghijklmnopqrstuvwxyz234567"

func newID() string { return strings.ToLower(rand.Text()[:idLength]) }
