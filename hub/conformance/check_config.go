package conformance

import (
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// configChecks are about the document _config.
var configChecks = []check{
	{name: "_config is put, read, patched and versioned like any document", config: true, run: func(c *client) {
		first := c.put(twin.ConfigName, 0, `{"documents":{"current":{"_tags":{"site":"home"}}}}`).Version
		c.mismatch(c.Put(c.ctx, twin.ConfigName, update(first+1, `{"documents":{}}`)))
		c.mismatch(c.Patch(c.ctx, twin.ConfigName, update(first+1, `{"documents":{}}`)))
		c.want(c.patch(twin.ConfigName, first, `{"documents":{"current":{"_tags":null,"door":{"_tsdb_trigger":"on-change"}}}}`),
			first+1, `{"documents":{"current":{"door":{"_tsdb_trigger":"on-change"}}}}`)
		c.want(c.put(twin.ConfigName, first+1, `{"documents":{"current":{}}}`), first+2, `{"documents":{"current":{}}}`)
		c.stored(twin.ConfigName, first+2, `{"documents":{"current":{}}}`)
	}},
	{name: "_config is deleted like any document", config: true, needs: manages, run: func(c *client) {
		c.put(twin.ConfigName, 0, `{"documents":{}}`)
		c.delete(twin.ConfigName)
		c.absent(twin.ConfigName)
		c.lists(twin.ConfigName, false)
	}},
	configKeeps("parameters of a document and of its keys", false,
		`{"documents":{"current":{"_tags":{"site":"home","floor":"2"},"_tsdb_trigger":"on-update","door":{"_tsdb_trigger":"on-change"}},"desired":{"_tsdb_trigger":"on-change"}}}`),
	configKeeps("keys at any depth", false,
		`{"documents":{"current":{"state":{"_tsdb_trigger":"on-update","in error":{"_tags":{"kind":"fault"},"since":{"_tsdb_trigger":"on-change"}}}}}}`),
	configKeeps("parameters that stand behind keys", false,
		`{"documents":{"current":{"state":{"_tsdb_trigger":"on-update"},"data":{"_tsdb_trigger":"on-change"},"_tags":{"source":"graphite-tutorial"}}}}`),
	configKeeps("nulls that delete what is inherited", true,
		`{"documents":{"current":{"_tags":{"site":"home"},"_tsdb_trigger":"on-update","secret":{"_tags":null,"_tsdb_trigger":null}}}}`),
	configKeeps("names of documents that don't exist, with every character", true,
		`{"documents":{"-_.~0189azAZ":{"_tsdb_trigger":"on-change"},"_private":{}}}`),
	configKeeps("nothing", true, `{}`),
	{name: "a document that is configured is written as before", config: true, run: func(c *client) {
		name := c.name("current")
		c.put(twin.ConfigName, 0, `{"documents":{"`+string(name)+`":{"_tags":{"site":"home"},"_tsdb_trigger":"on-update","data":{"_tsdb_trigger":"on-change"}}}}`)
		const data = `{"state":{"enable":false,"value":12.5,"text":"ignored"},"data":{"value":7.5,"in error":false,"list":[1,"x"]},"none":{}}`
		c.want(c.put(name, 0, data), 1, data)
		c.want(c.patch(name, 0, `{"data":{"value":8.5},"none":null}`), 2, strings.NewReplacer("7.5", "8.5", `,"none":{}`, "").Replace(data))
		c.want(c.put(name, 2, `{"state":["on"]}`), 3, `{"state":["on"]}`)
		c.stored(name, 3, `{"state":["on"]}`)
	}},
	{name: "a malformed _config is refused, and the place is named", ours: true, config: true, run: func(c *client) {
		const good = `{"documents":{"current":{"_tags":{"site":"home"}}}}`
		version := c.put(twin.ConfigName, 0, good).Version
		for _, tt := range badConfigs {
			doc, err := c.Put(c.ctx, twin.ConfigName, update(0, tt.data))
			c.invalid("data", doc, err)
			if err != nil && !strings.Contains(err.Error(), tt.place+": ") {
				c.Errorf("put of %s is refused with %q, want the place %s", tt.data, err, tt.place)
			}
		}
		c.stored(twin.ConfigName, version, good)
	}},
	{name: "a patch that would leave a malformed _config is refused", ours: true, config: true, run: func(c *client) {
		const good = `{"documents":{"current":{"door":{"_tsdb_trigger":"on-change"}}}}`
		version := c.put(twin.ConfigName, 0, good).Version
		for _, patch := range []string{`{"documents":{"current":{"door":{"_tsdb_trigger":"never"}}}}`, `{"documents":[]}`, `{"current":{}}`} {
			doc, err := c.Patch(c.ctx, twin.ConfigName, update(0, patch))
			c.invalid("data", doc, err)
		}
		c.stored(twin.ConfigName, version, good)
	}},
}

// badConfigs break one rule each.
var badConfigs = []struct{ data, place string }{
	{`{"current":{"_tsdb_trigger":"on-update"}}`, "data.current"},
	{`{"documents":[]}`, "data.documents"},
	{`{"documents":null}`, "data.documents"},
	{`{"documents":{"front door":{}}}`, `data.documents["front door"]`},
	{`{"documents":{"_config":{}}}`, "data.documents._config"},
	{`{"documents":{"_tsdb_trigger":"on-update"}}`, "data.documents._tsdb_trigger"},
	{`{"documents":{"current":"on-update"}}`, "data.documents.current"},
	{`{"documents":{"current":{"door":true}}}`, "data.documents.current.door"},
	{`{"documents":{"current":{"_tsdb_trigger":"on_update"}}}`, "data.documents.current._tsdb_trigger"},
	{`{"documents":{"current":{"_tsdb_trigger":true}}}`, "data.documents.current._tsdb_trigger"},
	{`{"documents":{"current":{"_tags":["home"]}}}`, "data.documents.current._tags"},
	{`{"documents":{"current":{"door":{"_tags":{"floor":2}}}}}`, "data.documents.current.door._tags.floor"},
	{`{"documents":{"current":{"_interval":10}}}`, "data.documents.current._interval"},
}

// configKeeps checks that a _config comes back from a put and a get.
func configKeeps(what string, ours bool, data string) check {
	return check{name: "_config keeps " + what, ours: ours, config: true, run: func(c *client) {
		doc := c.put(twin.ConfigName, 0, data)
		c.want(doc, doc.Version, data)
		c.stored(twin.ConfigName, doc.Version, data)
	}}
}
