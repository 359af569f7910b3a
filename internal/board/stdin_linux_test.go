package board

import (
	"os"
	"syscall"
	"testing"
)

func TestKeepStdinPutsItBack(t *testing.T) {
	before, err := os.Stdin.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []bool{false, true} {
		restore := keepStdin()
		if lost {
			if err := syscall.Close(0); err != nil {
				t.Fatal(err)
			}
		}
		restore()
		if after, err := os.Stdin.Stat(); err != nil || !os.SameFile(before, after) {
			t.Errorf("closed meanwhile: %v: standard input is another file: %v", lost, err)
		}
	}
}
