package transcript

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

// A House is what the line "rules" says: the rules, and the names of the contacts.
type House struct {
	Contacts []string
	Rules    statemachine.Rules
}

// DefaultHouse is that of a transcript without rules.
func DefaultHouse() House { return House{[]string{"door"}, statemachine.DefaultRules()} }

// String is the line "rules" with all of the choices.
func (h House) String() string {
	return fmt.Sprintf("rules contacts=%s exit=%s entry=%s siren=%s rings=%d", strings.Join(h.Contacts, ","),
		seconds(h.Rules.ExitDelay), seconds(h.Rules.EntryDelay), seconds(h.Rules.SirenLimit), h.Rules.MaxRings)
}

// seconds is a delay as people write it: 180s, where String says 3m0s.
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return d.String()
}

var contactName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

// parseHouse reads the choices of a line "rules" over those of before.
func parseHouse(words []string, before House) (House, error) {
	h := before
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "contacts":
			h.Contacts = strings.Split(value, ",")
			h.Rules.Contacts = len(h.Contacts)
			err = checkNames(h.Contacts)
		case "exit":
			h.Rules.ExitDelay, err = time.ParseDuration(value)
		case "entry":
			h.Rules.EntryDelay, err = time.ParseDuration(value)
		case "siren":
			h.Rules.SirenLimit, err = time.ParseDuration(value)
		case "rings":
			h.Rules.MaxRings, err = strconv.Atoi(value)
		default:
			return before, fmt.Errorf("unknown rule %q: expected contacts, exit, entry, siren or rings", key)
		}
		if err != nil {
			return before, fmt.Errorf("rule %q: %w", word, err)
		}
	}
	return h, h.Rules.Validate()
}

func checkNames(names []string) error {
	for i, name := range names {
		if !contactName.MatchString(name) {
			return fmt.Errorf("%q is no name of a contact", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("the contact %q is there twice", name)
		}
	}
	return nil
}

// Saved is what a journal holds, in words: "armed, desired 7 seen, rings 1, charged 20s, back waits".
func Saved(contacts []string, s statemachine.Saved) string {
	words := []string{"disarmed"}
	if s.Armed {
		words[0] = "armed"
	}
	if s.Local {
		words = append(words, "by a command at the panel")
	}
	if s.Seen != 0 {
		words = append(words, fmt.Sprintf("desired %d seen", s.Seen))
	}
	if s.Entering {
		words = append(words, "entering")
	}
	if s.Rings != 0 {
		words = append(words, fmt.Sprintf("rings %d", s.Rings))
	}
	if s.Charged != 0 {
		words = append(words, fmt.Sprintf("charged %v", s.Charged))
	}
	if s.Prepaid != 0 {
		words = append(words, fmt.Sprintf("prepaid %v", s.Prepaid))
	}
	for i, name := range contacts {
		if s.Waits[i] {
			words = append(words, name+" waits")
		}
	}
	return strings.Join(words, ", ")
}

// parseSaved reads what Saved has written. Contacts that are not there are an error.
func parseSaved(contacts []string, text string) (s statemachine.Saved, err error) {
	first, rest, more := strings.Cut(text, ", ")
	switch first {
	case "armed":
		s.Armed = true
	case "disarmed":
	default:
		return s, fmt.Errorf("a start is armed or disarmed, not %q", first)
	}
	for more {
		var part string
		part, rest, more = strings.Cut(rest, ", ")
		f := strings.Fields(part)
		var n uint64
		switch {
		case part == "by a command at the panel":
			s.Local = true
		case part == "entering":
			s.Entering = true
		case len(f) == 3 && f[0] == "desired" && f[2] == "seen":
			n, err = strconv.ParseUint(f[1], 10, 32)
			s.Seen = uint32(n)
		case len(f) == 2 && f[1] == "waits":
			i := slices.Index(contacts, f[0])
			if i < 0 {
				return s, fmt.Errorf("there is no contact %q", f[0])
			}
			s.Waits[i] = true
		case len(f) == 2 && f[0] == "rings":
			n, err = strconv.ParseUint(f[1], 10, 8)
			s.Rings = int(n)
		case len(f) == 2 && f[0] == "charged":
			s.Charged, err = time.ParseDuration(f[1])
		case len(f) == 2 && f[0] == "prepaid":
			s.Prepaid, err = time.ParseDuration(f[1])
		default:
			return s, fmt.Errorf("unknown word %q of a journal", part)
		}
		if err != nil {
			return s, fmt.Errorf("%q: %w", part, err)
		}
	}
	return s, nil
}
