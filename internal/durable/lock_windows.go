package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// sharingViolation is what Windows answers when the file is open elsewhere
// (ERROR_SHARING_VIOLATION).
const sharingViolation = syscall.Errno(32)

// lock opens a file that nobody else can open meanwhile: folders cannot be locked.
func lock(path string) (io.Closer, error) {
	path = filepath.Join(path, "lock")
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const nobodyElse = 0
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, nobodyElse, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}
