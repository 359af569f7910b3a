// mqtt.js against the hub's MQTT endpoint, over TCP and over WebSocket.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test as nodeTest } from 'node:test'

import mqtt from 'mqtt'

import { startHub } from './hub.js'

const me = '$SCW/twins/me'
const unknownID = '00000000-0000-4000-8000-000000000000'

// What a hub doesn't do shows as an answer that never comes.
const test = (name, body) => nodeTest(name, { timeout: 20_000 }, body)

let hub, id
const open = []

beforeEach(async () => {
  hub = await startHub()
  id = hub.device.id
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(client => client.endAsync(true)))
  await hub.stop()
})

// A Device is a connection of mqtt.js with what has come over it and wasn't looked at yet.
class Device {
  constructor(url, options) {
    this.client = mqtt.connect(url, { clientId: id, reconnectPeriod: 0, ...options })
    this.messages = []
    this.client.on('message', (topic, payload, packet) => this.messages.push({ topic, payload: payload.toString(), packet }))
    open.push(this.client)
  }

  // connected waits for CONNACK 0. Whatever else happens first is an error.
  async connected() {
    await once(this.client, 'connect')
    return this
  }

  // next is the next message, as one line.
  async next() {
    while (this.messages.length === 0) await once(this.client, 'message')
    const { topic, payload, packet } = this.messages.shift()
    assert.equal(packet.qos, 0)
    assert.equal(packet.retain, false)
    return `${topic} ${payload}`
  }

  // ask publishes a request and returns the answer.
  async ask(topic, payload = '', options) {
    await this.client.publishAsync(topic, payload, options)
    return this.next()
  }

  // asks checks answers from top to bottom: [topic, payload, answer].
  async asks(requests) {
    for (const [topic, payload, want] of requests) {
      assert.equal(await this.ask(topic, payload), want, `${topic} ${payload}`)
    }
  }
}

async function device(url, options) {
  const d = await new Device(url, options).connected()
  await d.client.subscribeAsync(`${me}/#`)
  return d
}

