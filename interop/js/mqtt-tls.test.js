// mqtt.js against a hub over TLS, with a certificate and with a secret, over TCP and over WebSocket.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test as nodeTest } from 'node:test'

import mqtt from 'mqtt'

import { startSecureHub } from './hub.js'

const me = '$SCW/twins/me'

// What a hub doesn't do shows as an answer that never comes.
const test = (name, body) => nodeTest(name, { timeout: 20_000 }, body)

let hub
const open = []

beforeEach(async () => { hub = await startSecureHub() })
afterEach(async () => {
  await Promise.all(open.splice(0).map(client => client.endAsync(true)))
  await hub.stop()
})

// connect resolves with the client when it is connected, and rejects with what keeps it from that.
async function connect(url, options) {
  const client = mqtt.connect(url, { reconnectPeriod: 0, ...options })
  open.push(client)
  await once(client, 'connect')
  return client
}

// ask publishes a request and returns the answer, as one line.
async function ask(client, topic, payload = '') {
  const answer = once(client, 'message')
  await client.publishAsync(topic, payload)
  const [from, data] = await answer
  return `${from} ${data}`
}

// check checks what a device may do, and that an app sees it.
async function check(client, device) {
  await hub.app(device, 'PUT', 'desired', { data: { alarm_armed: true } })
  await client.subscribeAsync(`${me}/#`)
  assert.equal(await ask(client, `${me}/desired/get`), `${me}/desired/get/response/success {"version":1,"data":{"alarm_armed":true}}`)
  assert.equal(await ask(client, `${me}/current/put`, '{"data":{"alarm_armed":true}}'),
    `${me}/current/put/response/success {"version":1,"data":{"alarm_armed":true}}`)
  for (const method of ['put', 'patch']) {
    assert.equal(await ask(client, `${me}/desired/${method}`, '{"data":{"alarm_armed":false}}'),
      `${me}/desired/${method}/response/error {"error":"permission denied"}`)
  }
  assert.deepEqual((await hub.app(device, 'GET', 'desired')).body.data, { alarm_armed: true })
  assert.deepEqual((await hub.app(device, 'GET', 'current')).body.data, { alarm_armed: true })
}

for (const transport of ['mqtts', 'wss']) {
  const url = () => hub[transport]

  test(`${transport}: certificate`, async () => {
    const { id, ca, cert, key } = hub.panel
    await check(await connect(url(), { clientId: id, ca, cert, key }), hub.panel)
  })

  test(`${transport}: secret`, async () => {
    const { id, ca, secret } = hub.meter
    await check(await connect(url(), { clientId: id, username: id, password: secret, ca }), hub.meter)
  })

  test(`${transport}: secret with any client id`, async () => {
    const { id, ca, secret } = hub.meter
    await check(await connect(url(), { username: id, password: secret, ca }), hub.meter)
  })

  test(`${transport}: who may not connect`, async () => {
    const { panel, meter } = hub
    const { ca, cert, key } = panel
    const tests = [
      ['the id alone', { clientId: panel.id }],
      ['the id as user name alone', { username: meter.id }],
      ['wrong secret', { clientId: meter.id, username: meter.id, password: 'wrong' }],
      ["another device's secret", { clientId: panel.id, username: panel.id, password: meter.secret }],
      ["another device's certificate", { clientId: meter.id, cert, key }],
      ["another device's certificate beside a secret", { clientId: meter.id, username: meter.id, password: meter.secret, cert, key }],
    ]
    for (const [name, options] of tests) {
      await assert.rejects(connect(url(), { ca, ...options }), { message: 'Connection refused: Not authorized', code: 5 }, name)
    }
  })

  test(`${transport}: a hub that nobody vouches for`, async () => {
    const { id, cert, key } = hub.panel
    const client = mqtt.connect(url(), { reconnectPeriod: 0, clientId: id, cert, key })
    open.push(client)
    const [error] = await once(transport === 'wss' ? client.stream : client, 'error')
    assert.match(error.message, /unable to verify the first certificate/)
  })
}
