package app

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Limits of a passphrase.
const (
	minPassphrase = 10  // characters
	maxPassphrase = 200 // bytes
)

// CheckPassphrase tells whether text may be a passphrase: at least 10 characters and at most 200 bytes, which a
// phone can send. It is taken as typed: spaces count, and so do capitals.
func CheckPassphrase(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("the passphrase isn't UTF-8: no phone can send it")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("the passphrase has a control character, such as a tab: no phone has a key for it")
	case utf8.RuneCountInString(text) < minPassphrase:
		return fmt.Errorf("the passphrase is too short: it needs %d characters or more", minPassphrase)
	case len(text) > maxPassphrase:
		return fmt.Errorf("the passphrase is too long: it has %d bytes, and %d is the most", len(text), maxPassphrase)
	}
	return nil
}

// The passphrases that GeneratePassphrase makes: lower case, so that a phone's first keyboard is enough, with no i, l or o,
// which look like others, and no vowels, which make words.
const (
	generatedAlphabet = "bcdfghjkmnpqrstvwxz"
	generatedGroups   = 4
	generatedGroup    = 4 // letters; log2(19) × 16 = 67 bits
)

// GeneratePassphrase makes a passphrase of 67 random bits: "fkwz-mqtb-xrdn-hgcp".
func GeneratePassphrase() string {
	var b strings.Builder
	n := big.NewInt(int64(len(generatedAlphabet)))
	for i := range generatedGroups * generatedGroup {
		if i > 0 && i%generatedGroup == 0 {
			b.WriteByte('-')
		}
		letter, err := rand.Int(rand.Reader, n)
		if err != nil {
			panic(err) // crypto/rand never fails: it would have ended the program
		}
		b.WriteByte(generatedAlphabet[letter.Int64()])
	}
	return b.String()
}

// What hashing costs, by the least that OWASP's Password Storage Cheat Sheet asks of argon2id (m=19456, t=2, p=1), which leaves a
// Raspberry Pi Zero with 512 MB and one core room for its alarm.
const (
	hashMemory  = 19 * 1024 // KiB
	hashTime    = 2         // passes
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashKey     = 32 // bytes
)

// The most that a stored hash may cost, and the least it may be: a damaged file must not eat the computer's memory, nor let anybody in.
const (
	maxHashMemory  = 64 * 1024 // KiB
	maxHashTime    = 10        // passes
	maxHashThreads = 4
	minHashSalt    = 8
	minHashKey     = 16
	maxHashBytes   = 64 // of salt and of key
)

// A passphraseHash is what is kept of a passphrase: argon2id (RFC 9106) with its parameters, as a line in the PHC string format,
//
//	$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY
//
// with salt and key in base64 without padding.
type passphraseHash struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, key    []byte
}

// hashPassphrase hashes a passphrase with a new salt. It takes 19 MiB while it does.
func hashPassphrase(text string) passphraseHash {
	h := passphraseHash{memory: hashMemory, time: hashTime, threads: hashThreads, salt: make([]byte, hashSalt)}
	rand.Read(h.salt)
	h.key = h.derive(text, hashKey)
	return h
}

func (h passphraseHash) derive(text string, size int) []byte {
	return argon2.IDKey([]byte(text), h.salt, h.time, h.memory, h.threads, uint32(size))
}

// matches tells whether the hash is this passphrase's. It costs what making it did.
func (h passphraseHash) matches(text string) bool {
	return subtle.ConstantTimeCompare(h.derive(text, len(h.key)), h.key) == 1
}

func (h passphraseHash) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64(h.salt), b64(h.key))
}

// maxHashFile is more than the longest line that parseHash takes.
const maxHashFile = 512 // bytes

// parseHash reads what a passphrase's file holds: the line of a hash and its end. It takes only what String writes.
func parseHash(file []byte) (h passphraseHash, err error) {
	line, whole := bytes.CutSuffix(file, []byte("\n"))
	if !whole {
		return h, errors.New("its end is missing")
	}
	field := strings.Split(string(line), "$")
	if len(field) != 6 || field[0] != "" || field[1] != "argon2id" || field[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errors.New("it is no argon2id hash")
	}
	cost := strings.Split(field[3], ",")
	if len(cost) != 3 {
		return h, errors.New("it has no m, t and p")
	}
	var threads uint32
	for i, p := range []struct {
		name  string
		value *uint32
		most  uint32
	}{{"m", &h.memory, maxHashMemory}, {"t", &h.time, maxHashTime}, {"p", &threads, maxHashThreads}} {
		digits, ok := strings.CutPrefix(cost[i], p.name+"=")
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || n < 1 || n > uint64(p.most) {
			return h, fmt.Errorf("%s is not a number from 1 to %d", p.name, p.most)
		}
		*p.value = uint32(n)
	}
	h.threads = uint8(threads)
	if h.memory < 8*threads { // RFC 9106, 3.1
		return h, errors.New("m is less than 8 times p")
	}
	if h.salt, err = decodeHash(field[4], minHashSalt); err != nil {
		return h, fmt.Errorf("its salt %w", err)
	}
	if h.key, err = decodeHash(field[5], minHashKey); err != nil {
		return h, fmt.Errorf("its key %w", err)
	}
	if h.String() != string(line) {
		return h, errors.New("it isn't written the one way it can be")
	}
	return h, nil
}

func decodeHash(text string, least int) ([]byte, error) {
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("isn't base64")
	}
	if len(b) < least || len(b) > maxHashBytes {
		return nil, fmt.Errorf("has %d bytes, not %d to %d", len(b), least, maxHashBytes)
	}
	return b, nil
}
