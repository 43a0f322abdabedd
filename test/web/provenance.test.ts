import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import { logOf, memorySpoke, openLog, type Said, udhr, zone } from './memory-spoke.ts'

const run = promisify(execFile)
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'council-check-'))
})
afterAll(async () => {
  await run('gpgconf', ['--homedir', folder, '--kill', 'all'])
  await rm(folder, { recursive: true })
})
const gpg = (...args: string[]) =>
  run('gpg', ['--homedir', folder, '--batch', '--quiet', '--passphrase', '', ...args])

/** A blog of one post, signed by a new key of real gpg, behind a real socket. */
async function serveSigned() {
  await gpg('--quick-generate-key', 'Noor', 'ed25519', 'sign', 'never')
  const { stdout: key } = await gpg('--armor', '--export', 'Noor')
  const { stdout: listed } = await gpg('--with-colons', '--list-keys', 'Noor')
  const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? ''
  const said: Said = { kind: 'post', slug: 'x', lang: 'ar', ...udhr.ar, key: fingerprint }
  const entries = logOf('noor', said)
  const text = join(folder, 'signed.txt')
  await writeFile(text, entries[1]?.text ?? '')
  await gpg('--armor', '--detach-sign', text)
  const signature = await readFile(`${text}.asc`, 'utf8')
  const open = openLog(entries, {
    keys: async () => [key],
    entry: async () => ({ entry: entries[1] ?? entries[0], signature, firstSeenMs: null }),
  })
  let port = 0
  const spoke = memorySpoke({ noor: open }, { origin: (host) => `http://${host}:${port}` })
  const app = createApp(spoke, (error) => {
    throw error
  })
  const server = createAdaptorServer({ fetch: app.fetch })
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening)
  })
  port = (server.address() as AddressInfo).port
  const page = await (await app.request(new Request(`http://noor.${zone}/2026/x`))).text()
  const stop = () => new Promise((stopped) => server.close(stopped))
  return { page, fingerprint, [Symbol.asyncDispose]: async () => void (await stop()) }
}

describe('checkLines', () => {
  it('work when pasted from the page into a shell in an empty folder', async () => {
    await using served = await serveSigned()
    const lines = /<pre><code>([^<]*)<\/code>/.exec(served.page)?.[1]?.replaceAll('&gt;', '>')
    const script = lines?.replaceAll('&lt;', '<') ?? ''
    const empty = await mkdtemp(join(folder, 'empty-'))
    const env = { ...process.env, GNUPGHOME: folder, LC_ALL: 'C' }
    const shell = (code: string) => run('sh', ['-ec', code], { cwd: empty, env })
    const { stdout, stderr } = await shell(script)
    expect(stderr).toContain('Good signature from "Noor"')
    expect(stdout.replaceAll(' ', '')).toContain(served.fingerprint)

    const check = script.split('\n').find((line) => line.startsWith('gpgv')) ?? ''
    await writeFile(join(empty, '1.txt'), 'another text')
    await expect(shell(check)).rejects.toThrow('BAD signature')
  })
})
