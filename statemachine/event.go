package statemachine

import (
	"fmt"
	"time"
)

// A Reading is what is known of a contact. The order is that of sensor.Reading.
type Reading uint8

// The readings.
const (
	Unknown Reading = iota // nothing read since the start
	Closed
	Open
	Fault // the contact cannot be read; counts as not Closed
)

// String is the reading in lower case.
func (r Reading) String() string {
	words := [...]string{"unknown", "closed", "open", "fault"}
	if int(r) < len(words) {
		return words[r]
	}
	return fmt.Sprintf("reading %d", uint8(r))
}

// A Kind says what an [Event] is.
type Kind uint8

// The kinds of events.
const (
	TimePassed        Kind = iota // nothing but time: what is due happens
	ContactRead                   // a contact's debounced reading
	DesiredRead                   // the desired document, with a boolean alarm_armed
	DesiredUnreadable             // desired is refused, or holds no boolean: changes nothing
	DesiredMissing                // the hub says that there is no desired: the first one will be a new wish
	LocalCommand                  // armed or disarmed at the panel itself
)

// An Event is one input of the machine.
type Event struct {
	At      time.Duration // since the panel's start; never a wall-clock time
	Kind    Kind
	Contact int     // of ContactRead: 0 to Rules.Contacts-1; another number changes nothing
	Reading Reading // of ContactRead
	Armed   bool    // of DesiredRead and LocalCommand
	Version uint32  // of DesiredRead
}

// Output is what a step asks for. The order is a duty: the siren goes off at once;
// it goes on after Save was tried for a short while; the new state is shown to others only
// after Save succeeded or failed.
type Output struct {
	Siren bool          // what the siren has to do from now on
	Save  bool          // State.Saved is another than before: write it to the journal
	Due   time.Duration // step again at this time at the latest; 0 = nothing is due
	Notes []Note        // what happened, in order
}

// A Note is one thing that happened in a step, for logs and transcripts.
type Note struct {
	What    What
	Contact int // which contact it is about, or NoContact
}

// NoContact marks a note that is about no contact in particular.
const NoContact = -1

// What names what a [Note] tells, in words that fit a log line.
type What string

// The things that happen.
const (
	Armed          What = "armed"
	Disarmed       What = "disarmed"
	ExitStarted    What = "exit delay started"
	ExitEnded      What = "exit delay ended"
	EntryStarted   What = "entry delay started"
	RingStarted    What = "ring started"
	RingResumed    What = "ring resumed after restart"
	RingEnded      What = "ring ended at the siren limit"
	RingStopped    What = "ring stopped"
	TriggerIgnored What = "trigger ignored: rings used up"
	WaitsForClosed What = "not guarded until closed"
	Guarded        What = "guarded"
)
