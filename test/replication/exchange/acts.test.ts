import { encode } from 'cborg'
import { beforeEach, describe, expect, it } from 'vitest'
import { ReplicationError } from '../../../src/replication/errors.ts'
import { Acts, type ProvedAct } from '../../../src/replication/exchange/acts.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import type { Network } from '../../../src/replication/network.ts'
import { CouncilLogs } from '../../../src/replication/registry/council-logs.ts'
import { type ProofOfAct, proofRow } from '../../../src/replication/registry/proof.ts'
import { noFollow } from '../no-follow.ts'
import {
  assignFields,
  councilIngest,
  fakeId,
  forge,
  peer,
  settle,
  storeOf,
  TestClock,
  TestCouncil,
  TestDisk,
} from '../test-council.ts'

const council = new TestCouncil().admit(1, 2, 3)
for (let n = 1; n < 130; n++)
  council.write(assignFields({ blog: `blog${n}` as never, genesis: fakeId('1a') }))
const honest = council.namesProofs
const newest = honest.length - 1
const other = new TestCouncil({ zone: 'other.localhost' }).admit(1, 2, 3)
const last = honest[newest] as ProofOfAct

/** What a peer that carries `@names` answers; null: nothing. */
type Remote = {
  readonly head?: number
  readonly range?: (from: number) => unknown
}

let clock: TestClock
let logs: CouncilLogs
let remotes: Map<string, Remote>
let asked: [peer: string, body: { t: string; from?: number }][]
let carriesNames: boolean
let pullRoster: () => Promise<void>

const honestly: Required<Remote> = {
  head: newest,
  range: (from) => ({ entries: honest.slice(from, from + 200).map(proofRow), more: false }),
}

function start(): Acts {
  const network: Network = {
    self: peer(1).peer,
    connected: () => [2, 3, 4].map((n) => peer(n).peer).filter((name) => remotes.has(name)),
    ...noFollow,
    handle: () => undefined,
    request: async (to, _protocol, body) => {
      asked.push([to, body as { t: string }])
      const remote = remotes.get(to)
      const { t, from = 0 } = body as { t: string; from?: number }
      if (t === 'heads' && remote?.head !== undefined) {
        const head = { log: namesLog, epoch: 0, seq: remote.head, id: fakeId('ab'), receipts: [] }
        return { heads: [head] }
      }
      const answer = t === 'range' ? await remote?.range?.(from) : null
      if (answer === null || answer === undefined)
        throw new ReplicationError('PEER_UNREACHABLE', 'no answer')
      return answer
    },
  }
  return new Acts({
    ...{ network, clock, council: logs, carriesNames: () => carriesNames },
    namesPeers: () => [2, 3, 4].map((n) => peer(n).peer),
    pullRoster: () => pullRoster(),
  })
}

beforeEach(async () => {
  clock = new TestClock()
  remotes = new Map([[peer(2).peer, honestly]])
  asked = []
  carriesNames = false
  pullRoster = async () => undefined
  const { store } = new TestDisk()
  const roster = () => logs.roster()
  logs = new CouncilLogs({
    ...{ store, clock, signer: peer(1), storeId: () => storeOf(1), askHolder: async () => [] },
    ingest: councilIngest(store, roster, () => council.roster.councilId),
  })
  await logs.take(rosterLog, council.rosterProofs, 'pull')
})

const seqs = (acts: readonly ProvedAct[] | 'unreachable') =>
  acts === 'unreachable' ? acts : acts.map(({ act }) => act.seq)
const down = (from: number, to: number) =>
  Array.from({ length: from - to + 1 }, (_, at) => from - at)
const ranges = () => asked.filter(([, { t }]) => t === 'range').map(([, { from }]) => from)

