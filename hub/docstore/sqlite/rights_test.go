//go:build linux || darwin

package sqlite

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestUnwritableFolder opens folders as a user who may not write there. For
// root, who may do everything, a process of another user does it.
func TestUnwritableFolder(t *testing.T) {
	const nobody = 65534
	for _, process := range []string{"hub", "command"} {
		for _, filled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s filled=%v", process, filled), func(t *testing.T) {
				dir := t.TempDir()
				if filled {
					fill(t, dir)
				}
				if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o555)); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.Chmod(dir, 0o755) })
				if os.Geteuid() != 0 && filled {
					if err := os.Chmod(filepath.Join(dir, databaseFile), 0o400); err != nil {
						t.Fatal(err)
					}
				}
				cmd := child(t, process, dir)
				if os.Geteuid() == 0 {
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				}
				out, err := cmd.Output()
				if err == nil || !strings.Contains(string(out), "data folder "+dir+" cannot be written") ||
					!strings.Contains(string(out), "hint: give the folder to the user") {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// TestUnwritablePlaces backs up to a folder, and restores to one, that the user may not write to.
func TestUnwritablePlaces(t *testing.T) {
	const nobody = 65534
	for process, want := range map[string]string{
		"backup":  "hint: name a file in a folder that exists and that you may write to\n",
		"restore": "hint: give the folder to the user who runs this, ",
	} {
		t.Run(process, func(t *testing.T) {
			dir := t.TempDir()
			source, data := filepath.Join(dir, "source"), filepath.Join(dir, "data")
			if err := errors.Join(os.Mkdir(source, 0o777), os.Mkdir(data, 0o777)); err != nil {
				t.Fatal(err)
			}
			fill(t, source)
			if process == "restore" {
				if _, err := Backup(t.Context(), source, filepath.Join(dir, "backup.db")); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Join(dir, "backup.db"), 0o444); err != nil {
					t.Fatal(err)
				}
			}
			cmd := child(t, process, dir)
			if os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				if err := errors.Join(os.Chown(source, nobody, nobody), os.Chown(filepath.Join(source, databaseFile), nobody, nobody)); err != nil {
					t.Fatal(err)
				}
			}
			for _, folder := range []string{filepath.Dir(dir), dir, data} {
				mode := os.FileMode(0o555)
				if folder == filepath.Dir(dir) {
					mode = 0o755
				}
				if err := os.Chmod(folder, mode); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.Chmod(folder, 0o755) })
			}
			before := content(t, dir)
			out, err := cmd.Output()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("%v: %s; want %q", err, out, want)
			}
			if after := content(t, dir); !maps.Equal(after, before) {
				t.Errorf("%d files became %d", len(before), len(after))
			}
		})
	}
}

// A file in a folder that the user may not even look into is no file that exists.
func TestBackupToAClosedFolder(t *testing.T) {
	const nobody = 65534
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "source"), 0o700), os.Mkdir(closed, 0), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(dir, "source"))
	cmd := child(t, "closed", dir)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := errors.Join(os.Chown(filepath.Join(dir, "source"), nobody, nobody), os.Chown(filepath.Join(dir, "source", databaseFile), nobody, nobody)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := cmd.Output()
	if want := "permission denied\nhint: name a file in a folder that exists and that you may write to\n"; err == nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("%v: %s; want %q", err, out, want)
	}
}

// What root restores or makes in the folder of a hub, that hub can open.
func TestRootWritesForTheHubsUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: only root can write for others")
		return
	}
	const nobody = 65534
	restore := func(t *testing.T, data string) error {
		_, _, err := Restore(t.Context(), mustBackup(t, 7), data, true)
		return err
	}
	for _, test := range []struct {
		name    string
		prepare func(data string) error // with data, in a folder of nobody's
		do      func(t *testing.T, data string) error
	}{
		{"restored to a new folder", func(string) error { return nil }, restore},
		{"restored to an empty folder", func(data string) error {
			return errors.Join(os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody))
		}, restore},
		{"restored in the place of the hub's, in a folder of root's", func(data string) error {
			if err := errors.Join(os.Mkdir(data, 0o700), openAsHub(data), os.Chmod(data, 0o777)); err != nil {
				return err
			}
			return errors.Join(os.Chown(filepath.Join(data, databaseFile), nobody, nobody), os.Remove(filepath.Join(data, lockFile)))
		}, restore},
		{"restored in the place of root's", func(data string) error {
			return errors.Join(os.Mkdir(data, 0o700), openAsCommand(data), os.Chown(data, nobody, nobody))
		}, restore},
		{"added before the first start", func(data string) error {
			return errors.Join(os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody))
		}, func(_ *testing.T, data string) error { return openAsCommand(data) }},
		{"added in a new folder", func(string) error { return nil }, func(_ *testing.T, data string) error {
			return openAsCommand(data + "/in/it/")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, nobody, nobody)); err != nil {
				t.Fatal(err)
			}
			data := filepath.Join(dir, "data")
			if err := test.prepare(data); err != nil {
				t.Fatal(err)
			}
			if err := test.do(t, data); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(data, "in", "it")); err == nil {
				data = filepath.Join(data, "in", "it")
			}
			cmd := child(t, "hub", data)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			if out, err := cmd.Output(); err != nil {
				t.Errorf("the hub can't start: %v\n%s", err, out)
			}
		})
	}
}

// A backup that may not be read says so, and not that it is none.
func TestRestoreOfAnUnreadableFile(t *testing.T) {
	const nobody = 65534
	for _, unreadable := range []string{"file", "folder"} {
		t.Run(unreadable, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Rename(mustBackup(t, 7), filepath.Join(dir, "backup.db")); err != nil {
				t.Fatal(err)
			}
			path := dir
			if unreadable == "file" {
				path = filepath.Join(dir, "backup.db")
			}
			if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Chmod(path, 0)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(path, 0o755) })
			cmd := child(t, "read", dir)
			if os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			out, err := cmd.Output()
			if want := "backup.db: permission denied\nhint: run this as a user who may read the file, "; err == nil || !strings.Contains(string(out), want) {
				t.Errorf("%v: %s; want %q", err, out, want)
			}
		})
	}
}
