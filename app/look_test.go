package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/twin"
)

// A scene is what a watcher may have learned, told shortly: documents, and how long ago things happened.
type scene struct {
	current, desired, events string        // data; "" = never read, "-" = the hub has none
	moved                    time.Duration // since the current version took another's place; 0 = it never did
	first                    time.Duration // since it was seen first; 0 = as moved
	wished                   time.Duration // since desired was seen first
	version                  uint32        // of desired; 0 = 7
	trouble                  *Trouble
	started                  time.Duration // since the app's start; 0 = an hour
}

const noon = 12 * time.Hour

func (s scene) look() View {
	now := time.Time{}.Add(noon)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	f := facts{started: ago(time.Hour), trouble: s.trouble}
	if s.started > 0 {
		f.started = ago(s.started)
	}
	read := func(r *reading, data string, version uint32, first, moved time.Duration) {
		if data == "" {
			return
		}
		r.read, r.found, r.first = now, data != "-", ago(first)
		if moved > 0 {
			r.moved = ago(moved)
		}
		if r.found {
			r.Document = twin.Document{Version: version, Data: json.RawMessage(data)}
		}
	}
	if s.first == 0 {
		s.first = s.moved
	}
	if s.version == 0 {
		s.version = 7
	}
	read(&f.current, s.current, 40, s.first, s.moved)
	read(&f.desired, s.desired, s.version, s.wished, 0)
	read(&f.events, s.events, 3, 0, 0)
	return look(f, now, DefaultSilence)
}

