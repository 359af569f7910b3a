// Package storetest is the contract of [docstore.Store] as tests: every store
// of the project passes them.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/twinpanel/twinpanel/hub/docstore"
	"github.com/twinpanel/twinpanel/twin"
)

// Two twins that the tests use.
const (
	Panel twin.ID = "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e01"
	Other twin.ID = "0b6e2b2e-7a4b-4c39-9d5e-2f6b5c1a9e02"
)

// Run tests the stores that open returns, each of them new and empty. The
// tests close them.
func Run(t *testing.T, open func(t *testing.T) docstore.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, docstore.Store)
	}{
		{"PutConditions", testPutConditions},
		{"DeleteConditions", testDeleteConditions},
		{"RefusedWriteChangesNothing", testRefusedWriteChangesNothing},
		{"MissingDocument", testMissingDocument},
		{"VersionStartsAgainAfterDelete", testVersionStartsAgainAfterDelete},
		{"SetRefuses", testSetRefuses},
		{"SetGivesAVersion", testSetGivesAVersion},
		{"KeepsBytes", testKeepsBytes},
		{"KeepsNoReference", testKeepsNoReference},
		{"ListIsInByteOrder", testListIsInByteOrder},
		{"PagesShowEverything", testPagesShowEverything},
		{"TwinsAreApart", testTwinsAreApart},
		{"TooManyDocuments", testTooManyDocuments},
		{"EndedContext", testEndedContext},
		{"Closed", testClosed},
		{"WritersTakeTurns", testWritersTakeTurns},
		{"OneWinsAVersion", testOneWinsAVersion},
		{"ReadersSeeWholeDocuments", testReadersSeeWholeDocuments},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			test.run(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func key(name twin.Name) docstore.Key { return docstore.Key{Twin: Panel, Name: name} }

// put writes a document that must be accepted.
func put(t *testing.T, s docstore.Store, k docstore.Key, data string) uint32 {
	t.Helper()
	version, err := s.Put(t.Context(), k, docstore.Any, []byte(data))
	if err != nil {
		t.Fatalf("Put(%v): %v", k, err)
	}
	return version
}

// putTimes writes a document n times, so that it has version n.
func putTimes(t *testing.T, s docstore.Store, k docstore.Key, n int) {
	t.Helper()
	for range n {
		put(t, s, k, "{}")
	}
}

func check(t *testing.T, s docstore.Store, k docstore.Key, version uint32, data string) {
	t.Helper()
	doc, err := s.Get(t.Context(), k)
	if err != nil || doc.Version != version || string(doc.Data) != data {
		t.Errorf("Get(%v) = %d %.40q, %v; want %d %.40q", k, doc.Version, doc.Data, err, version, data)
	}
}

func checkMissing(t *testing.T, s docstore.Store, k docstore.Key) {
	t.Helper()
	if doc, err := s.Get(t.Context(), k); !errors.Is(err, twin.ErrDocumentNotFound) {
		t.Errorf("Get(%v) = %d %.40q, %v; want %v", k, doc.Version, doc.Data, err, twin.ErrDocumentNotFound)
	}
}

// conditions are what a write can ask for, and what it meets.
var conditions = []struct {
	name     string
	cond     docstore.If
	there    int // versions written before; 0 = no document
	mismatch *twin.VersionError
}{
	{"an older version", 2, 3, &twin.VersionError{Expected: 2, Actual: 3}},
	{"a newer version", 4, 3, &twin.VersionError{Expected: 4, Actual: 3}},
	{"the highest version", twin.MaxVersion, 3, &twin.VersionError{Expected: twin.MaxVersion, Actual: 3}},
	{"a version of nothing", 1, 0, &twin.VersionError{Expected: 1, Actual: 0}},
	{"absent but there", docstore.Absent, 1, &twin.VersionError{Expected: 0, Actual: 1}},
	{"absent", docstore.Absent, 0, nil},
	{"any, nothing there", docstore.Any, 0, nil},
	{"any", docstore.Any, 3, nil},
	{"the version", 3, 3, nil},
}

func checkMismatch(t *testing.T, what string, err error, want *twin.VersionError) {
	t.Helper()
	got, ok := errors.AsType[*twin.VersionError](err)
	if !ok || *got != *want {
		t.Errorf("%s: %v (%+v), want a mismatch %+v", what, err, got, *want)
	}
}

func testPutConditions(t *testing.T, s docstore.Store) {
	for i, c := range conditions {
		k := key(twin.Name(fmt.Sprint("document-", i)))
		putTimes(t, s, k, c.there)
		version, err := s.Put(t.Context(), k, c.cond, []byte(`{"new":1}`))
		switch {
		case c.mismatch != nil:
			checkMismatch(t, c.name, err, c.mismatch)
		case err != nil || int(version) != c.there+1:
			t.Errorf("%s: version %d, %v; want %d", c.name, version, err, c.there+1)
		default:
			check(t, s, k, version, `{"new":1}`)
		}
	}
}

func testDeleteConditions(t *testing.T, s docstore.Store) {
	for i, c := range conditions {
		k := key(twin.Name(fmt.Sprint("document-", i)))
		putTimes(t, s, k, c.there)
		err := s.Delete(t.Context(), k, c.cond)
		switch {
		case c.there == 0:
			if !errors.Is(err, twin.ErrDocumentNotFound) {
				t.Errorf("%s: %v, want %v", c.name, err, twin.ErrDocumentNotFound)
			}
		case c.mismatch != nil:
			checkMismatch(t, c.name, err, c.mismatch)
			check(t, s, k, uint32(c.there), "{}")
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		default:
			checkMissing(t, s, k)
		}
	}
}

func testRefusedWriteChangesNothing(t *testing.T, s docstore.Store) {
	put(t, s, key("desired"), `{"alarm_armed":true}`)
	if _, err := s.Put(t.Context(), key("desired"), 7, []byte(`{}`)); err == nil {
		t.Error("Put with a wrong version was accepted")
	}
	check(t, s, key("desired"), 1, `{"alarm_armed":true}`)
	if _, err := s.Put(t.Context(), key("current"), 7, []byte(`{}`)); err == nil {
		t.Error("Put with a version of nothing was accepted")
	}
	checkMissing(t, s, key("current"))
}

func testMissingDocument(t *testing.T, s docstore.Store) {
	checkMissing(t, s, key("desired"))
	if err := s.DeleteAll(t.Context(), Panel); err != nil {
		t.Errorf("DeleteAll of an empty twin: %v", err)
	}
	names, err := s.List(t.Context(), Panel)
	if err != nil || names == nil || len(names) != 0 {
		t.Errorf("List of an empty twin = %#v, %v; want an empty list that is not nil", names, err)
	}
}

func testVersionStartsAgainAfterDelete(t *testing.T, s docstore.Store) {
	for _, remove := range []func() error{
		func() error { return s.Delete(t.Context(), key("desired"), docstore.Any) },
		func() error { return s.DeleteAll(t.Context(), Panel) },
	} {
		putTimes(t, s, key("desired"), 3)
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		checkMissing(t, s, key("desired"))
		if version := put(t, s, key("desired"), "{}"); version != 1 {
			t.Errorf("a new document after a removed one has version %d, want 1", version)
		}
		if err := s.Delete(t.Context(), key("desired"), 1); err != nil {
			t.Fatal(err)
		}
	}
}

func testSetRefuses(t *testing.T, s docstore.Store) {
	putTimes(t, s, key("desired"), 2)
	for _, name := range []twin.Name{"desired", "current"} {
		if err := s.Set(t.Context(), key(name), docstore.Document{Data: []byte("[]")}); !errors.Is(err, docstore.ErrNoVersion) {
			t.Errorf("Set of version 0 of %s: %v, want %v", name, err, docstore.ErrNoVersion)
		}
	}
	check(t, s, key("desired"), 2, "{}")
	checkMissing(t, s, key("current"))
}

// testSetGivesAVersion sets whatever is there, and goes on from that version.
func testSetGivesAVersion(t *testing.T, s docstore.Store) {
	set := func(version uint32, data string) {
		t.Helper()
		if err := s.Set(t.Context(), key("desired"), docstore.Document{Version: version, Data: []byte(data)}); err != nil {
			t.Errorf("Set to version %d: %v", version, err)
		}
		check(t, s, key("desired"), version, data)
	}
	set(7, `{"new":1}`)
	_, err := s.Put(t.Context(), key("desired"), 1, []byte("{}"))
	checkMismatch(t, "Put on version 1", err, &twin.VersionError{Expected: 1, Actual: 7})
	if version, err := s.Put(t.Context(), key("desired"), 7, []byte("{}")); version != 8 || err != nil {
		t.Errorf("Put after Set to 7: version %d, %v; want 8", version, err)
	}
	set(8, `{"same version":1}`)
	set(3, `{"back":1}`)
	set(twin.MaxVersion, `{"last":1}`)
	if version, err := s.Put(t.Context(), key("desired"), docstore.Any, []byte("{}")); err == nil {
		t.Errorf("Put after the last version gave %d", version)
	}
	set(1, "")
	if err := s.Set(t.Context(), docstore.Key{Twin: Other, Name: "desired"}, docstore.Document{Version: 4, Data: []byte("{}")}); err != nil {
		t.Error(err)
	}
	check(t, s, key("desired"), 1, "")
	if names, err := s.List(t.Context(), Panel); err != nil || !slices.Equal(names, []twin.Name{"desired"}) {
		t.Errorf("List = %q, %v; want desired alone", names, err)
	}
}

func testKeepsBytes(t *testing.T, s docstore.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for i, data := range [][]byte{
		nil,
		{},
		[]byte(`{"n":1.000000000000000000000000000001e+2,"ü":"\u00fc"}`),
		every,
		bytes.Repeat([]byte("0123456789abcdef"), twin.MaxDataSize/16),
	} {
		if version := put(t, s, key("current"), string(data)); version != uint32(i+1) {
			t.Errorf("put %d has version %d", i+1, version)
		}
		check(t, s, key("current"), uint32(i+1), string(data))
		if err := s.Set(t.Context(), key("set"), docstore.Document{Version: 1, Data: data}); err != nil {
			t.Error(err)
		}
		check(t, s, key("set"), 1, string(data))
	}
	if _, err := s.Put(t.Context(), key("nil"), docstore.Absent, nil); err != nil {
		t.Error(err)
	}
	check(t, s, key("nil"), 1, "")
}

func testKeepsNoReference(t *testing.T, s docstore.Store) {
	data := []byte(`{"a":1}`)
	if _, err := s.Put(t.Context(), key("current"), docstore.Any, data); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), key("desired"), docstore.Document{Version: 1, Data: data}); err != nil {
		t.Fatal(err)
	}
	copy(data, "xxxxxxx")
	check(t, s, key("current"), 1, `{"a":1}`)
	check(t, s, key("desired"), 1, `{"a":1}`)
}

