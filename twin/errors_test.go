package twin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/twinpanel/twinpanel/twin"
)

const testID twin.ID = "0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f"

func TestInvalidErrorNamesPlaceAndNextStep(t *testing.T) {
	tests := []struct {
		err  twin.InvalidError
		want string
	}{
		{
			twin.InvalidError{Argument: "data", Place: "data.doors[2].open", Reason: "constraint",
				Help: "null inside an array: replace the whole array without nulls"},
			"data.doors[2].open: null inside an array: replace the whole array without nulls",
		},
		{twin.InvalidError{Argument: "version", Reason: "format", Help: "send a number"}, "version: send a number"},
		{twin.InvalidError{Argument: "version", Reason: "format"}, "version: format"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("error reads\n%q, want\n%q", got, tt.want)
		}
	}
}

func TestEncodeError(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"mismatch, as the specification prints it", &twin.VersionError{Expected: 1, Actual: 2},
			`{"error":"document version mismatch","twin_id":"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f","document_name":"concurency","expected_version":1,"actual_version":2}`},
		{"mismatch with a missing document", fmt.Errorf("putting: %w", &twin.VersionError{Expected: 7}),
			`{"error":"document version mismatch","twin_id":"0f9e8d7c-6b5a-4c3d-9e1f-0a1b2c3d4e5f","document_name":"concurency","expected_version":7,"actual_version":0}`},
		{"sentinel", twin.ErrDocumentNotFound, `{"error":"document not found"}`},
		{"wrapped sentinel", fmt.Errorf("reading: %w", twin.ErrPermissionDenied), `{"error":"permission denied"}`},
		{"invalid", &twin.InvalidError{Argument: "data", Place: "data.a<b", Help: "write \"b\""}, `{"error":"data.a<b: write \"b\""}`},
		{"any other", errors.New("no space left"), `{"error":"no space left"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(twin.EncodeError(testID, "concurency", tt.err)); got != tt.want {
				t.Errorf("payload is\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestDecodeErrorReadsBackWhatWasEncoded(t *testing.T) {
	for _, err := range []error{
		&twin.VersionError{Expected: 1, Actual: 2},
		&twin.VersionError{Expected: twin.MaxVersion},
		twin.ErrDocumentNotFound,
		twin.ErrPermissionDenied,
		twin.ErrTooManyDocuments,
		&twin.RemoteError{Text: "try <later> & again"},
	} {
		if got := twin.DecodeError(twin.EncodeError(testID, "d", err)); !reflect.DeepEqual(got, err) {
			t.Errorf("%#v reads back as %#v", err, got)
		}
	}
}

func TestDecodeErrorOfAnotherHub(t *testing.T) {
	tests := []struct {
		name, payload string
		want          error
	}{
		{"empty", "", &twin.RemoteError{Text: "unreadable error answer: "}},
		{"no JSON", "<html>", &twin.RemoteError{Text: "unreadable error answer: <html>"}},
		{"no object", `["error"]`, &twin.RemoteError{Text: `unreadable error answer: ["error"]`}},
		{"no text", `{}`, &twin.RemoteError{Text: "unreadable error answer: {}"}},
		{"text of the wrong type", `{"error":5}`, &twin.RemoteError{Text: `unreadable error answer: {"error":5}`}},
		{"long nonsense", strings.Repeat("é", 40) + "\xff", &twin.RemoteError{Text: "unreadable error answer: " + strings.Repeat("é", 32) + "…"}},
		{"mismatch with the reference's one key", `{"error":"document version mismatch"}`, &twin.VersionError{}},
		{"mismatch with versions as texts", `{"error":"document version mismatch","expected_version":"1","actual_version":2}`, &twin.VersionError{Actual: 2}},
		{"sentinel with more keys", `{"error":"document not found","twin_id":"x"}`, twin.ErrDocumentNotFound},
		{"a text of its own", `{"error":"quota exceeded"}`, &twin.RemoteError{Text: "quota exceeded"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := twin.DecodeError([]byte(tt.payload)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("DecodeError(%s) = %#v, want %#v", tt.payload, got, tt.want)
			}
		})
	}
}

func FuzzDecodeError(f *testing.F) {
	for _, s := range []string{
		`{"error":"document version mismatch","expected_version":1,"actual_version":2}`, `{"error":"document not found"}`,
		`{"error":"<b>"}`, `{"error":""}`, `[]`, "\xff", `{"error":"a","expected_version":-1}`, strings.Repeat("é", 40),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		err := twin.DecodeError(payload)
		if err == nil {
			t.Fatalf("an error answer read as success: %q", payload)
		}
		encoded := twin.EncodeError(testID, "d", err)
		if !json.Valid(encoded) || !utf8.Valid(encoded) {
			t.Fatalf("%#v is encoded as %q", err, encoded)
		}
		if back := twin.DecodeError(encoded); !reflect.DeepEqual(back, err) {
			t.Errorf("%#v reads back as %#v", err, back)
		}
	})
}