describe('Acts.before, from a peer that lies', () => {
  /** The honest rows, but for the newest one. */
  const withLast = (proof: ProofOfAct) => (from: number) => ({
    entries: [...honest.slice(from, newest), proof].map(proofRow),
    more: false,
  })
  const unsigned = { ...last, text: forge(last.text, 'reason claimed', 'reason stolen') }
  const bySelf = council.draft(assignFields({ reason: 'stolen' }), {
    signer: peer(2),
    head: { seq: newest - 1, id: fakeId('ab') },
  })
  const foreign = other.draft(assignFields(), { head: { seq: newest - 1, id: fakeId('ab') } })
  const inRoster = council.rosterProofs[2] as ProofOfAct

  it.each<[string, Remote['range']]>([
    ['nothing', () => null],
    ['no page', () => 'hello'],
    ['an empty page', () => ({ entries: [], more: false })],
    [
      'random bytes',
      () => ({ entries: [[Buffer.from([200]), Buffer.alloc(64), []]], more: false }),
    ],
    ['an altered text', withLast(unsigned)],
    ['an altered signature', withLast({ ...last, signature: Buffer.alloc(64, 1) })],
    ['an act without receipts', withLast({ ...last, receipts: [] })],
    ['an act of its own', withLast(bySelf.proof)],
    ['an act of another council', withLast(foreign.proof)],
    ['an act of @roster', withLast(inRoster)],
    ['an older act again', withLast(honest[newest - 1] as ProofOfAct)],
    [
      'a page with a hole',
      (from) => ({ entries: honest.slice(from + 1).map(proofRow), more: false }),
    ],
    [
      'acts in another order',
      (from) => ({ entries: honest.slice(from).toReversed().map(proofRow), more: false }),
    ],
  ])('shows nothing of %s, and asks the next one', async (_, range) => {
    remotes = new Map([[peer(2).peer, { head: newest, ...(range === undefined ? {} : { range }) }]])
    expect(await start().before(namesLog, newest + 1, 5)).toBe('unreachable')
    remotes.set(peer(3).peer, honestly)
    expect(seqs(await start().before(namesLog, newest + 1, 5))).toEqual(down(newest, newest - 4))
  })

  it('believes no head that its acts do not bear out', async () => {
    remotes.set(peer(3).peer, { head: Number.MAX_SAFE_INTEGER, range: honestly.range })
    expect(seqs(await start().before(namesLog, 1_000_000, 3))).toEqual(down(newest, newest - 2))
    expect(asked.filter(([to, { t }]) => t === 'range' && to === peer(3).peer)).toHaveLength(1)
  })

  it('waits a few seconds for one that never answers', async () => {
    remotes = new Map([[peer(2).peer, { head: newest, range: () => new Promise(() => undefined) }]])
    const answer = start().before(namesLog, newest + 1, 5)
    await settle()
    await clock.pass(3_000)
    expect(await answer).toBe('unreachable')
  })
})

