package twinconfig_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twinpanel/twinpanel/hub/twinconfig"
	"github.com/twinpanel/twinpanel/twin"
)

// decode is encoding/json's reading of an object, numbers as written.
func decode(t *testing.T, data json.RawMessage) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatalf("decoding %s: %v", data, err)
	}
	return m
}

// plainNumber is what stands at a path, as it is pushed.
func plainNumber(data map[string]any, path []string) (n float64, ok bool) {
	var at any = data
	for _, key := range path {
		object, isObject := at.(map[string]any)
		if at, ok = object[key]; !isObject || !ok {
			return 0, false
		}
	}
	switch v := at.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case json.Number:
		n, err := strconv.ParseFloat(string(v), 64)
		return n, err == nil
	}
	return 0, false
}

// plainParameter is what a configuration says of a path in the document current: the value
// of the deepest level on the way to it that has the parameter.
func plainParameter(config map[string]any, path []string, parameter string) (value any) {
	documents, _ := config["documents"].(map[string]any)
	level, _ := documents["current"].(map[string]any)
	for i := 0; ; i++ {
		if v, ok := level[parameter]; ok {
			value = v
		}
		if i == len(path) || strings.HasPrefix(path[i], "_") {
			return value
		}
		level, _ = level[path[i]].(map[string]any)
	}
}

// plainPaths are the paths of all numbers of an object.
func plainPaths(object map[string]any) (paths [][]string) {
	for key, value := range object {
		if inner, ok := value.(map[string]any); ok {
			for _, path := range plainPaths(inner) {
				paths = append(paths, append([]string{key}, path...))
			}
		} else if _, ok := plainNumber(object, []string{key}); ok {
			paths = append(paths, []string{key})
		}
	}
	return paths
}

// pathKey is a path as the key of a map.
func pathKey(path []string) string { return fmt.Sprintf("%q", path) }

// FuzzConfig compares what is selected with a plain reading of the rules in doc.go. What is
// refused has to name a place.
func FuzzConfig(f *testing.F) {
	const tutorial = `{"documents":{"current":{"state":{"_tsdb_trigger":"on-update"},"data":{"_tsdb_trigger":"on-change"},"_tags":{"source":"graphite-tutorial"}}}}`
	const document = `{"state":{"enable":false,"value":12.5,"text":"ignored"},"data":{"value":7.5,"in error":false}}`
	f.Add([]byte(tutorial), []byte(document), []byte(document))
	f.Add([]byte(tutorial), []byte(document), []byte(`{"data":{"value":8,"in error":null},"state":null}`))
	f.Add([]byte(`{"documents":{"current":{"_tsdb_trigger":"on-change","a":{"_tags":null,"b":{"_tsdb_trigger":null}},"_tags":{"x":"1"}}}}`),
		[]byte(`{"a":{"b":1,"c":true},"d":1e999}`), []byte(`{"a":{"b":2,"c":1,"_c":[1]},"d":1.0}`))
	f.Add([]byte(`{"documents":{"current":{"_tsdb_trigger":"often"}}}`), []byte(`{}`), []byte(`{}`))
	f.Add([]byte(`{"documents":{"current":{"_tags":{"name":"x"}}}}`), []byte(`{}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, configText, oldText, sentText []byte) {
		stored := func(data []byte) (json.RawMessage, bool) {
			u, err := twin.ParsePut(slices.Concat([]byte(`{"data":`), data, []byte(`}`)))
			return u.Data, err == nil
		}
		data, ok1 := stored(configText)
		old, ok2 := stored(oldText)
		sent, ok3 := stored(sentText)
		if !ok1 || !ok2 || !ok3 {
			return
		}
		c, err := twinconfig.Parse(data)
		if err != nil {
			invalid, ok := errors.AsType[*twin.InvalidError](err)
			if !ok || invalid.Argument != "data" || !strings.HasPrefix(invalid.Place, "data") || invalid.Reason == "" || invalid.Help == "" {
				t.Errorf("error is %#v, want a complete InvalidError", err)
			}
			return
		}
		config := decode(t, data)
		again, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if c2, err := twinconfig.Parse(again); err != nil || !reflect.DeepEqual(c, c2) {
			t.Errorf("%s is read otherwise as %s: %v", data, again, err)
		}
		merged, err := twin.Merge(old, sent)
		if err != nil {
			return // too large
		}
		before, now := decode(t, old), decode(t, merged)
		want := map[string]float64{}
		for _, path := range plainPaths(decode(t, sent)) {
			n, _ := plainNumber(now, path)
			previous, had := plainNumber(before, path)
			switch plainParameter(config, path, "_tsdb_trigger") {
			case "on-change":
				if had && previous == n {
					continue
				}
			case nil:
				continue
			}
			want[pathKey(path)] = n
		}
		values := c.Values("current", old, sent)
		got := map[string]float64{}
		for _, v := range values {
			if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
				t.Errorf("%q is %v", v.Path, v.Number)
			}
			got[pathKey(v.Path)] = v.Number
			tags := map[string]string{}
			if plain, ok := plainParameter(config, v.Path, "_tags").(map[string]any); ok {
				for name, value := range plain {
					tags[name] = value.(string)
				}
			}
			if !maps.Equal(v.Tags, tags) {
				t.Errorf("tags of %q are %v, want %v", v.Path, v.Tags, tags)
			}
		}
		if !maps.Equal(got, want) || len(values) != len(want) {
			t.Errorf("config %s, old %s, sent %s:\ngot  %v\nwant %v", data, old, sent, got, want)
		}
		if !c.NeedsOld("current") && !reflect.DeepEqual(values, c.Values("current", nil, sent)) {
			t.Error("what was there before is needed, but NeedsOld is false")
		}
	})
}
