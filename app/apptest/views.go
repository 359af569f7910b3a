package apptest

import (
	"time"

	"github.com/twinpanel/twinpanel/app"
)

// A Scene is a view with a name that can stand in a path.
type Scene struct {
	Name string
	View app.View
}

// Now is the time of all scenes.
var Now = time.Date(2026, time.November, 21, 21, 4, 32, 0, time.UTC)

// Scenes are views such as the app's server makes them: at least one of each row, and what else changes what a page says.
func Scenes() []Scene {
	front := func(is string) []app.Door { return []app.Door{{Name: "door", Is: is}} }
	house := func(back, front, garage string) []app.Door {
		return []app.Door{{Name: "back", Is: back}, {Name: "front", Is: front}, {Name: "garage", Is: garage}}
	}
	alive := func(row app.Row, k app.Known, more ...func(*app.View)) app.View {
		k.LastUpdate = ago(3 * time.Second)
		v := app.View{Row: row, Known: &k, Alive: app.AliveYes, HeardMS: ms(3 * time.Second), Events: lately()}
		for _, m := range more {
			m(&v)
		}
		return v
	}
	silentFor := func(d time.Duration, alive app.Alive) func(*app.View) {
		return func(v *app.View) {
			v.Alive, v.HeardMS, v.Known.LastUpdate = alive, ms(d), ago(d)
		}
	}
	wish := func(armed bool, by string, age time.Duration, o app.Outcome) func(*app.View) {
		return func(v *app.View) {
			v.Wish = &app.Wish{Armed: armed, By: by, At: ago(age), AgeMS: age.Milliseconds(), Outcome: o}
			if armed && o == app.Waiting {
				v.Wish.LeftMS = ms(app.Withdraw - age)
			}
		}
	}
	silence := func(why string, d time.Duration) func(*app.View) {
		return func(v *app.View) { v.Silence = &app.Silence{Why: why, Since: ago(d)} }
	}
	trouble := func(v *app.View) {
		v.Hub = &app.Trouble{Why: "unreachable", Text: "dial tcp 192.0.2.7:8443: connect: no route to host", Since: ago(90 * time.Second)}
	}
	is := func(armed bool, state string, doors []app.Door) app.Known {
		return app.Known{Armed: armed, State: state, Doors: doors}
	}
	local := func(k app.Known) app.Known { k.Local = true; return k }
	left := func(k app.Known, d time.Duration) app.Known { k.LeftMS = ms(d); return k }
	faulty := func(k app.Known, words ...string) app.Known { k.Faults = words; return k }
	rings := func(by string, doors []app.Door) app.Known {
		return app.Known{Armed: true, Ringing: true, State: "ringing", Doors: doors, RangBy: by, RangAt: ago(46 * time.Second), LeftMS: ms(134 * time.Second)}
	}

	return []Scene{
		{"checking", alive(app.Checking, is(true, "armed", front("closed")), silentFor(40*time.Second, app.AliveUnknown), func(v *app.View) { v.HeardMS = nil })},
		{"never-seen", app.View{Row: app.NeverSeen, Alive: app.AliveUnknown, Events: []app.Event{}}},
		{"unintelligible", app.View{Row: app.Unintelligible, Alive: app.AliveYes, HeardMS: ms(5 * time.Second), Events: []app.Event{}}},
		{"hub-away", alive(app.HubAway, is(true, "armed", house("closed", "closed", "closed")), silentFor(95*time.Second, app.AliveNo), trouble)},
		{"unreachable", alive(app.Unreachable, is(true, "armed", front("closed")), silentFor(4*time.Minute, app.AliveNo))},
		{"unreachable-wish", alive(app.Unreachable, is(false, "disarmed", house("closed", "closed", "open")), silentFor(4*time.Minute, app.AliveNo), wish(true, "Anna", 20*time.Second, app.Waiting))},
		{"withdrawn", alive(app.Unreachable, is(false, "disarmed", front("closed")), silentFor(7*time.Minute, app.AliveNo), wish(true, "Anna", 130*time.Second, app.Withdrawn))},
		{"silent-entry", alive(app.Silent, is(true, "entry_delay", house("closed", "open", "closed")), silentFor(50*time.Second, app.AliveLate), silence("entry", 50*time.Second))},
		{"silent-armed", alive(app.Silent, is(true, "armed", front("closed")), silentFor(6*time.Minute, app.AliveNo), silence("armed", 6*time.Minute))},
		{"silent-ringing", alive(app.Silent, rings("front", house("closed", "open", "closed")), silentFor(70*time.Second, app.AliveLate), silence("ringing", 70*time.Second))},
		{"disarmed", alive(app.Disarmed, is(false, "disarmed", front("closed")))},
		{"disarmed-open", alive(app.Disarmed, is(false, "disarmed", house("open", "closed", "open")))},
		{"disarmed-local", alive(app.Disarmed, local(is(false, "disarmed", front("closed"))), wish(true, "Anna", 9*time.Minute, app.Overruled))},
		{"late", alive(app.Armed, is(true, "armed", front("closed")), silentFor(52*time.Second, app.AliveLate))},
		{"armed", alive(app.Armed, is(true, "armed", front("closed")), wish(true, "Anna", time.Hour, app.Done))},
		{"armed-doors", alive(app.Armed, is(true, "armed", house("closed", "closed", "closed")))},
		{"armed-open", alive(app.Armed, is(true, "armed", house("closed", "open", "closed")))},
		{"armed-local", alive(app.Armed, local(is(true, "armed", front("closed"))))},
		{"exit-delay", alive(app.ExitDelay, left(is(true, "exit_delay", front("open")), 38*time.Second))},
		{"entry-delay", alive(app.EntryDelay, left(is(true, "entry_delay", house("closed", "open", "closed")), 22*time.Second))},
		{"entry-delay-disarming", alive(app.Disarming, left(is(true, "entry_delay", front("open")), 12*time.Second), wish(false, "Anna", 2*time.Second, app.Waiting))},
		{"ringing", alive(app.Ringing, rings("front", house("closed", "open", "closed")))},
		{"ringing-one", alive(app.Ringing, rings("door", front("open")), func(v *app.View) { v.Known.LeftMS = nil })},
		{"ringing-disarming", alive(app.Ringing, rings("front", house("closed", "open", "closed")), wish(false, "Anna", 17*time.Second, app.Waiting))},
		{"silenced", alive(app.Silenced, is(true, "silenced", house("closed", "open", "closed")))},
		{"rings-used", alive(app.Silenced, faulty(is(true, "silenced", front("closed")), "rings_used"))},
		{"arming", alive(app.Arming, is(false, "disarmed", front("closed")), wish(true, "Anna", 4*time.Second, app.Waiting))},
		{"not-armed", alive(app.NotArmed, is(false, "disarmed", front("closed")), wish(true, "Anna", 25*time.Second, app.Waiting))},
		{"disarming", alive(app.Disarming, is(true, "armed", front("closed")), wish(false, "Tom", 4*time.Second, app.Waiting))},
		{"still-armed", alive(app.StillArmed, is(true, "armed", front("closed")), wish(false, "", 25*time.Second, app.Waiting))},
		{"faults", alive(app.Armed, faulty(is(true, "armed", house("closed", "fault", "closed")), "siren", "journal", "clock", "key", "weather"))},
		{"hostile", alive(app.Disarmed, is(false, "disarmed", []app.Door{
			{Name: "<img src=x onerror=alert(1)>", Is: "open"},
			{Name: "a-name-as-long-as-a-document-of-somebody-elses-making-may-hold-without-a-space", Is: "closed"},
			{Name: "{door}", Is: "<b>open</b>"},
		}), wish(true, "<script>alert(1)</script>", time.Minute, app.Withdrawn), func(v *app.View) {
			v.Events = []app.Event{{Time: ago(time.Minute), What: "<i>something</i>", Contact: "{what}", Why: "&lt;why&gt; {name}", By: ""}, {What: "no time"}}
		})},
	}
}

