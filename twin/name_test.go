package twin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/twin"
)

func TestParseName(t *testing.T) {
	tests := []struct {
		name, input, reason string // no reason = accepted
	}{
		{"empty", "", "required"},
		{"dot, which URLs swallow", ".", "format"},
		{"two dots", "..", "format"},
		{"slash", "a/b", "format"},
		{"backslash", `a\b`, "format"},
		{"space", "front door", "format"},
		{"percent", "%2e", "format"},
		{"wildcard", "+", "format"},
		{"NUL", "a\x00", "format"},
		{"newline at the end", "desired\n", "format"},
		{"letter beyond ASCII", "tür", "format"},
		{"invalid UTF-8", "\xff", "format"},
		{"one too long", strings.Repeat("n", twin.MaxNameLen+1), "constraint"},
		{"as long as can be", strings.Repeat("n", twin.MaxNameLen), ""},
		{"one character", "d", ""},
		{"three dots", "...", ""},
		{"every kind of character", "aZ09-_.~", ""},
		{"the reserved name", string(twin.ConfigName), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := twin.ParseName(tt.input)
			if tt.reason == "" {
				if err != nil || string(got) != tt.input {
					t.Fatalf("ParseName(%q) = %q, %v; want it accepted", tt.input, got, err)
				}
				return
			}
			wantInvalid(t, err, "document_name", "", tt.reason)
		})
	}
}

func TestParseID(t *testing.T) {
	const id = "0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f"
	for _, bad := range []string{
		"", "me", id + "0", id[1:], "{" + id + "}", "urn:uuid:" + id,
		strings.ReplaceAll(id, "-", ""),
		"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5g",
		"0f9e8d7c06b5a-4c3d-9e1f-0a1b2c3d4e5f",
		"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5é"[:36],
	} {
		_, err := twin.ParseID(bad)
		wantInvalid(t, err, "twin_id", "", "format")
	}
	for _, good := range []string{id, strings.ToUpper(id)} {
		if got, err := twin.ParseID(good); err != nil || got != id {
			t.Errorf("ParseID(%q) = %q, %v; want %q", good, got, err, id)
		}
	}
}

// wantInvalid fails unless err is an InvalidError with these parts and a help
// text that fits one line.
func wantInvalid(t *testing.T, err error, argument, place, reason string) {
	t.Helper()
	invalid, ok := errors.AsType[*twin.InvalidError](err)
	if !ok {
		t.Fatalf("error is %T (%v), want *twin.InvalidError for %s", err, err, argument)
	}
	if invalid.Argument != argument || invalid.Place != place || invalid.Reason != reason {
		t.Errorf("refused argument %q, place %q, reason %q; want %q, %q, %q",
			invalid.Argument, invalid.Place, invalid.Reason, argument, place, reason)
	}
	if invalid.Help == "" || strings.Contains(invalid.Help, "\n") {
		t.Errorf("help is %q, want one line", invalid.Help)
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"desired", "_config", ".", "..", "a/b", "ü", strings.Repeat("n", 129), "a\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := twin.ParseName(s)
		if err != nil {
			if name != "" {
				t.Errorf("refused %q and returned %q", s, name)
			}
			return
		}
		if string(name) != s {
			t.Errorf("ParseName(%q) = %q: a name is never changed", s, name)
		}
		// An accepted name survives a topic and is one part of a URL's path.
		topic := twin.Topic{Twin: twin.Me, Document: s, Method: twin.Get}
		if back, err := twin.ParseTopic(topic.String()); err != nil || back != topic {
			t.Errorf("topic %q reads back as %+v, %v", topic, back, err)
		}
		if strings.Trim(s, "-_.~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("accepted %q, which holds other characters than the specification's", s)
		}
	})
}
