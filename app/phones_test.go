package app

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestCleanName(t *testing.T) {
	tests := []struct {
		name, text, want string
		err              error
	}{
		{"41 characters", strings.Repeat("x", 41), "", ErrBadName},
		{"control character", "An\x1bna", "", ErrBadName},
		{"NUL", "\x00", "", ErrBadName},
		{"turns the direction of writing", "Anna\u202egnp.exe", "", ErrBadName},
		{"isolates a direction", "\u2067Anna", "", ErrBadName},
		{"not to be seen", "\u200b", "", ErrBadName},
		{"byte order mark", "\ufeffAnna", "", ErrBadName},
		{"private use", "\ue000", "", ErrBadName},
		{"not UTF-8", "Ann\xff", "", ErrBadName},
		{"none", "", "Phone", nil},
		{"spaces", " \t\u00a0\n ", "Phone", nil},
		{"spaces around and between", "  Anna  of\nthe\tattic ", "Anna of the attic", nil},
		{"40 characters of 160 bytes", strings.Repeat("📱", 40), strings.Repeat("📱", 40), nil},
		{"markup, which is text", "<b>Anna</b>", "<b>Anna</b>", nil},
		{"letters of others", "Ζωή 艾娜 أنا", "Ζωή 艾娜 أنا", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := CleanName(tt.text); got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("CleanName(%q) = %q, %v; want %q, %v", tt.text, got, err, tt.want, tt.err)
			}
		})
	}
}

const (
	zeros     = "0000000000000000000000000000000000000000000000000000000000000000"
	anna      = `{"id":"aaaaaaaa","name":"Anna","since":"2026-05-01T08:00:00Z","seen":"2026-05-02T08:00:00Z","secret_sha256":"` + zeros + `"}`
	goodFile  = `{"version":1,"passphrase":"` + zeros + `","phones":[` + anna + `]}`
	otherZero = "1000000000000000000000000000000000000000000000000000000000000000"
)

func TestParsePhones(t *testing.T) {
	another := strings.NewReplacer("aaaaaaaa", "bbbbbbbb", zeros, otherZero).Replace(anna)
	tests := []struct{ name, old, new, want string }{
		{"empty", goodFile, "", "end of JSON"},
		{"not an object", goodFile, "[]", "cannot unmarshal"},
		{"something after it", goodFile, goodFile + "x", "invalid character"},
		{"no version", `"version":1,`, "", "its version is 0"},
		{"a later version", `"version":1`, `"version":2`, "its version is 2"},
		{"version of another type", `"version":1`, `"version":"1"`, "cannot unmarshal"},
		{"no passphrase", `"passphrase":"` + zeros + `",`, "", "passphrase is no SHA-256"},
		{"capitals in the passphrase's", `"passphrase":"0`, `"passphrase":"A`, "passphrase is no SHA-256"},
		{"name too long", "Anna", strings.Repeat("x", 41), "the name of phone 1"},
		{"no name", "Anna", "", "the name of phone 1"},
		{"name with spaces around", "Anna", " Anna", "the name of phone 1"},
		{"name with a control character", "Anna", `An\u0007na`, "the name of phone 1"},
		{"no id", "aaaaaaaa", "", "the id of phone 1"},
		{"id with another character", "aaaaaaaa", "aaaaaaa/", "the id of phone 1"},
		{"two with the same id", anna, anna + "," + strings.Replace(anna, zeros, otherZero, 1), "the id of phone 2"},
		{"two with the same secret", anna, anna + "," + strings.Replace(anna, "aaaaaaaa", "bbbbbbbb", 1), "the secret_sha256 of phone 2"},
		{"secret cut", zeros + `"}`, zeros[1:] + `"}`, "the secret_sha256 of phone 1"},
		{"time of another kind", "2026-05-01T08:00:00Z", "yesterday", "parsing time"},
		{"65 phones", anna, strings.Repeat(anna+",", 64) + anna, "more than 64 phones"},
		{"too long", goodFile, goodFile + strings.Repeat(" ", maxPhonesFile), "more than 65536 bytes"},
		{"no phones", anna, "", ""},
		{"another", anna, anna + "," + another, ""},
		{"as written", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.Replace(goodFile, tt.old, tt.new, 1)
			if file == goodFile && tt.want != "" {
				t.Fatalf("the file is as it was: %q", file)
			}
			_, err := parsePhones([]byte(file))
			if got := errorText(err); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got error %q, want %q in it", got, tt.want)
			}
		})
	}
}

func TestMostPhonesFitTheFile(t *testing.T) {
	f := phonesFile{Version: phonesVersion, Passphrase: zeros}
	for i := range maxPhones {
		name := strings.Repeat("<", maxName) // as long as JSON makes any
		p := storedPhone{Phone{ID: strings.Repeat(string(idAlphabet[i/32])+string(idAlphabet[i%32]), 4), Name: name}, sha256Hex([]byte{byte(i)})}
		f.Phones = append(f.Phones, p)
	}
	data, err := f.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsePhones(data); err != nil {
		t.Errorf("64 phones with the longest names, %d bytes: %v", len(data), err)
	}
}

func FuzzParsePhones(f *testing.F) {
	f.Add([]byte(goodFile))
	f.Add([]byte(strings.Replace(goodFile, anna, "null", 1)))
	f.Add([]byte(strings.Replace(goodFile, "Anna", `\u202e`, 1)))
	f.Fuzz(func(t *testing.T, file []byte) {
		read, err := parsePhones(file)
		if err != nil {
			return
		}
		for _, p := range read.Phones {
			if name, err := CleanName(p.Name); err != nil || name != p.Name {
				t.Errorf("a phone is called %q", p.Name)
			}
		}
		data, err := read.encode()
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		again, err := parsePhones(data)
		if err != nil || len(again.Phones) > maxPhones || !reflect.DeepEqual(read.Phones, again.Phones) {
			t.Errorf("%q is written as %q: %v", file, data, err)
		}
	})
}
