package panel

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"
)

// clockTolerance is how far a wall clock may jump, or stand behind a time that was seen before, without being called wrong.
const clockTolerance = time.Minute

// ClockProblem says why a wall clock that shows now cannot be right, as far as a panel on this state folder can know; nil if
// nothing speaks against it. A Pi has no clock of its own: without network time it starts in 1970, or where it was stopped.
func ClockProblem(now time.Time, stateDir string) error {
	return clockProblem(now, journalTime(stateDir), Synchronised)
}

// clockProblem holds now against when the program was built, and against when the journal was written. That time may itself
// be of a wrong clock, so a kernel that is told the time knows better.
func clockProblem(now, journal time.Time, synchronised func() (yes, known bool)) error {
	if now.Before(built()) {
		return fmt.Errorf("it says %s, before this program was built", clockText(now))
	}
	if now.Before(journal.Add(-clockTolerance)) {
		if yes, _ := synchronised(); !yes {
			return fmt.Errorf("it says %s, but the journal was written at %s", clockText(now), clockText(journal))
		}
	}
	return nil
}

func clockText(t time.Time) string { return t.UTC().Format(time.DateTime + " UTC") }

// journalTime is when the journal was written, by the clock of then; zero if there is none.
func journalTime(stateDir string) time.Time {
	info, err := os.Stat(filepath.Join(stateDir, journalName))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// built is a time that was over when this program was built: a day before its last commit, since that was another computer's
// clock, or the beginning of the year in which this was written.
var built = sync.OnceValue(func() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t.AddDate(0, 0, -1)
			}
		}
	}
	return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
})

// A clock watches the wall clock beside the time that has passed, which nobody can set. No decision depends on either: what
// is found is told.
type clock struct {
	synchronised func() (yes, known bool)
	log          *slog.Logger
	journal      time.Time // when it was written before this start

	began   time.Time     // the wall clock's at the first look
	looked  bool          // there was a look
	ahead   time.Duration // of the wall clock before the time that has passed, at the last look
	right   time.Duration // the same when it was taken for right
	trusted bool          // right is known
	problem error         // what is wrong; nil = nothing
}

// look takes what the wall clock shows and how much time has passed since the start.
func (c *clock) look(now time.Time, passed time.Duration) {
	if !c.looked {
		c.began = now.Round(0)
	}
	ahead := now.Round(0).Sub(c.began) - passed
	if jump := ahead - c.ahead; c.looked && jump.Abs() > clockTolerance {
		c.log.Warn("clock jumps", "by", jump.Round(time.Second).String(), "to", clockText(now))
	}
	c.looked, c.ahead = true, ahead
	c.say(c.find(now))
}

// find says what is wrong. A jump is, unless the kernel is told the time, or nobody can say whether it is. A jump out of a time
// that cannot be right is how a clock is set, and so is one back to where it was.
func (c *clock) find(now time.Time) error {
	if problem := clockProblem(now, c.journal, c.synchronised); problem != nil {
		return problem
	}
	if stray := c.ahead - c.right; c.trusted && stray.Abs() > clockTolerance {
		if yes, known := c.synchronised(); known && !yes {
			return fmt.Errorf("it says %s, %v away from the time that has passed", clockText(now), stray.Round(time.Second))
		}
	}
	c.trusted, c.right = true, c.ahead
	return nil
}

// say notes a problem, and logs when it comes and goes.
func (c *clock) say(problem error) {
	switch {
	case problem != nil && c.problem == nil:
		c.log.Warn("clock is wrong; guarding does not depend on it", "problem", problem)
	case problem == nil && c.problem != nil:
		c.log.Info("clock is right again")
	}
	c.problem = problem
}