// says is current with these keys changed or added.
func says(keys ...string) string {
	all := map[string]string{"alarm_armed": "false", "siren_ringing": "false", "door_open": "false", "heartbeat_s": "30"}
	for _, k := range keys {
		key, v, _ := strings.Cut(k, "=")
		all[key] = v
	}
	var parts []string
	for key, v := range all {
		if v != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", key, v))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

const (
	wishOn  = `{"alarm_armed":true,"by":"Anna"}`
	wishOff = `{"alarm_armed":false,"by":"Anna"}`
)

var (
	disarmed = says(`state="disarmed"`)
	armed    = says("alarm_armed=true", `state="armed"`)
	ringing  = says("alarm_armed=true", "siren_ringing=true", "door_open=true", `state="ringing"`, "left_s=180")
	entering = says("alarm_armed=true", "door_open=true", `state="entry_delay"`, "left_s=30")
)

func TestTheStateTable(t *testing.T) {
	away := &Trouble{Why: "unreachable"}
	tests := []struct {
		name  string
		scene scene
		row   Row
		alive Alive
	}{
		{"nothing read yet", scene{started: time.Second}, Checking, AliveUnknown},
		{"the hub never answered", scene{started: time.Second, trouble: away}, HubAway, AliveUnknown},
		{"no document of the panel", scene{current: "-", moved: 0, first: time.Second}, NeverSeen, AliveUnknown},
		{"a document that isn't one", scene{current: `{"temperature":21}`, moved: time.Second}, Unintelligible, AliveYes},
		{"a word for true", scene{current: says(`alarm_armed="true"`), moved: time.Second}, Unintelligible, AliveYes},
		{"null for false", scene{current: says("siren_ringing=null"), moved: time.Second}, Unintelligible, AliveYes},
		{"the app has just started", scene{current: armed, first: 10 * time.Second}, Checking, AliveUnknown},
		{"and found it ringing", scene{current: ringing, first: 10 * time.Second}, Checking, AliveUnknown},
		{"and then nothing came", scene{current: disarmed, first: 90 * time.Second}, Unreachable, AliveNo},

		{"disarmed", scene{current: disarmed, moved: time.Second}, Disarmed, AliveYes},
		{"armed", scene{current: armed, moved: time.Second}, Armed, AliveYes},
		{"leaving", scene{current: says("alarm_armed=true", `state="exit_delay"`), moved: time.Second}, ExitDelay, AliveYes},
		{"coming home", scene{current: entering, moved: time.Second}, EntryDelay, AliveYes},
		{"ringing", scene{current: ringing, moved: time.Second}, Ringing, AliveYes},
		{"rang", scene{current: says("alarm_armed=true", `state="silenced"`), moved: time.Second}, Silenced, AliveYes},
		{"a panel with the four keys only", scene{current: says("alarm_armed=true", "heartbeat_s="), moved: time.Second}, Armed, AliveYes},
		{"a word that contradicts", scene{current: says("alarm_armed=true", `state="disarmed"`), moved: time.Second}, Armed, AliveYes},
		{"a ring that contradicts", scene{current: says("alarm_armed=true", "siren_ringing=true", `state="armed"`), moved: time.Second}, Ringing, AliveYes},
		{"a word of the future", scene{current: says("alarm_armed=true", `state="night"`), moved: time.Second}, Armed, AliveYes},

		{"late", scene{current: disarmed, moved: 45 * time.Second}, Disarmed, AliveLate},
		{"unreachable", scene{current: disarmed, moved: 90 * time.Second}, Unreachable, AliveNo},
		{"armed and unreachable", scene{current: armed, moved: 90 * time.Second}, Unreachable, AliveNo},
		{"a slow heart", scene{current: says("heartbeat_s=300"), moved: 449 * time.Second}, Disarmed, AliveYes},
		{"a heart of nonsense counts as 30 s", scene{current: says("heartbeat_s=1e9"), moved: 90 * time.Second}, Unreachable, AliveNo},
		{"the hub is away", scene{current: armed, moved: time.Second, trouble: away}, HubAway, AliveYes},
		{"the hub is away, and rang", scene{current: ringing, moved: time.Second, trouble: away}, HubAway, AliveYes},

		{"asked to arm", scene{current: disarmed, desired: wishOn, wished: 14 * time.Second, moved: time.Second}, Arming, AliveYes},
		{"and not done", scene{current: disarmed, desired: wishOn, wished: 15 * time.Second, moved: time.Second}, NotArmed, AliveYes},
		{"asked to disarm", scene{current: armed, desired: wishOff, wished: 14 * time.Second, moved: time.Second}, Disarming, AliveYes},
		{"and not done either", scene{current: armed, desired: wishOff, wished: 15 * time.Second, moved: time.Second}, StillArmed, AliveYes},
		{"asked to disarm in the entry delay", scene{current: entering, desired: wishOff, moved: time.Second}, Disarming, AliveYes},
		{"asked to disarm a ring", scene{current: ringing, desired: wishOff, moved: time.Second}, Ringing, AliveYes},
		{"asked of a panel that is away", scene{current: disarmed, desired: wishOn, moved: 91 * time.Second}, Unreachable, AliveNo},
		{"asked for and done", scene{current: armed, desired: wishOn, moved: time.Second}, Armed, AliveYes},
		{"asked for in a word", scene{current: disarmed, desired: `{"alarm_armed":"yes"}`, moved: time.Second}, Disarmed, AliveYes},
		{"nothing asked for", scene{current: disarmed, desired: "-", moved: time.Second}, Disarmed, AliveYes},
		{"taken back", scene{current: disarmed, desired: `{"alarm_armed":false,"by":"Anna","withdrawn":true}`, moved: time.Second}, Disarmed, AliveYes},
		{"disarmed at the panel", scene{current: says("local=true", "desired_version=7"), desired: wishOn, wished: time.Minute, moved: time.Second}, Disarmed, AliveYes},
		{"and asked for anew", scene{current: says("local=true", "desired_version=7"), desired: wishOn, version: 8, moved: time.Second}, Arming, AliveYes},
		{"armed at the panel", scene{current: says("alarm_armed=true", "local=true"), desired: wishOff, wished: time.Minute, moved: time.Second}, Armed, AliveYes},

		{"armed, and silent for long", scene{current: armed, moved: DefaultSilence}, Silent, AliveNo},
		{"disarmed, and silent for long", scene{current: disarmed, moved: DefaultSilence}, Unreachable, AliveNo},
		{"armed before the app's start, and silent since", scene{current: armed, first: DefaultSilence}, Silent, AliveNo},
		{"armed, and the hub silent for long", scene{current: armed, moved: DefaultSilence, trouble: away}, Silent, AliveNo},
		{"a slow heart may be silent for longer", scene{current: says("alarm_armed=true", "heartbeat_s=300"), moved: DefaultSilence}, Armed, AliveYes},
		{"no word after the entry delay, but just", scene{current: entering, moved: 44 * time.Second}, EntryDelay, AliveYes},
		{"no word after the entry delay", scene{current: entering, moved: 45 * time.Second}, Silent, AliveLate},
		{"no word after an entry delay that nobody told", scene{current: says("alarm_armed=true", `state="entry_delay"`), moved: time.Minute}, Silent, AliveLate},
		{"no heartbeat in a ring", scene{current: ringing, moved: time.Minute}, Silent, AliveLate},
		{"no word after the entry delay, and no hub", scene{current: entering, moved: 45 * time.Second, trouble: away}, Silent, AliveLate},
	}
	seen := map[Row]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.scene.look()
			if v.Row != tt.row || v.Alive != tt.alive {
				t.Errorf("row %s, alive %s; want %s, %s", v.Row, v.Alive, tt.row, tt.alive)
			}
			seen[v.Row] = true
		})
	}
	for _, row := range Rows {
		if !seen[row] {
			t.Errorf("no scene shows the row %s", row)
		}
	}
}

