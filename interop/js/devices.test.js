// The vendor's JavaScript SDK: devices and the hub, in the life of a few devices.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { createClient, Errors } from '@scaleway/sdk-client'
import { Iotv1 } from '@scaleway/sdk-iot'
import mqtt from 'mqtt'

import { startHub } from './hub.js'

const unknownID = '00000000-0000-4000-8000-000000000000'
const nothingHeldBack = { policy: 'reject', topics: [] }

let hub, api, reader, hubId

function sdk(secretKey) {
  return new Iotv1.API(createClient({
    apiURL: hub.api_url, accessKey: 'SCWXXXXXXXXXXXXXXXXX', secretKey, defaultRegion: 'fr-par',
  }))
}

before(async () => {
  hub = await startHub()
  api = sdk(hub.token)
  reader = sdk(hub.read_only_token)
  const { hubs, totalCount } = await api.listHubs()
  assert.equal(totalCount, 1)
  hubId = hubs[0].id
})
after(() => hub.stop())

test('a device', async () => {
  const began = Date.now() - 1000
  const { device, certificate } = await api.createDevice({ name: 'front door', hubId, allowInsecure: false, allowMultipleConnections: false })
  assert.match(certificate.crt, /^-----BEGIN CERTIFICATE-----\n/)
  assert.match(certificate.key, /^-----BEGIN PRIVATE KEY-----\n/)
  const { id: deviceId, createdAt, updatedAt, lastActivityAt, ...rest } = device
  assert.deepEqual(rest, {
    name: 'front door', description: '', status: 'enabled', hubId, isConnected: false, allowInsecure: false, allowMultipleConnections: false,
    messageFilters: { publish: nothingHeldBack, subscribe: nothingHeldBack }, hasCustomCertificate: false, region: 'fr-par',
  })
  assert.ok(createdAt.getTime() >= began && updatedAt.getTime() === createdAt.getTime(), `${createdAt} ${updatedAt}`)
  assert.equal(lastActivityAt.getTime(), 0, 'never seen')
  assert.deepEqual(await api.getDevice({ deviceId }), device)

  const messageFilters = { publish: { policy: 'accept', topics: ['a/+', '#'] }, subscribe: nothingHeldBack }
  const changed = await api.updateDevice({ deviceId, description: 'hall', allowInsecure: true, messageFilters })
  assert.deepEqual({ ...changed, updatedAt }, { ...device, description: 'hall', allowInsecure: true, messageFilters })
  assert.equal((await api.disableDevice({ deviceId })).status, 'disabled')
  assert.equal((await api.enableDevice({ deviceId })).status, 'enabled')

  assert.equal((await api.getDeviceCertificate({ deviceId })).certificatePem, certificate.crt)
  const renewed = await api.renewDeviceCertificate({ deviceId })
  assert.notEqual(renewed.certificate.crt, certificate.crt)
  assert.equal((await api.getDeviceCertificate({ deviceId })).certificatePem, renewed.certificate.crt)
  const set = await api.setDeviceCertificate({ deviceId, certificatePem: certificate.crt })
  assert.equal(set.certificatePem, certificate.crt)
  assert.equal(set.device.hasCustomCertificate, true)

  assert.equal(await api.deleteDevice({ deviceId }), undefined)
  await assert.rejects(api.getDevice({ deviceId }), { constructor: Errors.ResourceNotFoundError, status: 404, resource: 'device', resourceId: deviceId })
})

test('all pages', async () => {
  const made = Array.from({ length: 120 }, (_, i) => `page ${String(i).padStart(3, '0')}`)
  for (const name of made) await api.createDevice({ name, hubId, allowInsecure: false, allowMultipleConnections: false })
  const all = await api.listDevices().all()
  assert.deepEqual(all.map(d => d.name).filter(n => n.startsWith('page')), made)
  const page = await api.listDevices({ page: 2, pageSize: 100, orderBy: 'name_desc', hubId, status: 'enabled', allowInsecure: false })
  assert.equal(page.totalCount, 120)
  assert.deepEqual(page.devices.map(d => d.name), made.slice(0, 20).reverse())
  assert.equal((await api.listDevices({ name: 'page 007' })).totalCount, 1)
  for (const d of all) if (d.name.startsWith('page')) await api.deleteDevice({ deviceId: d.id })
})

