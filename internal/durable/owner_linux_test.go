package durable

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestGiveAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: only root can give away")
		return
	}
	const ada, bob = 65533, 65534
	dir := t.TempDir()
	file := func(name string, owner int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ofAda, ofBob, ofRoot, missing := file("ada", ada), file("bob", bob), file("root", 0), filepath.Join(dir, "missing")
	for _, test := range []struct {
		name   string
		others []string
		want   uint32
		fails  bool
	}{
		{"path through a file", []string{ofRoot + "/hub.db", ofAda}, 0, true},
		{"nobody else's", []string{missing, ofRoot}, 0, false},
		{"none", nil, 0, false},
		{"the first one's", []string{ofAda, ofBob}, ada, false},
		{"the one that is there", []string{missing, ofBob}, bob, false},
		{"not root's", []string{ofRoot, ofBob}, bob, false},
	} {
		path, target := filepath.Join(dir, "new"), file("target", 0)
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if err := GiveAway(path, test.others...); (err != nil) != test.fails {
			t.Errorf("%s: got error %v, want one: %t", test.name, err, test.fails)
		}
		for of, want := range map[string]uint32{path: test.want, target: 0} {
			info, err := os.Lstat(of)
			if err != nil {
				t.Fatal(err)
			}
			if owner := info.Sys().(*syscall.Stat_t); owner.Uid != want || owner.Gid != want {
				t.Errorf("%s: %s belongs to %d:%d, want %d", test.name, of, owner.Uid, owner.Gid, want)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
