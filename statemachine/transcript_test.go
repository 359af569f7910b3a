package statemachine

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestStories plays every transcript in testdata and compares it, answers included. A
// line that begins with a time is what happens to the panel; the indented lines below are
// what the panel makes of it. See testdata/README.md.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(want))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal([]byte(got), want) {
				t.Errorf("%s: the panel does otherwise; got:\n%s\nIf that is right: go test ./statemachine -update, and review the difference.", file, got)
			}
		})
	}
}

// A story is a transcript while it is played.
type story struct {
	out      strings.Builder
	rules    Rules
	contacts []string
	state    State
	due      time.Duration
	siren    bool
	saved    Saved         // what the journal holds
	start    time.Duration // story time at which this run of the panel began
}

// play reads a transcript's events and writes the whole transcript anew.
func play(text string) (string, error) {
	s := &story{rules: DefaultRules(), contacts: []string{"door"}}
	started := false
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "    "): // an answer; made anew
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		case strings.HasPrefix(line, "rules "):
			if err := s.readRules(line); err != nil {
				return "", fmt.Errorf("line %d: %w", n+1, err)
			}
			fmt.Fprintln(&s.out, line)
		default:
			if !started {
				s.state, started = New(s.rules), true
			}
			if err := s.event(line); err != nil {
				return "", fmt.Errorf("line %d: %w", n+1, err)
			}
		}
	}
	return s.out.String(), nil
}

func (s *story) readRules(line string) error {
	for _, word := range strings.Fields(line)[1:] {
		key, value, _ := strings.Cut(word, "=")
		d, derr := time.ParseDuration(value)
		n, nerr := strconv.Atoi(value)
		switch key {
		case "contacts":
			s.contacts = strings.Split(value, ",")
			s.rules.Contacts = len(s.contacts)
		case "exit":
			s.rules.ExitDelay = d
		case "entry":
			s.rules.EntryDelay = d
		case "siren":
			s.rules.SirenLimit = d
		case "rings":
			s.rules.MaxRings = n
		default:
			return fmt.Errorf("unknown rule %q", key)
		}
		if key != "contacts" && derr != nil && nerr != nil {
			return fmt.Errorf("bad value %q", word)
		}
	}
	return s.rules.Validate()
}

func (s *story) event(line string) error {
	word, what, _ := strings.Cut(line, " ")
	at, err := time.ParseDuration(word)
	if err != nil {
		return err
	}
	what = strings.TrimSpace(what)
	for s.due != 0 && s.start+s.due < at {
		s.step(Event{At: s.due}, fmt.Sprintf("at %v: ", s.start+s.due))
	}
	fmt.Fprintln(&s.out, line)
	e := Event{At: at - s.start}
	f := strings.Fields(what)
	switch {
	case what == "power cut":
		s.start = at
		s.due = 0
		if s.siren {
			s.siren = false
			fmt.Fprintln(&s.out, "    siren off")
		}
		s.state = Restore(s.rules, s.saved)
		fmt.Fprintf(&s.out, "    restarts as %s\n", s.savedWords())
		return nil
	case what == "time passes":
	case what == "desired unreadable":
		e.Kind = DesiredUnreadable
	case len(f) == 3 && f[0] == "desired" && (f[2] == "armed" || f[2] == "disarmed"):
		v, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil {
			return err
		}
		e.Kind, e.Version, e.Armed = DesiredRead, uint32(v), f[2] == "armed"
	case what == "panel arm", what == "panel disarm":
		e.Kind, e.Armed = LocalCommand, what == "panel arm"
	case len(f) == 2 && slices.Contains(s.contacts, f[0]):
		r := slices.Index([]string{"unknown", "closed", "open", "fault"}, f[1])
		if r < int(Closed) {
			return fmt.Errorf("%q is no reading", f[1])
		}
		e.Kind, e.Contact, e.Reading = ContactRead, slices.Index(s.contacts, f[0]), Reading(r)
	default:
		return fmt.Errorf("unknown event %q", what)
	}
	s.step(e, "")
	return nil
}

// step feeds one event and writes what came of it.
func (s *story) step(e Event, prefix string) {
	var out Output
	before := s.state.Word()
	s.state, out = Step(s.state, e)
	s.due = out.Due
	say := func(format string, args ...any) {
		fmt.Fprintf(&s.out, "    "+prefix+format+"\n", args...)
	}
	if s.siren && !out.Siren {
		say("SIREN OFF")
	}
	for _, n := range out.Notes {
		if n.Contact == NoContact {
			say("%s", n.What)
		} else {
			say("%s: %s", s.contacts[n.Contact], n.What)
		}
	}
	s.saved = s.state.Saved()
	if out.Save {
		say("journal: %s", s.savedWords())
	}
	if !s.siren && out.Siren {
		say("SIREN ON")
	}
	s.siren = out.Siren
	if w := s.state.Word(); w != before {
		say("state: %s", w)
	}
}

func (s *story) savedWords() string {
	words := []string{"disarmed"}
	if s.saved.Armed {
		words[0] = "armed"
	}
	if s.saved.Local {
		words = append(words, "by a command at the panel")
	}
	if s.saved.Seen != 0 {
		words = append(words, fmt.Sprintf("desired %d seen", s.saved.Seen))
	}
	if s.saved.Entering {
		words = append(words, "entering")
	}
	if s.saved.Rings != 0 {
		words = append(words, fmt.Sprintf("rings %d", s.saved.Rings))
	}
	if s.saved.Charged != 0 {
		words = append(words, fmt.Sprintf("charged %v", s.saved.Charged))
	}
	for i, name := range s.contacts {
		if s.saved.Waits[i] {
			words = append(words, name+" waits")
		}
	}
	return strings.Join(words, ", ")
}