test('who is connected', { timeout: 60_000 }, async () => {
  const deviceId = hub.device.id
  const state = async () => {
    const [{ isConnected }, { connectedDeviceCount }] = [await api.getDevice({ deviceId }), await api.getHub({ hubId })]
    return { isConnected, connectedDeviceCount }
  }
  const away = { isConnected: false, connectedDeviceCount: 0 }
  assert.deepEqual(await state(), away)
  const began = Date.now()
  const client = await mqtt.connectAsync(hub.mqtt, { protocolVersion: 4, clientId: deviceId, reconnectPeriod: 0 })
  assert.deepEqual(await state(), { isConnected: true, connectedDeviceCount: 1 })
  assert.ok((await api.getDevice({ deviceId })).lastActivityAt.getTime() >= began)
  const closed = new Promise(resolve => client.once('close', resolve))
  await api.disableDevice({ deviceId })
  await closed
  while ((await state()).isConnected); // the hub notices in its own time
  await assert.rejects(mqtt.connectAsync(hub.mqtt, { protocolVersion: 4, clientId: deviceId, reconnectPeriod: 0 }), { code: 5 })
  await api.enableDevice({ deviceId })
  await (await mqtt.connectAsync(hub.mqtt, { protocolVersion: 4, clientId: deviceId, reconnectPeriod: 0 })).endAsync()
})

test('the hub', async () => {
  const before = await api.getHub({ hubId })
  assert.equal(before.status, 'ready')
  assert.equal(before.productPlan, 'plan_shared')
  assert.equal(before.enabled, true)
  assert.equal(before.endpoint, 'localhost')
  assert.equal(before.twinsGraphiteConfig, undefined)
  assert.deepEqual(await api.waitForHub({ hubId }), before)
  const twinsGraphiteConfig = { pushUri: 'http://user:s3cret@127.0.0.1:9/metrics' }
  const changed = await api.updateHub({ hubId, name: 'house', disableEvents: true, twinsGraphiteConfig })
  assert.deepEqual({ ...changed, updatedAt: before.updatedAt }, { ...before, name: 'house', disableEvents: true, twinsGraphiteConfig })
  assert.deepEqual((await reader.getHub({ hubId })).twinsGraphiteConfig, { pushUri: 'http://127.0.0.1:9' }, 'not for who only reads')
  assert.equal((await api.updateHub({ hubId, twinsGraphiteConfig: { pushUri: '' } })).twinsGraphiteConfig, undefined)
  assert.match((await api.getHubCA({ hubId })).caCertPem, /^-----BEGIN CERTIFICATE-----\n/)
})

// Each refusal comes out as the error that a program written for the vendor's hub looks for.
test('errors of devices and hubs', async t => {
  const deviceId = hub.device.id
  const invalid = (argumentName, reason, helpMessage) =>
    [Errors.InvalidArgumentsError, { status: 400, details: [{ argumentName, reason, helpMessage }] }]
  const notFound = (resource, resourceId) => [Errors.ResourceNotFoundError, { status: 404, resource, resourceId }]
  const denied = (action, resource) => [Errors.PermissionsDeniedError, { status: 403, list: [{ action, resource }] }]
  const flags = { allowInsecure: false, allowMultipleConnections: false }
  const tests = [
    ['unknown device', () => api.getDevice({ deviceId: unknownID }), notFound('device', unknownID)],
    ['unknown hub', () => api.getHub({ hubId: unknownID }), notFound('hub', unknownID)],
    ['device of another hub', () => api.createDevice({ name: 'new', hubId: unknownID, ...flags }), notFound('hub', unknownID)],
    ['name that is taken', () => api.createDevice({ name: hub.device.name, hubId, ...flags }),
      invalid('name', 'constraint', 'another device has this name: choose another one')],
    ['flag that is none', () => api.updateDevice({ deviceId, allowInsecure: 'yes' }), invalid('allow_insecure', 'format', 'neither true nor false')],
    ['page too long', () => api.listDevices({ pageSize: 101 }), invalid('page_size', 'constraint', 'not a whole number from 1 to 100')],
    ['certificate that is none', () => api.setDeviceCertificate({ deviceId, certificatePem: '' }),
      invalid('certificate_pem', 'required', 'missing: send a certificate in PEM')],
    ['another hub', () => api.createHub({ name: 'second', productPlan: 'plan_shared', projectId: unknownID }), denied('write', 'hub')],
    ['delete of the hub', () => api.deleteHub({ hubId }), denied('write', 'hub')],
    ['provisioning without an authority', () => api.updateHub({ hubId, enableDeviceAutoProvisioning: true }),
      [Errors.PreconditionFailedError, { status: 412, precondition: 'attribute_must_be_set' }]],
    ['create with a token that only reads', () => reader.createDevice({ name: 'new', hubId, ...flags }), denied('write', 'device')],
    ['update of the hub with a token that only reads', () => reader.updateHub({ hubId, name: 'x' }), denied('write', 'hub')],
  ]
  for (const [name, call, [type, fields]] of tests) {
    await t.test(name, async () => {
      const error = await call().then(answer => assert.fail(`no error but ${JSON.stringify(answer)}`), e => e)
      assert.equal(error.constructor, type, String(error))
      for (const field in fields) assert.deepEqual(error[field], fields[field], field)
    })
  }
})