func TestAWishAndWhatBecameOfIt(t *testing.T) {
	left := func(d time.Duration) *int64 { return milliseconds(d) }
	tests := []struct {
		name  string
		scene scene
		want  *Wish // At is not looked at
	}{
		{"none", scene{current: disarmed, moved: 1}, nil},
		{"an array", scene{current: disarmed, moved: 1, desired: `[]`}, nil},
		{"no boolean", scene{current: disarmed, moved: 1, desired: `{"alarm_armed":1}`}, nil},
		{"to arm", scene{current: disarmed, moved: 1, desired: wishOn, wished: 20 * time.Second}, &Wish{Armed: true, By: "Anna", AgeMS: 20_000, Outcome: Waiting, LeftMS: left(100 * time.Second)}},
		{"to arm, by another program", scene{current: disarmed, moved: 1, desired: `{"alarm_armed":true}`}, &Wish{Armed: true, Outcome: Waiting}},
		{"to arm, too long ago", scene{current: disarmed, moved: 1, desired: wishOn, wished: 3 * time.Minute}, &Wish{Armed: true, By: "Anna", AgeMS: 180_000, Outcome: Waiting, LeftMS: left(0)}},
		{"to disarm", scene{current: armed, moved: 1, desired: wishOff}, &Wish{By: "Anna", Outcome: Waiting}},
		{"of a panel that never was", scene{current: "-", desired: wishOn}, &Wish{Armed: true, By: "Anna", Outcome: Waiting, LeftMS: left(2 * time.Minute)}},
		{"done", scene{current: armed, moved: 1, desired: wishOn}, &Wish{Armed: true, By: "Anna", Outcome: Done}},
		{"overruled", scene{current: says("local=true", "desired_version=7"), moved: 1, desired: wishOn}, &Wish{Armed: true, By: "Anna", Outcome: Overruled}},
		{"overruled by a panel that doesn't number", scene{current: says("local=true"), moved: 1, desired: wishOn}, &Wish{Armed: true, By: "Anna", Outcome: Overruled}},
		{"after a command at the panel", scene{current: says("local=true", "desired_version=6"), moved: 1, desired: wishOn}, &Wish{Armed: true, By: "Anna", Outcome: Waiting, LeftMS: left(2 * time.Minute)}},
		{"taken back", scene{current: disarmed, moved: 1, desired: `{"alarm_armed":false,"by":"Anna","withdrawn":true}`}, &Wish{Armed: true, By: "Anna", Outcome: Withdrawn}},
		{"of a name that hides", scene{current: armed, moved: 1, desired: `{"alarm_armed":true,"by":"  A\u202e<b>\n` + strings.Repeat("x", 200) + `"}`}, &Wish{Armed: true, By: "A<b>" + strings.Repeat("x", maxText-4), Outcome: Done}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.scene.look().Wish
			if got != nil {
				got.At = time.Time{}
			}
			if g, w := written(got), written(tt.want); g != w {
				t.Errorf("wish %s; want %s", g, w)
			}
		})
	}
}

