// Hubs for tests, as child processes on free ports: `hub dev`, which keeps everything in memory and ends with its stdin, so
// also with this process, and a hub over TLS.
//
// The environment variable HUB names the program; scripts/interop builds it and sets that.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

function program() {
  if (!process.env.HUB) throw new Error('HUB is not set: run scripts/interop')
  return process.env.HUB
}

/**
 * Starts a hub, with options of `hub dev`.
 * @returns what `hub dev` prints (mqtt, ws, rest, api_url, token, read_only_token, device),
 *   app(method, document, update), which does what an app does and returns status and body,
 *   and stop(), which fails if the hub doesn't end well.
 */
export async function startHub(...options) {
  const child = spawn(program(), ['dev', ...options])
  const ended = once(child, 'close')
  let log = ''
  child.stderr.on('data', chunk => { log += chunk })
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line'),
    ended.then(() => { throw new Error(`the hub did not start:\n${log}`) }),
  ])
  const hub = JSON.parse(line)

  const app = (...request) => ask(hub, hub.device.id, ...request)

  async function stop() {
    child.stdin.end()
    const [code] = await ended
    if (code !== 0) throw new Error(`the hub ended with exit code ${code}:\n${log}`)
  }

  return { ...hub, app, stop }
}

// ask does what an app does with a document, and returns status and body.
async function ask(hub, id, method, document, update) {
  const answer = await fetch(`${hub.rest}/twins/${id}/documents/${document}`, {
    method,
    headers: { 'X-Auth-Token': hub.token },
    body: update && JSON.stringify(update),
  })
  const text = await answer.text()
  return { status: answer.status, body: text && JSON.parse(text) }
}

/**
 * Starts a hub over TLS, set up as an operator does it, with two devices that must not write desired.
 * @returns the addresses mqtts, wss and rest, the devices panel {id, ca, cert, key} and meter {id, ca, secret},
 *   app(device, method, document, update), and stop(), as startHub does.
 */
export async function startSecureHub() {
  const dir = mkdtempSync(join(tmpdir(), 'hub-'))
  const run = (...args) => execFileSync(program(), [...args, '--data', join(dir, 'data')], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const hub = { token: run('token', 'add', 'app').trim() }
  const add = (name, files, ...options) => {
    const folder = join(dir, name)
    const { id } = JSON.parse(run('device', 'add', name, '--read-only', 'desired', '--out', folder, ...options))
    return { id, ...Object.fromEntries(Object.entries(files).map(([key, file]) => [key, readFileSync(join(folder, file), 'utf8').trim()])) }
  }
  hub.panel = add('panel', { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' })
  hub.meter = add('meter', { ca: 'ca.pem', secret: 'secret' }, '--secret')

  const child = spawn(program(), ['--data', join(dir, 'data'), '--mqtt=', '--mqtts=127.0.0.1:0', '--wss=127.0.0.1:0', '--rest=127.0.0.1:0'])
  const ended = once(child, 'close')
  let log = ''
  child.stderr.on('data', chunk => { log += chunk })
  const names = { 'MQTT over TLS': 'mqtts', REST: 'rest', 'WebSocket over TLS': 'wss', Console: 'console' }
  for await (const line of createInterface(child.stdout)) {
    const [name, address] = line.split(' at ')
    hub[names[name]] = address
    if (hub.console) break
  }
  if (!hub.console) throw new Error(`the hub did not start:\n${log}`)

  async function stop() {
    child.kill()
    const [code] = await ended
    rmSync(dir, { recursive: true })
    if (code !== 0) throw new Error(`the hub ended with exit code ${code}:\n${log}`)
  }

  return { ...hub, app: (device, ...request) => ask(hub, device.id, ...request), stop }
}

/**
 * Starts Debian's mosquitto on a port of its own.
 * @returns its url, kill(), which ends it suddenly, start(), which returns when it accepts connections, and stop().
 */
export async function startBroker() {
  const dir = mkdtempSync(join(tmpdir(), 'broker-'))
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  const conf = join(dir, 'conf')
  writeFileSync(conf, `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\n`)
  let ended

  async function start() {
    const child = spawn('mosquitto', ['-c', conf], { stdio: 'ignore' })
    const close = once(child, 'close')
    ended = () => { child.kill('SIGKILL'); return close }
    for (let i = 0; i < 400; i++) {
      const socket = connect(port, '127.0.0.1')
      const listens = await new Promise(resolve => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
      socket.destroy()
      if (listens) return
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    throw new Error('the broker did not start')
  }
  async function kill() { await ended() }
  async function stop() {
    await kill()
    rmSync(dir, { recursive: true })
  }

  await start()
  return { url: `mqtt://127.0.0.1:${port}`, start, kill, stop }
}
