package panel

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/twinpanel/twinpanel/statemachine"
)

func TestJournalKeepsAllThatIsSaved(t *testing.T) {
	names := []string{"front", "back"}
	saved := statemachine.Saved{
		Armed: true, Local: true, Seen: 1<<32 - 1, Entering: true, Rings: 2, Charged: 20 * time.Second, Prepaid: 10 * time.Second,
		Waits: [statemachine.MaxContacts]bool{false, true},
	}
	for i := range reflect.TypeFor[statemachine.Saved]().NumField() {
		if reflect.ValueOf(saved).Field(i).IsZero() {
			t.Errorf("this test leaves out %s", reflect.TypeFor[statemachine.Saved]().Field(i).Name)
		}
	}
	r, err := parseRecord(newRecord(saved, names).format())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.saved(names); got != saved {
		t.Errorf("got  %+v\nwant %+v", got, saved)
	}
}

// The format is on disks out there: this very text must always be readable.
func TestJournalFormat1(t *testing.T) {
	const text = "twinpanel-journal 1 eac42690\n" +
		`{"armed":true,"local":false,"desired_seen":7,"entering":false,"rings":1,"charged_ms":20000,"wait_closed":["back"]}` + "\n"
	r, err := parseRecord([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(r.format()); got != text {
		t.Errorf("written again it is\n%s, was\n%s", got, text)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(record{}.format())
	f.Add(newRecord(statemachine.Saved{Armed: true, Rings: 1, Charged: time.Second}, nil).format())
	f.Add([]byte("twinpanel-journal 2 00000000\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		// What is accepted can be used, and means the same when written again.
		again, err := parseRecord(r.format())
		if err != nil {
			t.Fatalf("%q is accepted, but not after writing it again: %v", b, err)
		}
		if !bytes.Equal(again.format(), r.format()) {
			t.Fatalf("%+v became %+v", r, again)
		}
		s := statemachine.Restore(statemachine.DefaultRules(), r.saved([]string{"door"}))
		if s.Armed() != r.Armed {
			t.Fatalf("armed %v was restored as %v", r.Armed, s.Armed())
		}
		statemachine.Step(s, statemachine.Event{Kind: statemachine.ContactRead, Reading: statemachine.Open})
		// One changed bit is noticed.
		i := len(b) / 2
		b[i] ^= 1
		if _, err := parseRecord(b); err == nil {
			t.Fatalf("a changed bit at %d goes unnoticed in %q", i, b)
		}
	})
}
