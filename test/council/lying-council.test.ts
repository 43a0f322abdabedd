import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type PeerName, peerSigner } from '../../src/auth/peer-signature.ts'
import { openPeerKey } from '../../src/node/peer-key.ts'
import type { Replica } from '../../src/replication/log/peer-text.ts'
import { signReceipt } from '../../src/replication/log/receipt.ts'
import type { Decision } from '../../src/replication/registry/act.ts'
import { signDial } from '../../src/replication/registry/dial.ts'
import type { ProofOfAct } from '../../src/replication/registry/proof.ts'
import { signAct } from '../../src/replication/registry/sign-act.ts'
import { must } from '../replication/test-council.ts'
import { makeSigner } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestCouncil,
  type TestPeer,
  zone,
} from '../support/council.ts'

const failover = { silenceMs: 2_000, replaceAfterMs: 1_000 }

describe('a spoke that signs "I dialled and failed" about everybody', () => {
  it('moves nothing: the authority dials itself, and one word is not enough', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 3, failover })
    const liar = council.peer('c')
    const blog = await council.claim('maria', await makeSigner(), council.peer('b'))
    await blog.publish('before', council.peer('b'))
    const signer = await signerOf(liar)
    liar.exchange.alive.dial = async (peer: PeerName) =>
      signDial(signer, { council: council.id, peer, atMs: Date.now(), result: 'PEER_UNREACHABLE' })
    // Somebody sends no heartbeat for longer than a flap, so that words about it are asked for.
    const quiet = council.peer('d')
    const { alive: heart } = quiet.exchange
    const { alive } = council.authority.exchange
    const [send, dial] = [heart.send.bind(heart), alive.dial.bind(alive)]
    heart.send = async () => undefined
    let dialled = 0
    alive.dial = async (peer) => {
      if (peer === quiet.line.peerId) dialled++
      return dial(peer)
    }
    const isOut = async (name: string) =>
      (await council.authority.status()).members.find((each) => each.name === name)?.away
    await soon(() => expect(dialled).toBeGreaterThan(3))
    for (const { name } of council.spokes) expect([name, await isOut(name)]).toEqual([name, false])
    // Not what it says when it is asked either: another one that does not answer is needed.
    const said = await alive.dialBy(liar.line.peerId as PeerName, quiet.line.peerId as PeerName)
    expect(Buffer.from(said.text).toString()).toContain('result PEER_UNREACHABLE')
    heart.send = send
    await blog.publish('after', liar)
    const acts = (await council.authority.ask('/acts', zone)).body.toString()
    expect(acts).not.toContain('taken out of DNS')
  })
})

describe('a primary that takes entries and gives them to nobody', () => {
  it('gets nothing published; the author is told, and loses nothing when it is cut off', async () => {
    await using council = await startCouncil({ spokes: 4, replicas: 3, failover })
    const b = council.peer('b')
    const blog = await council.claim('maria', await makeSigner(), b)
    await blog.publish('before', b)
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
    // It answers and stores, and nothing leaves it any more.
    const { ingest, store } = b.exchange
    const known = (await ingest.record('maria'))?.head.seq ?? 0
    withhold(b, known)
    const kept = await blog.next('withheld')
    const answer = await b.post(kept.submission)
    expect(answer.status).toBe(202)
    expect(json(answer)).toMatchObject({ published: false, copies: 1 })
    expect(await store.entry('maria', known + 1)).not.toBeNull()
    for (const spoke of council.spokes.filter((each) => each !== b))
      expect((await spoke.ask(`/log/${known + 1}.txt`, blog.host)).status).toBe(404)
    await council.cutOff('b', 'takes entries and gives them to nobody')
    // What her program does with what was not published: it offers it again.
    const other = council.peer('c')
    await soon(async () => expect((await other.post(kept.submission)).status).toBe(201))
    blog.entries.push(kept)
    for (const spoke of council.spokes.filter((each) => each !== b)) await blog.whenWhole(spoke)
  })
})

