package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/twinpanel/twinpanel/hub/credential"
	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/cli"
)

// names lists a folder.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

var wholeHandover = handover{Certificate: &keyPair{Crt: "crt", Key: "key"}, Secret: "secret", authorities: []byte("ca")}

func TestSaveSaysWhereToWrite(t *testing.T) {
	for err, want := range map[error]bool{fs.ErrInvalid: false, &fs.PathError{Op: "mkdir", Path: "front-door", Err: syscall.EACCES}: true} {
		got := cannotWrite(err)
		hinted, ok := errors.AsType[interface {
			error
			Hint() string
		}](got)
		if !errors.Is(got, err) || ok != want || ok && hinted.Hint() != "choose a folder that this user may write" {
			t.Errorf("got %v, a hint %t; want one %t", got, ok, want)
		}
	}
}

func TestSaveKeepsEachFileThatExists(t *testing.T) {
	all := []string{"ca.pem", "cert.pem", "key.pem", "secret"}
	for _, name := range all {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := wholeHandover.save(dir); err == nil || !strings.Contains(err.Error(), path+" exists already") {
			t.Errorf("%s: got error %v", name, err)
		}
		if got := names(t, dir); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: got files %q, want this one alone", name, got)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
			t.Errorf("%s: got %q, %v; want what it held", name, got, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := wholeHandover.save(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, all) {
		t.Errorf("got files %q, want %q", got, all)
	}
	for name, want := range map[string]fs.FileMode{".": 0o700, "ca.pem": 0o644, "cert.pem": 0o644, "key.pem": 0o600, "secret": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&^want != 0 {
			t.Errorf("%s: got mode %v, %v; want no more than %v", name, info.Mode(), err, want)
		}
	}
}

// A device that isn't stored has no files, and one that may be stored has them.
func TestFillTakesFilesBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		exist bool // the folder, before
		want  []string
	}{
		{"not stored", registry.ErrNameTaken, false, nil},
		{"not stored, in a folder that exists", registry.ErrNameTaken, true, []string{"notes"}},
		{"nobody knows", &docstore.OutcomeError{Err: errors.New("disk broke")}, false, []string{"ca.pem", "cert.pem", "key.pem"}},
		{"stored", nil, true, []string{"ca.pem", "cert.pem", "key.pem", "notes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "panel")
			if tt.exist {
				if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			d, err := registry.NewDevice("panel")
			if err != nil {
				t.Fatal(err)
			}
			order := credentialOrder{out: dir}
			r := registry.NewMemory()
			all, err := credential.Ensure(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err = order.fill(t.Context(), r, all, &d, true, func() error { return tt.err }); !errors.Is(err, tt.err) {
				t.Errorf("got error %v, want %v", err, tt.err)
			}
			if got := names(t, dir); !slices.Equal(got, tt.want) {
				t.Errorf("got files %q, want %q", got, tt.want)
			}
			if _, err := os.Stat(dir); (err == nil) != (tt.want != nil) {
				t.Errorf("folder: %v", err)
			}
		})
	}
}

func TestCredentialThatCannotBePrinted(t *testing.T) {
	data := t.TempDir()
	var stderr strings.Builder
	code := cli.Run(t.Context(), command(), []string{"device", "add", "panel", "--data", data}, brokenPipe{}, &stderr)
	if code != cli.ExitFailed || !strings.Contains(stderr.String(), "hint: nobody has its credential now: hub device renew makes another one") {
		t.Errorf("got code %d and %q, want a hint to renew it", code, &stderr)
	}
	if _, log, code := call(t, "device", "renew", "panel", "--data", data); code != cli.ExitOK {
		t.Errorf("the hint leads nowhere: %s", log)
	}
}
