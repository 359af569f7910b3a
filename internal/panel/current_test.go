package panel

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twinpanel/twinpanel/sensor"
	"github.com/twinpanel/twinpanel/twin"
)

// wantLeft compares what is left in the document; -1 = nothing runs.
func (h *house) wantLeft(when, state string, want int) {
	h.t.Helper()
	c, left := h.document(), -1
	if c.LeftS != nil {
		left = *c.LeftS
	}
	if c.State != state || left != want {
		h.t.Errorf("%s: %s with %d s left, want %s with %d", when, c.State, left, state, want)
	}
}

// The document says how long delays and rings still last, through a restart as well, and that time passes is no news.
func TestWhatIsLeftIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		rules := func(c *Config) { c.Rules.ExitDelay, c.Rules.EntryDelay = 45*time.Second, 30*time.Second }
		h := start(t, dir, []string{"door"}, rules, nil)
		h.door(0, sensor.Closed)
		h.wantLeft("at first", "disarmed", -1)
		quiet := func(d time.Duration) {
			t.Helper()
			told := h.changed
			h.sleep(d)
			if h.changed != told {
				t.Errorf("announced %d times in %v in which nothing happened", h.changed-told, d)
			}
		}

		h.desired(1, `{"alarm_armed":true}`)
		h.wantLeft("armed", "exit_delay", 45)
		quiet(100 * time.Millisecond)
		h.wantLeft("rounded up", "exit_delay", 45)
		quiet(44 * time.Second)
		h.wantLeft("in the last second", "exit_delay", 1)
		h.sleep(time.Second)
		h.wantLeft("after the exit delay", "armed", -1)

		h.door(0, sensor.Open)
		h.wantLeft("opened", "entry_delay", 30)
		quiet(29500 * time.Millisecond)
		h.wantLeft("in the last second", "entry_delay", 1)
		h.sleep(500 * time.Millisecond)
		h.wantLeft("the ring begins", "ringing", 180)
		quiet(time.Minute) // and six slices are charged
		h.wantLeft("after a minute of it", "ringing", 120)
		h.end()

		h = start(t, dir, []string{"door"}, rules, nil)
		if _, err := h.panel.Document(t.Context()); !errors.Is(err, ErrUnknown) {
			t.Errorf("document before a contact was read: %v", err)
		}
		h.door(0, sensor.Open)
		h.wantLeft("after a restart: seven slices were charged", "ringing", 110)
		quiet(109 * time.Second)
		h.wantLeft("in the last second", "ringing", 1)
		h.sleep(time.Second)
		h.wantLeft("after the ring", "silenced", -1)
		h.end()
	})
}

// Whoever reads the document knows which wish the panel has taken note of, and whether somebody at the panel has decided
// otherwise. Either is news, and waits for the journal.
func TestWhatRulesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		h := start(t, dir, []string{"door"}, nil, slowJournal(time.Second))
		h.door(0, sensor.Closed)
		do := func(what string, action func(), state string, version uint32, local, news bool) {
			t.Helper()
			told := h.changed
			action()
			if news && (h.changed != told || !h.mute()) {
				t.Errorf("%s: told before the journal holds it", what)
			}
			h.sleep(2 * time.Second)
			if (h.changed != told) != news {
				t.Errorf("%s: announced %d times, news is %v", what, h.changed-told, news)
			}
			if c := h.document(); c.State != state || c.DesiredVersion != version || c.Local != local {
				t.Errorf("%s: %+v, want %s by version %d, local %v", what, c, state, version, local)
			}
		}
		desired := func(version uint32, data string) func() { return func() { h.desired(version, data) } }
		command := func(armed bool) func() {
			return func() {
				go h.panel.Command(t.Context(), armed)
				synctest.Wait()
			}
		}
		const on, off = `{"alarm_armed":true}`, `{"alarm_armed":false}`
		do("nothing was ever desired", func() {}, "disarmed", 0, false, false)
		do("one that is none", desired(3, `{}`), "disarmed", 0, false, false)
		do("the first, which is what is", desired(4, off), "disarmed", 4, false, true)
		do("the same again", desired(4, off), "disarmed", 4, false, false)
		do("another", desired(5, on), "armed", 5, false, true)
		do("disarmed at the panel", command(false), "disarmed", 5, true, true)
		do("the same document as before", desired(5, on), "disarmed", 5, true, false)
		do("a command for what is", command(false), "disarmed", 5, true, false)
		h.end()
		h = start(t, dir, []string{"door"}, nil, slowJournal(time.Second))
		h.door(0, sensor.Closed)
		do("after a restart", func() {}, "disarmed", 5, true, false)
		do("a tap for what is", desired(6, off), "disarmed", 6, false, true)
		do("deleted and put anew", desired(1, on), "armed", 1, false, true)
		do("armed at the panel, which it is", command(true), "armed", 1, true, true)
		do("the largest version", desired(1<<32-1, on), "armed", 1<<32-1, false, true)
		h.end()

		// When no desired was ever read, the first is an old wish.
		h = start(t, t.TempDir(), []string{"door"}, nil, slowJournal(time.Second))
		h.door(0, sensor.Closed)
		do("armed at the panel", command(true), "armed", 0, true, true)
		do("an old wish", desired(7, off), "armed", 7, true, true)
		do("a new one", desired(8, off), "disarmed", 8, false, true)
		h.end()

		// But a new one, when the hub has said that there is none; other answers don't say that.
		answer := func(err error) func() { return func() { h.panel.Desired(twin.Document{}, err) } }
		for _, tt := range []struct {
			err   error
			local bool
		}{
			{twin.ErrPermissionDenied, true},
			{&twin.RemoteError{Text: "not found"}, true},
			{fmt.Errorf("get desired: %w", twin.ErrDocumentNotFound), false},
		} {
			h = start(t, t.TempDir(), []string{"door"}, nil, slowJournal(time.Second))
			h.door(0, sensor.Closed)
			do("the hub answers", answer(tt.err), "disarmed", 0, false, false)
			do("armed at the panel", command(true), "armed", 0, true, true)
			do("the hub answers again", answer(tt.err), "armed", 0, true, false)
			do("and has something that can't be read", desired(1, `{}`), "armed", 0, true, false)
			word := map[bool]string{true: "armed", false: "disarmed"}[tt.local]
			do(fmt.Sprintf("the first tap, after %q", tt.err), desired(2, off), word, 2, tt.local, true)
			h.end()
		}
	})
}

