//go:build linux

package vm

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	amd64, arm64 := &Kernel{Arch: "amd64", Image: "vmlinuz"}, &Kernel{Arch: "arm64", Image: "vmlinuz"}
	for _, tt := range []struct {
		name   string
		config Config
		want   []string // in this order
	}{
		{"amd64", Config{Kernel: amd64, Append: "-- 4711"}, []string{"qemu-system-x86_64", "-m", "512", "-kernel", "vmlinuz", "-append", "console=ttyS0 quiet oops=panic panic=-1 -- 4711"}},
		{"arm64", Config{Kernel: arm64, DTB: "pi.dtb", Initramfs: "files", Memory: 256}, []string{"qemu-system-aarch64", "-m", "256", "-append", "console=ttyAMA0 quiet oops=panic panic=-1", "-initrd", "files", "-dtb", "pi.dtb"}},
		{"network", Config{Kernel: amd64, Network: true}, []string{"-netdev", "user,id=net"}},
		{"drives", Config{Kernel: amd64, Drives: []Drive{{File: "a,b"}, {File: "c", Cache: "none", ReadOnly: true}}}, []string{
			"-drive", "file=a,,b,id=drive0,if=none,format=raw,cache=writeback", "-device", "virtio-blk-pci,drive=drive0",
			"-drive", "file=c,id=drive1,if=none,format=raw,cache=none,readonly=on", "-device", "virtio-blk-pci,drive=drive1",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.config.args()
			rest := args
			for _, want := range tt.want {
				i := slices.Index(rest, want)
				if i < 0 {
					t.Fatalf("no %q, or not in this order, in %q", want, args)
				}
				rest = rest[i+1:]
			}
		})
	}
}

// TestEndOfAJob reads what a console says, to its end.
func TestEndOfAJob(t *testing.T) {
	for _, tt := range []struct {
		name, console string
		want          error
		says          string
	}{
		{"nothing", "", ErrEnded, ""},
		{"cut off", "gpio-vm: running /tests/cases\r\n--- PASS: TestA", ErrEnded, "last line: --- PASS: TestA"},
		{"no code", "gpio-vm: exit \r\n", ErrEnded, "gpio-vm: exit"},
		{"panic", "[ 1.0] Kernel panic - not syncing: Attempted to kill init!\r\n[ 1.1] Rebooting\r\n", ErrEnded, "Attempted to kill init!"},
		{"panic after the end", "gpio-vm: exit 0\r\n[ 1.0] Kernel panic - not syncing\r\n", ErrEnded, "Kernel panic"},
		{"failed", "gpio-vm: exit 1\r\n", ErrFailed, ""},
		{"well", "PASS\r\n\r\ngpio-vm: exit 0\r\n[ 9.0] reboot: Power down\r\n", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Machine{job: -1}
			var told strings.Builder
			m.listen(strings.NewReader(tt.console), func(line string) { told.WriteString(line + "\r\n") })
			if got := told.String(); strings.TrimSuffix(got, "\r\n") != strings.TrimSuffix(tt.console, "\r\n") {
				t.Errorf("lines: %q; want %q", got, tt.console)
			}
			err := m.verdict()
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("ends with %v; want %v and %q", err, tt.want, tt.says)
			}
		})
	}
}
