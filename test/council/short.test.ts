import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { SpokeClient } from '../../src/node/blogger/client.ts'
import { DemoPeers } from '../../src/node/demo/peers.ts'
import { planDemo } from '../../src/node/demo/plan.ts'
import { decodeAct } from '../../src/replication/registry/act.ts'
import { genesis, makeSigner, must, post, type SignedEntry } from '../support/author.ts'
import { json, soon } from '../support/council.ts'
import { freeDemoPort } from '../support/demo-port.ts'
import { replicasOf } from '../torture/checker.ts'

const plan = planDemo({ spokes: 3, port: await freeDemoPort(), silenceMs: 2_000 })
const places = plan.spokes.map(({ name, host }) => ({ name, url: `http://${host}:${plan.port}` }))
/** 15 s until the primary says so, 5 s until it looks, and a machine that does much else. */
const longMs = 60_000

describe.skipIf(process.platform !== 'linux')(
  'a primary that reaches too few of its replicas',
  () => {
    let folder: string
    let peers: DemoPeers
    let council: string
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'council-short-'))
      peers = new DemoPeers({
        ...{ plan, folder, env: process.env, signal: new AbortController().signal },
        ...{ readyMs: 60_000, lost: () => undefined },
      })
      await peers.relays.start()
      const first = await (await peers.start(plan.authority, null)).ready
      council = first.council
      await Promise.all(plan.spokes.map((spoke) => peers.start(spoke, first.bootstrap)))
    })
    afterAll(async () => {
      await peers?.[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    })

    const at = (name: string) =>
      new SpokeClient(places.find((place) => place.name === name)?.url as string)
    const handIn = (name: string, { submission }: SignedEntry) =>
      at(name).ask({ path: '/log', post: submission })
    const published = (name: string, entry: SignedEntry) =>
      soon(async () => {
        const answer = await handIn(name, entry)
        expect([answer.status, answer.body.toString()]).toEqual([201, expect.anything()])
      })
    /** The act in force, as a spoke shows it. */
    const actAt = async (name: string) => {
      const log = json<{ act: { text: string } }>(
        await at(name).ask({ path: '/log.json', host: `maria.${plan.zone}` }),
      )
      const { decision } = must(decodeAct(Buffer.from(log.act.text)))
      if (decision.kind !== 'assign') throw new Error('no assignment')
      return decision
    }
    const standing = async () => {
      const found = await replicasOf('maria', places)
      return new Map(found.map((each) => [each.place.name, each]))
    }

    it('hands the blog over, although it is heard by all, and loses nothing', async () => {
      const signer = await makeSigner()
      const of = { council, blog: 'maria' }
      const claim = await genesis(signer, of)
      // The authority gives a blog copies on spokes that it has heard.
      await soon(async () => {
        const { members } = json<{ members: { connected: boolean }[] }>(
          await at('b').ask({ path: '/_council/status' }),
        )
        expect(members.filter(({ connected }) => connected)).toHaveLength(4)
      })
      expect((await handIn('b', claim)).status).toBe(202)
      await soon(async () => {
        const now = await standing()
        expect([now.size, now.get('b')?.role, now.get('b')?.active]).toEqual([3, 'primary', true])
      })
      const before = await post(signer, { ...of, head: claim.entry, slug: 'before' })
      await published('c', before)

      // Nothing of b comes to the two others any more; the authority hears all three.
      for (const other of ['a', 'c']) peers.relays.cut('b', other)
      const held = await post(signer, { ...of, head: before.entry, slug: 'held' })
      const answer = await handIn('b', held)
      expect([answer.status, json<{ copies: number }>(answer).copies]).toEqual([202, 1])
      await vi.waitFor(
        async () => {
          const act = await actAt('a')
          expect(act.epoch).toBe(2)
          expect(act.reason).toContain('does not reach enough of the others')
        },
        { timeout: longMs, interval: 250 },
      )
      // b may think for a moment longer that it leads, under the act before.
      const leads = await soon(async () => {
        const now = [...(await standing())]
        const leading = now.filter(([, { role, epoch }]) => role === 'primary' && epoch === 2)
        expect(leading).toHaveLength(1)
        return leading[0]?.[0] ?? ''
      })
      expect(['a', 'c']).toContain(leads)
      // While the network is as it was, what b alone had is published, and what follows it.
      const other = leads === 'a' ? 'c' : 'a'
      await published(other, held)
      const after = await post(signer, { ...of, head: held.entry, slug: 'after' })
      await published(other, after)

      peers.relays.mend()
      await vi.waitFor(
        async () => {
          const now = [...(await standing()).values()]
          expect(now.map(({ epoch }) => epoch)).toEqual([2, 2, 2])
          expect(now.map(({ head }) => head?.id)).toEqual(Array(3).fill(after.entry.id))
          expect(now.map((each) => each.published)).toEqual([3, 3, 3])
        },
        { timeout: longMs, interval: 250 },
      )
      expect((await standing()).get('b')?.role).toBe('secondary')
    })
  },
)
