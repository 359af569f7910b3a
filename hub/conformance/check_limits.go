package conformance

import (
	"errors"
	"strconv"
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// limitChecks are about how much there can be of everything.
var limitChecks = []check{
	{name: "a document can have 256 KiB", ours: true, run: func(c *client) {
		name := c.name("a")
		largest := sized(twin.MaxDataSize)
		c.want(c.put(name, 0, largest), 1, largest)
		c.stored(name, 1, largest)
		doc, err := c.Put(c.ctx, name, update(0, sized(twin.MaxDataSize+1)))
		c.invalid("data", doc, err)
		c.stored(name, 1, largest)
	}},
	{name: "a patch cannot let a document grow beyond 256 KiB", ours: true, run: func(c *client) {
		name := c.name("a")
		largest := sized(twin.MaxDataSize)
		c.put(name, 0, largest)
		doc, err := c.Patch(c.ctx, name, update(0, `{"b":1}`))
		c.invalid("data", doc, err)
		c.stored(name, 1, largest)
		c.want(c.patch(name, 0, `{"a":1}`), 2, `{"a":1}`)
	}},
	{name: "a document can be 32 levels deep", ours: true, run: func(c *client) {
		name := c.name("a")
		deepest := nested(twin.MaxDepth)
		c.want(c.put(name, 0, deepest), 1, deepest)
		c.want(c.patch(name, 0, deepest), 2, deepest)
		for _, deeper := range []string{nested(twin.MaxDepth + 1), `{"a":` + strings.Repeat("[", twin.MaxDepth) + strings.Repeat("]", twin.MaxDepth) + `}`} {
			for _, write := range []writeFunc{c.Put, c.Patch} {
				doc, err := write(c.ctx, name, update(0, deeper))
				c.invalid("data", doc, err)
			}
		}
		c.stored(name, 2, deepest)
	}},
	{name: "a twin can have 100 documents", ours: true, alone: true, run: func(c *client) {
		for i := range twin.MaxDocuments - 1 {
			c.put(c.name(strconv.Itoa(i)), 0, `{}`)
		}
		c.put(c.own(twin.ConfigName), 0, `{}`)
		more := c.name("more")
		c.tooMany(c.Put(c.ctx, more, update(0, `{}`)))
		c.mismatch(c.Put(c.ctx, more, update(1, `{}`)))
		c.absent(more)
		c.want(c.put(c.name("0"), 0, `{"a":1}`), 2, `{"a":1}`)
		c.want(c.patch(c.name("1"), 1, `{"a":1}`), 2, `{"a":1}`)
		if manages.met(c.Twin) {
			c.delete(c.name("2"))
			c.want(c.put(more, 0, `{"a":1}`), 1, `{"a":1}`)
			c.tooMany(c.Put(c.ctx, c.name("2"), update(0, `{}`)))
		}
	}},
}

// tooMany fails unless a put was refused because the twin is full.
func (c *client) tooMany(doc twin.Document, err error) {
	c.Helper()
	if !errors.Is(err, twin.ErrTooManyDocuments) {
		c.Errorf("got %s, want the error %q", outcome(doc, err), twin.ErrTooManyDocuments)
	}
}

// nested is n objects inside each other.
func nested(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }

// sized is an object of n bytes.
func sized(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }
