// mqtt.js with mosquitto's broker behind the hub, over TCP and over WebSocket: what people use a broker for, and twins
// beside it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test as nodeTest } from 'node:test'

import mqtt from 'mqtt'

import { startBroker, startHub } from './hub.js'

const me = '$SCW/twins/me'
const test = (name, body) => nodeTest(name, { timeout: 20_000 }, body)

let broker, hub, id
const open = []

beforeEach(async () => {
  broker = await startBroker()
  hub = await startHub('--upstream', broker.url)
  id = hub.device.id
})
afterEach(async () => {
  await Promise.all(open.splice(0).map(client => client.endAsync(true)))
  await hub.stop()
  await broker.stop()
})

// connect waits for CONNACK 0. What comes over the connection and wasn't looked at yet is in messages.
async function connect(url, options) {
  const client = mqtt.connect(url, { reconnectPeriod: 0, ...options })
  open.push(client)
  client.messages = []
  client.on('message', (topic, payload, { qos, retain }) => client.messages.push([topic, payload.toString(), qos, retain]))
  const [connack] = await once(client, 'connect')
  client.sessionPresent = connack.sessionPresent
  return client
}

async function next(client) {
  while (client.messages.length === 0) await once(client, 'message')
  return client.messages.shift()
}

for (const way of ['mqtt', 'ws']) {
  test(`${way}: every QoS, retained, large`, async () => {
    const client = await connect(hub[way], { clientId: id })
    for (const granted of [0, 1, 2]) {
      assert.deepEqual((await client.subscribeAsync('house/+', { qos: granted })).map(s => s.qos), [granted])
      for (const sent of [0, 1, 2]) {
        await client.publishAsync('house/door', `at ${sent}`, { qos: sent })
        assert.deepEqual(await next(client), ['house/door', `at ${sent}`, Math.min(granted, sent), false])
      }
    }
    const picture = 'picture '.repeat(100_000)
    await client.publishAsync('kept', picture, { qos: 1, retain: true })
    const other = await connect(hub[way], { clientId: 'other' })
    await other.subscribeAsync('kept', { qos: 2 })
    assert.deepEqual(await next(other), ['kept', picture, 1, true])
  })

  test(`${way}: twins beside messages`, async () => {
    const client = await connect(hub[way], { clientId: id })
    const granted = await client.subscribeAsync([`${me}/#`, 'house/#', '$SCW/#'], { qos: 2 })
    assert.deepEqual(granted.map(s => s.qos), [0, 2, 2])
    for (let i = 1; i <= 50; i++) {
      client.publish('house/door', `${i}`, { qos: i % 3 })
      client.publish(`${me}/a/put`, `{"data":{"i":${i}}}`, { qos: i % 2 })
    }
    const got = []
    while (got.length < 100) got.push(await next(client))
    const counted = Array.from({ length: 50 }, (_, i) => i + 1)
    const versions = got.filter(([topic]) => topic === `${me}/a/put/response/success`).map(([, payload]) => JSON.parse(payload))
    assert.deepEqual(versions, counted.map(i => ({ version: i, data: { i } })))
    assert.deepEqual(got.filter(([topic]) => topic === 'house/door').map(([, payload]) => Number(payload)).sort((a, b) => a - b), counted)
  })

  test(`${way}: session that is kept, and a will`, async () => {
    let keeper = await connect(hub[way], { clientId: 'keeper', clean: false })
    assert.equal(keeper.sessionPresent, false)
    await keeper.subscribeAsync('letters', { qos: 2 })
    await keeper.endAsync()
    const other = await connect(hub[way], { clientId: 'other' })
    await other.subscribeAsync('will', { qos: 1 })
    await other.publishAsync('letters', 'letter', { qos: 2 })
    keeper = await connect(hub[way], { clientId: 'keeper', clean: false, will: { topic: 'will', payload: 'gone', qos: 1 } })
    assert.equal(keeper.sessionPresent, true)
    assert.deepEqual(await next(keeper), ['letters', 'letter', 2, false])
    keeper.stream.destroy()
    assert.deepEqual(await next(other), ['will', 'gone', 1, false])
  })

  test(`${way}: broker is killed and comes back`, async () => {
    const client = await connect(hub[way], { clientId: id, reconnectPeriod: 100 })
    client.on('error', () => {}) // CONNACK 3 as long as the broker is away
    await client.subscribeAsync(['a', `${me}/#`], { qos: 1 }) // which mqtt.js does again
    const closed = once(client, 'close')
    await broker.kill()
    await closed
    const back = once(client, 'connect')
    await broker.start()
    await back
    await client.publishAsync('a', 'works', { qos: 1 })
    assert.deepEqual(await next(client), ['a', 'works', 1, false])
    await client.publishAsync(`${me}/a/get`, '')
    assert.deepEqual(await next(client), [`${me}/a/get/response/error`, '{"error":"document not found"}', 0, false])
  })
}
