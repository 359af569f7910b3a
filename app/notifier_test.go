package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An inbox takes notices as its answer says.
type inbox struct {
	mu     sync.Mutex
	told   []Notice
	tries  int
	answer func(ctx context.Context) error // nil: it takes them
}

func (i *inbox) Name() string { return "inbox" }

func (i *inbox) Deliver(ctx context.Context, n Notice) (string, error) {
	i.mu.Lock()
	i.tries++
	answer := i.answer
	i.mu.Unlock()
	if answer != nil {
		if err := answer(ctx); err != nil {
			return "", err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.told = append(i.told, n)
	return "taken", nil
}

// will makes it answer so from now on.
func (i *inbox) will(answer func(ctx context.Context) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *inbox) attempts() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.tries
}

// all are the notices that were taken, once all else waits.
func (i *inbox) all() []Notice {
	synctest.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.told)
}

// kinds are theirs.
func (i *inbox) kinds() []Kind {
	kinds := []Kind{}
	for _, n := range i.all() {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

// runNotifier runs a notifier until stop is called, or the test ends.
func runNotifier(t *testing.T, dir string, in *inbox) (n *Notifier, stop func()) {
	t.Helper()
	n, err := NewNotifier(NotifierConfig{Dir: dir, Receivers: []Receiver{in}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return n, stop
}

// past is when the last ring was, before anything in these tests.
var past = time.Date(1999, 12, 24, 18, 0, 0, 0, time.UTC)

// viewOf is a view of an armed panel, changed.
func viewOf(changes ...func(*View)) View {
	v := View{Row: Armed, Alive: AliveYes, HeardMS: new(int64), Known: &Known{Armed: true, State: "armed", Doors: []Door{{"front", "closed"}}}}
	v.Events = []Event{{Time: past, What: "ring started", Contact: "front"}}
	for _, change := range changes {
		change(&v)
	}
	return v
}

func sounds(v *View) {
	v.Row, v.Known.Ringing, v.Known.State, v.Known.RangAt = Ringing, true, "ringing", time.Now()
	v.Known.Doors = []Door{{"front", "open"}}
}

// tells puts the start of a ring into the events.
func tells(at time.Time) func(*View) {
	return func(v *View) {
		v.Events = append([]Event{{Time: at, What: "ring started", Contact: "front"}}, v.Events...)
	}
}

func untold(v *View)     { v.Events = []Event{} }
func broken(v *View)     { v.Known.Faults = []string{"siren"} }
func checking(v *View)   { v.Row, v.Alive = Checking, AliveUnknown }
func hubGone(v *View)    { v.Row, v.Hub = HubAway, &Trouble{Why: WhyUnreachable, Since: time.Now()} }
func panelGone(v *View)  { v.Row, v.Alive = Unreachable, AliveNo }
func neverSeen(v *View)  { *v = View{Row: NeverSeen, Alive: AliveUnknown} }
func fellSilent(v *View) { v.Row, v.Silence = Silent, &Silence{Why: "entry", Since: time.Now()} }
func doorUnread(v *View) { v.Known.Doors[0].Is = "fault" }
func longSilent(v *View) {
	panelGone(v)
	v.Row, v.Silence = Silent, &Silence{Why: "armed", Since: time.Now()}
}
func silentUnhub(v *View) { longSilent(v); v.Hub = &Trouble{Why: WhySlow, Since: time.Now()} }

// A moment is a view and for how long it is true.
type moment struct {
	changes []func(*View)
	lasts   time.Duration
}

func then(lasts time.Duration, changes ...func(*View)) moment { return moment{changes, lasts} }

func (m moment) pass(n *Notifier) {
	n.See(viewOf(m.changes...))
	time.Sleep(m.lasts)
}

func TestWhatIsTold(t *testing.T) {
	newRing := past.Add(time.Hour)
	for _, tt := range []struct {
		name    string
		moments []moment
		want    []Kind
	}{
		{"nothing before anything is judged", []moment{then(time.Hour, checking, sounds, broken)}, nil},
		{"nothing of a panel that is well", []moment{then(time.Hour)}, nil},
		{"no ring from before the first start", []moment{then(time.Minute, untold), then(time.Hour)}, nil},
		{"a fault that is there at the start", []moment{then(time.Minute, broken)}, []Kind{KindFault}},
		{"no fault of a moment", []moment{then(time.Second), then(20*time.Second, broken), then(time.Hour)}, nil},
		{"a fault, and its end", []moment{then(time.Second), then(time.Minute, broken), then(time.Minute)}, []Kind{KindFault, KindFaultOver}},
		{"a contact that can't be read", []moment{then(time.Minute, doorUnread)}, []Kind{KindFault}},
		{"two faults", []moment{then(time.Minute, doorUnread, broken)}, []Kind{KindFault, KindFault}},
		{"a fault that comes and goes fast is told all the same", []moment{then(20*time.Second, broken), then(5 * time.Second), then(20*time.Second, broken)}, []Kind{KindFault}},
		{"a fault isn't over because the panel can't be seen", []moment{then(time.Minute, broken), then(time.Hour, panelGone)}, []Kind{KindFault, KindUnreachable}},
		{"a fault isn't over because the hub is away", []moment{then(time.Minute, broken), then(time.Hour, hubGone)}, []Kind{KindFault, KindHubAway}},

		{"a ring at once", []moment{then(time.Second), then(time.Nanosecond, sounds)}, []Kind{KindRinging}},
		{"a ring that the app finds", []moment{then(time.Nanosecond, sounds)}, []Kind{KindRinging}},
		{"a ring whose start is told of later is one", []moment{then(time.Second), then(2*time.Second, sounds), then(time.Minute, sounds, tells(newRing))}, []Kind{KindRinging}},
		{"also when it is over by then", []moment{then(time.Second), then(2*time.Second, sounds), then(time.Second), then(time.Minute, tells(newRing))}, []Kind{KindRinging, KindRingOver}},
		{"also when its start comes first", []moment{then(time.Second), then(2*time.Second, tells(newRing)), then(time.Minute, sounds, tells(newRing))}, []Kind{KindRinging}},
		{"a ring that ends", []moment{then(time.Second), then(time.Minute, sounds), then(time.Minute)}, []Kind{KindRinging, KindRingOver}},
		{"each of two rings", []moment{then(time.Second), then(time.Minute, sounds), then(5 * time.Second), then(time.Minute, sounds)}, []Kind{KindRinging, KindRinging}},
		{"a ring that nobody saw", []moment{then(time.Second), then(time.Minute, tells(newRing))}, []Kind{KindRang}},
		{"while the panel was away", []moment{then(time.Second), then(time.Hour, panelGone), then(time.Minute, tells(newRing))}, []Kind{KindUnreachable, KindRang, KindBack}},
		{"under a clock that was put back", []moment{then(time.Second), then(time.Minute, tells(past.Add(-time.Hour)))}, []Kind{KindRang}},
		{"a ring that began while the hub was away, before it is known whether it goes on", []moment{then(time.Second), then(2*time.Minute, hubGone), then(time.Minute, sounds, tells(newRing), checking)}, []Kind{KindHubAway, KindRinging}},
		{"a ring isn't over because the hub is away", []moment{then(time.Second), then(time.Minute, sounds), then(time.Minute, sounds, hubGone)}, []Kind{KindRinging, KindHubAway}},
		{"a panel that is destroyed while it rings", []moment{then(time.Second), then(time.Minute, sounds), then(time.Hour, sounds, longSilent)}, []Kind{KindRinging, KindSilent}},

		{"silence at once", []moment{then(time.Second), then(time.Nanosecond, fellSilent)}, []Kind{KindSilent}},
		{"silence after the panel was unreachable, and its end once", []moment{then(time.Second), then(time.Minute, panelGone), then(time.Hour, longSilent), then(time.Minute)}, []Kind{KindUnreachable, KindSilent, KindBack}},
		{"silence isn't over because the panel is only unreachable", []moment{then(time.Second), then(time.Minute, fellSilent), then(time.Hour, panelGone)}, []Kind{KindSilent}},
		{"each of two silences", []moment{then(time.Second), then(time.Minute, fellSilent), then(5 * time.Second), then(time.Minute, fellSilent)}, []Kind{KindSilent, KindSilent}},
		{"silence while the hub is away", []moment{then(time.Second), then(5*time.Minute, hubGone), then(time.Hour, silentUnhub)}, []Kind{KindHubAway, KindSilent}},
		{"a panel that the hub has forgotten", []moment{then(time.Second), then(time.Minute, neverSeen), then(time.Minute)}, []Kind{KindUnreachable, KindBack}},

		{"no hub that is away for a moment", []moment{then(time.Second), then(20*time.Second, hubGone), then(time.Hour)}, nil},
		{"a hub that is away, and back", []moment{then(time.Second), then(time.Minute, hubGone), then(time.Minute)}, []Kind{KindHubAway, KindHubBack}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				in := &inbox{}
				n, stop := runNotifier(t, dir, in)
				for _, m := range tt.moments {
					m.pass(n)
				}
				if got := in.kinds(); !slices.Equal(got, tt.want) {
					t.Errorf("told %v, want %v", got, tt.want)
				}
				// Whoever starts again knows what was told.
				stop()
				n, _ = runNotifier(t, dir, in)
				n.See(viewOf(append(tt.moments[len(tt.moments)-1].changes, checking)...))
				time.Sleep(time.Second)
				last := tt.moments[len(tt.moments)-1]
				last.lasts = time.Minute
				last.pass(n)
				if got := in.kinds(); !slices.Equal(got, tt.want) {
					t.Errorf("after a restart, told %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestNoNoticeSaysMoreThanIsKnown: of a panel that isn't heard, what it said last is told as that.
func TestNoNoticeSaysMoreThanIsKnown(t *testing.T) {
	words, err := newVocabulary("en")
	if err != nil {
		t.Fatal(err)
	}
	off, was := words.say("notice.ring_over"), "Last known: "
	for _, tt := range []struct {
		name      string
		kind      Kind
		view      View
		says, not string
	}{
		{"it rang, and lives", KindRang, viewOf(), off, was},
		{"it rang, and isn't heard any more", KindRang, viewOf(panelGone), was, off},
		{"it rang, and the hub is away", KindRang, viewOf(hubGone), was, off},
		{"it rings, and lives", KindRinging, viewOf(sounds), "front", was},
		{"it rang when it was heard last", KindRinging, viewOf(sounds, checking), was, off},
	} {
		text := words.compose(&duty{kind: tt.kind, view: tt.view, ring: rings{by: "front"}}, time.Now(), "").Text
		if !strings.Contains(text, tt.says) || strings.Contains(text, tt.not) {
			t.Errorf("%s: told %q; want %q in it, and not %q", tt.name, text, tt.says, tt.not)
		}
	}
}

func TestNoStorms(t *testing.T) {
	for _, tt := range []struct {
		name  string
		storm func(*View)
		pace  time.Duration
		most  int // notices in an hour, and the last one
		last  Kind
	}{
		{"a loose wire", broken, 36 * time.Second, 14, KindFault},
		{"a slow loose wire", broken, 4 * time.Minute, 14, KindFault},
		{"a bad network", panelGone, 4 * time.Minute, 14, KindUnreachable},
		{"a hub that restarts", hubGone, 3 * time.Minute, 14, KindHubAway},
		{"a panel that lies", sounds, time.Second, maxUrgent + 2, KindRinging},
		{"one that falls silent", fellSilent, 4 * time.Minute, maxUrgent + maxPlain, KindSilent},
		{"new faults all the time", func(v *View) {
			for i := range maxFaults {
				v.Known.Faults = append(v.Known.Faults, fmt.Sprint(time.Now().Unix()/60, i))
			}
		}, time.Second, maxPlain, KindFault},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				in := &inbox{}
				n, _ := runNotifier(t, dir, in)
				n.See(viewOf())
				for begun := time.Now(); time.Since(begun) < time.Hour-tt.pace; {
					then(tt.pace/2, tt.storm).pass(n)
					then(tt.pace / 2).pass(n)
				}
				t.Logf("told %d notices in an hour", len(in.kinds()))
				if got := len(in.kinds()); got > tt.most || got == 0 {
					t.Errorf("told %d notices in an hour, want some and at most %d", got, tt.most)
				}
				then(2*time.Hour, tt.storm).pass(n)
				if got := in.kinds(); got[len(got)-1] != tt.last {
					t.Errorf("what is so in the end was not told last: %v", got)
				}
				then(2 * time.Hour).pass(n)
				if told := in.kinds(); told[len(told)-1] == tt.last {
					t.Errorf("nobody was told that it is over: %v", in.kinds())
				}
				if info, err := os.Stat(filepath.Join(dir, "notices-inbox")); err != nil || info.Size() > maxLedger/2 {
					t.Errorf("the ledger: %v %v", info, err)
				}
			})
		})
	}
}

// However often the app ends, before or after a notice has gone out, each thing is told, and nothing often.
func TestAtLeastOnceThroughCrashes(t *testing.T) {
	evening := []moment{then(time.Minute), then(time.Minute, broken), then(time.Minute, broken, sounds), then(time.Minute, broken), then(time.Minute, broken, fellSilent), then(time.Minute)}
	want := []Kind{KindFault, KindRinging, KindRingOver, KindSilent, KindBack, KindFaultOver}
	for _, taken := range []bool{false, true} {
		for crash := range want {
			t.Run(fmt.Sprintf("crash at %s, taken %t", want[crash], taken), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					ledger := filepath.Join(dir, "notices-inbox")
					in := &inbox{}
					var before []byte
					crashed := make(chan struct{})
					in.will(func(ctx context.Context) error {
						if in.attempts() != crash+1 {
							return nil
						}
						before, _ = os.ReadFile(ledger)
						close(crashed)
						<-ctx.Done() // nothing else is told before the end
						if taken {
							return nil
						}
						return ctx.Err()
					})
					n, stop := runNotifier(t, dir, in)
					for _, m := range evening {
						n.See(viewOf(m.changes...))
						select {
						case <-crashed:
							stop()
							if err := os.WriteFile(ledger, before, 0o600); err != nil && before != nil {
								t.Fatal(err)
							}
							crashed = nil
							n, stop = runNotifier(t, dir, in)
							n.See(viewOf(m.changes...))
							time.Sleep(m.lasts)
						case <-time.After(m.lasts):
						}
					}
					got := in.kinds()
					for _, kind := range want {
						if !slices.Contains(got, kind) {
							t.Errorf("nobody was told of %s: %v", kind, got)
						}
					}
					if len(got) > len(want)+1 || !taken && len(got) > len(want) {
						t.Errorf("told too often: %v", got)
					}
				})
			})
		}
	}
}

// A receiver that was away for a day hears once of each thing, as it is then.
func TestReceiverAwayForADay(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{answer: func(context.Context) error { return errors.New("away") }}
		n, _ := runNotifier(t, dir, in)
		n.See(viewOf())
		for range 24 {
			then(20*time.Minute, broken, sounds).pass(n)
			then(20*time.Minute, broken, hubGone).pass(n)
			then(20*time.Minute, panelGone).pass(n)
		}
		n.See(viewOf(broken, tells(past.Add(time.Hour))))
		if in.attempts() > 24*60 {
			t.Errorf("%d attempts in a day", in.attempts())
		}
		in.will(nil)
		time.Sleep(10 * time.Minute)
		if got, want := in.kinds(), []Kind{KindRang, KindFault}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if text := in.all()[0].Text; !strings.Contains(text, clock(past.Add(time.Hour), time.Now())) {
			t.Errorf("the ring has no time: %q", text)
		}
	})
}

