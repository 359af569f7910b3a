package conformance

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/twinpanel/twinpanel/twin"
)

func TestReferenceConforms(t *testing.T) {
	Run(t, func(*testing.T) Twin { return newReference("") })
}

// A suite is worth what it finds: each fault must make at least the check fail
// that is about it.
func TestSuiteFindsFaults(t *testing.T) {
	faults := []struct {
		fault fault
		check string
	}{
		{"missing documents are empty", "a get of a missing document is refused"},
		{"a get raises the version", "a get answers what was put and changes nothing"},
		{"a write answers the old document", "a put replaces the whole document"},
		{"a put merges", "a put replaces the whole document"},
		{"documents share a version", "documents don't touch each other"},
		{"names are not checked", "names with other characters are refused"},
		{"names can be too long", "a name can have 128 characters"},
		{"names are shorter", "a name can have 128 characters"},
		{"names can be dots", "the names . and .. are refused"},
		{"names lose their case", "names that differ in case are two documents"},
		{"names have no tilde", "names take every character of the specification"},
		{"_config is refused", "_config is a document like others"},
		{"a list has what was deleted", "a deleted document is gone"},
		{"a list leaves out _config", "a list has _config"},
		{"a list always has _config", "a list of a twin without documents is empty"},
		{"a list has one document", "a list has every document"},
		{"a delete does nothing", "a deleted document is gone"},
		{"a delete empties", "a deleted document is gone"},
		{"a delete deletes all", "a deleted document is gone"},
		{"a delete of nothing is accepted", "a delete of a missing document is refused"},
		{"a delete keeps the version", "a document put again after a delete starts at version 1"},
		{"delete all leaves _config", "delete all leaves nothing"},
		{"delete all of nothing is refused", "delete all of a twin without documents is accepted"},

		{"versions start at 0", "a put creates version 1 and answers the document"},
		{"versions start at 2", "a put creates version 1 and answers the document"},
		{"versions rise by two", "every put and patch raises the version by one"},
		{"the version stays when nothing changes", "a put that changes nothing raises the version"},
		{"the version stays when nothing changes", "a patch that changes nothing raises the version"},
		{"versions are not checked", "a put with another version is refused and writes nothing"},
		{"a patch's version is not checked", "a patch with another version is refused and writes nothing"},
		{"a version from the future is accepted", "a put with another version is refused and writes nothing"},
		{"the version before is accepted", "a put with another version is refused and writes nothing"},
		{"version 0 means no document", "a put replaces the whole document"},
		{"a refused write is written", "a put with another version is refused and writes nothing"},
		{"a mismatch swaps the versions", "a mismatch names both versions"},
		{"a mismatch is no mismatch", "what was refused for its version is accepted after a get"},
		{"a version of a missing document is accepted", "a put with a version of a missing document is a mismatch with version 0"},
		{"a version of a missing document is not found", "a put with a version of a missing document is a mismatch with version 0"},
		{"a patch creates documents", "a patch of a missing document is refused, whatever the version"},
		{"a patch with a version of a missing document is a mismatch", "a patch of a missing document is refused, whatever the version"},

		{"a patch replaces the document", "keys not in a patch stay"},
		{"a patch answers the patch", "a patch adds keys"},
		{"a patch keeps nulls", "null removes a key"},
		{"a patch ignores null", "null removes a key"},
		{"a patch keeps nulls in new objects", "nulls inside a new object are dropped"},
		{"a patch drops stored nulls", "stored nulls stay"},
		{"a patch replaces objects", "objects are patched key by key"},
		{"a patch merges one level only", "objects are patched key by key"},
		{"a patch appends to arrays", "arrays are replaced as a whole"},
		{"a patch cannot empty an array", "an array can be emptied"},
		{"a patch cannot change a type", "a number replaces an object"},
		{"an empty object in a patch is dropped", "an empty object becomes a new key"},
		{"null inside an array is accepted", "null inside an array of a patch is refused"},
		{"null inside arrays inside arrays is accepted", "null further inside an array of a patch is refused"},

		{"a put drops nulls", "a document keeps nulls of a put"},
		{"numbers are floats", "a document keeps every digit of a number"},
		{"keys are sorted", "data comes back as it was written"},
		{"keys lose their case", "a document keeps keys that differ in case"},
		{"special keys are refused", "a document keeps keys with _ . / and no character at all"},
		{"text is escaped twice", "a document keeps text as HTML has it"},
		{"text is ASCII", "a document keeps text in any script"},
		{"data can be an array", "data that is no object is refused"},
		{"duplicate keys are accepted", "duplicate keys are refused"},
		{"half characters are accepted", "text that is no Unicode is refused"},
		{"refusals name the wrong argument", "data that is no object is refused"},

		{"null for a version is refused", "version 0, null or absent is no version"},
		{"any version is accepted", "versions that are no whole number up to 4294967295 are refused"},
		{"any body is accepted", "bodies that are no JSON object are refused"},
		{"absent data is refused", "absent or null data is an empty object"},
		{"content beside data is dropped", "content beside data is refused and empties nothing"},
		{"what REST answered is refused", "a document as REST answers it can be sent back"},
		{"white space is refused", "white space is nobody's concern"},

		{"a document has a byte less", "a document can have 256 KiB"},
		{"a document has a byte more", "a document can have 256 KiB"},
		{"patches let documents grow", "a patch cannot let a document grow beyond 256 KiB"},
		{"a document has a level less", "a document can be 32 levels deep"},
		{"a document has a level more", "a document can be 32 levels deep"},
		{"there can be 99 documents", "a twin can have 100 documents"},
		{"there can be 101 documents", "a twin can have 100 documents"},
		{"a full twin takes no writes", "a twin can have 100 documents"},
		{"deleted documents count", "a twin can have 100 documents"},

		{"a version is checked, then written", "of writers with the same version exactly one wins"},
		{"a version is checked, then written", "counting with versions loses nothing"},
		{"a version is checked, then written", "puts without a version all have a version of their own"},
		{"a patch is read, then written", "patches of different keys all survive"},
	}
	for _, tt := range faults {
		t.Run(string(tt.fault), func(t *testing.T) {
			// In a bubble the writers of a race all come as far as they can before any goes on.
			synctest.Test(t, func(t *testing.T) {
				i := slices.IndexFunc(checks(), func(c check) bool { return c.name == tt.check })
				if i < 0 {
					t.Fatalf("there is no check %q", tt.check)
				}
				failures := record(t.Logf, func(r reporter) { checks()[i].do(t.Context(), r, newReference(tt.fault)) })
				if len(failures) == 0 {
					t.Errorf("the check %q doesn't notice", tt.check)
				}
			})
		})
	}
}

