package statemachine

import (
	"testing"
	"time"
)

// What is left of delays and rings, by the panel's clock. The walk checks it in every state.
func TestLeft(t *testing.T) {
	rules := Rules{Contacts: 1, ExitDelay: 45 * time.Second, EntryDelay: 30 * time.Second, SirenLimit: 180 * time.Second, MaxRings: 3}
	const none = time.Duration(-1)
	closed, open := Event{Kind: ContactRead, Reading: Closed}, Event{Kind: ContactRead, Reading: Open}
	arm := Event{Kind: LocalCommand, Armed: true}
	at := func(s float64, e Event) Event { e.At = time.Duration(s * float64(time.Second)); return e }
	for _, tt := range []struct {
		name   string
		saved  Saved
		events []Event
		now    time.Duration
		want   time.Duration
	}{
		{"nothing runs", Saved{}, nil, time.Hour, none},
		{"armed and quiet", Saved{Armed: true}, []Event{at(1, closed)}, time.Minute, none},
		{"a ring was cut off, and no contact is known", Saved{Armed: true, Rings: 1, Charged: 20 * time.Second}, nil, time.Second, none},
		{"an entry delay was cut off, and no contact is known", Saved{Armed: true, Entering: true}, nil, time.Second, none},
		{"disarmed in a delay", Saved{}, []Event{at(1, arm), at(2, Event{Kind: LocalCommand})}, 3 * time.Second, none},

		{"exit delay", Saved{}, []Event{at(10, arm)}, 10 * time.Second, 45 * time.Second},
		{"exit delay, later", Saved{}, []Event{at(10, arm)}, 54900 * time.Millisecond, 100 * time.Millisecond},
		{"exit delay, when the timer is late", Saved{}, []Event{at(10, arm)}, 55001 * time.Millisecond, 0},
		{"entry delay", Saved{Armed: true}, []Event{at(1, closed), at(60, open)}, 70 * time.Second, 20 * time.Second},
		{"entry delay that goes on from its start", Saved{Armed: true, Entering: true}, []Event{at(1, closed)}, time.Second, 30 * time.Second},
		{"ring: all of it and not what is charged", Saved{Armed: true}, []Event{at(1, closed), at(60, open), at(90, Event{})}, 90 * time.Second, 180 * time.Second},
		{"ring, as the next slice is charged", Saved{Armed: true}, []Event{at(1, closed), at(60, open), at(90, Event{}), at(99, Event{})}, 99 * time.Second, 171 * time.Second},
		{"ring that goes on with what was not charged", Saved{Armed: true, Rings: 1, Charged: 20 * time.Second}, []Event{at(1, open)}, 2 * time.Second, 159 * time.Second},
		{"ring whose first slice may have sounded", Saved{Armed: true, Prepaid: 10 * time.Second}, []Event{at(1, open), at(31, Event{})}, 31 * time.Second, 170 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Restore(rules, tt.saved)
			for _, e := range tt.events {
				s, _ = Step(s, e)
			}
			left, runs := s.Left(tt.now)
			if !runs && left == 0 {
				left = none
			}
			if left != tt.want {
				t.Errorf("%s at %v: %v left, want %v", s.Word(), tt.now, left, tt.want)
			}
		})
	}
}
