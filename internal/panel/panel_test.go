package panel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/internal/durable"
	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/statemachine"
	"github.com/twinpanel/twinpanel/twin"
)

func TestTheSirenIsOffBeforeAnythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"door"}, nil, nil)
		if want := []string{"0s off", "0s check"}; !slices.Equal(h.siren.all(), want) {
			t.Errorf("siren %q, want %q", h.siren.all(), want)
		}
		h.end()
		if got := h.siren.all(); !strings.HasSuffix(got[len(got)-1], "close") {
			t.Errorf("the calls were %q, want close as the last", got)
		}
	})
}

func TestNothingIsToldBeforeTheFirstReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"front", "back"}, nil, nil)
		defer h.end()
		h.door(0, sensor.Closed)
		h.desired(1, `{"alarm_armed":true}`)
		if _, err := h.panel.Document(t.Context()); !errors.Is(err, ErrUnknown) {
			t.Errorf("Document error %v, want ErrUnknown", err)
		}
		if h.changed != 0 || len(h.shown) != 0 {
			t.Errorf("told %d times, shown %q, before the back door was read", h.changed, h.shown)
		}
		s, err := h.panel.Status(t.Context())
		if err != nil || s.Doors["back"] != "unknown" {
			t.Errorf("status %+v, %v; want the back door unknown", s, err)
		}
		h.door(1, sensor.Open)
		if c := h.document(); !c.AlarmArmed || !c.DoorOpen || c.Doors["back"] != "open" || c.Doors["front"] != "closed" {
			t.Errorf("document %+v, want armed with the back door open", c)
		}
		if want := []string{"armed"}; h.changed != 1 || !slices.Equal(h.shown, want) {
			t.Errorf("told %d times, shown %q; want once, %q", h.changed, h.shown, want)
		}
	})
}

func TestDoorToSiren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := armed(t, nil)
		defer h.end()
		h.sleep(time.Minute)
		h.door(0, sensor.Open)
		if !h.siren.sounds() {
			t.Fatal("the siren is silent")
		}
		if c := h.document(); !c.SirenRinging || c.State != "ringing" || !c.DoorOpen {
			t.Errorf("document %+v, want ringing", c)
		}
		h.sleep(200 * time.Second)
		want := []string{"0s off", "1m0s on", "4m0s off"}
		if got := h.siren.changes(); !slices.Equal(got, want) {
			t.Errorf("siren %q, want %q", got, want)
		}
		if c := h.document(); c.State != "silenced" || !c.AlarmArmed {
			t.Errorf("document %+v, want armed and silenced", c)
		}
	})
}

// A disk that hangs delays nothing that matters.
func TestTheSirenAndAHangingJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var hangs atomic.Bool
		h := armed(t, func(p *Panel) {
			write := p.journal.write
			p.journal.write = func(b []byte) error {
				if hangs.Load() {
					<-hang
				}
				return write(b)
			}
		})
		defer h.end()
		hangs.Store(true)
		h.door(0, sensor.Open)
		if h.siren.sounds() {
			t.Error("the siren did not wait for the journal at all")
		}
		h.sleep(99 * time.Millisecond)
		if h.siren.sounds() {
			t.Error("the siren sounds before the journal had its 100 ms")
		}
		h.sleep(time.Millisecond)
		if !h.siren.sounds() {
			t.Error("the siren waits longer than 100 ms")
		}
		if !h.mute() {
			t.Error("something is told that the journal does not hold")
		}
		h.desired(2, `{"alarm_armed":false}`)
		if h.siren.sounds() {
			t.Error("the disarm waits for the journal")
		}
		h.sleep(5 * time.Second)
		if c := h.document(); c.AlarmArmed || !slices.Contains(c.Faults, "journal") {
			t.Errorf("document %+v, want disarmed with the fault journal", c)
		}
		close(hang)
		h.sleep(time.Second)
		if c := h.document(); len(c.Faults) != 0 {
			t.Errorf("faults %q after the disk has come back, want none", c.Faults)
		}
	})
}

func TestADisarmWithinTheWaitCancelsTheSiren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := armed(t, func(p *Panel) {
			p.journal.write = func([]byte) error { time.Sleep(50 * time.Millisecond); return nil }
		})
		defer h.end()
		h.sleep(time.Second)
		h.door(0, sensor.Open)
		h.sleep(20 * time.Millisecond)
		h.desired(2, `{"alarm_armed":false}`)
		h.sleep(time.Second)
		if want := []string{"0s off"}; !slices.Equal(h.siren.changes(), want) {
			t.Errorf("siren %q, want silence", h.siren.changes())
		}
	})
}

