// Package statemachine is the alarm's rules, and nothing else: no disk, no network, no
// clock, no hardware. [Step] takes a state and an event and returns the next state and
// what has to be done about it. The same input gives the same output.
//
// # The rules
//
// Disarmed, the siren never sounds. Disarming stops a ring and any delay in the same step.
//
// Armed, a contact that goes from Closed to anything else triggers. After the entry delay
// the siren rings, also when the door was closed again meanwhile, until somebody disarms or
// the siren limit is reached. The panel stays armed. A contact that is not Closed when a ring
// ends, or when the panel is armed, has to be seen Closed once before it can trigger
// (wait_closed); so arming with the door open is silent, and guarding starts when it closes.
// Rules.MaxRings rings are all that one armed period gets.
//
// Until its first reading a contact is Unknown and triggers nothing. Fault counts as not Closed.
//
// A power cut is a restart with [Restore]: armed or disarmed as before. A contact found not
// Closed triggers as if it had just opened, unless it has to be seen Closed first. A ring or an entry delay
// that was cut off goes on at the first reading of any contact: the ring with the time it had left, the delay from its
// start. An exit delay is over.
//
// Ring time is charged before it sounds, 10 s at a time, and the charge is part of
// [Saved]. The first 10 s can be charged while a contact settles: [Saved.Prepay]. However
// often the power fails, one armed period rings no longer than MaxRings × SirenLimit, and
// no more often than MaxRings; a ring that the power cut ends before it is written, milliseconds after its
// beginning, is not counted, but its time is.
//
// The desired document is a level: it is applied whenever it is read. A command given at
// the panel (LocalCommand) rules until desired has another version than the one seen last. If none was seen yet, the first
// is taken for an old wish, unless the hub has said since the panel's start that there is none (DesiredMissing): then it
// is a new one, also if the command was given between that answer and the first version.
//
// The tests walk through every state that can be reached with one and two contacts and
// prove these sentences there; testdata has the stories, in the language of package transcript.
package statemachine
