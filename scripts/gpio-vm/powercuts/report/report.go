// Package report is what the machine of a panel whose power is cut says on its console, and what it can be asked. The
// console is a serial line and there without any network; asks come by TCP, as lines of a number and a word.
package report

import (
	"time"

	"github.com/twinpanel/twinpanel/internal/panel"
)

// Prefix begins each report's line of the console; JSON follows.
const Prefix = "powercuts: "

// A Report is one line. All of them have the siren.
type Report struct {
	Kind Kind
	Err  string `json:",omitempty"` // what should not happen in the machine; empty = nothing

	Siren   bool          // its line's level says that it sounds
	Sounded time.Duration // of the siren, since the machine's start; rather less than it was

	ID      int           `json:",omitempty"` // of an Answer
	Journal []byte        `json:",omitempty"` // the file as it is; nil = there is none. Of Found, Started and Answer
	Status  *panel.Status `json:",omitempty"` // of Started and Answer

	Unreadable bool   `json:",omitempty"` // of Found: there is a journal.unreadable
	BlackBox   string `json:",omitempty"` // of Found: why the program panel can't explain its black box; empty = it can
}

// A Kind says when a report is made.
type Kind string

// Kinds of reports, in this order.
const (
	Found   Kind = "found"   // before a panel runs: what is on the disk
	Started Kind = "started" // the panel runs and knows its door; there is no network
	Sample  Kind = "sample"  // of the siren: when it changes, and five times a second while it sounds
	Answer  Kind = "answer"  // to an ask, after it
	Broken  Kind = "broken"  // Err says what
)

// Asks.
const (
	Arm      = "arm" // by the command of that name
	Disarm   = "disarm"
	Open     = "open"  // the door
	Close    = "close" // the door
	Look     = "look"
	Reset    = "reset"     // at once, without anything being written; no answer
	PowerOff = "power-off" // likewise
)
