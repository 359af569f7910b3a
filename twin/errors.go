package twin

import "errors"

// Conditions that callers branch on. Their texts are what goes over MQTT.
var (
	ErrDocumentNotFound = errors.New("document not found")
	ErrPermissionDenied = errors.New("permission denied")
	ErrTooManyDocuments = errors.New("too many documents") // more than MaxDocuments in one twin
)

// A VersionError says that a write named another version than the document has.
type VersionError struct {
	Expected uint32 // what the writer expected
	Actual   uint32 // what the document has; 0 = there is no document
}

// Error is the specification's text: "document version mismatch".
func (e *VersionError) Error() string { panic("not yet") }

// An InvalidError says what of a request cannot be accepted, where, and why.
type InvalidError struct {
	Argument string // the part of the request: "version", "data", "document_name", "twin_id", "body"
	Place    string // where inside it, as a path: "data.doors[2].open"; empty = the argument itself
	Reason   string // one of "required", "format", "constraint", "unknown": the words of the vendor's API
	Help     string // lower case, says what to do
}

func (e *InvalidError) Error() string { panic("not yet") }

// EncodeError is the payload of an answer on …/response/error: {"error":"…"}, and for a
// [VersionError] the five keys of the specification.
func EncodeError(id ID, name Name, err error) []byte { panic("not yet") }

// DecodeError reads such a payload back. A version mismatch comes back as
// [*VersionError], the sentinels as themselves, and any other text as a [*RemoteError].
func DecodeError(payload []byte) error { panic("not yet") }

// A RemoteError is a refusal for which this package has no type.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }
