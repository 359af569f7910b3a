package conformance

import (
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// dataChecks are about what documents can hold.
var dataChecks = []check{
	keeps("booleans, texts, numbers, arrays and objects", false, `{"a":true,"b":false,"c":"text","d":12,"e":-1.5,"f":[1,"x",[],{}],"g":{"h":{}}}`),
	keeps("text in any script", false, `{"tür":"zu","門":"閉","emoji":"🚪","empty":""}`),
	keeps("text with escapes", false, `{"a":"quote \" backslash \\ newline \n tab \t"}`),
	keeps("text as HTML has it", false, `{"a":"<b>&amp;</b>"}`),
	keeps("nulls of a put", true, `{"a":null,"b":[null,1],"c":{"d":null}}`),
	keeps("keys with special characters, also . and /", false, `{"b.c":2,"d/e":{"/":3,".":4},"in error":5,"$f":6}`),
	keeps("keys that begin with _, and one without any character", true, `{"_a":1,"_tags":{"b":2},"":4}`),
	keeps("keys that differ in case", true, `{"a":1,"A":2}`),
	keeps("every digit of a number", true, `{"a":12345678901234567890.10,"b":1e400,"c":1.0,"d":-0.0,"e":1E+2}`),
	{name: "data comes back as it was written", ours: true, run: func(c *client) {
		const written = `{"z":1.0,"a":{"y":"<&>","b":[1e2,{"d":1,"c":2}]},"m":"\u00e9\/é"}`
		name := c.name("a")
		c.put(name, 0, written)
		if got := string(c.get(name).Data); got != written {
			c.Errorf("data is %s, want %s", got, written)
		}
		const patched = `{"z":2.0,"a":{"y":"<&>","b":[1e2,{"d":1,"c":2}]},"m":"\u00e9\/é","b":0}`
		if got := string(c.patch(name, 0, `{"b":0,"z":2.0}`).Data); got != patched {
			c.Errorf("data after a patch is %s, want %s", got, patched)
		}
	}},
	{name: "data that is no object is refused", run: func(c *client) {
		c.refusesData(`[]`, `[{"a":1}]`, `"text"`, `1`, `true`)
	}},
	{name: "duplicate keys are refused", ours: true, run: func(c *client) {
		c.refusesData(`{"b":1,"b":1}`, `{"b":{"c":[{"d":1,"d":2}]}}`, `{"b":1,"\u0062":2}`)
	}},
	{name: "text that is no Unicode is refused", ours: true, run: func(c *client) {
		c.refusesData(`{"b":"\ud800"}`, `{"\udc00":1}`)
	}},
}

// keeps checks that data comes back from a put, a get, and a patch of something else.
func keeps(what string, ours bool, data string) check {
	return check{name: "a document keeps " + what, ours: ours, run: func(c *client) {
		name := c.name("a")
		c.want(c.put(name, 0, data), 1, data)
		c.stored(name, 1, data)
		c.want(c.patch(name, 0, `{"more":1}`), 2, strings.TrimSuffix(data, "}")+`,"more":1}`)
	}}
}

// refusesData fails unless put and patch refuse each data and write nothing.
func (c *client) refusesData(datas ...string) {
	c.Helper()
	name, never := c.name("a"), c.name("never")
	c.put(name, 0, `{"a":1}`)
	for _, data := range datas {
		for _, write := range []writeFunc{c.Put, c.Patch} {
			doc, err := write(c.ctx, name, update(0, data))
			c.invalid("data", doc, err)
		}
		doc, err := c.Put(c.ctx, never, update(0, data))
		c.invalid("data", doc, err)
	}
	c.stored(name, 1, `{"a":1}`)
	c.absent(never)
}

// bodyChecks are about the body around data, as it goes over the wire.
var bodyChecks = []check{
	{name: "version 0, null or absent is no version", needs: sends, run: func(c *client) {
		name := c.name("a")
		version := uint32(0)
		for _, start := range []string{`{`, `{"version":0,`, `{"version":null,`} {
			for _, m := range []twin.Method{twin.Put, twin.Patch} {
				version++
				data := `{"a":` + number(version) + `}`
				doc, err := c.send(m, name, start+`"data":`+data+`}`)
				if err != nil {
					c.Fatalf("%s of %s… is refused: %v", m, start, err)
				}
				c.want(doc, version, data)
			}
		}
	}},
	{name: "absent or null data is an empty object", ours: true, needs: sends, run: func(c *client) {
		name := c.name("a")
		for version, body := range []string{`{"data":{"a":1}}`, `{}`, `{"data":{"a":1}}`, `{"version":3,"data":null}`} {
			doc, err := c.send(twin.Put, name, body)
			if err != nil {
				c.Fatalf("put of %s is refused: %v", body, err)
			}
			want := `{}`
			if version%2 == 0 {
				want = `{"a":1}`
			}
			c.want(doc, uint32(version)+1, want)
		}
	}},
	{name: "versions that are no whole number up to 4294967295 are refused", ours: true, needs: sends, run: func(c *client) {
		for _, version := range []string{`-1`, `1.5`, `1.0`, `1e0`, `"1"`, `""`, `true`, `[1]`, `{}`, `4294967296`, `4294967297`, `18446744073709551617`} {
			c.refusesBody("version", `{"version":`+version+`,"data":{"a":2}}`)
		}
	}},
	{name: "bodies that are no JSON object are refused", needs: sends, run: func(c *client) {
		for _, body := range []string{``, ` `, `null`, `[]`, `"data"`, `{"data":{"a":2}`, `{"data":{"a":2}} {}`, `{"data":{"a":2,}}`, `data={}`, "{\"data\":{\"a\":\"\xff\"}}"} {
			c.refusesBody("body", body)
		}
	}},
	{name: "content beside data is refused and empties nothing", ours: true, needs: sends, run: func(c *client) {
		c.refusesBody("body", `{"alarm_armed":true}`)
		c.refusesBody("body", `{"data":{},"alarm_armed":true}`)
		c.refusesBody("body", `{"Data":{}}`)
	}},
	{name: "a document as REST answers it can be sent back", ours: true, needs: sends, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		doc, err := c.send(twin.Put, name, `{"twin_id":"x","document_name":"`+string(name)+`","version":1,"data":{"a":2}}`)
		if err != nil {
			c.Fatalf("put is refused: %v", err)
		}
		c.want(doc, 2, `{"a":2}`)
	}},
	{name: "white space is nobody's concern", needs: sends, run: func(c *client) {
		name := c.name("a")
		doc, err := c.send(twin.Put, name, strings.ReplaceAll(`#{#"version"#:#0#,#"data"#:#{#"a b"#:#[#1#,#" "#]#}#}#`, "#", " \r\n\t"))
		if err != nil {
			c.Fatalf("put is refused: %v", err)
		}
		c.want(doc, 1, `{"a b":[1," "]}`)
	}},
}

// refusesBody fails unless put and patch refuse a body and write nothing.
func (c *client) refusesBody(argument, body string) {
	c.Helper()
	name, never := c.name("a"), c.name("never")
	before := c.put(name, 0, `{"a":1}`).Version
	for _, m := range []twin.Method{twin.Put, twin.Patch} {
		doc, err := c.send(m, name, body)
		if err == nil {
			c.Errorf("%s of %s is accepted", m, body)
		}
		c.invalid(argument, doc, err)
	}
	doc, err := c.send(twin.Put, never, body)
	c.invalid(argument, doc, err)
	c.stored(name, before, `{"a":1}`)
	c.absent(never)
}