describe('Acts.before', () => {
  it('reads @roster, and @names where it is carried, from the own logs', async () => {
    carriesNames = true
    await logs.take(namesLog, honest, 'pull')
    const acts = start()
    expect(seqs(await acts.before(rosterLog, 99, 2))).toEqual([3, 2])
    expect(seqs(await acts.before(rosterLog, 1, 2))).toEqual([0])
    expect(seqs(await acts.before(rosterLog, 0, 2))).toEqual([])
    const found = await acts.before(namesLog, newest, 50)
    expect(seqs(found)).toEqual(down(newest - 1, newest - 50))
    const [first] = found as ProvedAct[]
    expect(first?.proof.receipts).toHaveLength(1)
    expect(asked).toEqual([])
  })

  it('fetches @names, any stretch of it, each act with its proof', async () => {
    const acts = start()
    for (const [before, limit] of [
      [999, 50],
      [newest, 50],
      [101, 50],
      [100, 50],
      [7, 50],
      [1, 1],
      [0, 50],
    ] as const) {
      const until = Math.min(before, newest + 1)
      const found = await acts.before(namesLog, before, limit)
      expect(seqs(found)).toEqual(down(until - 1, Math.max(0, until - limit)))
      for (const { act, proof } of found as ProvedAct[])
        expect(encode(proofRow(proof))).toEqual(encode(proofRow(honest[act.seq] as ProofOfAct)))
    }
    expect(ranges()).toEqual([50, 100, 0])
  })

  it('fetches a stretch in several pages, and what was written since', async () => {
    let head = newest - 10
    const small = (from: number) => ({
      entries: honest.slice(from, Math.min(from + 20, head + 1)).map(proofRow),
      more: true,
    })
    remotes = new Map([[peer(2).peer, { head, range: small }]])
    const acts = start()
    expect(seqs(await acts.before(namesLog, 999, 30))).toEqual(down(head, head - 29))
    head = newest
    remotes.set(peer(2).peer, { head, range: small })
    expect(seqs(await acts.before(namesLog, 999, 1))).toEqual([newest - 10])
    clock.ms += 3_001
    expect(seqs(await acts.before(namesLog, 999, 20))).toEqual(down(newest, newest - 19))
    expect(ranges()).toEqual([50, 70, 90, 100, newest - 9])
  })

  it('asks once for visitors who come together', async () => {
    const acts = start()
    const all = await Promise.all([1, 2, 3].map(() => acts.before(namesLog, 999, 20)))
    for (const found of all) expect(seqs(found)).toEqual(down(newest, newest - 19))
    expect(asked.map(([, { t }]) => t)).toEqual(['heads', 'range'])
  })

  it('is unreachable for some seconds when nobody answers, then asks again', async () => {
    remotes = new Map()
    const acts = start()
    expect(await acts.before(namesLog, 999, 5)).toBe('unreachable')
    remotes.set(peer(4).peer, honestly)
    expect(await acts.before(namesLog, 999, 5)).toBe('unreachable')
    expect(asked).toEqual([])
    clock.ms += 3_001
    expect(seqs(await acts.before(namesLog, 999, 5))).toEqual(down(newest, newest - 4))
  })

  it('asks the peer that has most first', async () => {
    remotes.set(peer(3).peer, { ...honestly, head: newest - 100 })
    remotes.set(peer(4).peer, {})
    expect(seqs(await start().before(namesLog, 999, 1))).toEqual([newest])
  })

  it('pulls @roster from a peer whose act was written under a newer one', async () => {
    const grown = new TestCouncil().admit(1, 2, 3)
    const roster = [...grown.rosterProofs]
    grown.admit(4)
    grown.write(assignFields())
    remotes = new Map([
      [
        peer(2).peer,
        {
          head: 1,
          range: (from: number) => ({
            entries: grown.namesProofs.slice(from).map(proofRow),
            more: false,
          }),
        },
      ],
    ])
    const { store } = new TestDisk()
    const ingest = councilIngest(
      store,
      () => logs.roster(),
      () => grown.roster.councilId,
    )
    logs = new CouncilLogs({
      ...{
        store,
        clock,
        ingest,
        signer: peer(1),
        storeId: () => storeOf(1),
        askHolder: async () => [],
      },
    })
    await logs.take(rosterLog, roster, 'pull')
    expect(await start().before(namesLog, 9, 5)).toBe('unreachable')
    pullRoster = async () => {
      await logs.take(rosterLog, grown.rosterProofs, 'pull')
    }
    expect(seqs(await start().before(namesLog, 9, 5))).toEqual([1, 0])
  })

  it('keeps no more than 8 MiB of fetched acts', async () => {
    const big = new TestCouncil().admit(1, 2, 3)
    const evidence = Array(4).fill('x'.repeat(15_000)).join('\n')
    for (let n = 1; n < 200; n++)
      big.write(assignFields({ blog: `blog${n}` as never, genesis: fakeId('1a'), evidence }))
    const range = (from: number) => ({
      entries: big.namesProofs.slice(from, from + 16).map(proofRow),
      more: true,
    })
    remotes = new Map([[peer(2).peer, { head: 199, range }]])
    const { store } = new TestDisk()
    const ingest = councilIngest(
      store,
      () => logs.roster(),
      () => big.roster.councilId,
    )
    logs = new CouncilLogs({
      ...{
        store,
        clock,
        ingest,
        signer: peer(1),
        storeId: () => storeOf(1),
        askHolder: async () => [],
      },
    })
    await logs.take(rosterLog, big.rosterProofs, 'pull')
    const acts = start()
    for (const before of [50, 100, 150, 200, 200, 150])
      expect(seqs(await acts.before(namesLog, before, 50))).toHaveLength(50)
    const before = ranges().length
    expect(before).toBe(16)
    expect(seqs(await acts.before(namesLog, 50, 50))).toHaveLength(50)
    expect(ranges().length).toBe(before + 4)
  })
})