for (const transport of ['mqtt', 'ws']) {
  const url = () => hub[transport]

  test(`${transport}: the walk-through of the specification`, async () => {
    const d = await device(url())
    await hub.app('PUT', 'desired', { data: { alarm_armed: true } })
    await hub.app('PUT', 'concurency', { data: { test_value: 'initial' } })
    await hub.app('PUT', 'concurency', { version: 1, data: { test_value: 'first actor' } })
    await d.asks([
      [`${me}/desired/get`, '', `${me}/desired/get/response/success {"version":1,"data":{"alarm_armed":true}}`],
      [`${me}/current/put`, '{"data":{"last_update":"1","alarm_armed":false,"siren_ringing":false,"door_open":true}}',
        `${me}/current/put/response/success {"version":1,"data":{"last_update":"1","alarm_armed":false,"siren_ringing":false,"door_open":true}}`],
      [`${me}/current/patch`, '{"data":{"last_update":"2","door_open":false}}',
        `${me}/current/patch/response/success {"version":2,"data":{"last_update":"2","alarm_armed":false,"siren_ringing":false,"door_open":false}}`],
      [`${me}/concurency/put`, '{"version":1,"data":{"test_value":"MQTT actor"}}',
        `${me}/concurency/put/response/error {"error":"document version mismatch","twin_id":"${id}","document_name":"concurency","expected_version":1,"actual_version":2}`],
      [`${me}/concurency/put`, '{"version":2,"data":{"test_value":"MQTT actor"}}',
        `${me}/concurency/put/response/success {"version":3,"data":{"test_value":"MQTT actor"}}`],
    ])
    const app = await hub.app('GET', 'current')
    assert.deepEqual(app.body.data, { last_update: '2', alarm_armed: false, siren_ringing: false, door_open: false })
  })

  test(`${transport}: errors`, async () => {
    const d = await device(url())
    await d.client.subscribeAsync('$SCW/twins/#')
    await d.asks([
      [`${me}/nothing/get`, '', `${me}/nothing/get/response/error {"error":"document not found"}`],
      [`${me}/nothing/patch`, '{"data":{}}', `${me}/nothing/patch/response/error {"error":"document not found"}`],
      [`${me}/a/put`, '', `${me}/a/put/response/error {"error":"body: empty: send {\\"data\\":{…}}"}`],
      [`${me}/a/put`, '{"data":[1]}', `${me}/a/put/response/error {"error":"data: not an object: write {\\"key\\":value}"}`],
      [`${me}/a/put`, '{"version":7,"data":{}}',
        `${me}/a/put/response/error {"error":"document version mismatch","twin_id":"${id}","document_name":"a","expected_version":7,"actual_version":0}`],
      [`${me}/front door/get`, '',
        `${me}/front door/get/response/error {"error":"document_name: only letters, digits and - _ . ~ can stand in a name: choose another one"}`],
      [`$SCW/twins/${unknownID}/a/get`, '', `$SCW/twins/${unknownID}/a/get/response/error {"error":"permission denied"}`],
    ])
    assert.equal((await hub.app('GET', 'a')).status, 404)
  })

  test(`${transport}: a device by its user name, asking by its id`, async () => {
    const d = await new Device(url(), { clientId: undefined, username: id }).connected()
    await d.client.subscribeAsync(`$SCW/twins/${id}/+/get/response/+`)
    await hub.app('PUT', 'desired', { data: { text: 'ü€😀<&>' } })
    assert.equal(await d.ask(`$SCW/twins/${id}/desired/get`),
      `$SCW/twins/${id}/desired/get/response/success {"version":1,"data":{"text":"ü€😀<&>"}}`)
  })

  test(`${transport}: a large document`, async () => {
    const d = await device(url())
    const data = JSON.stringify({ a: 'x'.repeat(200_000) })
    await d.asks([
      [`${me}/a/put`, `{"data":${data}}`, `${me}/a/put/response/success {"version":1,"data":${data}}`],
      [`${me}/a/get`, '', `${me}/a/get/response/success {"version":1,"data":${data}}`],
    ])
  })

  test(`${transport}: many requests at once are answered in their order`, async () => {
    const d = await device(url())
    for (let i = 1; i <= 200; i++) d.client.publish(`${me}/a/put`, `{"data":{"i":${i}}}`)
    for (let i = 1; i <= 200; i++) assert.equal(await d.next(), `${me}/a/put/response/success {"version":${i},"data":{"i":${i}}}`)
  })

  test(`${transport}: at QoS 1 the acknowledgement comes when the document is written`, async () => {
    const d = await new Device(url()).connected()
    await d.client.publishAsync(`${me}/a/put`, '{"data":{"on":true}}', { qos: 1 })
    assert.deepEqual((await hub.app('GET', 'a')).body.data, { on: true })
    await d.client.subscribeAsync(`${me}/#`)
    assert.equal(await d.ask(`${me}/a/get`, '', { qos: 1 }), `${me}/a/get/response/success {"version":1,"data":{"on":true}}`)
    assert.equal(await d.ask(`${me}/a/put`, '{"version":7}', { qos: 1 }),
      `${me}/a/put/response/error {"error":"document version mismatch","twin_id":"${id}","document_name":"a","expected_version":7,"actual_version":1}`)
  })

  test(`${transport}: subscriptions`, async () => {
    const d = await new Device(url()).connected()
    const granted = await d.client.subscribeAsync({ [`${me}/#`]: { qos: 2 }, [`${me}/a/get/response/+`]: { qos: 1 } })
    assert.deepEqual(granted.map(g => g.qos), [0, 0], 'granted at QoS 0')
    for (const filter of ['house/#', '#', '$SYS/#']) {
      await assert.rejects(d.client.subscribeAsync(filter), error => {
        assert.deepEqual(error.packet.granted, [128], filter)
        return true
      })
    }
    assert.equal(await d.ask(`${me}/a/put`), `${me}/a/put/response/error {"error":"body: empty: send {\\"data\\":{…}}"}`)

    await d.client.unsubscribeAsync(`${me}/#`)
    await d.client.publishAsync(`${me}/a/put`, '{"data":{}}', { qos: 1 })
    assert.equal(await d.ask(`${me}/a/get`), `${me}/a/get/response/success {"version":1,"data":{}}`, 'the put was done without an answer')
  })

  test(`${transport}: a notice for each change by somebody else`, async () => {
    const d = await device(url())
    const changed = `${me}/desired/changed`
    await d.client.subscribeAsync(changed)
    assert.equal(await d.next(), `${changed} {"version":0}`, 'the present version')
    await hub.app('PUT', 'desired', { data: { alarm_armed: true } })
    assert.equal(await d.next(), `${changed} {"version":1}`)
    await hub.app('PATCH', 'desired', { data: { alarm_armed: false } })
    assert.equal(await d.next(), `${changed} {"version":2}`)
    assert.equal(await d.ask(`${me}/desired/put`, '{"data":{}}'), `${me}/desired/put/response/success {"version":3,"data":{}}`)
    await hub.app('PUT', 'another', {})
    await hub.app('DELETE', 'desired')
    assert.equal(await d.next(), `${changed} {"version":0}`, 'neither its own change nor another document is news')
    await d.client.unsubscribeAsync(changed)
    await hub.app('PUT', 'desired', {})
    assert.equal(await d.ask(`${me}/desired/get`), `${me}/desired/get/response/success {"version":1,"data":{}}`)
  })

  test(`${transport}: who may not connect`, async () => {
    const tests = [
      ['unknown device', { clientId: unknownID }, 'Connection refused: Not authorized', 5],
      ['no device', { clientId: undefined, username: 'panel', password: 'secret' }, 'Connection refused: Not authorized', 5],
      ['a token is no device', { clientId: hub.token }, 'Connection refused: Not authorized', 5],
      ['MQTT 5', { protocolVersion: 5 }, 'Connection refused: Unsupported Protocol Version', 132],
    ]
    for (const [name, options, message, code] of tests) {
      await assert.rejects(new Device(url(), options).connected(), { message, code }, name)
    }
  })

  test(`${transport}: MQTT 3.1`, async () => {
    const d = await device(url(), { clientId: 'panel', username: id, protocolId: 'MQIsdp', protocolVersion: 3 })
    assert.equal(await d.ask(`${me}/a/get`), `${me}/a/get/response/error {"error":"document not found"}`)
  })

  test(`${transport}: a session is never kept`, async () => {
    const first = new Device(url(), { clean: false })
    const [connack] = await once(first.client, 'connect')
    assert.equal(connack.sessionPresent, false)
    await first.client.subscribeAsync(`${me}/#`)
    const second = new Device(url(), { clean: false })
    const [again] = await once(second.client, 'connect')
    assert.equal(again.sessionPresent, false)
    await second.client.publishAsync(`${me}/a/put`, '{"data":{}}', { qos: 1 })
    await second.client.subscribeAsync(`${me}/#`)
    assert.equal(await second.ask(`${me}/a/get`), `${me}/a/get/response/success {"version":1,"data":{}}`, 'no answer to the put')
  })

  test(`${transport}: what the hub doesn't do ends the connection`, async () => {
    const tests = [
      ['QoS 2', `${me}/a/put`, { qos: 2 }],
      ['retain', `${me}/a/put`, { retain: true }],
      ['retain at QoS 1', `${me}/a/put`, { qos: 1, retain: true }],
      ['another topic', 'house/door', {}],
      ['another topic at QoS 1', 'house/door', { qos: 1 }],
    ]
    for (const [name, topic, options] of tests) {
      const d = await device(url())
      const closed = once(d.client, 'close')
      d.client.publish(topic, '{"data":{}}', options)
      await closed
      assert.deepEqual(d.messages, [], name)
      await d.client.endAsync(true)
    }
    assert.equal((await hub.app('GET', 'a')).status, 404, 'nothing was written')
  })

  test(`${transport}: after a take-over, a client that wants back subscribes and sends what it has`, async () => {
    const first = await device(url(), { reconnectPeriod: 1 })
    const back = once(first.client, 'connect')
    const gone = once(first.client, 'close')
    const second = await new Device(url()).connected()
    const ended = once(second.client, 'close')
    await gone
    const acknowledged = first.client.publishAsync(`${me}/a/put`, '{"data":{"while":"away"}}', { qos: 1 })
    await back
    await ended
    await acknowledged
    assert.deepEqual((await hub.app('GET', 'a')).body.data, { while: 'away' })
    await first.client.publishAsync(`${me}/b/put`, '{"data":{}}')
    while (!(await first.next()).startsWith(`${me}/b/put/response/success`));
  })

  test(`${transport}: a will is never published`, async () => {
    const first = await new Device(url(), { will: { topic: `${me}/a/put`, payload: '{"data":{}}', qos: 1, retain: true } }).connected()
    const closed = once(first.client, 'close')
    first.client.stream.destroy()
    await closed
    const second = await device(url()) // The hub has done with the first before it accepts the second.
    assert.equal(await second.ask(`${me}/a/get`), `${me}/a/get/response/error {"error":"document not found"}`)
  })

  test(`${transport}: keep-alive`, async () => {
    const d = await device(url(), { keepalive: 1 })
    for (let pings = 0; pings < 2;) {
      const [packet] = await once(d.client, 'packetreceive')
      if (packet.cmd === 'pingresp') pings++
    }
    assert.equal(await d.ask(`${me}/a/get`), `${me}/a/get/response/error {"error":"document not found"}`)
  })
}

// mqtt.js takes a refused upgrade for a lost connection; what it was refused with, only its stream tells.
async function upgradeError(url, options) {
  const [error] = await once(new Device(url, options).client.stream, 'error')
  return error.message
}

test('ws: another path', async () => {
  assert.equal(await upgradeError(hub.ws.replace(/mqtt$/, '')), 'Unexpected server response: 404')
})

test('ws: a page of another origin', async () => {
  assert.equal(await upgradeError(hub.ws, { wsOptions: { origin: 'https://elsewhere.example' } }), 'Unexpected server response: 403')
})

test('ws: a page of the hub itself', async () => {
  const origin = new URL(hub.ws.replace('ws:', 'http:')).origin
  const d = await device(hub.ws, { wsOptions: { origin } })
  assert.equal(await d.ask(`${me}/a/get`), `${me}/a/get/response/error {"error":"document not found"}`)
})
