package conformance

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// merge applies a patch.
func (r *reference) merge(data, patch []byte) (json.RawMessage, error) {
	if r.is("a patch replaces the document") {
		return patch, nil
	}
	merged, err := twin.Merge(data, patch)
	if err != nil {
		if r.is("patches let documents grow") {
			return []byte(`{"a":1,"b":1}`), nil
		}
		return nil, err
	}
	from, change, to := object(data), object(patch), object(merged)
	switch r.fault {
	case "a patch keeps nulls":
		for key, value := range change {
			if value == nil {
				to[key] = nil
			}
		}
	case "a patch keeps nulls in new objects":
		for key, value := range change {
			if inner, ok := value.(map[string]any); ok && from[key] == nil {
				to[key] = inner
			}
		}
	case "a patch ignores null":
		for key, value := range change {
			if old, ok := from[key]; value == nil && ok {
				to[key] = old
			}
		}
	case "a patch replaces objects":
		for key, value := range change {
			if inner, ok := value.(map[string]any); ok {
				to[key] = inner
			}
		}
	case "a patch merges one level only":
		for key, value := range change {
			inner, _ := value.(map[string]any)
			for k, v := range inner {
				if _, ok := v.(map[string]any); ok {
					to[key].(map[string]any)[k] = v
				}
			}
		}
	case "a patch appends to arrays":
		for key, value := range change {
			if more, ok := value.([]any); ok {
				old, _ := from[key].([]any)
				to[key] = append(slices.Clone(old), more...)
			}
		}
	case "a patch cannot empty an array":
		for key, value := range change {
			if more, ok := value.([]any); ok && len(more) == 0 {
				to[key] = from[key]
			}
		}
	case "a patch cannot change a type":
		for key, value := range change {
			_, is := value.(map[string]any)
			if _, was := from[key].(map[string]any); value != nil && from[key] != nil && is != was {
				to[key] = from[key]
			}
		}
	case "an empty object in a patch is dropped":
		for key, value := range change {
			if inner, ok := value.(map[string]any); ok && len(inner) == 0 && from[key] == nil {
				delete(to, key)
			}
		}
	default:
		return merged, nil
	}
	return json.Marshal(to)
}

// checkConfig checks what _config is to be.
func (r *reference) checkConfig(m twin.Method, data json.RawMessage) error {
	text := string(data)
	refused := &twin.InvalidError{Argument: "data", Reason: "format", Help: "malformed"}
	switch r.fault {
	case "_config is not checked":
		return nil
	case "a patch of _config is not checked":
		if m == twin.Patch {
			return nil
		}
	case "_config takes tags alone":
		if strings.Contains(text, "_tsdb_trigger") {
			return refused
		}
	case "_config has one level of keys":
		if strings.Contains(text, "since") {
			return refused
		}
	case "_config has parameters first":
		if strings.Contains(text, "},\"_tags\"") {
			return refused
		}
	case "_config has no nulls":
		if strings.Contains(text, "null") {
			return refused
		}
	case "_config names what exists":
		if strings.Contains(text, "_private") {
			return refused
		}
	case "_config needs documents":
		if text == "{}" {
			return refused
		}
	}
	_, err := twinconfig.Parse(data)
	if err != nil && r.is("no place of a _config is named") {
		return refused
	}
	return err
}

// spoil is data as it comes back.
func (r *reference) spoil(data json.RawMessage) json.RawMessage {
	var v any
	switch r.fault {
	case "numbers are floats":
		_ = json.Unmarshal(data, &v)
		if spoiled, err := json.Marshal(v); v != nil && err == nil {
			return spoiled
		}
	case "keys are sorted":
		if v = values(data); v != nil {
			spoiled, _ := json.Marshal(v)
			return spoiled
		}
	case "keys lose their case":
		if o := object(data); o["a"] != nil && o["A"] != nil {
			return []byte(`{"a":2}`)
		}
	case "text is escaped twice":
		return bytes.ReplaceAll(data, []byte(`&`), []byte(`&amp;`))
	case "text is ASCII":
		return bytes.Map(func(c rune) rune { return min(c, 127) }, data)
	}
	return data
}
