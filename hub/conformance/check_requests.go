package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twinpanel/twinpanel/twin"
)

// requestChecks are about in-band requests over MQTT that are done.
var requestChecks = []check{
	{name: "MQTT: get, put and patch answer under the request's topic, with the new document", needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		t := c.connect(tutorial)
		c.want(t.succeeds(request(twin.Put, name, `{"data":{"a":1}}`)), 1, `{"a":1}`)
		c.want(t.succeeds(request(twin.Patch, name, `{"data":{"b":2}}`)), 2, `{"a":1,"b":2}`)
		c.want(t.succeeds(request(twin.Get, name, ``)), 2, `{"a":1,"b":2}`)
		c.want(t.succeeds(request(twin.Put, name, `{"version":2,"data":{}}`)), 3, `{}`)
	}},
	{name: "MQTT: REST and MQTT are two ways to one document", needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		c.elsewhere().put(name, 0, `{"alarm_armed":true}`)
		t := c.connect(tutorial)
		c.want(t.succeeds(request(twin.Get, name, ``)), 1, `{"alarm_armed":true}`)
		t.succeeds(request(twin.Patch, name, `{"version":1,"data":{"by":"panel"}}`))
		c.elsewhere().stored(name, 2, `{"alarm_armed":true,"by":"panel"}`)
	}},
	{name: "MQTT: the device's id stands for me", needs: speaksMQTT, run: func(c *client) {
		t := c.connect(tutorial, "$SCW/twins/"+c.id()+"/#")
		t.say(c.byID(request(twin.Put, c.name("a"), `{"data":{"a":1}}`)).packet())
		p, err := t.hear()
		if answer, _ := p.message(); !strings.HasSuffix(answer.topic, "/"+string(c.name("a"))+"/put/response/success") {
			c.Errorf("got %s, want a success", heardWords(p, err))
		}
		c.elsewhere().stored(c.name("a"), 1, `{"a":1}`)
	}},
	{name: "MQTT: an answer has me or the id as the request had it", ours: true, needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		t := c.connect(tutorial, "$SCW/twins/"+c.id()+"/#")
		t.succeeds(request(twin.Put, name, `{"data":{}}`))
		t.succeeds(c.byID(request(twin.Get, name, ``)))
		t.fails(c.byID(request(twin.Put, name, `{"version":7,"data":{}}`)))
		t.nothing()
	}},
	{name: "MQTT: a success has version and data and nothing else, in one line", ours: true, needs: speaksMQTT, run: func(c *client) {
		put := request(twin.Put, c.name("a"), `{"data": {"z": 1.50, "a": "<&>"}}`)
		c.connect(tutorial).asks(put.packet(), "PUBLISH "+put.topic+`/response/success {"version":1,"data":{"z":1.50,"a":"<&>"}}`)
	}},
	{name: "MQTT: an answer comes at QoS 0 and isn't retained", ours: true, needs: speaksMQTT, run: func(c *client) {
		put := request(twin.Put, c.name("a"), `{"data":{}}`)
		put.qos, put.id = 1, 1
		t := c.connect()
		t.say(subscribe(1, tutorial)) // at the QoS that the hub likes
		t.hear()
		for _, p := range t.both(put) {
			if answer, ok := p.message(); ok && (answer.qos != 0 || answer.retain || answer.dup) {
				c.Errorf("got %s, want QoS 0 and no flags", p.words)
			}
		}
	}},
	{name: "MQTT: a request at QoS 1 is acknowledged and done", needs: speaksMQTT, run: func(c *client) {
		put := request(twin.Put, c.name("a"), `{"data":{"a":1}}`)
		put.qos, put.id = 1, 0x0708
		for _, p := range c.connect(tutorial).both(put) {
			if p.kind() == packetPuback && p.id() != put.id {
				c.Errorf("PUBACK is for %d, want %d", p.id(), put.id)
			}
		}
		c.elsewhere().stored(c.name("a"), 1, `{"a":1}`)
	}},
	{name: "MQTT: a request at QoS 1 that is refused is acknowledged", ours: true, needs: speaksMQTT, run: func(c *client) {
		put := request(twin.Put, c.name("a"), `{"version":7,"data":{}}`)
		put.qos, put.id = 1, 1
		c.connect(tutorial).both(put)
	}},
	{name: "MQTT: a request at QoS 1 that is sent again is done again", ours: true, needs: speaksMQTT, run: func(c *client) {
		put := request(twin.Put, c.name("a"), `{"data":{}}`)
		put.qos, put.id = 1, 1
		t := c.connect(tutorial)
		t.both(put)
		put.dup = true
		t.both(put)
		c.elsewhere().stored(c.name("a"), 2, `{}`)
	}},
	{name: "MQTT: requests in a row are done and answered in their order", ours: true, needs: speaksMQTT, run: func(c *client) {
		const requests = 20
		t := c.connect(tutorial)
		name := c.name("a")
		topic := request(twin.Put, name, "").topic
		for i := range requests {
			t.say(request(twin.Put, name, fmt.Sprintf(`{"data":{"i":%d}}`, i)).packet())
		}
		for i := range requests {
			t.wants(fmt.Sprintf(`PUBLISH %s/response/success {"version":%d,"data":{"i":%d}}`, topic, i+1, i))
		}
	}},
	{name: "MQTT: what a get carries is ignored", ours: true, needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		c.elsewhere().put(name, 0, `{"a":1}`)
		t := c.connect(tutorial)
		for _, payload := range []string{`{"version":7,"data":{}}`, "\xff{"} {
			c.want(t.succeeds(request(twin.Get, name, payload)), 1, `{"a":1}`)
		}
	}},
}

