package app

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestCheckPassphrase(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "too short"},
		{"9 characters", "123456789", "too short"},
		{"9 characters of 18 bytes", "ééééééééé", "too short"},
		{"201 bytes", strings.Repeat("x", 201), "too long"},
		{"101 characters of 202 bytes", strings.Repeat("é", 101), "too long"},
		{"two lines", "open the\ndoor", "control character"},
		{"tab", "open\tthe door", "control character"},
		{"NUL", "open\x00the door", "control character"},
		{"Latin-1", "caf\xe9 au lait", "isn't UTF-8"},
		{"10 characters", "1234567890", ""},
		{"200 bytes", strings.Repeat("x", 200), ""},
		{"spaces at the ends", " open door ", ""},
		{"10 characters of 20 bytes", "éééééééééé", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckPassphrase(tt.text)
			if got := errorText(err); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("CheckPassphrase(%q): got error %q, want %q in it", tt.text, got, tt.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestGeneratePassphrase(t *testing.T) {
	if bits := math.Log2(float64(len(generatedAlphabet))) * generatedGroups * generatedGroup; bits < 60 {
		t.Errorf("a generated passphrase has %.1f bits, want 60 or more", bits)
	}
	seen, letters := map[string]bool{}, map[rune]bool{}
	for range 200 {
		text := GeneratePassphrase()
		if err := CheckPassphrase(text); err != nil || seen[text] {
			t.Fatalf("GeneratePassphrase() = %q: error %v, seen before %t", text, err, seen[text])
		}
		seen[text] = true
		for i, r := range text {
			if dash := i%5 == 4; dash != (r == '-') || !dash && !strings.ContainsRune(generatedAlphabet, r) {
				t.Fatalf("GeneratePassphrase() = %q: letter %d is %q", text, i, r)
			}
			letters[r] = true
		}
	}
	if got, want := len(letters), len(generatedAlphabet)+1; got != want {
		t.Errorf("200 passphrases have %d different characters, want %d", got, want)
	}
}

// cheapHash is the hash of a passphrase for tests that are about something else.
func cheapHash(text string) passphraseHash {
	h := passphraseHash{memory: 8, time: 1, threads: 1, salt: []byte("saltsalt")}
	h.key = h.derive(text, 32)
	return h
}

func TestHashMatchesItsPassphraseOnly(t *testing.T) {
	h := hashPassphrase("correct horse")
	if h.memory < 19456 || h.time < 2 || h.threads != 1 || len(h.salt) < 16 || len(h.key) < 32 {
		t.Errorf("got m=%d t=%d p=%d, %d bytes of salt and %d of key; want what OWASP asks for", h.memory, h.time, h.threads, len(h.salt), len(h.key))
	}
	if bytes.Equal(h.salt, hashPassphrase("correct horse").salt) {
		t.Error("two hashes have the same salt")
	}
	read, err := parseHash([]byte(h.String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !read.matches("correct horse") {
		t.Error("the hash doesn't match its passphrase")
	}
	cheap := cheapHash("correct horse")
	for _, wrong := range []string{"", "correct hors", "correct horse ", "Correct horse", "correct  horse"} {
		if cheap.matches(wrong) {
			t.Errorf("the hash matches %q, too", wrong)
		}
	}
}

// goodHash is 16 bytes of salt and 32 of key.
const goodHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestParseHash(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"another function", "argon2id", "argon2i", "no argon2id hash"},
		{"bcrypt", goodHash, "$2b$10$abcdefghijklmnopqrstuv", "no argon2id hash"},
		{"another version", "v=19", "v=16", "no argon2id hash"},
		{"text before it", "$argon2id", "x$argon2id", "no argon2id hash"},
		{"two lines", goodHash, goodHash + "\n" + goodHash, "no argon2id hash"},
		{"no end", goodHash + "\n", goodHash, "end is missing"},
		{"an empty line after it", goodHash, goodHash + "\n", "one way"},
		{"a line end of Windows", goodHash, goodHash + "\r", "one way"},
		{"parameters missing", "m=19456,t=2,p=1", "m=19456,t=2", "no m, t and p"},
		{"parameters in another order", "m=19456,t=2", "t=2,m=19456", "m is not"},
		{"all memory", "m=19456", "m=4194304", "m is not a number from 1 to 65536"},
		{"more than a number has room for", "m=19456", "m=99999999999999999999", "m is not"},
		{"negative memory", "m=19456", "m=-1", "m is not"},
		{"leading zero", "m=19456", "m=019456", "one way"},
		{"too little memory", "m=19456,t=2,p=1", "m=31,t=2,p=4", "less than 8 times"},
		{"no passes", "t=2", "t=0", "t is not"},
		{"passes for ever", "t=2", "t=4294967295", "t is not"},
		{"no threads", "p=1", "p=0", "p is not"},
		{"a thread for each", "p=1", "p=255", "p is not"},
		{"padding", "AAA\n", "AAA=\n", "isn't base64"},
		{"short salt", "AAAAAAAAAAAAAAAAAAAAAA$", "AAAA$", "its salt has 3 bytes"},
		{"no key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", "\n", "its key has 0 bytes"},
		{"long key", "AAA\n", strings.Repeat("AAAA", 11) + "AAA\n", "bytes, not 16 to 64"},
		{"stray bits", "AAA\n", "AAB\n", "one way"},
		{"as written", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.Replace(goodHash+"\n", tt.old, tt.new, 1)
			if file == goodHash+"\n" && tt.want != "" {
				t.Fatalf("the file is as it was: %q", file)
			}
			_, err := parseHash([]byte(file))
			if got := errorText(err); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("parseHash(%q): got error %q, want %q in it", file, got, tt.want)
			}
		})
	}
	for n := range len(goodHash) + 1 {
		if _, err := parseHash([]byte(goodHash[:n])); err == nil {
			t.Errorf("the first %d bytes of a file are taken for all of it", n)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add([]byte(goodHash + "\n"))
	f.Add([]byte("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA\n"))
	f.Add([]byte("$argon2id$v=19$m=,t=,p=$$\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, err := parseHash(file)
		if err != nil {
			return
		}
		if h.String()+"\n" != string(file) || len(file) > maxHashFile {
			t.Errorf("%q is read and written as %q", file, h)
		}
		if h.memory > 64*1024 || h.time > 10 || h.threads > 4 || h.time == 0 || h.threads == 0 || len(h.salt) < 8 || len(h.key) < 16 {
			t.Errorf("%q is out of bounds and taken", file)
		}
	})
}