// lately is what happened until now, and the day before.
func lately() []app.Event {
	return []app.Event{
		{Time: ago(10 * time.Minute), What: "ring stopped", Why: "desired 12", By: "Anna"},
		{Time: ago(10 * time.Minute), What: "disarmed", Why: "desired 12", By: "Anna"},
		{Time: ago(11 * time.Minute), What: "ring started", Contact: "front", Why: "entry delay over"},
		{Time: ago(12 * time.Minute), What: "entry delay started", Contact: "front", Why: "front open"},
		{Time: ago(3 * time.Hour), What: "guarded", Contact: "back", Why: "back closed"},
		{Time: ago(3 * time.Hour), What: "not guarded until closed", Contact: "back", Why: "back open"},
		{Time: ago(3 * time.Hour), What: "exit delay ended"},
		{Time: ago(3 * time.Hour), What: "armed", Why: "desired 11", By: "Tom"},
		{Time: ago(26 * time.Hour), What: "disarmed", Why: "the key switch"},
		{Time: ago(27 * time.Hour), What: "ring resumed after restart", Why: "a restart had cut it off"},
		{Time: ago(27 * time.Hour), What: "panel started", Why: "after a power cut or reset"},
	}
}

func ago(d time.Duration) time.Time { return Now.Add(-d) }

func ms(d time.Duration) *int64 {
	n := d.Milliseconds()
	return &n
}