func TestWhatThePanelSaid(t *testing.T) {
	tests := []struct {
		name    string
		current string
		want    string // parts of Known, as JSON
	}{
		{"a door", says("door_open=true"), `"doors":[{"name":"door","is":"open"}]`},
		{"several", says("door_open=true", `doors={"front":"closed","back":"open"}`), `"doors":[{"name":"back","is":"open"},{"name":"front","is":"closed"}]`},
		{"a door in no known state", says(`doors={"front":"ajar","back":7}`), `"doors":[{"name":"back","is":"unknown"},{"name":"front","is":"unknown"}]`},
		{"an open one behind too many", says("door_open=true", `doors={"a00":"closed","a01":"closed","a02":"closed","a03":"closed","a04":"closed","a05":"closed","a06":"closed","a07":"closed","a08":"closed","a09":"closed","a10":"closed","a11":"closed","a12":"closed","a13":"closed","a14":"closed","a15":"closed","zz":"open"}`), `{"name":"zz","is":"open"}]`},
		{"all closed, and one open", says("door_open=true", `doors={"front":"closed"}`), `"doors":[{"name":"door","is":"unknown"},{"name":"front","is":"closed"}]`},
		{"the only contact can't be read", says("door_open=true", `faults=["front","journal"]`), `"doors":[{"name":"front","is":"fault"}],"faults":["journal"]`},
		{"one of several can't be read", says("door_open=true", `doors={"front":"fault","back":"closed"}`, `faults=["front","clock"]`), `"doors":[{"name":"back","is":"closed"},{"name":"front","is":"fault"}],"faults":["clock"]`},
		{"faults of the future", says(`faults=["mains",7,null,""]`), `"doors":[{"name":"door","is":"closed"}],"faults":["mains"]`},
		{"faults in no list", says(`faults="siren"`), `"doors":[{"name":"door","is":"closed"}]}`},
		{"doors in no object", says(`doors=["front"]`, "door_open=true"), `"doors":[{"name":"door","is":"open"}]`},
		{"time left", says("alarm_armed=true", `state="entry_delay"`, "left_s=30"), `"left_ms":29000`},
		{"no time left", says("alarm_armed=true", `state="entry_delay"`, "left_s=0.5"), `"left_ms":0`},
		{"time left of nothing", says("alarm_armed=true", "left_s=30"), `"doors":[{"name":"door","is":"closed"}]}`},
		{"time left that can't be", says("alarm_armed=true", `state="entry_delay"`, "left_s=-3"), `"doors":[{"name":"door","is":"closed"}]}`},
		{"at the panel", says("local=true"), `"local":true`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := written(scene{current: tt.current, moved: time.Second}.look().Known)
			if !strings.Contains(got, tt.want) {
				t.Errorf("%s\nis known as %s;\nwant %s", tt.current, got, tt.want)
			}
		})
	}
}

func TestWhoRang(t *testing.T) {
	events := `{"events":[
	  {"time":"2026-11-22T10:00:00Z","what":"ring started","contact":"back"},
	  {"time":"2026-11-22T10:03:00Z","what":"ring ended at the siren limit"},
	  {"time":"2026-11-22T11:00:00Z","what":"ring started","contact":"front"},
	  {"time":"bad","what":"trigger ignored: rings used up"}, {"time":"2026-11-22T11:00:02Z"}, 7, null]}`
	v := scene{current: ringing, moved: time.Second, events: events}.look()
	if got := written(v.Known); !strings.Contains(got, `"rang_by":"front","rang_at":"2026-11-22T11:00:00Z"`) {
		t.Errorf("known: %s; want the ring that front began", got)
	}
	if len(v.Events) != 4 || v.Events[3].Contact != "back" || !v.Events[0].Time.IsZero() {
		t.Errorf("events: %s; want four, newest first", written(v.Events))
	}
	over := strings.Replace(events, "trigger ignored: rings used up", "ring stopped", 1)
	if got := written(scene{current: ringing, moved: time.Second, events: over}.look().Known); strings.Contains(got, "rang_by") {
		t.Errorf("known: %s; want nothing of a ring that is over", got)
	}
}

// A hub that is down when the panel's document moves is not taken for the panel's silence afterwards, and the first look is no sign of life.
func TestSignsOfLife(t *testing.T) {
	now := time.Time{}.Add(noon)
	f := facts{started: now}
	doc := func(version uint32, data string) twin.Document {
		return twin.Document{Version: version, Data: json.RawMessage(data)}
	}
	for i, step := range []struct {
		doc   twin.Document
		found bool
		moved bool
		rang  bool
	}{
		{doc(40, ringing), true, false, false}, // it rang before the app looked
		{doc(40, ringing), true, false, false},
		{doc(41, disarmed), true, true, false},
		{doc(41, disarmed), true, false, false},
		{doc(42, ringing), true, true, true},
		{doc(43, ringing), true, true, true},
		{twin.Document{}, false, true, false},
		{twin.Document{}, false, false, false},
		{doc(1, disarmed), true, true, false}, // made anew
	} {
		now = now.Add(time.Second)
		if moved := f.learnCurrent(step.doc, step.found, now); moved != step.moved || f.rang.IsZero() == step.rang {
			t.Errorf("step %d: moved %t, rang %v; want %t, %t", i, moved, f.rang, step.moved, step.rang)
		}
	}
}

func written(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
