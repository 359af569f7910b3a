package blackbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
)

// ErrEmpty says that there is nothing in a log.
var ErrEmpty = errors.New("nothing has been written to it yet")

// around is how many events of a disarmed panel are told before and after a time.
const around = 20

// Read returns the log in a state folder, both files in one, without what a power cut has left at the end.
func Read(dir string) (string, error) {
	old, err := durable.Read(filepath.Join(dir, OldName), largest)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	now, err := durable.Read(filepath.Join(dir, Name), largest)
	if err != nil && (old == nil || !errors.Is(err, os.ErrNotExist)) {
		return "", err
	}
	return Readable(string(old) + string(now))
}

// Readable is a log without the bytes that a power cut has garbled, and with a note about them. A text that is hardly a log is
// an error that names a line.
func Readable(text string) (string, error) {
	_, err := transcript.Play(text)
	if err == nil {
		return text, nil
	}
	clean, lost := transcript.Clean(text)
	if steps, _ := transcript.Steps(clean); errors.Is(err, transcript.ErrNewer) || lost > len(clean) || len(steps) == 0 {
		return "", err
	}
	return clean + fmt.Sprintf("# %d bytes could not be read and are left out.\n", lost), nil
}

// Explain cuts a part out of a log and says what happened in it, at the end: the armed period between two times, or at the first of
// them, from before it began, or some events of a disarmed panel. Of several armed periods it is the last that rang, or else the
// last. The zero time is that of the last ring, or else of the last transition. The part is a transcript that can be played by itself.
func Explain(text string, from, to time.Time) (string, error) {
	steps, err := transcript.Steps(text)
	if err != nil {
		return "", err
	}
	if len(steps) == 0 {
		return "", ErrEmpty
	}
	focus, err := find(steps, from, to)
	if err != nil {
		return "", err
	}
	first, last := part(steps, focus)
	lines := strings.SplitAfter(text, "\n")
	end := len(lines)
	if last+1 < len(steps) {
		end = steps[last].N
		for strings.HasPrefix(lines[end], "    ") {
			end++
		}
	}
	cut := strings.Join(lines[steps[first].N-1:end], "")
	played, err := transcript.Play(head(steps, first) + cut)
	if err != nil {
		return "", err
	}
	// The answers to the last event may have been torn off.
	if sure := cut[:strings.LastIndex(cut, lines[steps[last].N-1])]; strings.Contains(sure, "\n    ") && !strings.Contains(played, sure) {
		played += "# The panel wrote something else then: this program's rules are not quite those of the program that ran.\n"
	}
	again, err := transcript.Steps(played)
	if err != nil {
		return "", err
	}
	return played + Comments(Sentences(again)), nil
}

// Comments are sentences as a transcript has them.
func Comments(sentences []string) string {
	var b strings.Builder
	for _, s := range sentences {
		fmt.Fprintf(&b, "# %s\n", s)
	}
	return b.String()
}

// find is the step that a question is about.
func find(steps []transcript.Step, from, to time.Time) (int, error) {
	until := func(s transcript.Step) bool { return !s.Wall.IsZero() && !s.Wall.After(to) }
	during := func(s transcript.Step) bool { return until(s) && !s.Wall.Before(from) }
	questions := []func(transcript.Step) bool{
		func(s transcript.Step) bool { return during(s) && rings(s) },
		func(s transcript.Step) bool { return during(s) && (s.Before.Armed() || s.After.Armed()) },
		until,
	}
	if from.IsZero() {
		questions = []func(transcript.Step) bool{
			rings,
			func(s transcript.Step) bool { return len(s.Notes) > 0 },
			func(transcript.Step) bool { return true },
		}
	}
	for _, asked := range questions {
		for i, s := range slices.Backward(steps) {
			if asked(s) {
				return i, nil
			}
		}
	}
	if steps[0].Wall.IsZero() {
		return 0, errors.New("it has no wall times")
	}
	return 0, fmt.Errorf("it begins later, at %s", steps[0].Wall.Format("2006-01-02 15:04:05"))
}

func rings(s transcript.Step) bool {
	return slices.ContainsFunc(s.Notes, func(n statemachine.Note) bool {
		return n.What == statemachine.RingStarted || n.What == statemachine.RingResumed
	})
}

// part is the first and the last step to tell of.
func part(steps []transcript.Step, focus int) (first, last int) {
	first, last = focus, focus
	if !steps[focus].After.Armed() && (focus == 0 || !steps[focus].Before.Armed()) {
		for first > 0 && focus-first < around && !steps[first-1].Before.Armed() {
			first--
		}
		for last+1 < len(steps) && last-focus < around && !steps[last+1].After.Armed() {
			last++
		}
		return whole(steps, first), last
	}
	for first > 0 && steps[first].Before.Armed() {
		first--
	}
	for last+1 < len(steps) && steps[last].After.Armed() {
		last++
	}
	return whole(steps, first), last
}

// whole goes back to a step with a line of its own, before which the state can be told.
func whole(steps []transcript.Step, first int) int {
	for first > 0 && (steps[first].Line.Text == "" || head(steps, first) == "") {
		first--
	}
	return first
}

// head is what stands before the lines from a step on; empty when the state before cannot be told.
func head(steps []transcript.Step, first int) string {
	s := steps[first]
	if first == 0 || s.Line.Kind == transcript.Start {
		return transcript.Head + "\n" + s.House.String() + "\n"
	}
	before := steps[first-1]
	mark := "#"
	if !before.Wall.IsZero() {
		mark = transcript.Remark(before.Wall)
	}
	text := transcript.Snapshot(before.House, s.Before, before.Line.At, mark+" cut out of a longer log here")
	if text == "" {
		return ""
	}
	return transcript.Head + "\n" + text
}
