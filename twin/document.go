package twin

import "encoding/json"

// Limits of a document. A hub refuses more with an [InvalidError].
const (
	MaxDataSize  = 256 << 10 // bytes of a document's data, as compact JSON
	MaxDepth     = 32        // objects and arrays inside each other, data itself being the first
	MaxDocuments = 100       // documents of one twin, _config among them
	MaxVersion   = 1<<32 - 1 // the highest version there is
)

// A Document is one JSON document of a twin, as every successful request
// answers it. It marshals to exactly {"version":N,"data":{…}}.
type Document struct {
	Version uint32          `json:"version"`
	Data    json.RawMessage `json:"data"` // a compact JSON object; keys in the order they were written, numbers digit by digit
}

// ParseDocument reads a document as a hub answers it. Keys beside version and
// data are ignored, since REST answers carry two more.
func ParseDocument(b []byte) (Document, error) { panic("not yet") }

// An Update is the body of a put or a patch.
type Update struct {
	Version uint32          `json:"version,omitempty"` // the version that the writer expects to replace; 0 = any
	Data    json.RawMessage `json:"data"`
}

// ParsePut reads the body of a put: {"version":N,"data":{…}}. An absent or
// null version is 0, absent or null data is {}.
// Every error is an [*InvalidError] that names the place.
func ParsePut(body []byte) (Update, error) { panic("not yet") }

// ParsePatch reads the body of a patch: the same shape as a put, but null
// inside an array, at any depth, is refused.
func ParsePatch(body []byte) (Update, error) { panic("not yet") }

// CheckVersion applies the version rule: asked is what the writer expects (0 =
// any), actual what the document has (0 = there is none).
// The error is a [*VersionError].
func CheckVersion(asked, actual uint32) error { panic("not yet") }