const signerOf = async ({ folder }: TestPeer) =>
  peerSigner((await openPeerKey(join(folder, 'data'))).key)

/** Reads of the log end at `last` for everybody else: pushes, pulls and gossip carry nothing more. */
function withhold({ exchange }: TestPeer, last: number): void {
  const { store } = exchange
  const [entries, entry] = [store.entries.bind(store), store.entry.bind(store)]
  store.entries = async (log, from, limit) =>
    log === 'maria'
      ? entries(log, from, Math.max(0, Math.min(limit, last - from + 1)))
      : entries(log, from, limit)
  let isAsked = false
  store.entry = async (log, seq) => {
    // The announcement reads what it is about to gossip.
    if (log === 'maria' && seq > last && !isAsked) {
      isAsked = true
      return null
    }
    return entry(log, seq)
  }
}

describe('an authority that writes two acts for one seq', () => {
  let council: TestCouncil
  beforeAll(async () => {
    // The authority holds its logs alone, so its own receipt is enough; and it looks at nobody, so that
    // it writes nothing more.
    council = await startCouncil({ spokes: 3, dns: ['b', 'c'] })
  })
  afterAll(async () => {
    await council?.[Symbol.asyncDispose]()
  })

  it('is seen: both are kept and shown by everybody, and nobody obeys the second', async () => {
    const { authority } = council
    const [b, c] = [council.peer('b'), council.peer('c')]
    const roster = authority.exchange.council.roster()
    if (roster === null) throw new Error('no roster')
    // Two acts for the next place, each signed and with the receipt of the only holder.
    const signer = await signerOf(authority)
    const { head, terms, council: id } = roster
    const { act, epoch, holders } = terms.at(-1) as (typeof terms)[number]
    const [one, two] = [b, c].map((spoke, at): ProofOfAct => {
      const decision: Decision = {
        ...{ kind: 'away', peer: spoke.line.peerId as PeerName, evidence: null },
        reason: ['one story', 'another story'][at] as string,
      }
      const dateMs = Math.max(Date.now(), roster.dateMs)
      const position = { council: id, log: '@roster', head, roster: head, dateMs }
      const { act: written, signed } = must(signAct(signer, position, decision))
      const receipt = signReceipt(signer, {
        ...{ council: id, log: '@roster', head: { seq: written.seq, id: written.id }, act, epoch },
        ...{ replica: holders[0] as Replica, sinceMs: dateMs, atMs: dateMs },
      })
      return { ...signed, receipts: [receipt.signed] }
    }) as [ProofOfAct, ProofOfAct]
    expect((await b.exchange.council.take('@roster', [one], 'gossip')).kind).toBe('held')
    expect((await c.exchange.council.take('@roster', [two], 'gossip')).kind).toBe('held')
    const seq = head.seq + 1
    await vi.waitFor(
      async () => {
        for (const spoke of council.spokes) {
          const page = (await spoke.ask('/acts', zone)).body.toString()
          expect(page).toContain('The authority has signed two different acts for one place')
          const { forks } = json<{
            forks: { log: string; seq: number; versions: { text: string }[] }[]
          }>(await spoke.ask('/acts/forks.json', zone))
          expect(forks).toMatchObject([{ log: '@roster', seq }])
          const texts = forks[0]?.versions.map(({ text }) => text).join('\n') ?? ''
          for (const reason of ['one story', 'another story'])
            expect(texts).toContain(`reason ${reason}`)
        }
      },
      { timeout: 80_000, interval: 300 },
    )
    // Each obeys the one that it had in force, and none the other one.
    const away = (spoke: TestPeer) =>
      [...(spoke.exchange.council.roster()?.members.values() ?? [])]
        .filter((member) => member.away)
        .map(({ name }) => name)
    expect([away(b), away(c)]).toEqual([['b'], ['c']])
  })
})