// A full disk is told, guarding goes on, and when there is room again the journal is written without further ado.
func TestAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		h := armed(t, func(p *Panel) {
			write := p.journal.write
			p.journal.write = func(b []byte) error {
				if full.Load() {
					return syscall.ENOSPC
				}
				return write(b)
			}
		})
		defer h.end()
		if c := h.document(); !c.AlarmArmed || !slices.Contains(c.Faults, "journal") {
			t.Errorf("document %+v, want armed with the fault journal", c)
		}
		h.door(0, sensor.Open)
		if !h.siren.sounds() {
			t.Error("the siren is silent on a full disk")
		}
		full.Store(false)
		h.sleep(journalRetry)
		if c := h.document(); len(c.Faults) != 0 {
			t.Errorf("faults %q after there is room again, want none", c.Faults)
		}
		if r, err := readJournal(h.panel.config.StateDir); err != nil || !r.Armed || r.Rings != 1 {
			t.Errorf("journal %+v, %v; want armed with one ring", r, err)
		}
	})
}

// Whatever the disk does: what was told as armed without the fault journal is armed after a power cut.
func TestArmedIsOnDiskBeforeItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		var calm atomic.Bool
		dir := t.TempDir()
		h := start(t, dir, []string{"door"}, nil, func(p *Panel) {
			write, random := p.journal.write, rand.New(rand.NewPCG(3, 4))
			p.journal.write = func(b []byte) error {
				if calm.Load() {
					return write(b)
				}
				time.Sleep(time.Duration(random.IntN(12000)) * time.Millisecond * time.Duration(random.IntN(2)))
				if random.IntN(4) == 0 {
					return syscall.EIO
				}
				return write(b)
			}
		})
		defer func() {
			calm.Store(true)
			h.sleep(time.Minute) // the last write ends
			h.end()
		}()
		h.door(0, sensor.Closed)
		told := 0
		for v := range uint32(500) {
			h.desired(v+1, fmt.Sprintf(`{"alarm_armed":%v}`, random.IntN(2) == 0))
			h.door(0, sensor.Reading(1+random.IntN(3)))
			h.sleep(time.Duration(random.IntN(15000)) * time.Millisecond)
			c := h.document()
			r, err := readJournal(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(c.Faults, "journal") {
				told++
				if r.Armed != c.AlarmArmed {
					t.Fatalf("version %d: told armed %v, the journal holds %v", v+1, c.AlarmArmed, r.Armed)
				}
			}
			if h.siren.sounds() && !c.AlarmArmed {
				t.Fatalf("version %d: the siren sounds while disarmed", v+1)
			}
		}
		time.Sleep(time.Minute) // the last write ends
		if told < 50 {
			t.Errorf("only %d documents without a fault: the test tests too little", told)
		}
	})
}

// A foreseeing contact tells of its moves, too.
type foreseeing struct {
	fakeContact
	moves chan sensor.Reading
}

func (c foreseeing) Watch(ctx context.Context, moved, report func(sensor.Reading)) error {
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		fakeContact(c.moves).Run(ctx, moved)
	}()
	return c.Run(ctx, report)
}

