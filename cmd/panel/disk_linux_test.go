package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"

	"github.com/twinpanel/twinpanel/internal/cli"
)

// fill lets a process write no byte more to any file, as on a full disk.
func fill(t *testing.T, p *process) {
	t.Helper()
	limit := syscall.Rlimit{Cur: 0, Max: ^uint64(0)}
	const fileSize = syscall.RLIMIT_FSIZE
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.Process.Pid), fileSize, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		t.Fatalf("limiting the files of the panel: %v", errno)
	}
}

// TestStartOnAFullDisk guards all the same.
func TestStartOnAFullDisk(t *testing.T) {
	folder(t, nil)
	p, err := launch("", exec.Command("sh", append([]string{"-c", `ulimit -f 0; exec panel "$@"`, "sh"}, usualFlags()...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(os.Interrupt) })
	p.logged(t, `level=ERROR msg="state folder cannot be written; guarding goes on, but a power cut may lose what is armed now" error=".*file too large"`)
	p.logged(t, "reading=closed")
	if code, stdout, _ := run(t.Context(), "arm", "--state-dir", "state"); code != cli.ExitFailed || stdout != "armed; door closed; faults: journal\n" {
		t.Errorf("arming: code %d, %q; want 1 and armed with the fault journal", code, stdout)
	}
	p.move(t, `{"open":true}`)
	eventually(t, `"siren_on":true`, p.look)
}

// TestFullDisk arms on a disk without room: the command says that a power cut will lose it, and the panel guards.
func TestFullDisk(t *testing.T) {
	folder(t, nil)
	p := start(t)
	p.logged(t, "reading=closed")
	fill(t, p)

	code, stdout, stderr := run(t.Context(), "arm", "--state-dir", "state")
	wantErr := "panel: armed, but the journal cannot be written: a power cut will lose it\nhint: see the panel's log, and make room on the disk of state\n"
	if want := "armed; door closed; faults: journal\n"; code != cli.ExitFailed || stdout != want || stderr != wantErr {
		t.Errorf("got code %d, stdout %q, stderr:\n%swant code 1, %q and:\n%s", code, stdout, stderr, want, wantErr)
	}
	p.logged(t, `level=ERROR msg="journal cannot be written; guarding goes on, but a power cut may lose what is armed now" error=".*file too large"`)
	p.move(t, `{"open":true}`)
	eventually(t, `"siren_on":true`, p.look)
	check(t, simulated(noHub, deviceID), goodDir+"ok   journal       disarmed\n"+goodClock+
		"ok   panel         running: ringing; door open; faults: journal\n"+
		"BAD  fault         journal\n                   -> see the panel's log: make room on the disk of the state folder, or replace the card; if the journal was unreadable, arm or disarm once\n"+
		badLink)
	if _, err := p.Stop(os.Interrupt); err != nil {
		t.Error(err)
	}
}