// A hub that chose differently wherever the specification is silent passes a
// live run, which leaves everything as it was.
func TestOtherChoicesPassInLiveRuns(t *testing.T) {
	stranger := twin.Name("somebody-elses")
	for _, choice := range []fault{
		"", "the version stays when nothing changes", "missing documents are empty", "a patch creates documents",
		"a delete keeps the version", "a delete of nothing is accepted", "a version of a missing document is accepted",
		"a mismatch swaps the versions", "a put drops nulls", "a patch keeps nulls in new objects", "numbers are floats",
		"keys are sorted", "duplicate keys are accepted", "half characters are accepted", "any version is accepted",
		"content beside data is dropped", "absent data is refused", "names are shorter",
		"null inside arrays inside arrays is accepted", "a document has a byte less", "a document has a level more",
	} {
		t.Run(string(choice), func(t *testing.T) {
			hub := newReference(choice)
			if _, err := hub.Put(t.Context(), stranger, update(0, `{"a":1}`)); err != nil {
				t.Fatal(err)
			}
			t.Run("live", func(t *testing.T) { Live(t, func(*testing.T) Twin { return hub }) })
			if names, err := hub.List(t.Context()); err != nil || !slices.Equal(names, []twin.Name{stranger}) {
				t.Errorf("after a live run the twin has %q, %v; want only what was there before", names, err)
			}
		})
	}
}

// onlyTwin hides that a twin is more than that.
type onlyTwin struct{ Twin }

func TestChecksAreLeftOutForAReason(t *testing.T) {
	full, plain := newReference(""), onlyTwin{newReference("")}
	for _, c := range checks() {
		if why := c.leftOut(full, false); why != "" {
			t.Errorf("%s: left out of a run that can do everything: %s", c.name, why)
		}
		if why := c.leftOut(plain, false); (why != "") != (c.needs != nil) {
			t.Errorf("%s: over a plain transport: %q", c.name, why)
		}
		if why := c.leftOut(full, true); (why != "") != c.alone {
			t.Errorf("%s: in a live run: %q", c.name, why)
		}
	}
}

func TestChecksHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range checks() {
		if c.name == "" || seen[c.name] || strings.Contains(c.name, "\n") {
			t.Errorf("check %q: name is empty, or taken", c.name)
		}
		seen[c.name] = true
	}
}

// silent is a transport on which every answer gets lost.
type silent struct{}

func (silent) Get(ctx context.Context, _ twin.Name) (twin.Document, error) {
	return twin.Document{}, context.DeadlineExceeded
}

func (silent) Put(ctx context.Context, _ twin.Name, _ twin.Update) (twin.Document, error) {
	return twin.Document{}, context.DeadlineExceeded
}

func (silent) Patch(ctx context.Context, _ twin.Name, _ twin.Update) (twin.Document, error) {
	return twin.Document{}, context.DeadlineExceeded
}

func TestNoCheckPassesWithoutAnswers(t *testing.T) {
	for _, c := range checks() {
		if c.needs != nil {
			continue
		}
		if failures := record(t.Logf, func(r reporter) { c.do(t.Context(), r, silent{}) }); len(failures) == 0 {
			t.Errorf("%s: passes though nothing was answered", c.name)
		}
	}
}
