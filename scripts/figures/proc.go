package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor times in /proc: USER_HZ is 100 on every computer that Go runs on.
const tick = 10 * time.Millisecond

// memory is what a process has of it, in bytes.
type memory struct {
	resident     int64 // RSS
	proportional int64 // PSS
}

// readMemory reads the memory of a process from its smaps_rollup, which, unlike status, is exact.
func readMemory(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, err
	}
	return parseMemory(b)
}

func parseMemory(rollup []byte) (memory, error) {
	var m memory
	var err error
	if m.resident, err = kibibytes(rollup, "Rss:"); err != nil {
		return memory{}, err
	}
	m.proportional, err = kibibytes(rollup, "Pss:")
	return m, err
}

// kibibytes finds a line such as "Rss:    1844 kB" and returns it in bytes.
func kibibytes(rollup []byte, key string) (int64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(rollup)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[0] != key || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s in smaps_rollup: %w", key, err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("smaps_rollup has no line %s", key)
}

// readProcessorTime returns what a process has used so far, of user and system time.
func readProcessorTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseProcessorTime(string(b))
}

// parseProcessorTime reads fields 14 and 15 of stat, utime and stime. Field 2 is the program's name in
// parentheses, which may hold anything, so they are counted from its end.
func parseProcessorTime(stat string) (time.Duration, error) {
	const first = 3 // the field after the name
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 15-first+1 {
		return 0, fmt.Errorf("stat is too short: %q", stat)
	}
	var ticks int64
	for _, field := range fields[14-first : 15-first+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading utime and stime in stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