// The journal is written while a contact settles, and once only: the siren then waits for what is left of that.
func TestARingIsChargedWhileTheContactSettles(t *testing.T) {
	const disk = 50 * time.Millisecond
	for _, tt := range []struct {
		name            string
		moves           []sensor.Reading
		settles, sounds time.Duration // after the moves; after that
		writes          int           // before it settles
	}{
		{"nothing foreseen", nil, 80 * time.Millisecond, disk, 0},
		{"closing foreseen", []sensor.Reading{sensor.Closed}, 80 * time.Millisecond, disk, 0},
		{"opening foreseen", []sensor.Reading{sensor.Open}, 80 * time.Millisecond, 0, 1},
		{"bouncing foreseen", []sensor.Reading{sensor.Open, sensor.Closed, sensor.Open, sensor.Open}, 80 * time.Millisecond, 0, 1},
		{"settled before the disk", []sensor.Reading{sensor.Open}, 20 * time.Millisecond, 30 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var writes atomic.Int32
				door := foreseeing{make(fakeContact), make(chan sensor.Reading)}
				h := start(t, t.TempDir(), nil, func(c *Config) { c.Contacts = []Contact{{"door", door}} }, func(p *Panel) {
					write := p.journal.write
					p.journal.write = func(b []byte) error {
						time.Sleep(disk)
						writes.Add(1)
						return write(b)
					}
				})
				defer h.end()
				h.doors = []fakeContact{door.fakeContact}
				h.door(0, sensor.Closed)
				h.desired(1, `{"alarm_armed":true}`)
				h.sleep(time.Second)
				writes.Store(0)
				for _, r := range tt.moves {
					door.moves <- r
				}
				h.sleep(tt.settles)
				if n := writes.Load(); int(n) != tt.writes || h.siren.sounds() {
					t.Errorf("before it settles: %d writes, sounds %v; want %d, false", n, h.siren.sounds(), tt.writes)
				}
				h.door(0, sensor.Open)
				if tt.sounds > 0 {
					h.sleep(tt.sounds - time.Millisecond)
					if h.siren.sounds() {
						t.Errorf("sounds before %v, on time that is not charged", tt.sounds)
					}
					h.sleep(time.Millisecond)
				}
				if !h.siren.sounds() {
					t.Errorf("silent %v after it has settled", tt.sounds)
				}
			})
		})
	}
}

// What was charged for a ring that never came counts as used after a power cut, and is given back at a clean end.
func TestAChargeAheadInTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		prepaid := func() int64 {
			r, err := readJournal(dir)
			if err != nil {
				t.Fatal(err)
			}
			return r.PrepaidMS
		}
		begin := func() (*house, foreseeing) {
			door := foreseeing{make(fakeContact), make(chan sensor.Reading)}
			h := start(t, dir, nil, func(c *Config) { c.Contacts = []Contact{{"door", door}} }, nil)
			h.doors = []fakeContact{door.fakeContact}
			h.door(0, sensor.Closed)
			return h, door
		}
		move := func(h *house, door foreseeing, want int64) {
			t.Helper()
			door.moves <- sensor.Open
			h.sleep(time.Second)
			if got := prepaid(); got != want {
				t.Errorf("charged ahead after a move: %d ms, want %d", got, want)
			}
		}

		h, door := begin()
		move(h, door, 0) // disarmed
		h.desired(1, `{"alarm_armed":true}`)
		move(h, door, 10_000)
		move(h, door, 10_000) // once for a ring
		h.end()
		if got := prepaid(); got != 0 {
			t.Errorf("charged ahead after a clean end: %d ms, want 0", got)
		}

		// After a power cut the next ring is shorter by what may have sounded.
		cut := record{Armed: true, PrepaidMS: 10_000, WaitClosed: []string{}}.format()
		if err := os.WriteFile(filepath.Join(dir, journalName), cut, 0o600); err != nil {
			t.Fatal(err)
		}
		h, door = begin()
		defer h.end()
		move(h, door, 10_000) // but no shorter after the next
		h.door(0, sensor.Open)
		h.sleep(169 * time.Second)
		if !h.siren.sounds() {
			t.Error("silent before 170 s")
		}
		h.sleep(time.Second)
		if h.siren.sounds() {
			t.Error("sounds longer than the 170 s that are left of 180 s")
		}
		if got := prepaid(); got != 0 {
			t.Errorf("charged ahead after the ring: %d ms, want 0", got)
		}
	})
}

func TestRestartOnWhatTheJournalHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		h := start(t, dir, []string{"front", "back"}, nil, nil)
		h.door(0, sensor.Closed)
		h.door(1, sensor.Open)
		h.desired(1, `{"alarm_armed":true}`)
		h.end()

		// The same house, its contacts in another order and one more.
		h = start(t, dir, []string{"back", "cellar", "front"}, nil, nil)
		h.door(0, sensor.Open) // waits to be closed, as before
		h.door(1, sensor.Closed)
		if h.siren.sounds() {
			t.Error("a door that was open when arming rings after a restart")
		}
		if s, _ := h.panel.Status(t.Context()); !s.Armed {
			t.Error("armed is lost")
		}
		h.door(2, sensor.Open)
		if !h.siren.sounds() {
			t.Error("a door found open after a restart is silent")
		}
		h.end()
	})
}

