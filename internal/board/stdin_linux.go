package board

import "syscall"

// keepStdin returns a function that puts standard input back in its place: closing a chip
// that has two device nodes, the library closes file descriptor 0 with it, and the next
// file that anything opens would be taken for standard input.
func keepStdin() func() {
	const stdin = 0
	kept, err := fcntl(stdin, syscall.F_DUPFD_CLOEXEC, stdin+1)
	if err != 0 {
		return func() {}
	}
	return func() {
		if _, err := fcntl(stdin, syscall.F_GETFD, 0); err != 0 {
			// The lowest free descriptor, which is 0 unless somebody was faster.
			if fd, err := fcntl(kept, syscall.F_DUPFD, stdin); err == 0 && fd != stdin {
				syscall.Close(fd)
			}
		}
		syscall.Close(kept)
	}
}

func fcntl(fd, command, arg int) (int, syscall.Errno) {
	n, _, err := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), uintptr(command), uintptr(arg))
	return int(n), err
}
