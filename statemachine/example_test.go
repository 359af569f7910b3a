package statemachine_test

import (
	"fmt"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

// An armed house, a door that opens, and somebody who disarms.
func Example() {
	state := statemachine.New(statemachine.DefaultRules())
	for _, event := range []statemachine.Event{
		{At: 1 * time.Second, Kind: statemachine.ContactRead, Reading: statemachine.Closed},
		{At: 2 * time.Second, Kind: statemachine.DesiredRead, Version: 1, Armed: true},
		{At: 3 * time.Second, Kind: statemachine.ContactRead, Reading: statemachine.Open},
		{At: 4 * time.Second, Kind: statemachine.DesiredRead, Version: 2, Armed: false},
	} {
		var out statemachine.Output
		state, out = statemachine.Step(state, event)
		fmt.Printf("%v %s, siren %v\n", event.At, state.Word(), out.Siren)
	}
	// Output:
	// 1s disarmed, siren false
	// 2s armed, siren false
	// 3s ringing, siren true
	// 4s disarmed, siren false
}