func TestAlarmDoesNotWaitForWhatCouldNotBeTold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{answer: func(context.Context) error { return errors.New("away") }}
		n, _ := runNotifier(t, dir, in)
		then(2*time.Hour, broken).pass(n)
		in.will(nil)
		then(firstAgain, broken, sounds).pass(n)
		if got := in.kinds(); !slices.Contains(got, KindRinging) {
			t.Errorf("told %v", got)
		}

		in.will(func(context.Context) error { return &DeliveryError{Text: "busy", Wait: time.Hour} })
		then(time.Minute, fellSilent).pass(n)
		tries := in.attempts()
		then(30*time.Minute, sounds, broken).pass(n)
		if synctest.Wait(); in.attempts() != tries {
			t.Errorf("%d attempts although the receiver asked for an hour", in.attempts()-tries)
		}
	})
}

func TestSeeWaitsForNobody(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{answer: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		n, stop := runNotifier(t, dir, in)
		begun := time.Now()
		for range 1000 {
			n.See(viewOf())
			n.See(viewOf(sounds))
		}
		synctest.Wait()
		if took := time.Since(begun); took != 0 || in.attempts() != 1 {
			t.Errorf("took %v and %d attempts, want none of time and 1", took, in.attempts())
		}
		stop()
	})
}

