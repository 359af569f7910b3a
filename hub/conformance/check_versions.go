package conformance

import "github.com/twinpanel/twinpanel/twin"

// versionChecks are about the version rule.
var versionChecks = []check{
	{name: "every put and patch raises the version by one", run: func(c *client) {
		name := c.name("a")
		for version := uint32(1); version <= 6; version += 2 {
			c.want(c.put(name, 0, `{"n":`+number(version)+`}`), version, `{"n":`+number(version)+`}`)
			c.want(c.patch(name, 0, `{"m":`+number(version)+`}`), version+1, `{"n":`+number(version)+`,"m":`+number(version)+`}`)
		}
	}},
	{name: "a put that changes nothing raises the version", ours: true, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.want(c.put(name, 0, `{"a":1}`), 2, `{"a":1}`)
		c.stored(name, 2, `{"a":1}`)
	}},
	{name: "a patch that changes nothing raises the version", ours: true, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.want(c.patch(name, 0, `{"a":1}`), 2, `{"a":1}`)
		c.want(c.patch(name, 0, `{}`), 3, `{"a":1}`)
		c.stored(name, 3, `{"a":1}`)
	}},
	{name: "a put with the document's version is accepted", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.want(c.put(name, 1, `{"a":2}`), 2, `{"a":2}`)
		c.want(c.put(name, 2, `{"a":3}`), 3, `{"a":3}`)
	}},
	{name: "a patch with the document's version is accepted", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.want(c.patch(name, 1, `{"b":2}`), 2, `{"a":1,"b":2}`)
		c.want(c.patch(name, 2, `{"a":null}`), 3, `{"b":2}`)
	}},
	{name: "a put with another version is refused and writes nothing", run: func(c *client) {
		c.refusesVersions(c.Put)
	}},
	{name: "a patch with another version is refused and writes nothing", run: func(c *client) {
		c.refusesVersions(c.Patch)
	}},
	{name: "a mismatch names both versions", ours: true, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.put(name, 0, `{"a":2}`)
		c.wantVersions(c.mismatch(c.Put(c.ctx, name, update(1, `{}`))), 1, 2)
		c.wantVersions(c.mismatch(c.Patch(c.ctx, name, update(7, `{}`))), 7, 2)
	}},
	{name: "a put with a version of a missing document is a mismatch with version 0", ours: true, run: func(c *client) {
		name := c.name("a")
		c.wantVersions(c.mismatch(c.Put(c.ctx, name, update(1, `{"a":1}`))), 1, 0)
		c.absent(name)
	}},
	{name: "a patch of a missing document is refused, whatever the version", ours: true, run: func(c *client) {
		name := c.name("a")
		for _, version := range []uint32{0, 1, 7} {
			c.notFound(c.Patch(c.ctx, name, update(version, `{"a":1}`)))
		}
		c.absent(name)
	}},
	{name: "what was refused for its version is accepted after a get", run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.put(name, 1, `{"a":2}`)
		c.mismatch(c.Put(c.ctx, name, update(1, `{"a":3}`)))
		c.want(c.put(name, c.get(name).Version, `{"a":3}`), 3, `{"a":3}`)
	}},
}

// refusesVersions fails unless a write is refused for every version but the present one.
func (c *client) refusesVersions(write writeFunc) {
	c.Helper()
	name := c.name("a")
	c.put(name, 0, `{"a":1}`)
	c.put(name, 0, `{"a":2}`)
	c.put(name, 0, `{"a":3}`)
	for _, version := range []uint32{1, 2, 4, 1000, twin.MaxVersion} {
		c.mismatch(write(c.ctx, name, update(version, `{"a":4,"b":5}`)))
	}
	c.stored(name, 3, `{"a":3}`)
}

// wantVersions fails unless a mismatch names these versions.
func (c *client) wantVersions(got *twin.VersionError, expected, actual uint32) {
	c.Helper()
	if got.Expected != expected || got.Actual != actual {
		c.Errorf("mismatch says expected %d, actual %d; want %d, %d", got.Expected, got.Actual, expected, actual)
	}
}
