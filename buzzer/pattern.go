package buzzer

import "time"

// A pattern is what is beeped, part after part. Empty = silence.
type pattern []part

// A part is a beep and a pause, so many times.
type part struct {
	beep, pause time.Duration
	times       int // or endless
}

const endless = -1

// theEnd of an exit delay is beeped faster.
const theEnd = 10 * time.Second

// The beeps. Somebody who comes in is to be in more of a hurry than somebody who leaves.
var (
	leaving  = part{100 * time.Millisecond, 900 * time.Millisecond, endless}
	leaveNow = part{100 * time.Millisecond, 400 * time.Millisecond, endless}
	entering = part{100 * time.Millisecond, 150 * time.Millisecond, endless}
	armed    = part{time.Second, 500 * time.Millisecond, 1}
	troubled = part{100 * time.Millisecond, 100 * time.Millisecond, 3} // after armed
	disarmed = part{100 * time.Millisecond, 150 * time.Millisecond, 2}
)

// patternFor is what is beeped when one state follows another.
func patternFor(before, now string, faults bool, exitDelay time.Duration) pattern {
	switch {
	case now == "exit_delay":
		slow := leaving
		slow.times = int(max(0, exitDelay-theEnd) / (slow.beep + slow.pause))
		return pattern{slow, leaveNow}
	case now == "entry_delay":
		return pattern{entering}
	case now == "disarmed" && before != "":
		return pattern{disarmed}
	case now == "armed" && (before == "disarmed" || before == "exit_delay") && faults:
		return pattern{armed, troubled}
	case now == "armed" && (before == "disarmed" || before == "exit_delay"):
		return pattern{armed}
	}
	return nil
}
