package conformance

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// Ids and tokens that are nobody's.
const (
	nobody      = "0c0ffee0-0000-4000-8000-00000000d00d"
	nobodyToken = "0c0ffee0-0000-4000-8000-00000000beef"
)

// restChecks are about what the REST API answers when it does what it is asked.
var restChecks = []check{
	{name: "REST: a document has four keys", needs: asksREST, run: func(c *client) {
		name := c.name("concurrency")
		for _, a := range []answer{
			c.ask("PUT", c.path(name), `{"data":{"test_value":"initial"}}`),
			c.ask("GET", c.path(name), ``),
			c.ask("PATCH", c.path(name), `{"data":{"test_value":"initial"}}`),
		} {
			keys := slices.Sorted(maps.Keys(c.object(a)))
			if want := []string{"data", "document_name", "twin_id", "version"}; !slices.Equal(keys, want) {
				c.Errorf("the document has the keys %q, want %q", keys, want)
			}
		}
	}},
	{name: "REST: curl's content type, a form, is as good as any", needs: asksREST, run: func(c *client) {
		name := c.name("desired")
		for _, kind := range []string{"application/x-www-form-urlencoded", "application/json; charset=utf-8", ""} {
			for _, method := range []string{"PUT", "PATCH"} {
				if a := c.ask(method, c.path(name), `{"data": {"alarm_armed": true}}`, "Content-Type: "+kind); a.status/100 != 2 {
					c.Errorf("%s as %q: got %s, want a document", method, kind, a.words())
				}
			}
		}
	}},
	{name: "REST: a stale version is an invalid argument version", needs: asksREST, run: func(c *client) {
		name := c.name("concurrency")
		c.put(name, 0, `{"test_value":"initial"}`)
		c.put(name, 1, `{"test_value":"first actor"}`)
		for _, method := range []string{"PUT", "PATCH"} {
			a := c.ask(method, c.path(name), `{"version": 1,"data": {"test_value": "second actor"}}`)
			if c.object(a)["type"] != "invalid_arguments" || c.detail(a)["argument_name"] != "version" {
				c.Errorf("got %s, want an invalid argument version", a.words())
			}
		}
	}},
	{name: "REST: a stale version is answered 400 with both versions", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{}`)
		c.put(name, 0, `{}`)
		for _, method := range []string{"PUT", "PATCH"} {
			c.answers(c.ask(method, c.path(name), `{"version":1,"data":{}}`), 400, invalidBody("version", "constraint", "expected version 1, actual version 2"))
		}
	}},
	{name: "REST: success is 200, or 204 without a body", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		document := func(version, data string) string {
			return `{"twin_id":"` + c.id() + `","document_name":"` + string(name) + `","version":` + version + `,"data":` + data + `}`
		}
		c.answers(c.ask("PUT", c.path(name), `{"data":{"a":1}}`), 200, document("1", `{"a":1}`))
		c.answers(c.ask("PUT", c.path(name), `{"version":1,"data":{"a":2}}`), 200, document("2", `{"a":2}`))
		c.answers(c.ask("PATCH", c.path(name), `{"data":{"b":3}}`), 200, document("3", `{"a":2,"b":3}`))
		c.answers(c.ask("GET", c.path(name), ``), 200, document("3", `{"a":2,"b":3}`))
		c.answers(c.ask("DELETE", c.path(name), ``), 204, ``)
	}},
	{name: "REST: what nobody set may be left out, or be null", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		for _, body := range []string{`{}`, `{"version":null,"data":null}`, `{"version":null,"data":{}}`} {
			for _, method := range []string{"PUT", "PATCH"} {
				if a := c.ask(method, c.path(name), body); a.status != 200 {
					c.Errorf("%s %s: got %s, want a document", method, body, a.words())
				}
			}
		}
		c.stored(name, 6, `{}`)
	}},
	{name: "REST: a list has names and nothing else", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{}`)
		a := c.ask("GET", c.rest().path(), ``)
		list, _ := c.object(a)["documents"].([]any)
		if len(c.object(a)) != 1 || !slices.ContainsFunc(list, func(e any) bool { return reflect.DeepEqual(e, map[string]any{"document_name": string(name)}) }) {
			c.Errorf(`got %s, want {"documents":[…{"document_name":"%s"}…]}`, a.words(), name)
		}
	}},
	{name: "REST: every answer is application/json", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		for _, a := range []answer{
			c.ask("PUT", c.path(name), `{}`), c.ask("GET", c.path(name), ``), c.ask("PATCH", c.path(name), `{}`), c.ask("GET", c.rest().path(), ``),
			c.ask("PUT", c.path(name), `[`), c.ask("DELETE", c.path(name), ``), c.ask("GET", c.path(name), ``), c.ask("GET", c.path(name), ``, "X-Auth-Token: "),
		} {
			if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
				c.Errorf("%s is of the type %q", a.words(), kind)
			}
		}
	}},
	{name: "REST: a get changes nothing and a HEAD is a get without a body", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{"a":1}`)
		c.answers(c.ask("HEAD", c.path(name), ``), 200, ``)
		c.stored(name, 1, `{"a":1}`)
	}},
}

// restRefusalChecks are about what the REST API answers when it refuses.
var restRefusalChecks = []check{
	{name: "REST: the answer to a get of a missing document", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("missing")
		c.answers(c.ask("GET", c.path(name), ``), 404, missingBody("twin_document", string(name)))
	}},
	{name: "REST: the answer to a patch of a missing document", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("missing")
		c.answers(c.ask("PATCH", c.path(name), `{"data":{"a":1}}`), 404, missingBody("twin_document", string(name)))
	}},
	{name: "REST: the answer to a patch of a missing document with a version", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("missing")
		c.answers(c.ask("PATCH", c.path(name), `{"version":7,"data":{"a":1}}`), 404, missingBody("twin_document", string(name)))
	}},
	{name: "REST: the answer to a put of a missing document with a version", ours: true, needs: asksREST, run: func(c *client) {
		c.answers(c.ask("PUT", c.path(c.name("missing")), `{"version":7,"data":{"a":1}}`), 400, invalidBody("version", "constraint", "expected version 7, actual version 0"))
	}},
	{name: "REST: the answer to a delete of a missing document", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("missing")
		c.answers(c.ask("DELETE", c.path(name), ``), 404, missingBody("twin_document", string(name)))
	}},
	{name: "REST: the answers about a twin that doesn't exist", ours: true, needs: asksREST, run: func(c *client) {
		// No delete of the whole twin: a hub that looks at the token alone would take ours.
		const path = "/twins/" + nobody
		document := path + "/documents/" + string(c.name("a"))
		for _, a := range []answer{
			c.ask("GET", path, ``), c.ask("GET", document, ``), c.ask("DELETE", document, ``),
			c.ask("PUT", document, `{"data":{}}`), c.ask("PATCH", document, `{"data":{}}`),
		} {
			c.answers(a, 404, missingBody("twin", nobody))
		}
	}},
	{name: "REST: the answers about a twin id that is no UUID", ours: true, needs: asksREST, run: func(c *client) {
		for _, path := range []string{"/twins/me", "/twins/me/documents/a"} {
			c.refuses(c.ask("GET", path, ``), 400, "twin_id", "format")
		}
	}},
	{name: "REST: the answers to names with other characters", ours: true, needs: asksREST, run: func(c *client) {
		path := c.path(c.name("front door"))
		for _, a := range []answer{
			c.ask("GET", path, ``), c.ask("PUT", path, `{"data":{}}`), c.ask("PATCH", path, `{"data":{}}`), c.ask("DELETE", path, ``),
		} {
			c.refuses(a, 400, "document_name", "format")
		}
	}},
	{name: "REST: the answers to bodies that can't be accepted", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		for _, tt := range []struct{ body, argument, reason string }{
			{``, "body", "required"}, {`alarm_armed=true`, "body", "format"}, {`[]`, "body", "format"}, {`{"data":{}`, "body", "format"},
			{`{"alarm_armed":true}`, "body", "format"}, {`{"data":[]}`, "data", "format"}, {`{"data":{"a":1,"a":2}}`, "data", "format"},
			{`{"version":"1","data":{}}`, "version", "format"}, {`{"version":-1,"data":{}}`, "version", "format"},
			{`{"version":1.5,"data":{}}`, "version", "format"}, {`{"version":4294967296,"data":{}}`, "version", "format"},
		} {
			for _, method := range []string{"PUT", "PATCH"} {
				c.refuses(c.ask(method, c.path(name), tt.body), 400, tt.argument, tt.reason)
			}
		}
		c.absent(name)
	}},
	{name: "REST: the answer to a null inside an array of a patch", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		c.put(name, 0, `{}`)
		c.answers(c.ask("PATCH", c.path(name), `{"data":{"doors":[1,null]}}`), 400,
			invalidBody("data", "constraint", "data.doors[1]: null inside an array: replace the whole array without nulls"))
	}},
	{name: "REST: the answer to a body of 513 KiB", ours: true, needs: asksREST, run: func(c *client) {
		name := c.name("a")
		c.answers(c.ask("PUT", c.path(name), `{"data":{}}`+strings.Repeat(" ", 513<<10)), 413, invalidBody("body", "constraint", "longer than 524288 bytes"))
		c.absent(name)
	}},
	{name: "REST: the answer to a malformed _config", ours: true, needs: asksREST, config: true, run: func(c *client) {
		c.answers(c.ask("PUT", c.path(twin.ConfigName), `{"data":{"documents":{"current":{"_tsdb_trigger":"always"}}}}`), 400,
			invalidBody("data", "format", `data.documents.current._tsdb_trigger: unknown trigger: write "on-update", "on-change", or null to push nothing`))
	}},
	{name: "REST: the answer without a token", ours: true, needs: asksREST, run: func(c *client) {
		c.answers(c.ask("GET", c.rest().path(), ``, "X-Auth-Token: "), 401, deniedBody("api_key", "invalid_argument"))
	}},
	{name: "REST: the answer to a token that is no UUID", ours: true, needs: asksREST, run: func(c *client) {
		c.answers(c.ask("GET", c.rest().path(), ``, "X-Auth-Token: secret"), 401, deniedBody("api_key", "invalid_argument"))
	}},
	{name: "REST: the answer to an unknown token", ours: true, needs: asksREST, run: func(c *client) {
		c.answers(c.ask("GET", c.rest().path(), ``, "X-Auth-Token: "+nobodyToken), 401, deniedBody("api_key", "not_found"))
	}},
	{name: "REST: the answer to a session token", ours: true, needs: asksREST, run: func(c *client) {
		c.answers(c.ask("GET", c.rest().path(), ``, "X-Auth-Token: ", "X-Session-Token: a.b.c"), 401, deniedBody("jwt", "invalid_argument"))
	}},
	{name: "REST: a token that only reads reads, and the answers when it writes", ours: true, needs: hasReadOnly, run: func(c *client) {
		name, token := c.name("a"), "X-Auth-Token: "+c.rest().ReadOnly
		c.put(name, 0, `{"a":1}`)
		if a := c.ask("GET", c.path(name), ``, token); a.status != 200 {
			c.Errorf("a get is answered %s", a.words())
		}
		for _, a := range []answer{
			c.ask("PUT", c.path(name), `{"data":{}}`, token), c.ask("PATCH", c.path(name), `{"data":{}}`, token), c.ask("DELETE", c.path(name), ``, token),
		} {
			c.answers(a, 403, `{"details":[{"action":"write","resource":"twin_document"}],"message":"insufficient permissions","type":"permissions_denied"}`)
		}
		c.stored(name, 1, `{"a":1}`)
	}},
	{name: "REST: the answers to methods that a path doesn't have", ours: true, needs: asksREST, run: func(c *client) {
		for _, a := range []answer{c.ask("POST", c.path(c.name("a")), `{"data":{}}`), c.ask("PUT", c.rest().path(), `{"data":{}}`)} {
			c.answers(a, 405, `{"message":"Method Not Allowed"}`)
		}
	}},
	{name: "REST: the answers to paths that lead nowhere", ours: true, needs: asksREST, run: func(c *client) {
		for _, path := range []string{"/twins", c.rest().path() + "/documents", c.path(c.name("a")) + "/patch"} {
			c.answers(c.ask("GET", path, ``), 404, `{"message":"Not Found: paths here begin with /iot/v1/regions/fr-par/"}`)
		}
	}},
}

// rest is the REST side of a twin that has one.
func (c *client) rest() *RESTTwin {
	if wire, ok := c.Twin.(*WireTwin); ok {
		return wire.RESTTwin
	}
	return c.Twin.(*RESTTwin)
}

func (c *client) id() string { return string(c.rest().id) }

func (c *client) path(name twin.Name) string { return c.rest().documentPath(name) }

// ask makes a REST request, which must be answered.
func (c *client) ask(method, path, body string, header ...string) answer {
	c.Helper()
	a, err := c.rest().ask(c.ctx, method, path, []byte(body), header...)
	if err != nil {
		c.Fatalf("%s: %v", method, err)
	}
	return a
}

// object is an answer's body, which must be a JSON object.
func (c *client) object(a answer) map[string]any {
	c.Helper()
	object, ok := values(a.body).(map[string]any)
	if !ok {
		c.Fatalf("got %s, want a JSON object", a.words())
	}
	return object
}

// answers fails unless an answer has this status and this body, whatever the order of its keys.
func (c *client) answers(a answer, status int, body string) {
	c.Helper()
	if same := string(a.body) == body || json.Valid(a.body) && reflect.DeepEqual(values(a.body), values([]byte(body))); a.status != status || !same {
		c.Errorf("got %s, want %d %s", a.words(), status, body)
	}
}

// refuses fails unless an answer refuses an argument; the help is for people.
func (c *client) refuses(a answer, status int, argument, reason string) {
	c.Helper()
	help, _ := c.detail(a)["help_message"].(string)
	want := values([]byte(invalidBody(argument, reason, help)))
	if a.status != status || help == "" || !reflect.DeepEqual(values(a.body), want) {
		c.Errorf("got %s, want %d %s", a.words(), status, invalidBody(argument, reason, "…"))
	}
}

// detail is the one detail of a refusal; empty if there are more or none.
func (c *client) detail(a answer) map[string]any {
	c.Helper()
	details, _ := c.object(a)["details"].([]any)
	if len(details) != 1 {
		return nil
	}
	detail, _ := details[0].(map[string]any)
	return detail
}

// Bodies of refusals, as the vendor's API has them.
func invalidBody(argument, reason, help string) string {
	quoted, _ := json.Marshal(help)
	return `{"details":[{"argument_name":"` + argument + `","help_message":` + string(quoted) + `,"reason":"` + reason + `"}],"message":"invalid argument(s)","type":"invalid_arguments"}`
}

func missingBody(resource, id string) string {
	return `{"message":"resource is not found","resource":"` + resource + `","resource_id":"` + id + `","type":"not_found"}`
}

func deniedBody(method, reason string) string {
	return `{"message":"authentication is denied","method":"` + method + `","reason":"` + reason + `","type":"denied_authentication"}`
}
