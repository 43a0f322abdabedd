import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { makeSigner } from '../support/author.ts'
import { json, soon, startCouncil, type TestPeer } from '../support/council.ts'

const run = promisify(execFile)
const openssl = await run('openssl', ['version']).then(
  ({ stdout }) => stdout.startsWith('OpenSSL 3'),
  () => false,
)

describe('the acts of a council', () => {
  it('are shown by a spoke that does not carry @names, until nobody hands them out', async () => {
    await using council = await startCouncil({ spokes: 2, authority: 'apart', replicas: 2 })
    const [a, b] = council.spokes as [TestPeer, TestPeer]
    await council.claim('maria', await makeSigner(), a)
    expect((await b.status()).logs['@names']).toBeNull()

    const assigned = /maria is kept by ([ab]) \(takes the writes\) and ([ab]), since /
    await soon(async () => {
      const page = (await b.ask('/acts')).body.toString()
      const [, primary, secondary] = assigned.exec(page) ?? []
      expect(new Set([primary, secondary])).toEqual(new Set(['a', 'b']))
      expect(page).toContain('Spoke b, run by Group b, was admitted.')
      expect(page).toContain('Peer authority, run by Group authority, was admitted.')
    })
    const feed = (await b.ask('/acts.atom')).body.toString()
    expect(feed).toMatch(assigned)

    const held = await council.authority.exchange.council.proof('@names', 1)
    const text = (await b.ask('/acts/names/1.txt')).body
    const signature = (await b.ask('/acts/names/1.sig')).body
    expect(text.equals(held?.text as Uint8Array)).toBe(true)
    expect(signature.equals(held?.signature as Uint8Array)).toBe(true)
    expect(json(await b.ask('/acts/names/1.json'))).toMatchObject({
      ...{ log: '@names', seq: 1, text: text.toString() },
      receipts: [{ text: expect.stringContaining('log @names\nseq 1\n') }],
    })
    expect((await b.ask('/acts/names/2.txt')).status).toBe(404)
    const pem = (await b.ask('/acts/authority.pem')).body
    if (openssl) expect(await check(text, signature, pem)).toContain('Verified Successfully')

    await council.authority.stop()
    await soon(async () => {
      const page = (await b.ask('/acts')).body.toString()
      expect(page).toContain('none of the servers that keep this list answers now')
      expect(page).toContain('Spoke b, run by Group b, was admitted.')
      expect(page).not.toMatch(assigned)
    })
    expect((await b.ask('/acts/names/1.txt')).status).toBe(503)
    expect((await b.ask('/acts/roster/0.txt')).status).toBe(200)
  })
})

async function check(text: Buffer, signature: Buffer, pem: Buffer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'council-acts-'))
  try {
    const files = { '1.txt': text, '1.sig': signature, 'authority.pem': pem }
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes)
    const line =
      'pkeyutl -verify -rawin -pubin -inkey authority.pem -in 1.txt -sigfile 1.sig'.split(' ')
    return (await run('openssl', line, { cwd: folder })).stdout
  } finally {
    await rm(folder, { recursive: true })
  }
}