func testListIsInByteOrder(t *testing.T, s docstore.Store) {
	want := []twin.Name{"-", "...", "0", "10", "9", "A", "Z", "_config", "a", "desired", "desired2", "~"}
	for _, name := range slices.Backward(want) {
		put(t, s, key(name), "{}")
	}
	got, err := s.List(t.Context(), Panel)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("List = %q, %v; want %q", got, err, want)
	}
}

func testPagesShowEverything(t *testing.T, s docstore.Store) {
	if page, err := s.Page(t.Context(), docstore.Key{}, 10); err != nil || page == nil || len(page) != 0 {
		t.Errorf("Page of an empty store = %#v, %v; want an empty one that is not nil", page, err)
	}
	var want []docstore.Entry
	for _, id := range []twin.ID{Panel, Other} {
		for _, name := range []twin.Name{"-", "10", "9", "A", "Z", "_config", "a", "desired", "desired2", "~"} {
			n := uint32(len(want) + 1)
			want = append(want, docstore.Entry{
				Key:      docstore.Key{Twin: id, Name: name},
				Document: docstore.Document{Version: twin.MaxVersion - n, Data: fmt.Appendf(nil, `{"n":%d}`, n)},
			})
		}
	}
	for _, e := range slices.Backward(want) {
		if err := s.Set(t.Context(), e.Key, e.Document); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 3, 10, len(want), len(want) + 1} {
		var got []docstore.Entry
		var after docstore.Key
		for {
			page, err := s.Page(t.Context(), after, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("Page(%v, %d) = %d documents, %v", after, limit, len(page), err)
			}
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			after = page[limit-1].Key
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
	// What is gone meanwhile, also the document that the last page ended with, is no hindrance.
	if err := s.DeleteAll(t.Context(), Panel); err != nil {
		t.Fatal(err)
	}
	page, err := s.Page(t.Context(), docstore.Key{Twin: Panel, Name: "a"}, 2)
	if err != nil || !reflect.DeepEqual(page, want[10:12]) {
		t.Errorf("Page after a document that is gone = %v, %v; want %v", page, err, want[10:12])
	}
}

func testTwinsAreApart(t *testing.T, s docstore.Store) {
	other := docstore.Key{Twin: Other, Name: "desired"}
	put(t, s, other, `{"other":true}`)
	checkMissing(t, s, key("desired"))
	put(t, s, key("desired"), `{"panel":true}`)
	put(t, s, key("current"), `{}`)
	if err := s.DeleteAll(t.Context(), Panel); err != nil {
		t.Fatal(err)
	}
	checkMissing(t, s, key("desired"))
	checkMissing(t, s, key("current"))
	check(t, s, other, 1, `{"other":true}`)
}

func testTooManyDocuments(t *testing.T, s docstore.Store) {
	for i := range twin.MaxDocuments {
		put(t, s, key(twin.Name(fmt.Sprint("document-", i))), "{}")
	}
	if _, err := s.Put(t.Context(), key("one-more"), docstore.Any, []byte("{}")); !errors.Is(err, twin.ErrTooManyDocuments) {
		t.Errorf("one document more: %v, want %v", err, twin.ErrTooManyDocuments)
	}
	if err := s.Set(t.Context(), key("one-more"), docstore.Document{Version: 5, Data: []byte("{}")}); !errors.Is(err, twin.ErrTooManyDocuments) {
		t.Errorf("one document more by Set: %v, want %v", err, twin.ErrTooManyDocuments)
	}
	checkMissing(t, s, key("one-more"))
	if err := s.Set(t.Context(), key("document-1"), docstore.Document{Version: 5, Data: []byte("{}")}); err != nil {
		t.Errorf("Set of a document of a full twin: %v", err)
	}
	if version := put(t, s, key("document-0"), "{}"); version != 2 {
		t.Errorf("a document of a full twin got version %d, want 2", version)
	}
	put(t, s, docstore.Key{Twin: Other, Name: "desired"}, "{}")
	if err := s.Delete(t.Context(), key("document-0"), docstore.Any); err != nil {
		t.Fatal(err)
	}
	put(t, s, key("one-more"), "{}")
}

// everyCall makes each call of a store once and returns their errors.
func everyCall(ctx context.Context, s docstore.Store) map[string]error {
	_, get := s.Get(ctx, key("desired"))
	_, put := s.Put(ctx, key("desired"), docstore.Any, []byte("{}"))
	_, list := s.List(ctx, Panel)
	_, page := s.Page(ctx, docstore.Key{}, 1)
	return map[string]error{
		"Get": get, "Put": put, "List": list, "Page": page,
		"Set":       s.Set(ctx, key("desired"), docstore.Document{Version: 5, Data: []byte("{}")}),
		"Delete":    s.Delete(ctx, key("desired"), docstore.Any),
		"DeleteAll": s.DeleteAll(ctx, Panel),
	}
}

func testEndedContext(t *testing.T, s docstore.Store) {
	put(t, s, key("desired"), `{"alarm_armed":true}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for call, err := range everyCall(ctx, s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context: %v, want %v", call, err, context.Canceled)
		}
		if unknown, ok := errors.AsType[*docstore.OutcomeError](err); ok {
			t.Errorf("%s with an ended context claims not to know its outcome: %v", call, unknown)
		}
	}
	check(t, s, key("desired"), 1, `{"alarm_armed":true}`)
}

func testClosed(t *testing.T, s docstore.Store) {
	put(t, s, key("desired"), "{}")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for call, err := range everyCall(t.Context(), s) {
		if !errors.Is(err, docstore.ErrClosed) {
			t.Errorf("%s after Close: %v, want %v", call, err, docstore.ErrClosed)
		}
	}
}
