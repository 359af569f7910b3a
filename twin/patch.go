package twin

import "encoding/json"

// Merge applies a patch to a document's data: keys not in the patch stay, null
// removes a key, an object merges key by key (into {} where there is none),
// anything else replaces. Both must be JSON objects as [ParsePut] and
// [ParsePatch] let through. Keys keep their order, new ones come last.
func Merge(data, patch json.RawMessage) (json.RawMessage, error) { panic("not yet") }

// Diff is the smallest patch that turns from into to: for all objects without
// nulls, Merge(from, Diff(from, to)) equals to, but for the order of keys.
// It is {} when nothing differs. Numbers differ when their digits do.
func Diff(from, to json.RawMessage) (json.RawMessage, error) { panic("not yet") }
