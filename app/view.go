package app

import "time"

// A Row is the main line of a view: one of the rows of the state table in docs/app.md. The page has words for each.
type Row string

// The rows. What is asked for is never a row of its own unless the panel lives and has not done it yet.
const (
	Checking       Row = "checking"       // the app has just started, or couldn't hear the panel for a while: nobody knows yet whether it lives
	NeverSeen      Row = "never_seen"     // the hub has no document of the panel
	HubAway        Row = "hub_away"       // the hub can't be reached, or its answers make no sense
	Unreachable    Row = "unreachable"    // the hub answers; the panel has been silent for three heartbeats
	Silent         Row = "silent"         // the panel fell silent when it should have spoken: it may have been destroyed
	Disarmed       Row = "disarmed"       //
	Armed          Row = "armed"          //
	ExitDelay      Row = "exit_delay"     // armed, but not guarding until it is over
	EntryDelay     Row = "entry_delay"    // rings when it is over
	Ringing        Row = "ringing"        //
	Silenced       Row = "silenced"       // armed after a ring; see Faults for rings_used, else a contact has to be closed first
	Arming         Row = "arming"         // asked for, not done, and less than Confirm ago
	Disarming      Row = "disarming"      //
	NotArmed       Row = "not_armed"      // asked for Confirm ago or longer, the panel lives and has not done it
	StillArmed     Row = "still_armed"    //
	Unintelligible Row = "unintelligible" // the panel's document is not one
)

// Rows are all of them.
var Rows = []Row{Checking, NeverSeen, HubAway, Unreachable, Silent, Disarmed, Armed, ExitDelay, EntryDelay, Ringing, Silenced,
	Arming, Disarming, NotArmed, StillArmed, Unintelligible}

// A View is all that a phone shows, in no language. It has no secrets. Durations are in milliseconds at the moment the view was
// made: whoever shows them counts on from there, on a clock of its own.
type View struct {
	Row Row `json:"row"`

	// What the panel said last, whether or not it is still true. Row says how far to believe it.
	Known   *Known `json:"known,omitempty"` // nil: nothing
	Alive   Alive  `json:"alive"`
	HeardMS *int64 `json:"heard_ms,omitempty"` // since the panel's last sign of life; absent if there was none since the app listens

	Wish    *Wish    `json:"wish,omitempty"`    // the last one; nil: none is known
	Hub     *Trouble `json:"hub,omitempty"`     // why the hub is away
	Silence *Silence `json:"silence,omitempty"` // with Silent
	Events  []Event  `json:"events"`            // what happened lately, newest first; empty if the panel tells nothing
}

// Alive says whether the panel lives.
type Alive string

// A panel is late after one and a half heartbeats and away after three, on the clock of the app.
const (
	AliveUnknown Alive = "unknown" // no sign of life since the app listens, which isn't for long
	AliveYes     Alive = "yes"
	AliveLate    Alive = "late"
	AliveNo      Alive = "no"
)

// lives tells whether what the panel said last is true now, as far as anybody knows.
func (v View) lives() bool { return v.Hub == nil && (v.Alive == AliveYes || v.Alive == AliveLate) }

// Known is the panel's document current, checked.
type Known struct {
	Armed      bool      `json:"armed"`
	Ringing    bool      `json:"ringing"`
	State      string    `json:"state"`                // the panel's word, or one that follows from the other keys
	Local      bool      `json:"local,omitempty"`      // a command at the panel rules over what was asked for
	Doors      []Door    `json:"doors"`                // at least one, by name
	Faults     []string  `json:"faults,omitempty"`     // the panel's words, without contacts
	LastUpdate time.Time `json:"last_update,omitzero"` // by the panel's clock
	LeftMS     *int64    `json:"left_ms,omitempty"`    // of the delay or the ring; 0 when it should be over; absent if none runs or the panel doesn't say
	RangBy     string    `json:"rang_by,omitempty"`    // while ringing: the contact that began it, if the panel tells
	RangAt     time.Time `json:"rang_at,omitzero"`     // and when: by the panel's clock, or if it doesn't tell, when the app saw it
}

// A Door is a contact.
type Door struct {
	Name string `json:"name"` // "door" if the panel has only one
	Is   string `json:"is"`   // closed, open, fault, or unknown
}

// A Wish is what somebody asked for, over this app or otherwise.
type Wish struct {
	Armed   bool      `json:"armed"`
	By      string    `json:"by,omitempty"` // a phone's name
	At      time.Time `json:"at"`           // when it was sent, or first seen, by the app's clock
	AgeMS   int64     `json:"age_ms"`
	Outcome Outcome   `json:"outcome"`
	LeftMS  *int64    `json:"left_ms,omitempty"` // until a wish to arm is withdrawn
}

// Outcome is what became of a wish.
type Outcome string

// The outcomes.
const (
	Waiting   Outcome = "waiting"   // sent; the panel has not done it yet
	Done      Outcome = "done"      // the panel did it; it may have changed since
	Withdrawn Outcome = "withdrawn" // not taken within Withdraw, so it was taken back
	Overruled Outcome = "overruled" // somebody at the panel decided otherwise
)

// Trouble is why the hub is away.
type Trouble struct {
	Why   string    `json:"why"`   // unreachable, slow, denied, refused, nonsense
	Text  string    `json:"text"`  // for somebody who can mend it, in English
	Since time.Time `json:"since"` // by the app's clock
}

// Silence is why a silent panel is an alarm.
type Silence struct {
	Why   string    `json:"why"`   // entry: an entry delay should be over; armed: for too long; ringing: it fell silent while it rang
	Since time.Time `json:"since"` // the last sign of life, by the app's clock
}

// An Event is a line of the panel's document events.
type Event struct {
	Time    time.Time `json:"time"` // by the panel's clock
	What    string    `json:"what"`
	Contact string    `json:"contact,omitempty"`
	Why     string    `json:"why,omitempty"`
	By      string    `json:"by,omitempty"` // whose phone
}

// Times of the state table, on the app's clock.
const (
	Confirm  = 15 * time.Second // a wish that isn't done after this is "not armed" or "still armed"
	Withdraw = 2 * time.Minute  // a wish to arm that isn't taken by then is taken back
)