func TestUnreadableJournal(t *testing.T) {
	good := string(record{Armed: true, WaitClosed: []string{}}.format())
	tests := []struct {
		name, content, reason string
	}{
		{"empty", "", "the file is empty"},
		{"cut short", good[:len(good)-1], "checksum"},
		{"one bit off", strings.Replace(good, "true", "urue", 1), "checksum"},
		{"other file", "hello\n", "first line"},
		{"zeros", string(make([]byte, 200)), "first line"},
		{"newer", strings.Replace(good, "journal 1 ", "journal 2 ", 1), "newer panel"},
	}
	for _, tt := range tests {
		for _, policy := range []OnCorrupt{StartArmed, StartDisarmed} {
			t.Run(tt.name+" "+string(policy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := t.TempDir()
					path := filepath.Join(dir, journalName)
					if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
						t.Fatal(err)
					}
					if _, err := readJournal(dir); err == nil || !strings.Contains(err.Error(), tt.reason) {
						t.Errorf("reading the journal: %v, want it to say %q", err, tt.reason)
					}
					h := start(t, dir, []string{"door"}, func(c *Config) { c.OnCorrupt = policy }, nil)
					defer h.end()
					h.door(0, sensor.Closed)
					if c := h.document(); c.AlarmArmed != (policy == StartArmed) || !slices.Contains(c.Faults, "journal") {
						t.Errorf("document %+v, want %s with the fault journal", c, policy)
					}
					if kept, err := os.ReadFile(path + ".unreadable"); err != nil || string(kept) != tt.content {
						t.Errorf("kept aside %q, %v; want the content", kept, err)
					}
					h.desired(3, `{"alarm_armed":false}`)
					if c := h.document(); c.AlarmArmed || len(c.Faults) != 0 {
						t.Errorf("document %+v after desired was read, want disarmed without faults", c)
					}
				})
			})
		}
	}
}

func TestDesiredOfEveryWrongShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := armed(t, nil)
		defer h.end()
		for _, data := range []string{
			`{}`, `{"alarm_armed":null}`, `{"alarm_armed":"false"}`, `{"alarm_armed":0}`, `{"alarm_armed":[false]}`,
			`{"alarm_armed":{}}`, `{"Alarm_armed":false}`, `{"alarm_armed":{"alarm_armed":false}}`, `null`, `[]`, `"false"`, ``,
		} {
			h.desired(9, data)
			if c := h.document(); !c.AlarmArmed {
				t.Fatalf("desired %s disarmed the house", data)
			}
		}
		for _, err := range []error{twin.ErrDocumentNotFound, twin.ErrPermissionDenied, &twin.RemoteError{Text: "x"}} {
			h.panel.Desired(twin.Document{}, err)
			if c := h.document(); !c.AlarmArmed {
				t.Fatalf("the answer %q disarmed the house", err)
			}
		}
		h.desired(9, `{"by":"somebody","alarm_armed": false }`)
		if c := h.document(); c.AlarmArmed {
			t.Error("a good desired with another key was not obeyed")
		}
	})
}

func TestCommandAtThePanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		h := start(t, dir, []string{"door"}, nil, nil)
		h.door(0, sensor.Closed)
		h.desired(4, `{"alarm_armed":true}`)
		s, err := h.panel.Command(t.Context(), false)
		if err != nil || s.Armed || s.State != "disarmed" {
			t.Errorf("status %+v, %v; want disarmed", s, err)
		}
		h.desired(4, `{"alarm_armed":true}`)
		if c := h.document(); c.AlarmArmed {
			t.Error("an old desired has armed the house again")
		}
		if err := CommandOffline(dir, true); !errors.Is(err, durable.ErrLocked) {
			t.Errorf("offline command while the panel runs: %v, want ErrLocked", err)
		}
		h.end()
		if _, err := h.panel.Command(t.Context(), true); !errors.Is(err, ErrStopped) {
			t.Errorf("command after the end: %v, want ErrStopped", err)
		}

		// Armed while no panel ran, with the door open at the start.
		if err := CommandOffline(dir, true); err != nil {
			t.Fatal(err)
		}
		h = start(t, dir, []string{"door"}, nil, nil)
		defer h.end()
		h.door(0, sensor.Open)
		h.desired(4, `{"alarm_armed":false}`)
		if c := h.document(); !c.AlarmArmed || h.siren.sounds() {
			t.Errorf("document %+v, siren %v; want armed and silent", c, h.siren.sounds())
		}
		h.door(0, sensor.Closed)
		h.door(0, sensor.Open)
		if !h.siren.sounds() {
			t.Error("armed offline, and silent when the door opens")
		}
		h.desired(5, `{"alarm_armed":false}`)
		if h.siren.sounds() {
			t.Error("a new desired did not end the command at the panel")
		}
	})
}

func TestASirenThatDoesNotObey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := armed(t, nil)
		defer h.end()
		h.siren.fails(errors.New("the line is gone"))
		h.door(0, sensor.Open)
		if c := h.document(); !slices.Contains(c.Faults, "siren") {
			t.Errorf("faults %q, want siren", c.Faults)
		}
		before := len(h.siren.all())
		h.sleep(3500 * time.Millisecond)
		if got := len(h.siren.all()) - before; got != 3 {
			t.Errorf("looked at the siren %d times in 3.5 s, want 3", got)
		}
		h.siren.fails(nil)
		h.sleep(time.Second)
		if c := h.document(); len(c.Faults) != 0 {
			t.Errorf("faults %q after the line is back, want none", c.Faults)
		}
	})
}

func TestFaultsAreWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"front", "back"}, func(c *Config) {
			c.Rules.MaxRings = 1
			c.Rules.SirenLimit = statemachine.MinSirenLimit
			c.Now = func() time.Time { return time.Unix(0, 0) }
		}, nil)
		defer h.end()
		h.door(0, sensor.Closed)
		h.door(1, sensor.Fault)
		h.desired(1, `{"alarm_armed":true}`)
		h.door(0, sensor.Open)
		h.sleep(time.Minute)
		c := h.document()
		if want := []string{"back", "clock", "rings_used"}; !slices.Equal(c.Faults, want) || c.Doors["back"] != "fault" {
			t.Errorf("faults %q, doors %v; want %q", c.Faults, c.Doors, want)
		}
	})
}

func TestConfigOutOfRange(t *testing.T) {
	contact := func(names ...string) (cs []Contact) {
		for _, n := range names {
			cs = append(cs, Contact{n, make(fakeContact)})
		}
		return cs
	}
	tests := []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"no contact", func(c *Config) { c.Contacts = nil }, "contacts"},
		{"nine contacts", func(c *Config) { c.Contacts = contact("a", "b", "c", "d", "e", "f", "g", "h", "i") }, "contacts"},
		{"a name twice", func(c *Config) { c.Contacts = contact("a", "a") }, "given twice"},
		{"a name with capitals", func(c *Config) { c.Contacts = contact("Front") }, "characters"},
		{"an empty name", func(c *Config) { c.Contacts = contact("") }, "characters"},
		{"a name that is a fault", func(c *Config) { c.Contacts = contact("siren") }, "taken"},
		{"a name of the key switch", func(c *Config) { c.Contacts = contact("key") }, "taken"},
		{"a name of the buzzer", func(c *Config) { c.Contacts = contact("buzzer") }, "taken"},
		{"a key switch without contact", func(c *Config) { c.Key = &Key{} }, "key"},
		{"odd key switch", func(c *Config) { c.Key = &Key{Sensor: make(fakeContact), Type: "latched"} }, "key type"},
		{"no siren", func(c *Config) { c.Siren = nil }, "siren"},
		{"odd policy", func(c *Config) { c.OnCorrupt = "maybe" }, "on corrupt"},
		{"heartbeat too short", func(c *Config) { c.Heartbeat = time.Millisecond }, "heartbeat"},
		{"siren limit", func(c *Config) { c.Rules.SirenLimit = time.Second }, "siren limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Rules: statemachine.DefaultRules(), Contacts: contact("door"), Siren: &fakeSiren{}, StateDir: t.TempDir()}
			tt.edit(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestStateFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Rules: statemachine.DefaultRules(), Contacts: []Contact{{"door", make(fakeContact)}}, Siren: &fakeSiren{}, StateDir: file}
	_, err := New(c)
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); !ok || !strings.Contains(h.Hint(), "--state-dir") {
		t.Errorf("New on a file: %v, want an error with a hint that names --state-dir", err)
	}

	c.StateDir = filepath.Join(t.TempDir(), "new", "folder")
	c.Siren = &fakeSiren{}
	first, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Siren = &fakeSiren{}
	if _, err := New(c); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second panel on the folder: %v, want ErrLocked", err)
	}
	first.Close()
	c.Siren = &fakeSiren{}
	second, err := New(c)
	if err != nil {
		t.Fatalf("after the first is closed: %v", err)
	}
	second.Close()
}
