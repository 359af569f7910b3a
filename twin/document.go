package twin

import (
	"encoding/json"
	"fmt"
	"strconv"
)

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

// Encode is the document as it goes over the wire: as json.Marshal has it, but
// data stays byte for byte what it is, while json.Marshal escapes <, > and &.
func (d Document) Encode() []byte {
	b := append(make([]byte, 0, len(d.Data)+40), `{"version":`...)
	b = strconv.AppendUint(b, uint64(d.Version), 10)
	b = append(b, ',')
	return append(appendData(b, d.Data), '}')
}

// ParseDocument reads a document as a hub answers it. Keys beside version and
// data are ignored, since REST answers carry two more, and so are the limits
// of this package: another hub may have others. Absent or null data is {}.
// Every error is an [*InvalidError] that names the place.
func ParseDocument(b []byte) (Document, error) {
	version, data, bad := parseBody(b, nil)
	if bad != nil {
		return Document{}, bad
	}
	if version == 0 {
		return Document{}, &InvalidError{Argument: "version", Reason: "required", Help: "a document's version is 1 or more"}
	}
	checked, bad := checkData(data, false, false)
	if bad != nil {
		return Document{}, bad
	}
	return Document{Version: version, Data: checked}, nil
}

// An Update is the body of a put or a patch.
type Update struct {
	Version uint32          `json:"version,omitempty"` // the version that the writer expects to replace; 0 = any
	Data    json.RawMessage `json:"data"`
}

// Encode is the update as it goes over the wire; see [Document.Encode].
func (u Update) Encode() []byte {
	if u.Version != 0 {
		return Document(u).Encode()
	}
	b := append(make([]byte, 0, len(u.Data)+40), '{')
	return append(appendData(b, u.Data), '}')
}

// appendData appends the data of a document, of which the zero value is {}.
func appendData(b []byte, data json.RawMessage) []byte {
	if len(data) == 0 {
		return append(b, `"data":{}`...)
	}
	return append(append(b, `"data":`...), data...)
}

// ParsePut reads the body of a put: {"version":N,"data":{…}}. An absent or
// null version is 0, absent or null data is {}. The keys twin_id and
// document_name are ignored, so that what REST answered can be sent back; any
// other key is refused.
//
// Data is a compact copy. Refused in it are duplicate keys, text that is not
// Unicode, and more than [MaxDataSize] or [MaxDepth].
// Every error is an [*InvalidError] that names the place.
func ParsePut(body []byte) (Update, error) { return parseUpdate(body, false) }

// ParsePatch reads the body of a patch: the same shape as a put, but null
// inside an array, at any depth, is refused.
func ParsePatch(body []byte) (Update, error) { return parseUpdate(body, true) }

func parseUpdate(body []byte, patch bool) (Update, error) {
	version, data, bad := parseBody(body, refuseKey)
	if bad != nil {
		return Update{}, bad
	}
	checked, bad := checkData(data, true, patch)
	if bad != nil {
		return Update{}, bad
	}
	return Update{Version: version, Data: checked}, nil
}

// refuseKey refuses a key of a request that has no meaning. Content that was
// put beside data instead of inside it must not silently empty a document.
func refuseKey(name []byte) *InvalidError {
	switch string(name) {
	case "twin_id", "document_name":
		return nil
	}
	return &InvalidError{
		Argument: "body",
		Place:    excerpt(string(name)),
		Reason:   "format",
		Help:     `unknown key: the document's content goes under "data", as in {"data":{…}}`,
	}
}

// parseBody splits a request or answer into version (0 if absent) and data ({}
// if absent). Other keys are passed to check, unless that is nil.
func parseBody(body []byte, check func(name []byte) *InvalidError) (version uint32, data []byte, bad *InvalidError) {
	if bad := checkSyntax(body); bad != nil {
		return 0, nil, bad
	}
	data = []byte("{}")
	o, ok := parseObject(body)
	if !ok {
		return 0, nil, &InvalidError{Argument: "body", Reason: "format", Help: `not an object: send {"data":{…}}`}
	}
	var hasVersion, hasData bool
	for _, m := range o.members {
		var again bool
		switch string(m.name) {
		case "version":
			again, hasVersion = hasVersion, true
			if version, ok = parseVersion(m.value); !ok {
				return 0, nil, &InvalidError{
					Argument: "version",
					Reason:   "format",
					Help:     fmt.Sprintf("not a whole number from 0 to %d: send the document's version, or 0 for any", uint32(MaxVersion)),
				}
			}
		case "data":
			again, hasData = hasData, true
			if !isNull(m.value) {
				data = m.value
			}
		default:
			if check == nil {
				continue
			}
			if bad := check(m.name); bad != nil {
				return 0, nil, bad
			}
		}
		if again {
			return 0, nil, &InvalidError{Argument: string(m.name), Reason: "format", Help: "duplicate key: name each key once"}
		}
	}
	return version, data, nil
}

// parseVersion reads null or a number of nothing but digits.
func parseVersion(text []byte) (version uint32, ok bool) {
	if isNull(text) {
		return 0, true
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	return uint32(n), err == nil
}

// CheckVersion applies the version rule: asked is what the writer expects (0 =
// any), actual what the document has (0 = there is none).
// The error is a [*VersionError].
func CheckVersion(asked, actual uint32) error {
	if asked == 0 || asked == actual {
		return nil
	}
	return &VersionError{Expected: asked, Actual: actual}
}