func TestLedgerThatMakesNoSense(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut off": `{"version":1,"ring":{"to`, "another version": `{"version":2}`, "another type": `{"version":1,"told":[]}`, "too long": strings.Repeat(" ", maxLedger) + `{"version":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "notices-inbox")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				in := &inbox{}
				n, _ := runNotifier(t, dir, in)
				then(time.Minute, broken, tells(past.Add(time.Hour))).pass(n)
				if got := in.kinds(); !slices.Equal(got, []Kind{KindFault}) {
					t.Errorf("told %v, want what is so now", got)
				}
			})
			if kept, err := os.ReadFile(path + ".unreadable"); err != nil || string(kept) != content {
				t.Errorf("not kept aside: %v", err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the new one: %v, %v", info, err)
			}
		})
	}
}

// What was told under a clock that is ahead keeps nothing from being told.
func TestLedgerFromTheFuture(t *testing.T) {
	dir := t.TempDir()
	content := `{"version":1,"ring":{"told":false},"told":{"fault siren":{"is":"fine","at":"2099-01-01T00:00:00Z"}}}`
	if err := os.WriteFile(filepath.Join(dir, "notices-inbox"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		n, _ := runNotifier(t, dir, in)
		then(time.Minute, broken).pass(n)
		if got := in.kinds(); !slices.Equal(got, []Kind{KindFault}) {
			t.Errorf("told %v, want the fault", got)
		}
	})
}

// A disk that is full, or gone, keeps nobody from being told once.
func TestLedgerThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		n, _ := runNotifier(t, "/nowhere", in)
		then(time.Second).pass(n)
		then(time.Hour, sounds).pass(n)
		then(time.Hour).pass(n)
		if got, want := in.kinds(), []Kind{KindRinging, KindRingOver}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// A panel that was disarmed guards nothing, with or without a hub.
func TestOnlyAnArmedPanelIsSaidToGuardOn(t *testing.T) {
	words, err := newVocabulary("en")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []Kind{KindUnreachable, KindHubAway} {
		for _, armed := range []bool{false, true} {
			view := viewOf(panelGone, func(v *View) { v.Known.Armed = armed })
			n := words.compose(&duty{kind: kind, view: view}, time.Now(), "")
			if got := strings.Contains(n.Text, "It guards"); got != armed {
				t.Errorf("%s, last known armed %v: %q", kind, armed, n.Text)
			}
		}
	}
}

// A panel that fell silent may be destroyed: a hub that goes away afterwards makes nobody believe that it guards.
func TestSilentPanelIsNotSaidToGuardWithoutTheHub(t *testing.T) {
	for _, tt := range []struct {
		name    string
		moments []moment
		restart bool
		guards  bool
	}{
		{"it is silent", []moment{then(time.Second), then(time.Minute, longSilent), then(time.Minute, silentUnhub)}, false, false},
		{"it was silent when the hub went away", []moment{then(time.Second), then(time.Minute, fellSilent), then(time.Minute, hubGone)}, false, false},
		{"it was told silent before a restart", []moment{then(time.Second), then(time.Minute, longSilent), then(time.Minute, hubGone)}, true, false},
		{"it is back", []moment{then(time.Second), then(time.Minute, longSilent), then(time.Minute), then(time.Minute, hubGone)}, false, true},
		{"it came back just now", []moment{then(time.Second), then(time.Minute, longSilent), then(time.Second), then(time.Minute, hubGone)}, false, true},
		{"it was never silent", []moment{then(time.Second), then(time.Minute, hubGone)}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				in := &inbox{}
				n, stop := runNotifier(t, dir, in)
				for i, m := range tt.moments {
					if tt.restart && i == len(tt.moments)-1 {
						stop()
						n, _ = runNotifier(t, dir, in)
					}
					m.pass(n)
				}
				told := in.all()
				i := slices.IndexFunc(told, func(n Notice) bool { return n.Kind == KindHubAway })
				if i < 0 {
					t.Fatalf("told %v, and not of the hub", told)
				}
				text := told[i].Text
				if guards, silent := strings.Contains(text, "It guards"), strings.Contains(text, "fell silent"); guards != tt.guards || silent == tt.guards {
					t.Errorf("of the hub it is told %q", text)
				}
			})
		})
	}
}

