package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/hub/hubtest"
	"github.com/twinpanel/twinpanel/hub/registry"
	"github.com/twinpanel/twinpanel/internal/agent"
	"github.com/twinpanel/twinpanel/internal/blackbox"
	"github.com/twinpanel/twinpanel/internal/panel"
	"github.com/twinpanel/twinpanel/internal/simulator"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/siren"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/statemachine/transcript"
	"github.com/twinpanel/twinpanel/twinclient"
)

// How long things may take. Door to siren is the debounce, 7 bounces of up to 3 ms and a sample. The hub tells
// of a tap, at most every 100 ms; where it has no notices, a tap waits for the next poll.
const (
	doorToSiren   = 300 * time.Millisecond
	tapNoticed    = 150 * time.Millisecond
	tapPolled     = 2500 * time.Millisecond
	doorToCurrent = 500 * time.Millisecond
	reconnected   = 75 * time.Second // the longest pause between two tries, with jitter, and the connection
)

// rightClock brings a bubble, which begins in 2000, to the present.
const rightClock = 30 * 365 * 24 * time.Hour

// A night is a household in a bubble: phone, hub, panel and house.
type night struct {
	t       *testing.T
	rules   statemachine.Rules
	hub     *hubtest.Hub
	device  registry.Device
	connect twinclient.Options // how the panel does
	house   *simulator.House
	dir     string       // the panel's state folder
	clock   atomic.Int64 // nanoseconds that the panel's wall clock is ahead

	agent *agent.Agent // nil = no power
	stop  context.CancelFunc
	ended chan error
}

// newNight begins in a house with a hub that has notices or not. change may prepare it, before the panel starts.
func newNight(t *testing.T, rules statemachine.Rules, notices bool, change ...func(*night)) *night {
	n := &night{t: t, rules: rules, hub: hubtest.Start(t), dir: t.TempDir()}
	n.hub.DropNotices(!notices)
	n.clock.Store(int64(rightClock))
	n.device = n.hub.AddDevice("panel")
	n.connect = twinclient.Options{Hub: "mqtt://localhost", DeviceID: n.device.ID, Dial: n.hub.Dial}
	var err error
	if n.house, err = simulator.New(simulator.Config{Bounce: 7}); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(n)
	}
	n.powerOn()
	return n
}

