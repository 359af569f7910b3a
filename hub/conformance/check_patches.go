package conformance

import (
	"context"
	"strconv"

	"github.com/twinpanel/twinpanel/twin"
)

// A writeFunc is put or patch.
type writeFunc func(context.Context, twin.Name, twin.Update) (twin.Document, error)

// patchChecks are about the patch format.
var patchChecks = []check{
	merges("keys not in a patch stay", false, `{"a":1,"b":"two","c":{"d":[3]}}`, `{"b":2}`, `{"a":1,"b":2,"c":{"d":[3]}}`),
	merges("a patch adds keys", false, `{"a":1}`, `{"b":{"c":2}}`, `{"a":1,"b":{"c":2}}`),
	merges("null removes a key", false, `{"a":1,"b":2,"c":{"d":3}}`, `{"a":null,"c":null}`, `{"b":2}`),
	merges("null removes a key further in", false, `{"a":{"b":1,"c":{"d":2,"e":3}}}`, `{"a":{"c":{"d":null}}}`, `{"a":{"b":1,"c":{"e":3}}}`),
	merges("null for a missing key does nothing", false, `{"a":1}`, `{"b":null,"a":2}`, `{"a":2}`),
	merges("texts, numbers and booleans are replaced", false, `{"t":"x","n":1,"b":true}`, `{"t":"y","n":2,"b":false}`, `{"t":"y","n":2,"b":false}`),
	merges("a value can change its type", false, `{"a":"x","b":1,"c":[1]}`, `{"a":1,"b":[2],"c":false}`, `{"a":1,"b":[2],"c":false}`),
	merges("arrays are replaced as a whole", false, `{"a":[1,2,3],"b":[{"c":1,"d":2}]}`, `{"a":[4],"b":[{"c":3}]}`, `{"a":[4],"b":[{"c":3}]}`),
	merges("an array can be emptied", false, `{"a":[1]}`, `{"a":[]}`, `{"a":[]}`),
	merges("objects are patched key by key", false, `{"a":{"b":{"c":1,"d":2},"e":3}}`, `{"a":{"b":{"c":4,"f":5}}}`, `{"a":{"b":{"c":4,"d":2,"f":5},"e":3}}`),
	merges("an empty object changes nothing", false, `{"a":{"b":1},"c":1}`, `{"a":{},"c":2}`, `{"a":{"b":1},"c":2}`),
	merges("a number replaces an object", false, `{"a":{"b":1}}`, `{"a":1}`, `{"a":1}`),
	merges("an array replaces an object", false, `{"a":{"b":1}}`, `{"a":[1]}`, `{"a":[1]}`),
	merges("an empty object becomes a new key", true, `{}`, `{"a":{}}`, `{"a":{}}`),
	merges("nulls inside a new object are dropped", true, `{}`, `{"a":{"b":null,"c":{"d":null,"e":1}}}`, `{"a":{"c":{"e":1}}}`),
	merges("an object replaces a number, without its nulls", true, `{"a":1}`, `{"a":{"b":null,"c":2}}`, `{"a":{"c":2}}`),
	merges("an object replaces an array", true, `{"a":[{"b":1}]}`, `{"a":{"b":2}}`, `{"a":{"b":2}}`),
	merges("stored nulls stay", true, `{"a":null,"b":[null],"c":{"d":null}}`, `{"e":1,"c":{"f":2}}`, `{"a":null,"b":[null],"c":{"d":null,"f":2},"e":1}`),
	merges("a stored null can be replaced", true, `{"a":null,"b":null,"c":null}`, `{"a":1,"b":{"x":2},"c":null}`, `{"a":1,"b":{"x":2}}`),
	{name: "a patch twice is a patch once", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":{"b":1,"c":2},"d":[1]}`)
		for range 2 {
			doc := c.patch(name, 0, `{"a":{"b":null,"e":3},"d":[2,3]}`)
			c.stored(name, doc.Version, `{"a":{"c":2,"e":3},"d":[2,3]}`)
		}
	}},
	{name: "null inside an array of a patch is refused", run: func(c *client) {
		c.refusesPatches(`{"b":[null]}`, `{"b":[1,"two",null]}`)
	}},
	{name: "null further inside an array of a patch is refused", ours: true, run: func(c *client) {
		c.refusesPatches(`{"b":[[1],[null]]}`, `{"b":[{"c":null}]}`, `{"b":{"c":[{"d":{"e":null}}]}}`)
	}},
}

// merges checks what a patch makes of a document.
func merges(name string, ours bool, data, patch, want string) check {
	return check{name: name, ours: ours, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, data)
		c.want(c.patch(name, 0, patch), 2, want)
		c.stored(name, 2, want)
	}}
}

// refusesPatches fails unless each patch is refused and writes nothing.
func (c *client) refusesPatches(patches ...string) {
	c.Helper()
	name := c.name("a")
	c.put(name, 0, `{"a":1}`)
	for _, patch := range patches {
		doc, err := c.Patch(c.ctx, name, update(0, patch))
		c.invalid("data", doc, err)
	}
	c.stored(name, 1, `{"a":1}`)
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
