// The vendor's JavaScript SDK: all six twin calls and each typed error.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { createClient, Errors } from '@scaleway/sdk-client'
import { Iotv1 } from '@scaleway/sdk-iot'

import { startHub } from './hub.js'

const unknownID = '00000000-0000-4000-8000-000000000000'

let hub, api, twinId

// sdk is set up as it is for the vendor's own hub, with another address and secret. Any access
// key of the vendor's shape will do: the hub's tokens have none.
function sdk(secretKey) {
  return new Iotv1.API(createClient({
    apiURL: hub.api_url, accessKey: 'SCWXXXXXXXXXXXXXXXXX', secretKey, defaultRegion: 'fr-par',
  }))
}

before(async () => {
  hub = await startHub()
  api = sdk(hub.token)
  twinId = hub.device.id
})
after(() => hub.stop())

test('all six calls', async () => {
  const desired = { twinId, documentName: 'desired' }
  const names = async () => (await api.listTwinDocuments({ twinId })).documents.map(d => d.documentName)

  assert.deepEqual(await names(), [])
  assert.deepEqual(await api.putTwinDocument({ ...desired, data: { alarm_armed: true } }),
    { ...desired, version: 1, data: { alarm_armed: true } }, 'put creates')
  assert.deepEqual(await api.getTwinDocument(desired),
    { ...desired, version: 1, data: { alarm_armed: true } })
  assert.deepEqual(await api.putTwinDocument({ ...desired, version: 1, data: { alarmArmed: false, a_b: { c_d: [1.5, 'ü<&>'] } } }),
    { ...desired, version: 2, data: { alarmArmed: false, a_b: { c_d: [1.5, 'ü<&>'] } } }, 'keys of data stay as they are')
  assert.deepEqual(await api.patchTwinDocument({ ...desired, data: { alarmArmed: null, a_b: { x: 1 } } }),
    { ...desired, version: 3, data: { a_b: { c_d: [1.5, 'ü<&>'], x: 1 } } })
  assert.deepEqual(await api.patchTwinDocument({ ...desired, version: 3, data: { a_b: null } }),
    { ...desired, version: 4, data: {} })
  assert.deepEqual(await api.putTwinDocument({ ...desired, version: 0 }),
    { ...desired, version: 5, data: {} }, 'version 0 is any, no data is {}')
  await api.putTwinDocument({ twinId, documentName: '-_.~0Z', data: {} })
  assert.deepEqual(await names(), ['-_.~0Z', 'desired'])
  assert.equal(await api.deleteTwinDocument(desired), undefined)
  assert.deepEqual(await names(), ['-_.~0Z'])
  assert.equal((await api.putTwinDocument(desired)).version, 1, 'put again')
  assert.equal(await api.deleteTwinDocuments({ twinId }), undefined)
  assert.deepEqual(await names(), [])
})

