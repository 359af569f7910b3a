// A hub for a test: `hub dev` as a child process. It keeps everything in memory, listens
// on free ports, and ends with its stdin, so also with this process.
//
// The environment variable HUB names the program; scripts/interop builds it and sets that.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/**
 * Starts a hub.
 * @returns what `hub dev` prints (mqtt, ws, rest, api_url, token, read_only_token, device),
 *   app(method, document, update), which does what an app does and returns status and body,
 *   and stop(), which fails if the hub doesn't end well.
 */
export async function startHub() {
  if (!process.env.HUB) throw new Error('HUB is not set: run scripts/interop')
  const child = spawn(process.env.HUB, ['dev'])
  const ended = once(child, 'close')
  let log = ''
  child.stderr.on('data', chunk => { log += chunk })
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line'),
    ended.then(() => { throw new Error(`the hub did not start:\n${log}`) }),
  ])
  const hub = JSON.parse(line)

  async function app(method, document, update) {
    const answer = await fetch(`${hub.rest}/twins/${hub.device.id}/documents/${document}`, {
      method,
      headers: { 'X-Auth-Token': hub.token },
      body: update && JSON.stringify(update),
    })
    const text = await answer.text()
    return { status: answer.status, body: text && JSON.parse(text) }
  }

  async function stop() {
    child.stdin.end()
    const [code] = await ended
    if (code !== 0) throw new Error(`the hub ended with exit code ${code}:\n${log}`)
  }

  return { ...hub, app, stop }
}
