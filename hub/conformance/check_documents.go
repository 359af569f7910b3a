package conformance

import (
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// documentChecks are about whole documents and their names.
var documentChecks = []check{
	{name: "a put creates version 1 and answers the document", run: func(c *client) {
		c.want(c.put(c.name("a"), 0, `{"alarm_armed":true,"doors":[1,2],"zone":{"name":"hall"}}`), 1,
			`{"alarm_armed":true,"doors":[1,2],"zone":{"name":"hall"}}`)
	}},
	{name: "a get answers what was put and changes nothing", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"door_open":false}`)
		c.stored(name, 1, `{"door_open":false}`)
		c.stored(name, 1, `{"door_open":false}`)
	}},
	{name: "a put replaces the whole document", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1,"b":{"c":2}}`)
		c.want(c.put(name, 0, `{"b":{"d":3}}`), 2, `{"b":{"d":3}}`)
		c.stored(name, 2, `{"b":{"d":3}}`)
	}},
	{name: "a put can empty a document", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.want(c.put(name, 0, `{}`), 2, `{}`)
		c.stored(name, 2, `{}`)
	}},
	{name: "documents don't touch each other", run: func(c *client) {
		a, b := c.name("a"), c.name("b")
		c.put(a, 0, `{"a":1}`)
		c.want(c.put(b, 0, `{"b":1}`), 1, `{"b":1}`)
		c.want(c.patch(b, 0, `{"c":1}`), 2, `{"b":1,"c":1}`)
		c.stored(a, 1, `{"a":1}`)
	}},
	{name: "names take every character of the specification", run: func(c *client) {
		name := c.name("-_.~0189azAZ")
		c.put(name, 0, `{"a":1}`)
		c.stored(name, 1, `{"a":1}`)
	}},
	{name: "a name can begin with _", ours: true, run: func(c *client) {
		name := c.own("_" + c.name("a"))
		c.put(name, 0, `{"a":1}`)
		c.stored(name, 1, `{"a":1}`)
	}},
	{name: "names that differ in case are two documents", run: func(c *client) {
		lower, upper := c.name("door"), c.name("DOOR")
		c.put(lower, 0, `{"a":1}`)
		c.want(c.put(upper, 0, `{"a":2}`), 1, `{"a":2}`)
		c.stored(lower, 1, `{"a":1}`)
	}},
	{name: "names with other characters are refused", run: func(c *client) {
		for _, bad := range []string{"front door", "tür", "a:b", "a%b", "a%20b", "$a", "a,b", "a*", `a"b`} {
			c.refusesName(c.name(bad))
		}
	}},
	{name: "a name can have 128 characters", ours: true, run: func(c *client) {
		name := c.name("")
		name += twin.Name(strings.Repeat("n", twin.MaxNameLen-len(name)))
		c.put(c.own(name), 0, `{"a":1}`)
		c.stored(name, 1, `{"a":1}`)
		c.refusesName(name + "n")
	}},
	// Alone, because anything on the way that takes %2E%2E for a step in the path
	// turns the document's address into that of the twin.
	{name: "the names . and .. are refused", ours: true, alone: true, run: func(c *client) {
		c.refusesName(".")
		c.refusesName("..")
	}},
	{name: "a get of a missing document is refused", ours: true, run: func(c *client) {
		c.notFound(c.Get(c.ctx, c.name("a")))
	}},
	{name: "a list has every document", needs: manages, run: func(c *client) {
		a, b := c.name("a"), c.name("b")
		c.put(b, 0, `{}`)
		c.put(a, 0, `{}`)
		c.lists(a, true)
		c.lists(b, true)
		c.lists(c.name("never"), false)
	}},
	{name: "a list has nothing but the documents", needs: manages, alone: true, run: func(c *client) {
		c.put(c.name("a"), 0, `{}`)
		c.put(c.name("a"), 0, `{"a":1}`)
		if names, err := c.manager().List(c.ctx); err != nil || !slices.Equal(names, []twin.Name{c.name("a")}) {
			c.Errorf("list is %q, %v; want the one document", names, err)
		}
	}},
	{name: "a list has _config", ours: true, needs: manages, config: true, run: func(c *client) {
		c.put(twin.ConfigName, 0, `{}`)
		c.lists(twin.ConfigName, true)
	}},
	{name: "a list of a twin without documents is empty", ours: true, needs: manages, alone: true, run: func(c *client) {
		if names, err := c.manager().List(c.ctx); err != nil || len(names) != 0 {
			c.Errorf("list is %q, %v; want it empty", names, err)
		}
	}},
	{name: "a deleted document is gone", needs: manages, run: func(c *client) {
		gone, stays := c.name("gone"), c.name("stays")
		c.put(gone, 0, `{"a":1}`)
		c.put(stays, 0, `{"a":1}`)
		c.delete(gone)
		c.absent(gone)
		c.lists(gone, false)
		c.stored(stays, 1, `{"a":1}`)
	}},
	{name: "a document put again after a delete starts at version 1", ours: true, needs: manages, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.put(name, 0, `{"a":2}`)
		c.delete(name)
		c.mismatch(c.Put(c.ctx, name, update(2, `{"a":3}`)))
		c.notFound(c.Patch(c.ctx, name, update(0, `{"b":1}`)))
		c.want(c.put(name, 0, `{"b":2}`), 1, `{"b":2}`)
	}},
	{name: "a delete of a missing document is refused", ours: true, needs: manages, run: func(c *client) {
		c.notFound(twin.Document{}, c.manager().Delete(c.ctx, c.name("a")))
	}},
	{name: "delete all leaves nothing", needs: manages, alone: true, run: func(c *client) {
		names := []twin.Name{c.name("a"), c.name("b"), c.own(twin.ConfigName)}
		for _, name := range names {
			c.put(name, 0, `{"documents":{}}`) // which _config may be as well
			c.put(name, 0, `{"documents":{}}`)
		}
		if err := c.manager().DeleteAll(c.ctx); err != nil {
			c.Fatalf("delete all: %v", err)
		}
		for _, name := range names {
			c.absent(name)
			c.lists(name, false)
		}
		c.want(c.put(names[0], 0, `{"b":1}`), 1, `{"b":1}`)
	}},
	{name: "delete all of a twin without documents is accepted", ours: true, needs: manages, alone: true, run: func(c *client) {
		if err := c.manager().DeleteAll(c.ctx); err != nil {
			c.Errorf("delete all: %v", err)
		}
	}},
}

// refusesName fails unless all three methods refuse a name.
func (c *client) refusesName(name twin.Name) {
	c.Helper()
	doc, err := c.Put(c.ctx, name, update(0, `{"a":1}`))
	c.invalid("document_name", doc, err)
	doc, err = c.Patch(c.ctx, name, update(0, `{"a":1}`))
	c.invalid("document_name", doc, err)
	doc, err = c.Get(c.ctx, name)
	c.invalid("document_name", doc, err)
}

// lists fails unless a list has or hasn't a name.
func (c *client) lists(name twin.Name, want bool) {
	c.Helper()
	names, err := c.manager().List(c.ctx)
	if err != nil {
		c.Fatalf("list: %v", err)
	}
	if slices.Contains(names, name) != want {
		c.Errorf("list has %s: %v, want %v", name, !want, want)
	}
}

func (c *client) delete(name twin.Name) {
	c.Helper()
	if err := c.manager().Delete(c.ctx, name); err != nil {
		c.Fatalf("delete: %v", err)
	}
}