// What isn't so is not in the document at all, and the keys come in their order.
func TestKeysOfCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, t.TempDir(), []string{"door"}, nil, nil)
		defer h.end()
		want := func(words string) {
			t.Helper()
			if b, err := h.panel.Document(t.Context()); err != nil || string(b) != words {
				t.Errorf("document %s, %v; want %s", b, err, words)
			}
		}
		h.door(0, sensor.Closed)
		want(`{"alarm_armed":false,"siren_ringing":false,"door_open":false,"state":"disarmed","heartbeat_s":30}`)
		h.desired(1, `{"alarm_armed":false}`)
		if _, err := h.panel.Command(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		h.door(0, sensor.Fault)
		h.sleep(time.Second)
		want(`{"alarm_armed":true,"siren_ringing":true,"door_open":true,"state":"ringing","left_s":179,"faults":["door"],` +
			`"desired_version":1,"local":true,"heartbeat_s":30}`)
	})
}

// Bad names first: whoever asks is text of one line that is shown to people, and never keeps a wish from being obeyed.
func TestWhoAsks(t *testing.T) {
	long := strings.Repeat("0123456789", 4)
	for _, tt := range []struct{ by, want string }{
		{`null`, ""}, {`7`, ""}, {`true`, ""}, {`["Anna"]`, ""}, {`{"name":"Anna"}`, ""}, {`""`, ""}, {`" \t\u0000"`, ""},
		{`"Anna\n5s start armed"`, "Anna 5s start armed"},
		{`"\u001b[31mred\u0007"`, "[31mred"},
		{`"a\u202eb\u2028c\u200bd\ufeffe\u00a0f\ue000g"`, "ab cde fg"},
		{`"\ud800"`, "\ufffd"},
		{`"` + long + `and more"`, long},
		{`"` + long[:39] + ` 1"`, long[:39]},
		{`"` + strings.Repeat("é", 41) + `"`, strings.Repeat("é", 32)},
		{`"` + strings.Repeat("電話", 21) + `"`, strings.Repeat("電話", 10) + "電"},
		{`"` + strings.Repeat("📱", 17) + `"`, strings.Repeat("📱", 16)},

		{`"<b>&\"quoted\" # by key</b>"`, `<b>&"quoted" # by key</b>`},
		{`"  Anna's   phone "`, "Anna's phone"},
		{`"Hélène"`, "Hélène"},
	} {
		t.Run(tt.by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, t.TempDir(), []string{"door"}, nil, nil)
				defer h.end()
				h.door(0, sensor.Closed)
				h.desired(1, `{"by":`+tt.by+`,"alarm_armed":true}`)
				if got, want := h.told(), "armed||desired 1|"+tt.want; len(got) != 1 || got[0] != strings.TrimSuffix(want, "|") {
					t.Errorf("events %q, want %q", got, want)
				}
			})
		})
	}
}
