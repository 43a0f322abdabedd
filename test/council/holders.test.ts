import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { namesLog, rosterLog } from '../../src/replication/log/log.ts'
import { decodeAct } from '../../src/replication/registry/act.ts'
import { makeSigner } from '../support/author.ts'
import { json, soon, startCouncil, type TestCouncil, type TestPeer } from '../support/council.ts'

const failover = { silenceMs: 2_000, replaceAfterMs: 1_000 }
const logs = [rosterLog, namesLog]

/** Every act of both logs, as a peer shows them to anybody. */
async function actsAt(peer: TestPeer): Promise<string[]> {
  const acts: string[] = []
  for (const log of logs) {
    const { seq } = (await peer.status()).logs[log] ?? { seq: -1 }
    for (let at = 0; at <= seq; at++) {
      const answer = await peer.ask(`/acts/${log.slice(1)}/${at}.txt`, 'blogs.localhost')
      acts.push(`${log} ${at} ${answer.body}`)
    }
  }
  return acts
}

/** Who holds the logs now, by the newest act that says so. */
async function holdersAt(peer: TestPeer): Promise<string[]> {
  const { members } = await peer.status()
  const texts = (await actsAt(peer)).filter((text) => text.startsWith(rosterLog))
  const act = texts.findLast((text) => text.includes('\nkind holders\n'))
  const ids = [...(act?.matchAll(/^holder (\S+) /gm) ?? [])].map(([, id]) => id)
  return ids
    .map((id) => members.find((each) => each.peer === id)?.name ?? 'unknown')
    .toSorted((x, y) => (x < y ? -1 : 1))
}

const whenHeldBy = (council: TestCouncil, names: readonly string[]) =>
  soon(async () => expect(await holdersAt(council.peer('a'))).toEqual(names))

describe("the holders of the council's own logs", () => {
  it('are three, then five, as spokes join; one that is lost is replaced', async () => {
    await using council = await startCouncil({ spokes: 3, processes: true, failover })
    await whenHeldBy(council, ['a', 'b', 'c'])
    await Promise.all([council.join('d'), council.join('e')])
    await whenHeldBy(council, ['a', 'b', 'c', 'd', 'e'])
    await council.join('f')
    await council.peer('b').kill()
    await whenHeldBy(council, ['a', 'c', 'd', 'e', 'f'])
    // Two of five are silent: names are given out all the same, and the authority goes on after a kill.
    await council.peer('c').kill()
    await council.claim('maria', await makeSigner(), council.peer('d'))
    await council.peer('a').kill()
    await council.peer('a').start()
    await council.claim('luz', await makeSigner(), council.peer('d'))
  })

  it('keep an authority from harm that is restored from an old backup', async () => {
    await using council = await startCouncil({ spokes: 3, processes: true, failover })
    const [a, b, c] = ['a', 'b', 'c'].map((name) => council.peer(name)) as [
      ...[TestPeer, TestPeer, TestPeer],
    ]
    await whenHeldBy(council, ['a', 'b', 'c'])
    await council.claim('before', await makeSigner(), b)
    const backup = join(a.folder, 'backup')
    await a.stop()
    await cp(join(a.folder, 'data'), backup, { recursive: true })
    await a.start()
    const lost = await council.claim('after', await makeSigner(), b)
    await lost.publish('one', b)
    const known = await actsAt(a)
    await a.stop()
    await rm(join(a.folder, 'data'), { recursive: true })
    await cp(backup, join(a.folder, 'data'), { recursive: true })
    await a.start()
    const next = await council.claim('next', await makeSigner(), b)
    await next.publish('one', c)
    await lost.publish('two', c)
    // What was in force stays, act for act, and nobody has another one for any number.
    const now = await actsAt(a)
    for (const act of known) expect(now).toContain(act)
    await soon(async () => expect(await actsAt(b)).toEqual(await actsAt(a)))
    // Its folder is a new store: it holds the logs again as a new holder.
    await soon(async () => {
      const acts = (await actsAt(a)).filter((text) => text.includes('kind holders'))
      expect(acts.length).toBeGreaterThan(1)
    })
  })

  it('let only the one write that was started last, when it runs twice', async () => {
    await using council = await startCouncil({ spokes: 3, failover })
    await whenHeldBy(council, ['a', 'b', 'c'])
    const { exchange } = council.peer('a')
    expect(exchange.council.mayWrite()).toBe(true)
    // The second process begins with a later run at the other holders.
    const later = { count: 99, id: 'f'.repeat(32) }
    for (const name of ['b', 'c']) {
      const { holding } = council.peer(name).exchange.council
      expect(await holding.enter(later)).toMatchObject({ ok: true })
    }
    const blog = await council.sign('maria', await makeSigner())
    await blog.handIn(council.peer('b'))
    await soon(() => expect(exchange.council.mayWrite()).toBe(false))
    expect(
      json<{ state: string }>(await council.peer('b').ask(`/claim/${blog.genesis.entry.id}`)),
    ).toMatchObject({
      state: 'pending',
    })
    // Started again, it is the last one: it goes on, and the name is given.
    await council.peer('a').stop()
    await council.peer('a').start()
    await blog.whenReady(council.peer('b'))
    for (const text of await actsAt(council.peer('a'))) {
      const act = decodeAct(Buffer.from(text.split(' ').slice(2).join(' ')))
      expect(act.ok).toBe(true)
    }
  })
})
