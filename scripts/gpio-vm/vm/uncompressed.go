//go:build linux

package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// uncompressed returns a file beside an amd64 kernel's image that has the kernel itself, and makes it when there is none.
// QEMU boots it directly (PVH), with neither firmware nor the kernel's own decompressor, which take longer there than all the rest.
func uncompressed(image string) (string, error) {
	kernel := image + ".elf"
	if _, err := os.Stat(kernel); err == nil {
		return kernel, nil
	}
	text, err := os.ReadFile(image)
	if err != nil {
		return "", err
	}
	// Where it is: Documentation/arch/x86/boot.rst of the kernel's source.
	const sectors, offset, length, end = 0x1f1, 0x248, 0x24c, 0x250
	if len(text) < end {
		return "", fmt.Errorf("%s is no kernel", image)
	}
	at := uint64(text[sectors]+1)*512 + uint64(binary.LittleEndian.Uint32(text[offset:]))
	size := uint64(binary.LittleEndian.Uint32(text[length:]))
	if at+size > uint64(len(text)) {
		return "", fmt.Errorf("%s is cut short", image)
	}
	var stderr bytes.Buffer
	unpack := exec.Command("xz", "-dc", "--single-stream")
	unpack.Stdin, unpack.Stderr = bytes.NewReader(text[at:at+size]), &stderr
	out, err := unpack.Output()
	if err == nil && !bytes.HasPrefix(out, []byte("\x7fELF")) {
		err = errors.New("it is no ELF file")
	}
	if err != nil {
		return "", fmt.Errorf("unpacking %s: %w\n%s", image, err, &stderr)
	}
	if err := os.WriteFile(kernel+".new", out, 0o644); err != nil {
		return "", err
	}
	return kernel, os.Rename(kernel+".new", kernel)
}
