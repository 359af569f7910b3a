package conformance

import "github.com/twinpanel/twinpanel/twin"

// tutorial is the subscription of the tutorial: all answers.
const tutorial = "$SCW/twins/me/#"

// connectionChecks are about connections and subscriptions over MQTT. That the device's id is
// all that opens one is the vendor's documentation, not the specification.
var connectionChecks = []check{
	{name: "MQTT: a device connects with its id as client id", needs: speaksMQTT, run: func(c *client) {
		c.dial("").hello(connect{clientID: c.id(), keepAlive: 60}, tutorial)
	}},
	{name: "MQTT: a device connects with its id as user name", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.dial("").hello(connect{clientID: c.prefix + "client", username: c.id()}, tutorial)
	}},
	{name: "MQTT: a user name needs no client id", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.dial("").hello(connect{username: c.id()}, tutorial)
	}},
	{name: "MQTT: clean session 0 gets no session that was kept", ours: true, needs: speaksMQTT, run: func(c *client) {
		for range 2 {
			t := c.dial("")
			t.hello(connect{clientID: c.id(), keepsSession: true}, tutorial)
			t.conn.leave()
		}
	}},
	{name: "MQTT: clean session 0 without a client id is refused with 2", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.refusesConnect(connect{username: c.id(), keepsSession: true}.packet(), "CONNACK 2")
	}},
	{name: "MQTT: a device that doesn't exist is refused with 5", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.refusesConnect(connect{clientID: nobody}.packet(), "CONNACK 5")
		c.refusesConnect(connect{clientID: "x", username: nobody}.packet(), "CONNACK 5")
	}},
	{name: "MQTT: a client that names no device is refused with 5", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.refusesConnect(connect{clientID: "porch"}.packet(), "CONNACK 5")
	}},
	{name: "MQTT: MQTT 3.1 is spoken", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.dial("").hello(connect{clientID: c.id(), old: true}, tutorial)
	}},
	{name: "MQTT: MQTT 5 is refused with its own 132", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.refusesConnect(connectOfMQTT5(c.id()), "CONNACK 132")
	}},
	{name: "MQTT: a will is accepted", ours: true, needs: speaksMQTT, run: func(c *client) {
		c.dial("").hello(connect{clientID: c.id(), will: "$SCW/twins/me/" + string(c.name("a")) + "/put"}, tutorial)
	}},
	{name: "MQTT: a ping is answered", needs: speaksMQTT, run: func(c *client) {
		c.connect().asks(pingreq, "PINGRESP")
	}},
	{name: "MQTT: who says nothing for 1.5 keep-alive intervals is disconnected", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.dial("")
		t.hello(connect{clientID: c.id(), keepAlive: 1})
		t.wants("closed")
	}},
	{name: "MQTT: a second connection ends the first, unless the device may have several", ours: true, needs: speaksMQTT, run: func(c *client) {
		first, second := c.dial("first"), c.dial("second")
		first.hello(connect{clientID: c.prefix + "1", username: c.id()}, tutorial)
		second.hello(connect{clientID: c.prefix + "2", username: c.id()}, tutorial)
		if c.wire().Several {
			first.nothing()
		} else {
			first.wants("closed")
		}
		second.nothing()
	}},
	{name: "MQTT: subscriptions are granted at QoS 0", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect()
		t.asks(subscribe(1, tutorial), "SUBACK 0")
		t.asks(subscribe(2, "$SCW/twins/me/+/get/response/+"), "SUBACK 0")
	}},
	{name: "MQTT: filters that mean nothing of twins are refused", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect()
		for _, f := range []string{"#", "+/twins/#", "house/door", "$SYS/#"} {
			t.asks(subscribe(0, f), "SUBACK 128")
		}
	}},
	{name: "MQTT: filters that are none are refused", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect()
		for _, f := range []string{"$SCW/twins/me/#/get", "$SCW/twins/me+", ""} {
			t.asks(subscribe(0, f), "SUBACK 128")
		}
		t.asks(subscribe(0, tutorial), "SUBACK 0")
	}},
	{name: "MQTT: without a subscription a request is done, but not answered", needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		t := c.connect()
		t.say(request(twin.Put, name, `{"data":{"a":1}}`).packet())
		t.nothing()
		c.elsewhere().stored(name, 1, `{"a":1}`)
	}},
	{name: "MQTT: a subscription to one answer gets that one alone", needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		get := request(twin.Get, name, "")
		t := c.connect(get.topic + "/response/success")
		t.say(request(twin.Put, name, `{"data":{"a":1}}`).packet())
		t.nothing()
		c.want(t.succeeds(get), 1, `{"a":1}`)
	}},
	{name: "MQTT: wildcards of a filter mean what they should", needs: speaksMQTT, run: func(c *client) {
		name := c.name("a")
		put, get := request(twin.Put, name, `{"data":{}}`), request(twin.Get, name, "")
		t := c.connect("$SCW/twins/me/+/put/response/+")
		t.succeeds(put)
		t.say(get.packet())
		t.nothing()
		t.asks(subscribe(0, "$SCW/twins/me/"+string(name)+"/get/#"), "SUBACK 0")
		t.succeeds(get)
	}},
	{name: "MQTT: a filter that begins with a wildcard never means an answer", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect()
		for _, f := range []string{"#", "+/twins/me/#"} {
			t.say(subscribe(0, f))
			if p, err := t.hear(); err != nil || p.kind() != packetSuback {
				c.Fatalf("got %s, want a SUBACK", heardWords(p, err))
			}
		}
		t.say(request(twin.Put, c.name("a"), `{"data":{}}`).packet())
		t.nothing()
	}},
	{name: "MQTT: overlapping subscriptions get one answer", ours: true, needs: speaksMQTT, run: func(c *client) {
		t := c.connect(tutorial, "$SCW/twins/me/+/put/response/success")
		t.succeeds(request(twin.Put, c.name("a"), `{"data":{}}`))
		t.nothing()
	}},
	{name: "MQTT: after UNSUBSCRIBE there are no answers", needs: speaksMQTT, run: func(c *client) {
		t := c.connect(tutorial)
		t.succeeds(request(twin.Put, c.name("a"), `{"data":{}}`))
		t.asks(unsubscribe(tutorial), "UNSUBACK")
		t.say(request(twin.Get, c.name("a"), "").packet())
		t.nothing()
	}},
	{name: "MQTT: an answer goes to the connection that asked, and to no other", needs: hasBystander, run: func(c *client) {
		name := c.name("a")
		bystander := c.dial("bystander")
		bystander.hello(connect{clientID: string(c.wire().Bystander), keepAlive: 60}, tutorial)
		t := c.connect(tutorial)
		t.succeeds(request(twin.Put, name, `{"data":{}}`))
		t.succeeds(request(twin.Get, name, ""))
		c.elsewhere().put(name, 0, `{"a":1}`)
		bystander.nothing()
		t.nothing()
	}},
}

// refusesConnect fails unless a CONNECT is refused with this CONNACK and the end of the connection.
func (c *client) refusesConnect(p packet, connack string) {
	c.Helper()
	t := c.dial("")
	t.asks(p, connack)
	t.wants("closed")
}
