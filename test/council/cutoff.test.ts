import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cutOff } from '../../src/node/admin/cutoff.ts'
import { CommandError } from '../../src/node/blogger/failure.ts'
import { CouncilNames } from '../../src/node/demo/names.ts'
import { makeSigner } from '../support/author.ts'
import { soon, startCouncil, type TestCouncil, type TestPeer, zone } from '../support/council.ts'

const failover = { silenceMs: 2_000, replaceAfterMs: 1_000 }

/** Runs `cutoff` or `reinstate` beside a peer; what it said, and its JSON. */
async function decide(
  at: TestPeer,
  kind: 'cutoff' | 'reinstate',
  which: string,
  options: { reason: string; evidence?: string; dryRun?: boolean },
) {
  const data: string[] = []
  const io = { data: (line: string) => data.push(line), say: () => undefined }
  const rest = { env: {}, now: Date.now } as unknown as Parameters<typeof cutOff>[3]
  await cutOff(kind, which, { ...options, config: at.config, json: true }, { ...rest, ...io })
  return JSON.parse(data[0] as string)
}

async function addressesOf(council: TestCouncil, name: string): Promise<readonly string[]> {
  const { host, port } = council.authority.dns
  const found = await new CouncilNames([`${host}:${port}`], Date.now).lookup(name)
  return found.kind === 'found' ? found.addresses : []
}

describe('a spoke that is cut off', () => {
  it('is let in by nobody, leaves DNS and its blogs to others, and comes back when it is reinstated', async () => {
    await using council = await startCouncil({
      ...{ spokes: 4, replicas: 3, ownAddresses: true, failover },
    })
    const [a, b, c, d] = council.spokes as [TestPeer, TestPeer, TestPeer, TestPeer]
    const blog = await council.claim('maria', await makeSigner(), b)
    await blog.publish('before', b)
    const evidence = join(a.folder, 'evidence.txt')
    await writeFile(evidence, 'It served another text as entry 1:\r\nhallo instead of hello. \n\n')
    const reason = 'served altered posts'

    const dry = await decide(a, 'cutoff', 'b', { reason, dryRun: true })
    expect(dry).toMatchObject({ name: 'b', done: false, act: null, blogs: { led: 1, only: [] } })
    expect((await c.status()).members.find(({ name }) => name === 'b')).toMatchObject({
      cutOff: false,
    })
    await expect(decide(c, 'cutoff', 'b', { reason })).rejects.toThrow(
      'not the council’s authority'.replace('’', "'"),
    )
    await expect(decide(a, 'cutoff', 'a', { reason })).rejects.toThrow(CommandError)
    await expect(decide(a, 'cutoff', 'nobody', { reason })).rejects.toThrow('No peer')

    const done = await decide(a, 'cutoff', 'b', { reason, evidence })
    expect(done).toMatchObject({ name: 'b', done: true, act: expect.any(Number) })
    const others = [a, c, d]
    await soon(async () => {
      for (const peer of others) {
        const { members } = await peer.status()
        expect(members.find(({ name }) => name === 'b')).toMatchObject({
          ...{ cutOff: true, connected: peer === a ? expect.anything() : false },
        })
      }
      const host = new URL(b.url).hostname
      for (const name of ['maria', 'edit.maria', 'b.spoke'])
        expect(await addressesOf(council, `${name}.${zone}`)).not.toContain(host)
    })
    // It hears of it from the authority, and takes nothing any more.
    await soon(async () => expect((await b.status()).member).toBe(false))
    const refused = await blog.next('at-b')
    expect((await b.post(refused.submission)).status).toBeGreaterThanOrEqual(400)
    // Its blog goes on, with as many copies as before.
    await blog.publish('after', c)
    await soon(async () => {
      for (const peer of others) {
        const kept = (await peer.status()).blogs.find((each) => each.blog === 'maria')
        expect(kept).toMatchObject({ published: blog.head.seq, replicas: 3 })
        expect(kept?.role).not.toBe('none')
      }
    })
    for (const peer of others) await blog.whenWhole(peer)
    // In public, with the evidence.
    await d.acts('Spoke b was cut off: served altered posts')
    const text = (await d.ask(`/acts/roster/${done.act}.txt`, zone)).body.toString()
    expect(text).toContain('\n\nIt served another text as entry 1:\nhallo instead of hello.')
    await expect(decide(a, 'cutoff', 'b', { reason })).rejects.toThrow('already')

    // Nobody lets it in again, not after a start either, and it is told why.
    await b.stop()
    await expect(b.start()).rejects.toThrow('was cut off from this council')
    await decide(a, 'reinstate', 'b', { reason: 'its operator has changed' })
    await b.start()
    await council.ready()
    await soon(async () => {
      const { members } = await c.status()
      expect(members.find(({ name }) => name === 'b')).toMatchObject({ cutOff: false })
      expect(await addressesOf(council, `b.spoke.${zone}`)).toContain(new URL(b.url).hostname)
    })
    await blog.publish('with-b', b)
    await d.acts('Spoke b was reinstated')
  })

  it('that runs on hears when it is reinstated', async () => {
    await using council = await startCouncil({ spokes: 3, replicas: 2, failover })
    const [a, b] = council.spokes as [TestPeer, TestPeer, TestPeer]
    await decide(a, 'cutoff', b.line.peerId, { reason: 'by mistake' })
    await soon(async () => expect((await b.status()).member).toBe(false))
    await decide(a, 'reinstate', 'b', { reason: 'it was a mistake' })
    await soon(async () => expect((await b.status()).member).toBe(true))
    await council.ready()
  })
})
