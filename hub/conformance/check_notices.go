package conformance

import "fmt"

// noticeChecks are about change notices, which no other hub is known to have.
var noticeChecks = []check{
	{name: "MQTT: who subscribes to notices of a document is told its version", ours: true, needs: speaksMQTT, run: func(c *client) {
		here, missing := c.name("here"), c.name("missing")
		c.elsewhere().put(here, 0, `{}`)
		c.elsewhere().put(here, 0, `{}`)
		t := c.connect()
		for name, version := range map[string]int{string(here): 2, string(missing): 0} {
			topic := "$SCW/twins/me/" + name + "/changed"
			t.asks(subscribe(0, topic), "SUBACK 0")
			t.wants(notice(topic, version))
		}
	}},
	{name: "MQTT: a notice tells each change that somebody else makes", ours: true, needs: speaksMQTT, run: func(c *client) {
		name, other := c.name("a"), c.elsewhere()
		topic := "$SCW/twins/me/" + string(name) + "/changed"
		t := c.connect(topic)
		t.wants(notice(topic, 0))
		other.put(name, 0, `{"a":1}`)
		t.wants(notice(topic, 1))
		other.patch(name, 0, `{"b":2}`)
		t.wants(notice(topic, 2))
		other.put(name, 0, `{"a":1,"b":2}`) // the same again is a change, too
		t.wants(notice(topic, 3))
		other.delete(name)
		t.wants(notice(topic, 0))
		other.put(name, 0, `{}`)
		t.wants(notice(topic, 1))
		other.put(c.name("b"), 0, `{}`)
		t.nothing()
	}},
	{name: "MQTT: a notice has the id where the subscription has it", ours: true, needs: speaksMQTT, run: func(c *client) {
		topic := "$SCW/twins/" + c.id() + "/" + string(c.name("a")) + "/changed"
		t := c.connect(topic)
		t.wants(notice(topic, 0))
		c.elsewhere().put(c.name("a"), 0, `{}`)
		t.wants(notice(topic, 1))
	}},
	{name: "MQTT: nobody is told of what he wrote himself", ours: true, needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		topic := "$SCW/twins/me/" + string(name) + "/changed"
		t := c.connect("$SCW/twins/me/+/+/response/+", topic)
		t.wants(notice(topic, 0))
		t.succeeds(request("put", name, `{"data":{}}`))
		t.succeeds(request("patch", name, `{"data":{}}`))
		t.nothing()
		c.elsewhere().put(name, 0, `{}`)
		t.wants(notice(topic, 3))
	}},
	{name: "MQTT: nobody is told who has not asked for it", ours: true, needs: speaksMQTT, run: func(c *client) {
		name, other := c.name("a"), c.elsewhere()
		t := c.connect(tutorial, "$SCW/twins/me/"+string(name)+"/+")
		other.put(name, 0, `{}`)
		t.nothing()
		topic := "$SCW/twins/me/" + string(name) + "/changed"
		t.asks(subscribe(0, topic), "SUBACK 0")
		t.wants(notice(topic, 1))
		t.asks(unsubscribe(topic), "UNSUBACK")
		other.put(name, 0, `{}`)
		t.succeeds(request("get", name, ``))
		t.nothing()
	}},
}

// notice is a change notice in words; version 0 = there is no such document.
func notice(topic string, version int) string {
	return fmt.Sprintf(`PUBLISH %s {"version":%d}`, topic, version)
}
