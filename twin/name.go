package twin

import (
	"fmt"
	"strings"
)

// An ID names a twin and its device: a UUID in lower case with dashes.
type ID string

// ParseID reads a UUID; upper case is accepted and lowered.
// The error is an [*InvalidError] for the argument twin_id.
func ParseID(s string) (ID, error) {
	if !isUUID(s) {
		return "", &InvalidError{
			Argument: "twin_id",
			Reason:   "format",
			Help:     "not a UUID: write the device's id as in 01234567-89ab-cdef-0123-456789abcdef",
		}
	}
	return ID(strings.ToLower(s)), nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// A Name is a document's name: 1 to 128 of the characters [-_.~0-9a-zA-Z], and
// not "." or "..", which no URL can carry.
type Name string

// ConfigName is the reserved document that configures the others.
const ConfigName Name = "_config"

// MaxNameLen is the longest document name, in bytes.
const MaxNameLen = 128

// ParseName checks a document's name.
// The error is an [*InvalidError] for the argument document_name.
func ParseName(s string) (Name, error) {
	refuse := func(reason, help string) (Name, error) {
		return "", &InvalidError{Argument: "document_name", Reason: reason, Help: help}
	}
	switch {
	case s == "":
		return refuse("required", "empty: name the document")
	case len(s) > MaxNameLen:
		return refuse("constraint", fmt.Sprintf("longer than %d characters: choose a shorter name", MaxNameLen))
	case s == "." || s == "..":
		return refuse("format", "a name that no URL can carry: choose another than . and ..")
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return refuse("format", "only letters, digits and - _ . ~ can stand in a name: choose another one")
		}
	}
	return Name(s), nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}
