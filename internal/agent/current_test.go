package agent_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

// told is what the phone reads of wishes and time, and the document's version.
func (n *night) told() (t struct {
	Version uint32
	Data    struct {
		State          string `json:"state"`
		LeftS          *int   `json:"left_s"`
		DesiredVersion uint32 `json:"desired_version"`
		Local          bool   `json:"local"`
	}
}) {
	n.t.Helper()
	if err := json.Unmarshal(n.rest("GET", "current", ""), &t); err != nil {
		n.t.Fatal(err)
	}
	return t
}

// A ring and a delay cost the messages that they always have: at the beginning, at the end, and a heartbeat every 30 s, which says
// how much is left.
func TestWhatIsLeftComesWithTheHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := statemachine.DefaultRules()
		rules.ExitDelay, rules.SirenLimit = 200*time.Second, 170*time.Second // neither ends at the moment of a heartbeat
		n := newNight(t, rules, true)
		n.after(time.Second)
		want := func(state string, left int, version uint32) {
			t.Helper()
			c := n.told()
			got := -1
			if c.Data.LeftS != nil {
				got = *c.Data.LeftS
			}
			if c.Data.State != state || c.Version != version || got != left {
				t.Errorf("version %d says %s with %d s left, want version %d, %s, %d", c.Version, c.Data.State, got, version, state, left)
			}
		}
		want("disarmed", -1, 1)
		n.tap(true)
		n.after(time.Second)
		want("exit_delay", 200, 2)
		n.after(95 * time.Second)
		want("exit_delay", 110, 5)
		n.after(105 * time.Second)
		want("armed", -1, 9) // three more heartbeats, and the end
		n.door(true)
		n.after(time.Second)
		want("ringing", 170, 10)
		n.after(95 * time.Second)
		want("ringing", 80, 13)
		n.after(75 * time.Second)
		want("silenced", -1, 16) // two more heartbeats, and the end
		n.end()
	})
}

// Every tap is answered by desired_version, also one that wishes what is.
func TestEveryTapIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t, statemachine.DefaultRules(), true)
		n.after(time.Second)
		want := func(what string, version uint32, local bool) {
			t.Helper()
			n.after(tapNoticed + doorToCurrent)
			if c := n.told(); c.Data.DesiredVersion != version || c.Data.Local != local {
				t.Errorf("%s: %+v, want version %d, local %v", what, c.Data, version, local)
			}
		}
		want("nothing was tapped", 0, false)
		for v := range uint32(3) {
			n.tap(true)
			want("armed", v+1, false)
		}
		if _, err := n.agent.Panel.Command(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		want("disarmed at the panel", 3, true)
		n.powerOff()
		n.powerOn()
		n.after(time.Second)
		want("after a power cut", 3, true)
		n.hub.MustDelete(n.device.ID, "desired")
		n.tap(false)
		want("deleted and put anew", 1, false)
		n.end()
	})
}

// In a new installation somebody arms at the panel, and the very first tap silences the siren.
func TestTheFirstTapOfAll(t *testing.T) {
	for _, notices := range []bool{true, false} {
		t.Run(fmt.Sprintf("notices %v", notices), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNight(t, statemachine.DefaultRules(), notices)
				n.after(3 * time.Second)
				if _, err := n.agent.Panel.Command(t.Context(), true); err != nil {
					t.Fatal(err)
				}
				n.door(true)
				n.after(doorToSiren)
				n.wantSiren("broken into", true)
				n.tap(false)
				n.after(tapPolled)
				n.wantSiren("the first tap", false)
				if c := n.told(); c.Data.State != "disarmed" || c.Data.DesiredVersion != 1 || c.Data.Local {
					t.Errorf("the phone reads %+v, want disarmed by version 1", c.Data)
				}
				n.end()
			})
		})
	}
}
