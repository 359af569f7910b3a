package statemachine

import (
	"strings"
	"testing"
	"time"
)

func TestRulesOutOfRange(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Rules)
		want string // in the error; empty = valid
	}{
		{"no contact", func(r *Rules) { r.Contacts = 0 }, "contacts"},
		{"nine contacts", func(r *Rules) { r.Contacts = 9 }, "contacts"},
		{"negative exit delay", func(r *Rules) { r.ExitDelay = -1 }, "exit delay"},
		{"exit delay over 255 s", func(r *Rules) { r.ExitDelay = 256 * time.Second }, "exit delay"},
		{"negative entry delay", func(r *Rules) { r.EntryDelay = -1 }, "entry delay"},
		{"entry delay over 255 s", func(r *Rules) { r.EntryDelay = 256 * time.Second }, "entry delay"},
		{"siren too short", func(r *Rules) { r.SirenLimit = 29 * time.Second }, "siren limit"},
		{"siren too long", func(r *Rules) { r.SirenLimit = 901 * time.Second }, "siren limit"},
		{"no ring", func(r *Rules) { r.MaxRings = 0 }, "max rings"},
		{"seven rings", func(r *Rules) { r.MaxRings = 7 }, "max rings"},
		{"the defaults", func(*Rules) {}, ""},
		{"the largest of all", func(r *Rules) { *r = Rules{8, MaxDelay, MaxDelay, MaxSirenLimit, MaxMaxRings} }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := DefaultRules()
			tt.edit(&r)
			err := r.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Validate() = %v, want an error that begins with %q", err, tt.want)
			}
		})
	}
}

// A household may change its rules between two starts, and a journal may come from a bigger one.
func TestRestoreCutsDownToTheRules(t *testing.T) {
	r := Rules{Contacts: 1, SirenLimit: 30 * time.Second, MaxRings: 1}
	s := Restore(r, Saved{Armed: true, Rings: 3, Charged: 180 * time.Second, Waits: [MaxContacts]bool{false, true}})
	if got := s.Saved(); got.Charged != 30*time.Second || got.Waits[1] {
		t.Errorf("restored %+v, want 30s charged and no second contact", got)
	}
	s, out := Step(s, Event{Kind: ContactRead, Reading: Open})
	if out.Siren || s.Word() != "silenced" {
		t.Errorf("siren %v in state %q, want silence: the rings are used up", out.Siren, s.Word())
	}

	// Entering under rules that have no entry delay any more rings at once, if a ring is left.
	s = Restore(r, Saved{Armed: true, Entering: true})
	if _, out = Step(s, Event{Kind: ContactRead, Reading: Closed}); !out.Siren {
		t.Error("an intruder within the entry delay got away with a restart")
	}
}

func TestEventsThatMakeNoSenseChangeNothing(t *testing.T) {
	s := New(DefaultRules())
	for _, e := range []Event{
		{Kind: ContactRead, Contact: -1, Reading: Open},
		{Kind: ContactRead, Contact: 1, Reading: Open},
		{Kind: ContactRead, Contact: 99, Reading: Open},
		{Kind: Kind(200), Armed: true},
	} {
		if got, out := Step(s, e); got != s || out.Siren || out.Save || out.Due != 0 {
			t.Errorf("%+v: state %+v, output %+v; want no change", e, got, out)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	b.ReportAllocs()
	s := New(DefaultRules())
	s, _ = Step(s, Event{Kind: ContactRead, Reading: Closed})
	for i := 0; b.Loop(); i++ {
		s, _ = Step(s, Event{At: time.Duration(i), Kind: DesiredRead, Version: 1})
	}
}
