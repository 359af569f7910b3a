package history

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	r, err := Create(file)
	if err != nil {
		t.Fatal(err)
	}
	data := Data{Of: "1/shared"}.After(Put, 4).After(Patch, 7)
	want := []Event{
		{Kind: Patch, ID: 7, Process: "panel-1", Conn: 3, Device: "d", Document: "1/shared", If: 5, Outcome: OK, Version: 6, Data: data, Call: 1, Return: 2},
		{Kind: Get, Process: "app-1", Document: "1/shared", Noticed: true, Outcome: Unknown, Note: "hub \"gone\"\n", Call: 3, Return: 4},
		{Kind: Connect, Process: "panel-1", Watches: "1/desired", Outcome: Denied, Call: r.Now(), Return: r.Now()},
	}
	for _, e := range want {
		r.Add(e)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var got []Event
	if err := Read(file, func(e *Event) { got = append(got, *e) }); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if b, err := os.ReadFile(file); err != nil || strings.Count(string(b), "\n") != len(want) {
		t.Errorf("not one line for each event: %s, %v", b, err)
	}
}

func TestTornHistoryIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(file, []byte(`{"kind":"get"}`+"\n"+`{"kind":"g`), 0o600); err != nil {
		t.Fatal(err)
	}
	events := 0
	if err := Read(file, func(*Event) { events++ }); err == nil || events != 1 {
		t.Errorf("%d events and error %v, want 1 and an error", events, err)
	}
}

func TestDataAfterWrites(t *testing.T) {
	d := Data{}.After(Put, 5)
	if want := (Data{Put: 5, Last: 5}); d != want {
		t.Errorf("after a put: %+v, want %+v", d, want)
	}
	d = d.After(Patch, 6).After(Patch, 10).After(Patch, 9)
	if want := (Data{Put: 5, Last: 9, Slots: [Slots]uint32{1: 9, 2: 10}}); d != want {
		t.Errorf("after patches: %+v, want %+v", d, want)
	}
	if want := (Data{Put: 11, Last: 11}); d.After(Put, 11) != want {
		t.Errorf("after another put: %+v, want %+v", d.After(Put, 11), want)
	}
}
