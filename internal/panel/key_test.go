package panel

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
)

// withKey starts a panel with a closed door and a key switch.
func withKey(t *testing.T, dir string, kind KeyType) (*house, func(...sensor.Reading)) {
	key := make(fakeContact)
	h := start(t, dir, []string{"door"}, func(c *Config) { c.Key = &Key{Sensor: key, Type: kind} }, nil)
	return h, func(readings ...sensor.Reading) {
		for _, r := range readings {
			key <- r
			synctest.Wait()
		}
	}
}

func (h *house) armed() bool {
	h.t.Helper()
	s, err := h.panel.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Armed
}

func TestWhatAKeySwitchCommands(t *testing.T) {
	const unknown, closed, open, fault = sensor.Unknown, sensor.Closed, sensor.Open, sensor.Fault
	for _, tt := range []struct {
		name   string
		kind   KeyType
		armed  bool // before
		turned []sensor.Reading
		want   bool
	}{
		{"found closed at a start", Momentary, true, []sensor.Reading{closed}, true},
		{"found closed at a start", Maintained, true, []sensor.Reading{closed}, true},
		{"found open at a start", Maintained, false, []sensor.Reading{open}, false},
		{"fault at a start", Maintained, true, []sensor.Reading{fault}, true},
		{"fault while closed", Maintained, false, []sensor.Reading{closed, fault}, false},
		{"fault while open", Maintained, true, []sensor.Reading{open, fault}, true},
		{"closed after a fault", Momentary, true, []sensor.Reading{open, fault, closed}, true},
		{"closed after a fault", Maintained, true, []sensor.Reading{open, fault, closed}, true},
		{"open after a fault", Maintained, false, []sensor.Reading{closed, fault, open}, false},
		{"let go", Momentary, true, []sensor.Reading{closed, open}, true},
		{"the same again", Maintained, true, []sensor.Reading{closed, closed}, true},

		{"pressed", Momentary, false, []sensor.Reading{open, closed}, true},
		{"pressed", Momentary, true, []sensor.Reading{open, closed, open}, false},
		{"pressed twice", Momentary, true, []sensor.Reading{open, closed, open, closed}, true},
		{"pressed after a fault was over", Momentary, true, []sensor.Reading{fault, open, closed}, false},
		{"turned to closed", Maintained, true, []sensor.Reading{open, closed}, false},
		{"turned to closed when it is disarmed already", Maintained, false, []sensor.Reading{open, closed}, false},
		{"turned to open, or cut", Maintained, false, []sensor.Reading{closed, open}, true},
		{"the default", "", false, []sensor.Reading{open, closed}, true},
	} {
		words := string(tt.kind) + " key " + tt.name
		t.Run(strings.TrimSpace(words), func(t *testing.T) {
			for _, door := range []sensor.Reading{closed, unknown} { // it works before the door was read, too
				synctest.Test(t, func(t *testing.T) {
					h, turn := withKey(t, t.TempDir(), tt.kind)
					defer h.end()
					if door != unknown {
						h.door(0, door)
					}
					if tt.armed {
						if _, err := h.panel.Command(t.Context(), true); err != nil {
							t.Fatal(err)
						}
					}
					turn(tt.turned...)
					if got := h.armed(); got != tt.want {
						t.Errorf("door %v, armed %v, then the key %v: armed %v, want %v", door, tt.armed, tt.turned, got, tt.want)
					}
				})
			}
		})
	}
}

// A key switch has the rules of a command at the panel: it holds until somebody taps on the phone.
func TestAKeySwitchAndThePhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		h, turn := withKey(t, dir, Momentary)
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		turn(sensor.Open, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		if h.armed() {
			t.Error("the wish from before the key was turned rules")
		}
		h.end()

		// The key is still held when the panel starts again, and let go later.
		h, turn = withKey(t, dir, Momentary)
		defer h.end()
		h.door(0, sensor.Closed)
		turn(sensor.Closed, sensor.Open)
		h.desired(1, `{"alarm_armed":true}`)
		if h.armed() {
			t.Error("the restart forgot what the key commanded")
		}
		h.desired(2, `{"alarm_armed":true}`)
		if !h.armed() {
			t.Error("a new wish does nothing")
		}
		turn(sensor.Closed)
		if h.armed() {
			t.Error("the key does nothing after the phone")
		}
		want := `"what":"disarmed","why":"the key switch"`
		if b, err := h.panel.Events(t.Context()); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("events %s, %v; want %s", b, err, want)
		}
	})
}

func TestAKeySwitchSilencesTheSiren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, turn := withKey(t, t.TempDir(), Maintained)
		defer h.end()
		h.door(0, sensor.Closed)
		turn(sensor.Closed, sensor.Open)
		h.sleep(time.Minute)
		h.door(0, sensor.Open)
		h.sleep(time.Second)
		turn(sensor.Closed)
		if want := []string{"0s off", "1m0s on", "1m1s off"}; !slices.Equal(h.siren.changes(), want) {
			t.Errorf("siren %q, want %q", h.siren.changes(), want)
		}
	})
}

func TestAFaultOfTheKeySwitchIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, turn := withKey(t, t.TempDir(), Momentary)
		defer h.end()
		h.door(0, sensor.Closed)
		for _, tt := range []struct {
			reading sensor.Reading
			want    []string
		}{
			{sensor.Closed, nil}, {sensor.Fault, []string{"key"}}, {sensor.Open, nil},
		} {
			turn(tt.reading)
			if c := h.document(); !slices.Equal(c.Faults, tt.want) {
				t.Errorf("key %v: faults %q, want %q", tt.reading, c.Faults, tt.want)
			}
		}
	})
}

// Whoever shows the state is told of faults with it: somebody who arms and leaves must not take it for all well.
func TestArmingWithAFaultIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, turn := withKey(t, t.TempDir(), Maintained)
		defer h.end()
		h.door(0, sensor.Closed)
		turn(sensor.Closed, sensor.Open, sensor.Closed, sensor.Fault)
		h.desired(1, `{"alarm_armed":false}`)
		h.desired(2, `{"alarm_armed":true}`)
		if want := []string{"disarmed", "armed", "disarmed", "armed with faults"}; !slices.Equal(h.shown, want) {
			t.Errorf("shown %q, want %q", h.shown, want)
		}
	})
}
