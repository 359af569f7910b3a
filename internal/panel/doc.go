// Package panel is the control loop of an alarm panel. It owns the state: contacts, the
// desired document, commands and time go in, the siren, the journal and the current document come out.
//
// One goroutine does all of it, so nothing here needs a lock and nothing can overtake.
// What might block has a goroutine of its own: each contact, the journal, and whoever
// publishes. The order of a step's outputs is fixed:
//
//   - siren off: at once;
//   - siren on: when the journal holds it, or after 100 ms without it;
//   - telling anybody: when the journal holds it or has failed, and then the fault is told with it.
//
// The loop touches no network. It reaches the hub through [Panel.Desired], which is called
// with what was read, and [Panel.Document], which is asked for what to publish.
package panel
