//go:build gpiovm

package cases

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRaspberryPi5 has the panel run as root on what says that it is a Raspberry Pi 5, with the second node that its
// chip has there. GPIO libraries have taken such a computer for an older model and mapped memory that is not the GPIO's.
func TestRaspberryPi5(t *testing.T) {
	model, err := os.ReadFile("/proc/device-tree/model")
	if err != nil || !strings.HasPrefix(string(model), "Raspberry Pi 5") {
		t.Fatalf("this machine is %q, %v; want a Raspberry Pi 5", model, err)
	}
	b := newBench(t)
	b.must(secondNode(b.Node(), "/dev/gpiochip40", false))
	t.Cleanup(func() { os.Remove("/dev/gpiochip40") })
	b.must(secondNode(b.Node(), "/dev/gpiochip41", true))
	t.Cleanup(func() { os.Remove("/dev/gpiochip41") })

	r := b.start()
	r.guards(true, true)
	proc := fmt.Sprintf("/proc/%d/", r.Process.Pid)
	maps, err := os.ReadFile(proc + "maps")
	b.must(err)
	if strings.Contains(string(maps), "/dev/") {
		t.Errorf("the panel has mapped a device:\n%s", maps)
	}
	files, err := filepath.Glob(proc + "fd/*")
	b.must(err)
	for _, f := range files {
		name, err := os.Readlink(f)
		t.Logf("%s is %s", filepath.Base(f), name)
		if err == nil && strings.HasPrefix(name, "/dev/") && !strings.HasPrefix(name, "/dev/gpiochip") && name != os.DevNull {
			t.Errorf("the panel has opened %s", name)
		}
		if filepath.Base(f) == "0" && name != os.DevNull {
			t.Errorf("standard input has become %s", name)
		}
	}
	r.stop(syscall.SIGTERM)
}

// secondNode makes another node for a device, or a link to its node.
func secondNode(node, name string, link bool) error {
	if link {
		return os.Symlink(node, name)
	}
	var info unix.Stat_t
	return errors.Join(unix.Stat(node, &info), unix.Mknod(name, unix.S_IFCHR|0o600, int(info.Rdev)))
}

// TestArmv6 runs the program that is built for the oldest Raspberry Pi.
func TestArmv6(t *testing.T) {
	b := newBench(t)
	r := b.launch(exec.Command("/bin/panel-armv6", b.flags()...))
	r.guards(true, true)
	r.stop(syscall.SIGTERM)
}