// requestRefusalChecks are about requests over MQTT that are refused.
var requestRefusalChecks = []check{
	{name: "MQTT: a refusal answers under the request's topic, with a text under error", needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		c.elsewhere().put(name, 0, `{"a":1}`)
		t := c.connect(tutorial)
		for _, m := range []twin.Method{twin.Put, twin.Patch} {
			for _, payload := range []string{`{"version":7,"data":{}}`, `{"data":[]}`, `{"data":`, "alarm_armed=true", "\xff"} {
				t.fails(request(m, name, payload))
			}
		}
		c.elsewhere().stored(name, 1, `{"a":1}`)
	}},
	{name: "MQTT: a mismatch has the tutorial's five keys", needs: speaksMQTT, run: func(c *client) {
		name := c.name("concurrency")
		c.elsewhere().put(name, 0, `{"test_value":"initial"}`)
		c.elsewhere().put(name, 1, `{"test_value":"first actor"}`)
		t := c.connect(tutorial)
		for _, m := range []twin.Method{twin.Put, twin.Patch} {
			got := t.fails(request(m, name, `{"version": 1,"data": {"test_value": "MQTT actor"}}`))
			want := map[string]any{"error": "document version mismatch", "twin_id": c.id(), "document_name": string(name),
				"expected_version": json.Number("1"), "actual_version": json.Number("2")}
			if !maps.Equal(got, want) {
				c.Errorf("%s: the error answer is %v, want %v", m, got, want)
			}
		}
	}},
	{name: "MQTT: the answer to a get of a missing document", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.connect(tutorial).refused(request(twin.Get, c.name("missing"), ""), "document not found")
	}},
	{name: "MQTT: the answer to a patch of a missing document", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.connect(tutorial).refused(request(twin.Patch, c.name("missing"), `{"data":{"a":1}}`), "document not found")
	}},
	{name: "MQTT: the answer to a patch of a missing document with a version", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.connect(tutorial).refused(request(twin.Patch, c.name("missing"), `{"version":7,"data":{"a":1}}`), "document not found")
	}},
	{name: "MQTT: the answer to a put of a missing document with a version", ours: true, needs: speaksMQTT, run: func(c *client) {
		put := request(twin.Put, c.name("missing"), `{"version":7,"data":{}}`)
		c.connect(tutorial).asks(put.packet(), "PUBLISH "+put.topic+`/response/error {"error":"document version mismatch","twin_id":"`+c.id()+
			`","document_name":"`+string(c.name("missing"))+`","expected_version":7,"actual_version":0}`)
	}},
	{name: "MQTT: the answer to an empty payload", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect(tutorial)
		t.refused(request(twin.Put, c.name("a"), ""), "body: empty: send {\"data\":{…}}")
		t.refused(request(twin.Patch, c.name("a"), ""), "body: empty: send {\"data\":{…}}")
	}},
	{name: "MQTT: the answers to payloads that can't be accepted", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect(tutorial)
		for _, tt := range []struct{ payload, place string }{
			{"alarm_armed=true", "body"}, {`{"alarm_armed":true}`, "alarm_armed"}, {`{"data":[]}`, "data"}, {`{"version":"1","data":{}}`, "version"},
			{`{"data":{"a":{"b":1,"b":2}}}`, "data.a.b"},
		} {
			keys := t.fails(request(twin.Put, c.name("a"), tt.payload))
			if text, _ := keys["error"].(string); len(keys) != 1 || !strings.HasPrefix(text, tt.place+": ") {
				c.Errorf("put of %s is refused with %v, want one text that begins with %s", tt.payload, keys, tt.place)
			}
		}
	}},
	{name: "MQTT: the answer to a malformed _config", ours: true, config: true, needs: speaksMQTT, run: func(c *client) {
		c.connect(tutorial).refused(request(twin.Put, twin.ConfigName, `{"data":{"documents":{"current":{"_tsdb_trigger":"always"}}}}`),
			`data.documents.current._tsdb_trigger: unknown trigger: write "on-update", "on-change", or null to push nothing`)
	}},
	{name: "MQTT: the answer to a name with other characters", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect(tutorial)
		for _, m := range []twin.Method{twin.Get, twin.Put, twin.Patch} {
			t.refused(request(m, c.name("front door"), `{"data":{}}`),
				"document_name: only letters, digits and - _ . ~ can stand in a name: choose another one")
		}
	}},
	{name: "MQTT: the answer about another device's twin", ours: true, needs: speaksMQTT, run: func(c *client) {
		ids := []string{nobody, "you"}
		if c.wire().Bystander != "" {
			ids = append(ids, string(c.wire().Bystander))
		}
		t := c.connect()
		for _, id := range ids {
			t.asks(subscribe(0, "$SCW/twins/"+id+"/#"), "SUBACK 0")
			for _, m := range []twin.Method{twin.Get, twin.Put, twin.Patch} {
				t.refused(message{topic: "$SCW/twins/" + id + "/" + string(c.name("a")) + "/" + string(m), payload: `{"data":{}}`}, "permission denied")
			}
		}
	}},
	{name: "MQTT: unknown methods have no answer", ours: true, needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		c.elsewhere().put(name, 0, `{"a":1}`)
		t := c.connect(tutorial)
		for _, method := range []string{"delete", "list", "GET", "get/now"} {
			t.say(message{topic: "$SCW/twins/me/" + string(name) + "/" + method}.packet())
			t.nothing()
		}
		c.elsewhere().stored(name, 1, `{"a":1}`)
	}},
	{name: "MQTT: a publish to a topic for answers reaches nobody", ours: true, needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		t := c.connect(tutorial)
		t.say(message{topic: request(twin.Get, name, "").topic + "/response/success", payload: `{"version":9,"data":{}}`}.packet())
		t.nothing()
		c.elsewhere().absent(name)
	}},
	{name: "MQTT: a publish at QoS 2 ends the connection", ours: true, needs: speaksMQTT, run: func(c *client) {
		m := request(twin.Put, c.name("a"), `{"data":{}}`)
		m.qos, m.id = 2, 1
		c.connect(tutorial).asks(m.packet(), "closed")
		c.elsewhere().absent(c.name("a"))
	}},
	{name: "MQTT: a publish with the retain flag ends the connection", ours: true, needs: speaksMQTT, run: func(c *client) {
		m := request(twin.Put, c.name("a"), `{"data":{}}`)
		m.retain = true
		c.connect(tutorial).asks(m.packet(), "closed")
		c.elsewhere().absent(c.name("a"))
	}},
	{name: "MQTT: a publish to a topic that is no twin's ends the connection", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.connect(tutorial).asks(message{topic: c.prefix + "house/door", payload: "open"}.packet(), "closed")
	}},
}

// byID asks by the device's id what the request asks by me.
func (c *client) byID(m message) message {
	m.topic = strings.Replace(m.topic, "/me/", "/"+c.id()+"/", 1)
	return m
}

// both makes a request at QoS 1, which must get an acknowledgement and an answer, and returns these.
func (t *talk) both(m message) []packet {
	t.Helper()
	t.say(m.packet())
	packets := make([]packet, 2)
	for i := range packets {
		p, err := t.hear()
		if err != nil {
			t.Fatalf("got %s, want a PUBACK and an answer", err)
		}
		packets[i] = p
	}
	kinds := []byte{packets[0].kind(), packets[1].kind()}
	if slices.Sort(kinds); !slices.Equal(kinds, []byte{packetPublish, packetPuback}) {
		t.Fatalf("got %s and %s, want a PUBACK and an answer", packets[0].words, packets[1].words)
	}
	return packets
}