func TestNoticesHaveWordsInEachLanguage(t *testing.T) {
	const name = "<b>{time}\u202e"
	view := viewOf(func(v *View) {
		v.Known.Doors = []Door{{"door", "open"}, {clean(name), "fault"}, {"back", "unknown"}}
		v.Hub = &Trouble{Why: WhyDenied, Since: past}
		v.Silence = &Silence{Why: "armed", Since: past}
	})
	for _, language := range Languages {
		words, err := newVocabulary(language)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]Kind{}
		for _, kind := range []Kind{KindRinging, KindRang, KindRingOver, KindSilent, KindUnreachable, KindBack, KindHubAway, KindHubBack, KindFault, KindFaultOver, KindTest} {
			for _, subject := range []string{ofFault + "siren", ofFault + "new", ofDoor + clean(name)} {
				n := words.compose(&duty{kind: kind, subject: subject, view: view, ring: rang(past, clean(name))}, time.Now(), "")
				if n.Title == "" || n.Text == "" || strings.ContainsAny(n.Title+n.Text, "\n\u202e") {
					t.Errorf("%s: %s has the title %q and the text %q", language, kind, n.Title, n.Text)
				}
				if rest := strings.ReplaceAll(n.Title+n.Text, "{time}", ""); strings.ContainsAny(rest, "{}") {
					t.Errorf("%s: %s has a gap: %q %q", language, kind, n.Title, n.Text)
				}
				if other, ok := seen[n.Title]; ok && other != kind {
					t.Errorf("%s: %s and %s are both %q", language, kind, other, n.Title)
				}
				seen[n.Title] = kind
			}
		}
	}
	if _, err := newVocabulary("../words/en"); err == nil {
		t.Error("a path is a language")
	}
}

func rang(at time.Time, by string) (r rings) { r.at, r.by = at, by; return r }
