//go:build !linux

package panel

import "time"

// Synchronised says whether something such as NTP tells the kernel the time, and whether that is known at all. Here it is not.
func Synchronised() (yes, known bool) { return false, false }

// suspended is how long this computer has slept since it was switched on, as far as it is known.
func suspended() time.Duration { return 0 }
