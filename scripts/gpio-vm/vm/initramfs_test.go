//go:build linux

package vm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/scripts/gpio-vm/job"
)

func TestInitramfsWithoutItsFiles(t *testing.T) {
	modules := t.TempDir()
	exists := filepath.Join(modules, "exists")
	if err := os.WriteFile(exists, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, i := range map[string]Initramfs{
		"no init": {Init: filepath.Join(modules, "init")},
		"no file": {Init: exists, Files: map[string]string{"/bin/panel": filepath.Join(modules, "panel")}},
	} {
		i.Kernel = &Kernel{Modules: modules}
		if err := i.Write(filepath.Join(t.TempDir(), "initramfs")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v; want %v", name, err, fs.ErrNotExist)
		}
	}
	i := Initramfs{Kernel: &Kernel{Release: "6.1.0-1-amd64", Modules: modules}, Init: exists, Modules: []string{"gpio-sim"}}
	if err := i.Write(filepath.Join(t.TempDir(), "initramfs")); err == nil || err.Error() != "kernel 6.1.0-1-amd64 has no module gpio-sim" {
		t.Errorf("no module: %v", err)
	}
}

// TestInitramfs reads an archive as the kernel does.
func TestInitramfs(t *testing.T) {
	dir := t.TempDir()
	program, file := filepath.Join(dir, "program"), filepath.Join(dir, "initramfs")
	if err := os.WriteFile(program, []byte("odd"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := Initramfs{
		Kernel: &Kernel{Modules: dir}, Init: program, Files: map[string]string{"/opt/bin/program": program},
		Job: job.Job{Network: true},
	}
	if err := i.Write(file); err != nil {
		t.Fatal(err)
	}
	archive, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for len(archive) > 0 {
		const head = 110
		field := func(n int) int { // of 8 digits
			b, err := hex.DecodeString(string(archive[6+8*n : 14+8*n]))
			if err != nil || string(archive[:6]) != "070701" {
				t.Fatalf("bad head %q: %v", archive[:head], err)
			}
			return int(b[0])<<24 | int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		}
		mode, size, nameSize := field(1), field(6), field(11)
		name, _, _ := bytes.Cut(archive[head:head+nameSize], []byte{0})
		start := (head + nameSize + 3) &^ 3
		fmt.Fprintf(&got, "%o %s %q\n", mode, name, archive[start:start+size])
		archive = archive[(start+size+3)&^3:]
	}
	const want = `100755 init "odd"
40755 opt ""
40755 opt/bin ""
100755 opt/bin/program "odd"
100644 job.json "{\"Modules\":null,\"Network\":true,\"Mounts\":null,\"Run\":null}"
40755 etc ""
100644 etc/passwd "root:x:0:0::/:/bin/sh\n"
100644 etc/group "root:x:0:\n"
0 TRAILER!!! ""
`
	if got.String() != want {
		t.Errorf("got:\n%swant:\n%s", &got, want)
	}
}