func (n *night) powerOn() {
	n.t.Helper()
	door, err := sensor.New(sensor.Config{
		Open:          func() (sensor.Line, error) { return n.house.OpenDoor("door") },
		OpenLevelHigh: true,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.agent, err = agent.New(agent.Config{
		Panel: panel.Config{
			Rules:    n.rules,
			Contacts: []panel.Contact{{Name: "door", Sensor: door}},
			Siren: siren.New(siren.Config{
				Open:       func() (siren.Line, error) { return n.house.OpenSiren() },
				ActiveHigh: true,
			}),
			StateDir: n.dir,
			Show:     func(word string, _ bool) { n.house.Lamp(word) },
			Now:      func() time.Time { return time.Now().Add(time.Duration(n.clock.Load())) },

			Synchronised: func() (yes, known bool) { return false, true },
		},
		Hub: n.connect,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	n.stop, n.ended = cancel, make(chan error, 1)
	go func() { n.ended <- n.agent.Run(ctx) }()
}

// powerOff cuts the power: the next panel finds what is on the disk at this moment.
func (n *night) powerOff() {
	n.t.Helper()
	disk := n.t.TempDir()
	for _, name := range []string{"journal", blackbox.OldName, blackbox.Name} {
		b, err := os.ReadFile(filepath.Join(n.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(disk, name), b, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			n.t.Fatal(err)
		}
	}
	n.end()
	n.dir = disk
}

// end stops the panel.
func (n *night) end() {
	n.t.Helper()
	n.stop()
	if err := <-n.ended; err != nil {
		n.t.Errorf("the panel ended with %v", err)
	}
	n.agent = nil
	// The rules make of the black box what the panel did, to the last word.
	for _, name := range []string{blackbox.OldName, blackbox.Name} {
		b, err := os.ReadFile(filepath.Join(n.dir, name))
		if errors.Is(err, fs.ErrNotExist) && name == blackbox.OldName {
			continue
		}
		played, playErr := transcript.Play(string(b))
		if err != nil || playErr != nil || played != string(b) {
			n.t.Errorf("played, the black box is another: %v\n%s\nand was:\n%s", errors.Join(err, playErr), played, b)
		}
	}
}

// after lets time pass.
func (n *night) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (n *night) door(open bool) {
	n.t.Helper()
	if err := n.house.MoveDoor("door", open); err != nil {
		n.t.Fatal(err)
	}
}

// tap writes desired over REST as the phone does.
func (n *night) tap(armed bool) {
	n.t.Helper()
	n.rest("PUT", "desired", fmt.Sprintf(`{"data": {"alarm_armed": %v}}`, armed))
}

func (n *night) rest(method, document, body string) json.RawMessage {
	n.t.Helper()
	url := hubtest.BaseURL + "/twins/" + string(n.device.ID) + "/documents/" + document
	r, err := http.NewRequestWithContext(n.t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", n.hub.Token)
	resp, err := n.hub.HTTPClient().Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		n.t.Fatalf("%s %s: %d %s, %v", method, document, resp.StatusCode, answer, err)
	}
	return answer
}

// A current is the document as the phone reads it.
type current struct {
	LastUpdate   time.Time `json:"last_update"`
	AlarmArmed   bool      `json:"alarm_armed"`
	SirenRinging bool      `json:"siren_ringing"`
	DoorOpen     bool      `json:"door_open"`
	State        string    `json:"state"`
	Faults       []string  `json:"faults"`
}

func (n *night) current() current {
	n.t.Helper()
	var doc struct{ Data current }
	if err := json.Unmarshal(n.rest("GET", "current", ""), &doc); err != nil {
		n.t.Fatal(err)
	}
	return doc.Data
}

// want compares what the phone reads with a state and a door.
func (n *night) want(what, state string, doorOpen bool) {
	n.t.Helper()
	c := n.current()
	if c.State != state || c.DoorOpen != doorOpen || c.AlarmArmed != (state != "disarmed") || c.SirenRinging != (state == "ringing") {
		n.t.Errorf("%s: the phone reads %+v, want %s with door open %v", what, c, state, doorOpen)
	}
}

func (n *night) wantFaults(what string, words ...string) {
	n.t.Helper()
	if c := n.current(); !slices.Equal(c.Faults, words) {
		n.t.Errorf("%s: faults %q, want %q", what, c.Faults, words)
	}
}

func (n *night) wantSiren(what string, on bool) {
	n.t.Helper()
	if n.house.SirenOn() != on {
		n.t.Errorf("%s: siren on is %v, want %v", what, !on, on)
	}
}

// TestANight lives through a night of everything that goes wrong.
func TestANight(t *testing.T) {
	t.Run("with notices", func(t *testing.T) { aNight(t, true, tapNoticed) })
	t.Run("without notices", func(t *testing.T) { aNight(t, false, tapPolled) })
}

func aNight(t *testing.T, notices bool, tapToPanel time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		n := newNight(t, statemachine.DefaultRules(), notices)
		n.after(time.Second)
		n.want("the first evening", "disarmed", false)

		// Everybody leaves.
		n.tap(true)
		n.after(tapToPanel)
		n.want("armed by phone", "armed", false)

		// Hours later the hub is gone. Somebody opens the door.
		n.after(3 * time.Hour)
		n.hub.Stop()
		n.after(20 * time.Minute)
		n.door(true)
		n.after(doorToSiren)
		n.wantSiren("door opened without a hub", true)
		n.door(false)
		n.after(180 * time.Second)
		n.wantSiren("the siren limit without a hub", false)
		n.hub.Restart()
		n.after(reconnected)
		n.want("the hub is back", "armed", false)

		// After midnight the network swallows everything. A tap waits in the hub.
		n.hub.BlackHole(true)
		n.after(time.Minute)
		n.door(true)
		n.after(doorToSiren)
		n.wantSiren("door opened in a black hole", true)
		n.hub.BlackHole(false)
		n.hub.CutConnections()
		n.after(reconnected)
		n.want("out of the black hole", "ringing", true)
		n.tap(false)
		n.after(tapToPanel)
		n.wantSiren("disarmed by phone", false)
		n.want("disarmed by phone", "disarmed", true)

		// The door is still open when they arm again: silent, and guarding once it closes.
		n.tap(true)
		n.after(time.Minute)
		n.wantSiren("armed with the door open", false)
		n.door(false)
		n.after(time.Second)
		n.want("the door is closed now", "armed", false)

		// The power fails, the door is opened in the dark, the hub is away too when the power returns.
		n.powerOff()
		n.wantSiren("no power", false)
		n.hub.Stop()
		n.after(time.Hour)
		n.door(true)
		n.after(2 * time.Hour)
		n.powerOn()
		n.after(doorToSiren)
		n.wantSiren("power is back and the door is open", true)

		// The power fails again and again. The ring goes on with what is left of it: each start has
		// charged ten seconds and used five.
		for range 10 {
			n.after(5 * time.Second)
			n.powerOff()
			n.powerOn()
			n.after(doorToSiren)
			n.wantSiren("power is back during the ring", true)
		}
		n.after(180*time.Second - 10*10*time.Second)
		n.wantSiren("the ring time is used up", false)
		n.hub.Restart()
		n.after(reconnected)
		n.want("after the ring", "silenced", true)

		// The clock jumps two weeks back in the middle of a ring, and to 1970.
		n.door(false)
		n.after(time.Minute)
		n.door(true)
		n.after(doorToSiren)
		n.wantSiren("second ring", true)
		n.clock.Add(-int64(14 * 24 * time.Hour))
		n.after(time.Minute)
		n.wantFaults("two weeks back", "clock")
		n.clock.Add(-int64(60 * 365 * 24 * time.Hour))
		n.after(time.Minute)
		n.wantSiren("the clock has jumped", true)
		n.after(time.Minute)
		n.wantSiren("the siren limit after the clock has jumped", false)
		n.after(time.Minute)
		n.wantFaults("no clock", "clock")
		n.clock.Store(int64(rightClock))
		n.after(5 * time.Second)
		n.wantFaults("the clock is right again")

		// Somebody comes home and disarms at the panel, without the hub. The hub still says "armed".
		n.hub.Stop()
		if s, err := n.agent.Panel.Command(t.Context(), false); err != nil || s.Armed {
			t.Errorf("disarmed at the panel: %+v, %v", s, err)
		}
		n.hub.Restart()
		n.after(reconnected)
		n.want("disarmed at the panel", "disarmed", true)
		n.door(false)
		n.after(time.Second)
		n.tap(true)
		n.after(tapToPanel)
		n.want("a new tap", "armed", false)

		n.end()
		n.wantSiren("the end", false)
		t.Logf("%v in the house", time.Since(begin))
	})
}

// TestRandomHours lets everything happen at random and checks what must always hold, and that all agree in the end.
func TestRandomHours(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				rules := statemachine.DefaultRules()
				rules.EntryDelay = time.Duration(seed) * 15 * time.Second
				rules.ExitDelay = time.Duration(seed) * 20 * time.Second
				n := newNight(t, rules, true)
				n.after(time.Second)
				n.tap(false)
				up, armed := true, false
				for range 200 {
					switch random.IntN(13) {
					case 0, 1:
						if up { // the phone reaches the hub by another way
							armed = random.IntN(2) == 0
							n.hub.MustPut(n.device.ID, agent.Desired, fmt.Sprintf(`{"alarm_armed": %v}`, armed))
						}
					case 2, 3, 4:
						n.door(random.IntN(2) == 0)
					case 5:
						n.hub.CutConnections()
					case 6:
						n.hub.DropAnswers(random.IntN(3))
					case 7:
						n.hub.DelayAnswers(time.Duration(random.IntN(8)) * time.Second)
					case 8:
						n.hub.BlackHole(random.IntN(2) == 0)
					case 9:
						if up = !up; up {
							n.hub.Restart()
						} else {
							n.hub.Stop()
						}
					case 10:
						n.powerOff()
						n.after(time.Duration(random.IntN(60)) * time.Second)
						n.powerOn()
					case 11:
						if err := n.house.BreakDoor("door", random.IntN(2) == 0); err != nil {
							t.Fatal(err)
						}
					case 12:
						n.hub.DropNotices(random.IntN(2) == 0)
					}
					n.after(time.Duration(random.IntN(30_000)) * time.Millisecond)
					s, err := n.agent.Panel.Status(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if n.house.SirenOn() != s.Ringing || s.Ringing && !s.Armed {
						t.Fatalf("siren on %v, status %+v", n.house.SirenOn(), s)
					}
				}
				// All is well again.
				n.hub.BlackHole(false)
				n.hub.DelayAnswers(0)
				n.hub.DropAnswers(0)
				n.hub.CutConnections()
				if !up {
					n.hub.Restart()
				}
				if err := n.house.MoveDoor("door", false); err != nil {
					t.Fatal(err)
				}
				n.after(15 * time.Minute)
				c := n.current()
				s, err := n.agent.Panel.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if c.AlarmArmed != armed || s.Armed != armed || c.DoorOpen || c.State != s.State || n.house.SirenOn() {
					t.Errorf("in the end: wanted armed %v; panel %+v, phone %+v, siren %v", armed, s, c, n.house.SirenOn())
				}
				if age := time.Since(c.LastUpdate); age > 35*time.Second {
					t.Errorf("current is %v old", age)
				}
				n.end()
			})
		})
	}
}
