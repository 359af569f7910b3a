package statemachine

import "time"

// MaxContacts is how many contacts a panel can have.
const MaxContacts = 8

// A Reading is what is known of a contact. The order is that of sensor.Reading.
type Reading uint8

// The readings.
const (
	Unknown Reading = iota // nothing valid read since the start
	Closed
	Open
	Fault
)

// Rules are the choices of a household. They never change while a panel runs.
type Rules struct {
	Contacts   int           // how many, 1 to 8
	ExitDelay  time.Duration // 0 to 255 s; 0 = guarding at once
	EntryDelay time.Duration // 0 to 255 s; 0 = rings at once
	SirenLimit time.Duration // 30 to 900 s: the longest ring
	MaxRings   int           // 1 to 6: rings in one armed period
}

// Saved is the part of a state that survives a restart: what the journal holds.
type Saved struct {
	Armed    bool
	Local    bool              // the last command was given at the panel and rules until desired has another version than Seen
	Seen     uint32            // version of desired last seen; 0 = none
	Entering bool              // an entry delay runs
	Rings    int               // rings begun in this armed period
	Charged  time.Duration     // ring time used up of the last ring, charged before it sounds; 0 = that ring is over
	Waits    [MaxContacts]bool // wait_closed: this contact triggers only after it was seen closed
}

// An Event is one input of the machine, at a time since the panel's start.
type Event struct {
	At      time.Duration
	Kind    Kind
	Contact int     // of ContactRead: 0 to Rules.Contacts-1
	Reading Reading // of ContactRead
	Armed   bool    // of DesiredRead and LocalCommand
	Version uint32  // of DesiredRead
}

// A Kind says what an Event is.
type Kind uint8

// The kinds of events.
const (
	TimePassed        Kind = iota // nothing but time: what is due happens
	ContactRead                   // a contact's debounced reading
	DesiredRead                   // the desired document with a boolean alarm_armed
	DesiredUnreadable             // desired is missing, an error answer, or holds no boolean: changes nothing
	LocalCommand                  // armed or disarmed at the panel itself
)

// Output is what a step asks for. Order matters: the siren goes off at once; it goes on
// after Save was tried for at most 100 ms; the state is shown to others only after Save.
type Output struct {
	Siren bool          // the level the siren must have from now on
	Save  bool          // State.Saved differs from before: write it to the journal
	Due   time.Duration // step again at this time at the latest; 0 = nothing is due
	Notes []Note        // what happened and why, in order
}

// A Note is one thing that happened in a step, for the log and for transcripts.
type Note struct {
	What    What
	Contact int // the contact it is about; -1 = none
}