// Each refusal comes out as the error that a program written for the vendor's hub looks for.
test('errors', async t => {
  const document = { twinId, documentName: 'desired' }
  await api.putTwinDocument(document)
  await api.putTwinDocument({ ...document, data: { alarm_armed: true } })
  const reader = sdk(hub.read_only_token), stranger = sdk(unknownID)
  const invalid = (argumentName, reason, helpMessage) =>
    [Errors.InvalidArgumentsError, { status: 400, details: [{ argumentName, reason, helpMessage }] }]
  const notFound = (resource, resourceId) => [Errors.ResourceNotFoundError, { status: 404, resource, resourceId }]
  const denied = (action, resource) => [Errors.PermissionsDeniedError, { status: 403, list: [{ action, resource }] }]
  const unknown = [Errors.DeniedAuthenticationError, { status: 401, method: 'api_key', reason: 'not_found' }]

  const tests = [
    ['put of an older version', () => api.putTwinDocument({ ...document, version: 1, data: {} }),
      invalid('version', 'constraint', 'expected version 1, actual version 2')],
    ['patch of a version still to come', () => api.patchTwinDocument({ ...document, version: 3, data: {} }),
      invalid('version', 'constraint', 'expected version 3, actual version 2')],
    ['put of a version of nothing', () => api.putTwinDocument({ twinId, documentName: 'nothing', version: 7 }),
      invalid('version', 'constraint', 'expected version 7, actual version 0')],
    ['version with a fraction', () => api.putTwinDocument({ ...document, version: 1.5 }),
      invalid('version', 'format', 'not a whole number from 0 to 4294967295: send the document\'s version, or 0 for any')],
    ['negative version', () => api.putTwinDocument({ ...document, version: -1 }),
      invalid('version', 'format', 'not a whole number from 0 to 4294967295: send the document\'s version, or 0 for any')],
    ['data that is no object', () => api.putTwinDocument({ ...document, data: [true] }),
      invalid('data', 'format', 'not an object: write {"key":value}')],
    ['null inside an array of a patch', () => api.patchTwinDocument({ ...document, data: { doors: [1, null] } }),
      invalid('data', 'constraint', 'data.doors[1]: null inside an array: replace the whole array without nulls')],
    ['bad name', () => api.getTwinDocument({ twinId, documentName: 'front:door' }),
      invalid('document_name', 'format', 'only letters, digits and - _ . ~ can stand in a name: choose another one')],
    ['no UUID', () => api.listTwinDocuments({ twinId: 'me' }),
      invalid('twin_id', 'format', 'not a UUID: write the device\'s id as in 01234567-89ab-cdef-0123-456789abcdef')],
    ['another region', () => api.listTwinDocuments({ region: 'nl-ams', twinId }),
      invalid('region', 'unknown', 'this hub serves region fr-par')],

    ['get of a missing document', () => api.getTwinDocument({ twinId, documentName: 'nothing' }), notFound('twin_document', 'nothing')],
    ['patch of a missing document', () => api.patchTwinDocument({ twinId, documentName: 'nothing' }), notFound('twin_document', 'nothing')],
    ['delete of a missing document', () => api.deleteTwinDocument({ twinId, documentName: 'nothing' }), notFound('twin_document', 'nothing')],
    ['unknown device', () => api.listTwinDocuments({ twinId: unknownID }), notFound('twin', unknownID)],

    ['put with a token that only reads', () => reader.putTwinDocument(document), denied('write', 'twin_document')],
    ['patch with a token that only reads', () => reader.patchTwinDocument(document), denied('write', 'twin_document')],
    ['delete with a token that only reads', () => reader.deleteTwinDocument(document), denied('write', 'twin_document')],
    ['delete all with a token that only reads', () => reader.deleteTwinDocuments({ twinId }), denied('write', 'twin')],

    ['list with an unknown token', () => stranger.listTwinDocuments({ twinId }), unknown],
    ['get with an unknown token', () => stranger.getTwinDocument(document), unknown],
    ['put with an unknown token', () => stranger.putTwinDocument(document), unknown],
    ['patch with an unknown token', () => stranger.patchTwinDocument(document), unknown],
    ['delete with an unknown token', () => stranger.deleteTwinDocument(document), unknown],
    ['delete all with an unknown token', () => stranger.deleteTwinDocuments({ twinId }), unknown],
  ]
  for (const [name, call, [type, fields]] of tests) {
    await t.test(name, async () => {
      const error = await call().then(answer => assert.fail(`no error but ${JSON.stringify(answer)}`), e => e)
      assert.equal(error.constructor, type, String(error))
      for (const field in fields) assert.deepEqual(error[field], fields[field], field)
    })
  }

  await t.test('nothing was written', async () => {
    assert.deepEqual(await reader.getTwinDocument(document), { ...document, version: 2, data: { alarm_armed: true } })
    assert.deepEqual((await reader.listTwinDocuments({ twinId })).documents, [{ documentName: 'desired' }])
  })
})

test('the 101st document', async () => {
  await api.deleteTwinDocuments({ twinId })
  for (let i = 0; i < 100; i++) await api.putTwinDocument({ twinId, documentName: `n${i}` })
  await assert.rejects(api.putTwinDocument({ twinId, documentName: 'one_more' }), error => {
    assert.equal(error.constructor, Errors.QuotasExceededError, String(error))
    assert.equal(error.status, 403)
    assert.equal(error.list.length, 1)
    const { resource, quota, current } = error.list[0]
    assert.deepEqual({ resource, quota, current }, { resource: 'twin_documents', quota: 100, current: 100 })
    return true
  })
})
