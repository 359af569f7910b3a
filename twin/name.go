package twin

// An ID names a twin and its device: a UUID in lower case with dashes.
type ID string

// ParseID reads a UUID; upper case is accepted and lowered.
func ParseID(s string) (ID, error) { panic("not yet") }

// A Name is a document's name: 1 to 128 of the characters [-_.~0-9a-zA-Z], and
// not "." or "..", which no URL can carry.
type Name string

// ConfigName is the reserved document that configures the others.
const ConfigName Name = "_config"

// MaxNameLen is the longest document name, in bytes.
const MaxNameLen = 128

// ParseName checks a document's name.
func ParseName(s string) (Name, error) { panic("not yet") }
