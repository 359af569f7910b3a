package board

import (
	"os"
	"syscall"
	"unsafe"
)

// lineFile makes a file of a granted line, on which a wait can have an end.
func lineFile(fd int32) (*os.File, error) {
	if err := syscall.SetNonblock(int(fd), true); err != nil {
		syscall.Close(int(fd))
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return os.NewFile(uintptr(fd), "gpio-line"), nil
}

// ioctl makes a call on a chip or a line.
func ioctl(file *os.File, call uintptr, argument unsafe.Pointer) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, call, uintptr(argument))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
