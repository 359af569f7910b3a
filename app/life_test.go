package app

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeChangesViews: nothing is read that is new, and yet things change.
func TestTimeChangesViews(t *testing.T) {
	for _, looked := range []bool{true, false} {
		t.Run(fmt.Sprintf("looked at %t", looked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub()
				h.put(currentName, disarmed)
				w := watch(t, h, 0)
				if looked {
					_, leave := w.Join()
					defer leave()
				}
				time.Sleep(30 * time.Second)
				h.put(currentName, armed)
				time.Sleep(idlePace)
				w.want(Armed)
				w.hears()
				time.Sleep(10 * time.Minute)
				var got []string
				for _, v := range w.hears() {
					at := time.Duration(*v.HeardMS) * time.Millisecond
					got = append(got, fmt.Sprintf("%s %s %v", v.Row, v.Alive, at.Truncate(2*time.Second)))
				}
				want := []string{"armed late 44s", "unreachable no 1m30s", "silent no 5m0s"}
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// TestLifeIsJudgedByTheVersion: what a document says of its time is nothing that anybody should believe.
func TestLifeIsJudgedByTheVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.set(currentName, 40, disarmed)
		w := watch(t, h, 0)
		_, leave := w.Join()
		defer leave()
		for range 89 {
			w.want(Checking)
			h.set(currentName, 40, says(fmt.Sprintf("last_update=%q", time.Now().UTC().Format(time.RFC3339))))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		w.want(Unreachable)

		h.set(currentName, 41, disarmed)
		time.Sleep(time.Second)
		w.want(Disarmed)

		// Made anew, it begins at 1.
		time.Sleep(2 * time.Minute)
		w.want(Unreachable)
		h.delete(currentName)
		time.Sleep(time.Second)
		w.want(NeverSeen)
		h.set(currentName, 1, disarmed)
		time.Sleep(time.Second)
		if v := w.want(Checking); v.HeardMS != nil {
			t.Errorf("heard %d ms ago; want nothing heard: it may be an older database's", *v.HeardMS)
		}
		h.set(currentName, 2, disarmed)
		time.Sleep(time.Second)
		w.want(Disarmed)
		h.set(currentName, 7, disarmed)
		time.Sleep(time.Second)
		// An older database in the hub's place.
		h.set(currentName, 1, armed)
		time.Sleep(time.Second)
		w.want(Checking)
		time.Sleep(90 * time.Second)
		w.want(Unreachable)
		h.set(currentName, 2, armed)
		time.Sleep(time.Second)
		w.want(Armed)
	})
}

// TestWhatWasWrittenUnheardProvesNothing: whoever could hear nothing for long can't tell when the panel spoke, nor that it was silent.
func TestWhatWasWrittenUnheardProvesNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		speak bool          // the panel, and then never again, while the hub is away
		away  time.Duration // the hub
		row   Row           // when the hub is back
	}{
		{"the hub is away for less than the panel's patience", true, 20 * time.Second, Disarmed},
		{"it was silent meanwhile, but not long enough to matter", false, 20 * time.Second, Disarmed},
		{"the panel spoke, nobody knows when", true, 2 * time.Minute, Checking},
		{"the panel may not have been able to", false, 2 * time.Minute, Checking},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub()
				h.put(currentName, disarmed)
				w := watch(t, h, 0)
				_, leave := w.Join()
				defer leave()
				time.Sleep(time.Second)
				h.put(currentName, disarmed)
				time.Sleep(time.Second)
				w.want(Disarmed)
				h.fault(refused)
				time.Sleep(tt.away / 2)
				if tt.speak {
					h.put(currentName, disarmed)
				}
				time.Sleep(tt.away / 2)
				w.want(HubAway)
				h.fault(nil)
				time.Sleep(lookedBackoff * 6 / 5)
				if v := w.want(tt.row); tt.row == Checking && v.HeardMS != nil {
					t.Errorf("heard %d ms ago; want nothing heard", *v.HeardMS)
				}
				time.Sleep(90 * time.Second)
				w.want(Unreachable)
				h.put(currentName, disarmed)
				time.Sleep(time.Second)
				w.want(Disarmed)
			})
		})
	}
}

// TestAHubThatIsBackEndsNoSilence: a panel may be destroyed together with its network.
func TestAHubThatIsBackEndsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		h.put(currentName, disarmed)
		w := watch(t, h, 0)
		time.Sleep(time.Second)
		h.put(currentName, armed)
		time.Sleep(20 * time.Second)
		w.want(Armed)
		h.fault(refused)
		time.Sleep(DefaultSilence)
		w.want(Silent)
		h.fault(nil)
		time.Sleep(2 * time.Minute)
		w.want(Silent)
		h.put(currentName, armed)
		time.Sleep(armedPace)
		w.want(Armed)
	})
}

// TestAnAppThatStoodStill neither shows what it knew as new, nor takes its own silence for the panel's.
func TestAnAppThatStoodStill(t *testing.T) {
	for _, tt := range []struct{ name, says string }{
		{"armed", armed},
		{"in the entry delay", entering},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newFakeHub()
				h.put(currentName, disarmed)
				var stands atomic.Int64
				w := watchWith(t, h, WatchConfig{Turned: func() { time.Sleep(time.Duration(stands.Swap(0))) }})
				_, leave := w.Join()
				defer leave()
				time.Sleep(time.Second)
				h.put(currentName, tt.says)
				time.Sleep(2 * time.Second)
				w.hears()
				stands.Store(int64(time.Hour))
				time.Sleep(time.Minute)
				h.put(currentName, ringing) // and never again
				time.Sleep(58 * time.Minute)
				if v := w.want(Checking); v.HeardMS != nil {
					t.Errorf("heard %d ms ago; want nothing heard", *v.HeardMS)
				}
				time.Sleep(2 * time.Minute)
				w.want(Checking)
				for _, v := range w.hears() {
					if v.Row != Checking {
						t.Errorf("showed %s", asJSON(v))
					}
				}
				h.put(currentName, ringing)
				time.Sleep(time.Second)
				w.want(Ringing)
			})
		})
	}
}

// TestStandingStill: a computer that sleeps may stop the clock that nobody can set, and not the one on the wall.
func TestStandingStill(t *testing.T) {
	wall := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name        string
		before, now time.Time
		want        bool
	}{
		{"never turned", time.Time{}, wall, false},
		{"a second", wall, wall.Add(time.Second), false},
		{"a clock set back by two weeks", wall, wall.Add(-14 * 24 * time.Hour), false},
		{"an hour's sleep", wall, wall.Add(time.Hour), true},
	} {
		if got := stoodStill(tt.before, tt.now); got != tt.want {
			t.Errorf("%s: stood still %t, want %t", tt.name, got, tt.want)
		}
	}
}

// TestViewersHearOfEachSignOfLife, although nothing but the counter is new: it begins at 0 again.
func TestViewersHearOfEachSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHub()
		w := watch(t, h, 0)
		changed, leave := w.Join()
		defer leave()
		for range 3 { // seen first, seen to live, and the rest
			h.put(currentName, disarmed)
			time.Sleep(10 * time.Second)
		}
		<-changed
		w.hears()
		for range 5 {
			h.put(currentName, disarmed)
			time.Sleep(10 * time.Second)
			<-changed
		}
		if n := len(w.hears()); n != 0 {
			t.Errorf("told %d views that differ in their counters only", n)
		}
	})
}
