package agent_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
)

// An event is a line of the document as the phone reads it.
type event struct {
	Time    time.Time `json:"time"`
	What    string    `json:"what"`
	Contact string    `json:"contact"`
	Why     string    `json:"why"`
	By      string    `json:"by"`
}

// events are those that the phone reads, and the document's version.
func (n *night) events() ([]event, uint32) {
	n.t.Helper()
	var doc struct {
		Version uint32
		Data    struct {
			LastUpdate time.Time `json:"last_update"`
			Events     []event   `json:"events"`
		}
	}
	if err := json.Unmarshal(n.rest("GET", "events", ""), &doc); err != nil {
		n.t.Fatal(err)
	}
	if doc.Data.LastUpdate.IsZero() || doc.Data.Events == nil {
		n.t.Errorf("events: %+v, want last_update and events", doc.Data)
	}
	return doc.Data.Events, doc.Version
}

// what is what happened, in order.
func what(events []event) (words []string) {
	for _, e := range events {
		words = append(words, e.What)
	}
	return words
}

// The phone reads what has happened lately, also of a panel that may not write desired. Heartbeats cost no message more.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t, statemachine.DefaultRules(), true, func(n *night) {
			_, err := n.hub.Registry.UpdateDevice(t.Context(), n.device.ID, func(d *registry.Device) error {
				d.ReadOnly = []twin.Name{agent.Desired}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		n.after(time.Second)
		if events, version := n.events(); !slices.Equal(what(events), []string{"panel started"}) || version != 1 {
			t.Errorf("at first: version %d, %+v; want 1 and the start", version, events)
		}
		began := time.Now().Add(time.Duration(n.clock.Load()))
		n.tap(true)
		n.after(time.Second)
		n.door(true)
		n.after(time.Minute)
		n.tap(false)
		n.after(time.Second)
		events, version := n.events()
		if got, want := what(events), []string{"panel started", "armed", "ring started", "disarmed", "ring stopped"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		for _, e := range events[1:] {
			if e.Time.Before(began) || e.Time.After(began.Add(2*time.Minute)) {
				t.Errorf("%s at %v, want after %v", e.What, e.Time, began)
			}
		}
		if version != 4 {
			t.Errorf("version %d after three changes, want 4", version)
		}
		n.after(time.Hour)
		if _, later := n.events(); later != version {
			t.Errorf("version %d after an idle hour, want %d", later, version)
		}
		for range 15 {
			n.tap(true)
			n.after(time.Second)
			n.tap(false)
			n.after(time.Second)
		}
		if events, _ := n.events(); len(events) != 20 {
			t.Errorf("%d events, want the last 20", len(events))
		}
		n.end()
	})
}

// What has happened before a power cut is told after it, up to what the black box had on the disk.
func TestEventsAfterAPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t, statemachine.DefaultRules(), true)
		n.after(time.Second)
		n.rest("PUT", "desired", `{"data": {"alarm_armed": true, "by": "<b>Anna's phone</b>"}}`)
		n.after(time.Second)
		before, _ := n.events()
		if by := before[len(before)-1].By; by != "<b>Anna's phone</b>" {
			t.Errorf("armed by %q, want the name as it was sent", by)
		}
		n.powerOff()
		n.after(time.Hour)
		n.powerOn()
		n.after(time.Minute)
		n.door(true)
		n.after(time.Second)
		events, _ := n.events()
		if got, want := what(events), []string{"panel started", "armed", "panel started", "ring started"}; !slices.Equal(got, want) {
			t.Fatalf("events %q, want %q", got, want)
		}
		if !slices.Equal(events[:2], before) {
			t.Errorf("the events of before are %+v, and were %+v", events[:2], before)
		}
		if why := events[2].Why; why != "after a crash of the program" && why != "after a crash or a power cut" {
			t.Errorf("it started %q; the computer was up all the time", why)
		}
		n.end()
	})
}

// A hub that has no room for a third document: the panel guards and tells what is, as ever.
func TestEventsThatTheHubRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNight(t, statemachine.DefaultRules(), true, func(n *night) {
			n.hub.MustPut(n.device.ID, agent.Current, `{}`)
			for i := range 98 {
				n.hub.MustPut(n.device.ID, twin.Name(fmt.Sprint("other", i)), `{}`)
			}
			n.hub.MustPut(n.device.ID, agent.Desired, `{"alarm_armed":false}`)
		})
		n.after(time.Second)
		n.tap(true)
		n.after(tapNoticed)
		n.want("armed by phone", "armed", false)
		n.door(true)
		n.after(doorToSiren + doorToCurrent)
		n.wantSiren("door opened", true)
		n.want("door opened", "ringing", true)
		n.after(time.Hour)
		if age := time.Since(n.current().LastUpdate); age > 31*time.Second {
			t.Errorf("current is %v old", age)
		}
		if _, err := n.hub.Do(n.device.ID, agent.Events, twin.Get, ""); err == nil {
			t.Fatal("the hub has room for events: this test shows nothing")
		}
		n.hub.MustDelete(n.device.ID, "other1")
		n.after(6 * time.Minute)
		if events, _ := n.events(); len(events) == 0 {
			t.Error("no events though the hub has room for them")
		}
		n.end()
	})
}
