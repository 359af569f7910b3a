package panel

import (
	"time"

	"golang.org/x/sys/unix"
)

// maxClockError is the error, in microseconds, from which on the kernel knows that nobody tells it the time. Its flag for
// that is also set to keep the kernel from writing the hardware clock, so it says less (timedatectl goes by the error, too).
const maxClockError = 16_000_000

// Synchronised says whether something such as NTP tells the kernel the time, and whether that is known at all: a sandbox may
// forbid the question.
func Synchronised() (yes, known bool) {
	var t unix.Timex // no mode: this reads
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, false
	}
	return t.Maxerror < maxClockError, true
}

// suspended is how long this computer has slept since it was switched on. The time of time.Since stands still meanwhile.
func suspended() time.Duration {
	var boot, awake unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - awake.Nano())
}
