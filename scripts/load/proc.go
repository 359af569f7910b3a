//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errEnded is how the kernel says that there is no such process any more.
const errEnded = unix.EINVAL

// processTime is what processes have used so far, of user and system time. It is exact: the kernel has a clock for each.
func processTime(pids ...int) (sum time.Duration, err error) {
	for _, pid := range pids {
		var t unix.Timespec
		// MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of the kernel's posix-timers.h.
		clock := int32(^pid)<<3 | 2
		if err := unix.ClockGettime(clock, &t); err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		sum += time.Duration(t.Nano())
	}
	return sum, nil
}

// residentMemory is a process's RSS in bytes, exact, unlike the one in status.
func residentMemory(pid int) (int64, error) { return readSize(pid, "smaps_rollup", "Rss:") }

// memoryPeak is the highest RSS that a process ever had.
func memoryPeak(pid int) (int64, error) { return readSize(pid, "status", "VmHWM:") }

func readSize(pid int, file, key string) (int64, error) {
	name := fmt.Sprintf("/proc/%d/%s", pid, file)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	n, err := parseSize(text, key)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// parseSize finds a line such as "Rss:    1844 kB" and returns it in bytes.
func parseSize(text []byte, key string) (int64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[0] != key || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", key, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("there is no line %s", key)
}

// raiseFileLimit lets this process, and those that it starts, have more files open, as far as it may: a row that needs
// more says so.
func raiseFileLimit(n uint64) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	all := syscall.Rlimit{Cur: max(n, limit.Cur), Max: max(n, limit.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &all) != nil {
		// Without the right to a higher maximum. Setting it keeps Go from giving children a lower one.
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
}
