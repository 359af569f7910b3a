package twin

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// Conditions that callers branch on. Their texts are what goes over MQTT.
var (
	ErrDocumentNotFound = errors.New("document not found")
	ErrPermissionDenied = errors.New("permission denied")
	ErrTooManyDocuments = errors.New("too many documents") // more than MaxDocuments in one twin
)

// mismatchText is the specification's text of a version error.
const mismatchText = "document version mismatch"

// A VersionError says that a write named another version than the document has.
type VersionError struct {
	Expected uint32 // what the writer expected
	Actual   uint32 // what the document has; 0 = there is no document
}

// Error is the specification's text: "document version mismatch".
func (e *VersionError) Error() string { return mismatchText }

// An InvalidError says what of a request cannot be accepted, where, and why.
type InvalidError struct {
	Argument string // the part of the request: "version", "data", "document_name", "twin_id", "body"
	Place    string // where inside it, as a path: "data.doors[2].open"; empty = the argument itself
	Reason   string // one of "required", "format", "constraint", "unknown": the words of the vendor's API
	Help     string // lower case, says what to do
}

// Error names the place and the next step:
//
//	data.doors[2].open: null inside an array: replace the whole array without nulls
func (e *InvalidError) Error() string {
	return cmp.Or(e.Place, e.Argument) + ": " + cmp.Or(e.Help, e.Reason)
}

// EncodeError is the payload of an answer on …/response/error: {"error":"…"}, and for a
// [VersionError] the five keys of the specification.
//
// A wrapped error goes out under the text of what it wraps, so that the other
// side can recognise it. An error that this package doesn't know goes out as
// it is: pass only what the other side may read.
func EncodeError(id ID, name Name, err error) []byte {
	if version, ok := errors.AsType[*VersionError](err); ok {
		return encode(struct {
			Error    string `json:"error"`
			Twin     ID     `json:"twin_id"`
			Document Name   `json:"document_name"`
			Expected uint32 `json:"expected_version"`
			Actual   uint32 `json:"actual_version"`
		}{mismatchText, id, name, version.Expected, version.Actual})
	}
	text := err.Error()
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		text = invalid.Error()
	}
	for _, known := range sentinels {
		if errors.Is(err, known) {
			text = known.Error()
		}
	}
	return encode(struct {
		Error string `json:"error"`
	}{text})
}

// DecodeError reads such a payload back. A version mismatch comes back as
// [*VersionError], the sentinels as themselves, and any other text as a
// [*RemoteError], also a payload that is no error answer at all.
//
// The versions of a [VersionError] are 0 where the payload has none: the
// reference shows error answers with nothing but a text.
func DecodeError(payload []byte) error {
	var answer struct {
		Error    string `json:"error"`
		Expected uint32 `json:"expected_version"`
		Actual   uint32 `json:"actual_version"`
	}
	// A version of the wrong type leaves the text readable, and it is the text that counts.
	err := json.Unmarshal(payload, &answer)
	if _, wrongType := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !wrongType || answer.Error == "" {
		return &RemoteError{Text: "unreadable error answer: " + excerpt(string(payload))}
	}
	if answer.Error == mismatchText {
		return &VersionError{Expected: answer.Expected, Actual: answer.Actual}
	}
	for _, known := range sentinels {
		if answer.Error == known.Error() {
			return known
		}
	}
	return &RemoteError{Text: answer.Error}
}

// A RemoteError is a refusal for which this package has no type.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// sentinels are the errors that are recognised by their text alone.
var sentinels = []error{ErrDocumentNotFound, ErrPermissionDenied, ErrTooManyDocuments}

// maxExcerpt is how much of somebody else's text an error repeats, in bytes.
const maxExcerpt = 64

// excerpt is the beginning of a text, fit to stand in an error.
func excerpt(s string) string {
	if len(s) > maxExcerpt {
		end := maxExcerpt
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
