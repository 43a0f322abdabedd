import { decode, encode } from 'cborg'
import { beforeEach, describe, expect, it } from 'vitest'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { refuse } from '../../../src/auth/verdict.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import { Exchange } from '../../../src/replication/exchange/exchange.ts'
import type { Kept } from '../../../src/replication/exchange/replica.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { rosterLog } from '../../../src/replication/log/log.ts'
import type { Receipt } from '../../../src/replication/log/receipt.ts'
import type { Offer } from '../../../src/replication/log/rules.ts'
import type { Handler, Network } from '../../../src/replication/network.ts'
import {
  ALIVE,
  maxAsidePerLog,
  publishWaitMs,
  pushRetryMs,
  READ,
  REPLICA,
  SUBMIT,
  SYNC,
} from '../../../src/replication/protocol.ts'
import type { AssignFields } from '../../../src/replication/registry/act.ts'
import { signHeartbeat } from '../../../src/replication/registry/heartbeat.ts'
import { proofRow, type SignedRow, signedRow } from '../../../src/replication/registry/proof.ts'
import { noFollow } from '../no-follow.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import {
  assignFields,
  fakeId,
  must,
  peer,
  replica,
  settle,
  startMs,
  storeOf,
  TestClock,
  TestCouncil,
  TestDisk,
  type Written,
} from '../test-council.ts'

const maria = 'maria' as BlogName
const [author, mallory] = (await Promise.all(
  ['maria', 'mallory'].map((name) => TestAuthor.make(name)),
)) as [TestAuthor, TestAuthor]

/** Peers by number: 0 the authority, 1 the primary, 2 and 3 secondaries, 4 holds nothing. */
class Wire {
  readonly #handlers = new Map<string, Handler>()
  readonly asked: string[] = []

  network(n: number): Network {
    const self = peer(n).peer
    return {
      self,
      request: async (to, protocol, body) => {
        const handler = this.#handlers.get(`${to} ${protocol}`)
        this.asked.push(protocol)
        // Far beyond every bound: what asks so often asks for ever.
        if (this.asked.length > 5_000) throw new Error('a loop without an end')
        if (handler === undefined)
          throw new ReplicationError('PEER_UNREACHABLE', `${to} does not answer`)
        return decode(encode(await handler(self, decode(encode(body)))))
      },
      ...noFollow,
      handle: (protocol, handler) => this.#handlers.set(`${self} ${protocol}`, handler),
      connected: () => [0, 1, 2, 3].filter((other) => other !== n).map((other) => peer(other).peer),
    }
  }
}

type Running = { readonly exchange: Exchange; readonly clock: TestClock; readonly disk: TestDisk }

let council: TestCouncil
let wire: Wire
let log: TestLog
let act: Written

/** An honest peer's replication, as it runs, on a wire that a test holds. */
async function start(n: number): Promise<Running> {
  const clock = new TestClock()
  const disk = new TestDisk()
  const exchange: Exchange = new Exchange(
    {
      network: wire.network(n),
      pubsub: { publish: async () => {}, subscribe: () => {}, unsubscribe: () => {} },
      dht: null,
      disk: disk.disk,
      memoryDisk: () => new TestDisk().disk,
      clock,
      signer: peer(n),
      keys: new KeyRing(),
      newStoreId: () => storeOf(n),
      vitals: async () => ({ freeBytes: 1, load: 0 }),
      fetchHello: async () => refuse('HELLO_UNREACHABLE', 'nobody there'),
      askDns: async () => 'no answer',
      report: () => {},
    },
    {
      ...{ councilId: council.roster.councilId, silenceMs: 6_000, pullMs: 1_000 },
      ...{ gossip: true, push: true, pull: true, authority: null },
    },
  )
  await exchange.start()
  await exchange.council.take(rosterLog, council.rosterProofs, 'pull')
  return { exchange, clock, disk }
}

async function follow({ exchange }: Running, written = act): Promise<Kept> {
  return must(await exchange.replicas.learn(proofRow(written.proof)))
}

const assignment = (change: Partial<AssignFields> = {}) =>
  assignFields({ genesis: log.genesis.id, key: author.fingerprint, ...change })
const receiptOf = (n: number, head: Head, change: Partial<Receipt> = {}, under = act) =>
  council.receipt(n, under.act, { head, ...change })
const rows = (offers: readonly Offer[]) => offers.map((offer) => signedRow(offer))
const ask = (from: number, to: number, protocol: string, body: unknown) =>
  wire.network(from).request(peer(to).peer, protocol, body, { timeoutMs: 1_000 })
const headOf = ({ exchange }: Running) => exchange.headOf('maria')
const ownReceipt = ({ exchange }: Running, n: number) =>
  exchange.replicas.get(maria)?.receipts.of(peer(n).peer) ?? null

/** A peer that answers `sync` as the test likes; what it says of its head is signed by itself. */
function answersSync(
  n: number,
  head: Head,
  range: (from: number) => unknown,
  { epoch = 1, under = act } = {},
) {
  wire.network(n).handle(SYNC, async (_from, body) => {
    const { t, from } = body as { t: string; from: number }
    if (t === 'range') return range(from)
    if (t === 'act') return { proof: proofRow(under.proof) }
    const receipt = signedRow(receiptOf(n, head, {}, under).signed)
    return { heads: [{ log: 'maria', epoch, ...head, receipts: [receipt] }] }
  })
}

const serves = (n: number, of: TestLog, options = {}) =>
  answersSync(
    n,
    of.head,
    (from) => ({ entries: rows(of.offers.slice(from)), more: false }),
    options,
  )

beforeEach(async () => {
  wire = new Wire()
  council = new TestCouncil().admit(0, 1, 2, 3, 4)
  log = await (await TestLog.begin(council.council, author)).posts(6)
  act = council.write(assignment())
})

describe('Sync.pull, from a peer that lies', () => {
  const swapped = (of: TestLog, ...seqs: number[]) =>
    of.offers.map((offer, seq) =>
      seqs.includes(seq) ? { ...offer, signature: of.at(1).offer.signature } : offer,
    )
  const far: Head = { seq: 900_000_000_000_000, id: fakeId('ab') }
  type Lie = () => Promise<{ head: Head; range: (from: number) => unknown }>
  const page = (offers: readonly Offer[], more = false) => ({ entries: rows(offers), more })
  const lies: [string, Lie][] = [
    [
      'a page with a hole',
      async () => ({ head: log.head, range: () => page(log.offers.toSpliced(3, 1)) }),
    ],
    ['the same page for ever', async () => ({ head: far, range: () => page(log.offers, true) })],
    [
      'the first entry for ever',
      async () => ({ head: far, range: () => page(log.offers.slice(0, 1), true) }),
    ],
    ['"more" with empty pages', async () => ({ head: far, range: () => page([], true) })],
    [
      'the entries of another blog',
      async () => {
        const other = await TestLog.begin(council.council, author, { blog: 'joe' })
        await other.posts(6)
        return { head: other.head, range: () => page(other.offers) }
      },
    ],
    [
      'a log whose genesis is signed by another key',
      async () => {
        const other = await (await TestLog.begin(council.council, mallory)).posts(6)
        return { head: other.head, range: () => page(other.offers) }
      },
    ],
    [
      'a page whose newest signature is another',
      async () => ({ head: log.head, range: () => page(swapped(log, 6)) }),
    ],
    ['random bytes', async () => ({ head: log.head, range: () => Buffer.alloc(500, 'Q') })],
    [
      'entries that are numbers',
      async () => ({ head: log.head, range: () => ({ entries: [1, 2, 3], more: false }) }),
    ],
    [
      '100,000 entries that are none',
      async () => ({
        head: log.head,
        range: () => ({ entries: new Array(100_000).fill(0), more: true }),
      }),
    ],
  ]

  it.each(lies)(
    'stores nothing that is not the blog, gives no receipt for it, and goes on: %s',
    async (_what, lie) => {
      const honest = await start(2)
      await follow(honest)
      const { head, range } = await lie()
      answersSync(3, head, range)
      await honest.exchange.sync.pull(peer(3).peer, [maria]).catch(() => undefined)
      const { length } = wire.asked
      expect(length).toBeLessThan(20)
      const held = await headOf(honest)
      if (held !== null) expect(held.id).toBe(log.at(held.seq).entry.id)
      const given = ownReceipt(honest, 2)
      if (given !== null) expect(given.head.id).toBe(log.at(given.head.seq).entry.id)

      serves(1, log)
      await honest.exchange.sync.pull(peer(1).peer, [maria])
      expect(await headOf(honest)).toEqual(log.head)
      expect(ownReceipt(honest, 2)?.head).toEqual(log.head)
      honest.exchange.stop()
    },
  )

  it('takes nothing under the receipt of a peer that is no replica, or has another store', async () => {
    const honest = await start(2)
    await follow(honest)
    serves(4, log)
    await honest.exchange.sync.pull(peer(4).peer, [maria])
    answersSync(3, log.head, () => page(log.offers))
    const other = receiptOf(3, log.head, { replica: { ...replica(3), store: storeOf(7) } })
    wire.network(3).handle(SYNC, async () => ({
      heads: [{ log: 'maria', epoch: 1, ...log.head, receipts: [signedRow(other.signed)] }],
    }))
    await honest.exchange.sync.pull(peer(3).peer, [maria])
    expect(await headOf(honest)).toBeNull()
    honest.exchange.stop()
  })

  it('asks for a log once, however often an answer names it', async () => {
    const honest = await start(2)
    await follow(honest)
    const receipt = signedRow(receiptOf(3, far).signed)
    const head = { log: 'maria', epoch: 1, ...far, receipts: [receipt] }
    wire
      .network(3)
      .handle(SYNC, async (_from, body) =>
        (body as { t: string }).t === 'heads' ? { heads: new Array(1_000).fill(head) } : page([]),
      )
    await honest.exchange.sync.pull(peer(3).peer, [maria]).catch(() => undefined)
    expect(wire.asked.length).toBeLessThan(5)
    honest.exchange.stop()
  })

  it('serves no entry by itself whose own signature was swapped under a good head, and heals it', async () => {
    const honest = await start(2)
    await follow(honest)
    answersSync(3, log.head, () => page(swapped(log, 2, 4)))
    await honest.exchange.sync.pull(peer(3).peer, [maria])
    expect(await headOf(honest)).toEqual(log.head)
    expect(await honest.exchange.ingest.read('maria', 2)).toBeNull()
    expect(await honest.exchange.ingest.read('maria', 3)).not.toBeNull()

    serves(1, log)
    await honest.clock.pass(2_000)
    await expect
      .poll(async () => (await honest.exchange.ingest.record('maria'))?.uncheckedFrom)
      .toBeNull()
    for (const seq of [2, 4]) {
      const { signature } = (await honest.exchange.ingest.read('maria', seq)) as Offer
      expect(Buffer.from(signature).toString()).toContain('BEGIN PGP SIGNATURE')
      expect(
        await honest.exchange.ingest.keepAside('maria', { ...log.at(seq).offer, signature }),
      ).toMatchObject({ ok: true })
    }
    honest.exchange.stop()
  })

  it('looks less and less often at a signature that nobody can put right', async () => {
    const honest = await start(2)
    await follow(honest)
    let looks = 0
    answersSync(3, log.head, () => {
      looks++
      return page(swapped(log, 2))
    })
    await honest.exchange.sync.pull(peer(3).peer, [maria])
    for (let second = 0; second < 60; second++) await honest.clock.pass(1_000)
    // A minute has 120 goes.
    expect(looks).toBeGreaterThan(3)
    expect(looks).toBeLessThan(10)
    honest.exchange.stop()
  })

  it('goes on with the other peers while one does not answer', async () => {
    const honest = await start(2)
    await follow(honest)
    wire.network(3).handle(SYNC, () => new Promise(() => {}))
    serves(1, log)
    await honest.clock.pass(3_000)
    await expect.poll(() => headOf(honest)).toEqual(log.head)
    const longer = await log.branch().posts(1)
    serves(1, longer)
    await honest.clock.pass(3_000)
    await expect.poll(() => headOf(honest)).toEqual(longer.head)
    honest.exchange.stop()
  })
})

describe('Replicas.receive', () => {
  const forged: [string, () => Receipt][] = [
    ['of a peer that is no replica', () => receiptOf(4, log.head)],
    [
      'with another store',
      () => receiptOf(2, log.head, { replica: { ...replica(2), store: storeOf(9) } }),
    ],
    ['under another act', () => receiptOf(2, log.head, { act: fakeId('cd') })],
    ['with another epoch', () => receiptOf(2, log.head, { epoch: 2 })],
    ['of another council', () => receiptOf(2, log.head, { council: `x.example/${fakeId('12')}` })],
    ['for a seq beyond the head', () => receiptOf(2, { seq: 99, id: log.head.id })],
    ['for another entry', () => receiptOf(2, { seq: log.head.seq, id: fakeId('ee') })],
    [
      'in the name of another replica',
      () => {
        const own = receiptOf(3, log.head)
        const text = Buffer.from(receiptOf(2, log.head).signed.text)
        return { ...own, signed: { text, signature: own.signed.signature } }
      },
    ],
  ]

  it.each(forged)('does not count a receipt %s', async (_what, make) => {
    const primary = await start(1)
    const kept = await follow(primary)
    await primary.exchange.replicas.take(kept, log.offers, { way: 'submit', head: log.head })
    await primary.exchange.replicas.receive(make().signed)
    const { receipts } = primary.exchange.replicas.get(maria) as Kept
    expect([receipts.published(), receipts.copies(0), receipts.copies(6)]).toEqual([-1, 1, 1])
    expect(receipts.isActive()).toBe(false)

    await primary.exchange.replicas.receive(receiptOf(2, log.head).signed)
    expect(receipts.published()).toBe(6)
    primary.exchange.stop()
  })
})

describe('a push', () => {
  const push = (offers: readonly Offer[], head: Head, change: object = {}, under = act) => ({
    ...{ t: 'push', log: 'maria', act: under.act.id, proof: proofRow(under.proof) },
    ...{ head, entries: rows(offers) },
    ...change,
  })
  const codeOf = (answer: unknown) =>
    (answer as { error?: { code: string } }).error?.code ?? 'taken'

  it('is refused from everybody but the primary', async () => {
    const honest = await start(2)
    for (const from of [0, 3, 4])
      expect(codeOf(await ask(from, 2, REPLICA, push(log.offers, log.head)))).toBe(
        'NOT_THE_PRIMARY',
      )
    expect(await headOf(honest)).toBeNull()
    honest.exchange.stop()
  })

  const acts: [string, () => Written, string][] = [
    ['that is not in force', () => council.draft(assignment(), { givers: [] }), 'ACT_UNKNOWN'],
    ['signed by a member', () => council.draft(assignment(), { signer: peer(1) }), 'ACT_UNKNOWN'],
    [
      'whose holders gave receipts for another act',
      () => council.draft(assignment(), { receipt: { head: { seq: 1, id: fakeId('99') } } }),
      'ACT_UNKNOWN',
    ],
    [
      'of another council',
      () => council.draft(assignment(), { council: `blogs.localhost/${fakeId('77')}` }),
      'ACT_UNKNOWN',
    ],
  ]
  it.each(acts)('under an act %s is not obeyed', async (_what, draft, code) => {
    const honest = await start(2)
    expect(codeOf(await ask(1, 2, REPLICA, push(log.offers, log.head, {}, draft())))).toBe(code)
    expect(codeOf(await ask(1, 2, REPLICA, { t: 'act', proof: proofRow(draft().proof) }))).toBe(
      'ACT_REFUSED',
    )
    expect([honest.exchange.replicas.all(), await headOf(honest)]).toEqual([[], null])
    honest.exchange.stop()
  })

  it('under an act of an unknown @roster line asks the sender for @roster, and then obeys', async () => {
    const honest = await start(2)
    council.admit(5)
    const later = council.write(assignFields({ ...assignment(), blog: 'joe' as BlogName }))
    expect(honest.exchange.council.checkProof(later.proof)).toMatchObject({ code: 'ROSTER_BEHIND' })
    const told = { t: 'act', proof: proofRow(later.proof) }
    expect(codeOf(await ask(1, 2, REPLICA, told))).toBe('ACT_REFUSED')
    expect(honest.exchange.replicas.all()).toEqual([])

    wire.network(1).handle(SYNC, async (_from, body) => {
      const { t, from } = body as { t: string; from: number }
      if (t === 'heads')
        return { heads: [{ log: rosterLog, epoch: 0, ...council.roster.head, receipts: [] }] }
      return { entries: council.rosterProofs.slice(from).map(proofRow), more: false }
    })
    expect(await ask(1, 2, REPLICA, told)).toEqual({ ok: true })
    honest.exchange.stop()
  })

  it('under a second act of one epoch is refused; the first stays and the second is kept as proof', async () => {
    const honest = await start(2)
    await follow(honest)
    const second = council.draft(assignment({ primary: peer(3).peer }))
    expect(codeOf(await ask(3, 2, REPLICA, push(log.offers, log.head, {}, second)))).toBe(
      'LATER_ACT',
    )
    expect(honest.exchange.replicas.get(maria)?.assignment.id).toBe(act.act.id)
    expect(await honest.exchange.store.value('lying/maria/1')).toBeDefined()
    honest.exchange.stop()
  })

  it('cannot bring a genesis that the act does not name', async () => {
    const honest = await start(2)
    const other = await (await TestLog.begin(council.council, mallory)).posts(1)
    expect(codeOf(await ask(1, 2, REPLICA, push(other.offers, other.head)))).toBe('OTHER_HEAD')
    expect([await headOf(honest), ownReceipt(honest, 2)]).toEqual([null, null])
    expect(await ask(1, 2, REPLICA, push(log.offers, log.head))).toHaveProperty('receipt')
    honest.exchange.stop()
  })

  it('cannot replace an entry that this peer gave a receipt for', async () => {
    const honest = await start(2)
    expect(await ask(1, 2, REPLICA, push(log.offers, log.head))).toHaveProperty('receipt')
    const fork = await log.branch(5).posts(3, 'Otherwise')
    expect(codeOf(await ask(1, 2, REPLICA, push(fork.offers.slice(5), fork.head)))).toBe(
      'NOT_A_PREFIX',
    )
    expect(await headOf(honest)).toEqual(log.head)
    expect(await honest.exchange.store.asideById('maria', 5, fork.at(5).entry.id)).not.toBeNull()
    expect(ownReceipt(honest, 2)?.head).toEqual(log.head)
    honest.exchange.stop()
  })

  describe('of the next epoch', () => {
    const next = (change: Partial<AssignFields> = {}) =>
      council.write(
        assignment({
          ...{ epoch: 2, ends: act.act.id, primary: peer(3).peer, via: null, head: log.head },
          ...change,
        }),
      )

    it('cannot take back what lies under the head that the act names', async () => {
      const honest = await start(2)
      await ask(1, 2, REPLICA, push(log.offers, log.head))
      const later = next()
      const fork = await log.branch(4).posts(5, 'Otherwise')
      const shorter = log.branch(3)
      for (const [entries, head] of [
        [fork.offers.slice(4), fork.head],
        [fork.offers, fork.head],
        [fork.offers.slice(4, 5), fork.at(4).entry],
        [[], shorter.head],
      ] as const)
        await ask(3, 2, REPLICA, push(entries, head, {}, later))
      expect(await headOf(honest)).toEqual(log.head)
      expect(await honest.exchange.store.aside('maria')).toEqual([])
      serves(3, shorter, { epoch: 2, under: later })
      await honest.exchange.sync.pull(peer(3).peer, [maria]).catch(() => undefined)
      expect(await headOf(honest)).toEqual(log.head)
      honest.exchange.stop()
    })

    it('moves nothing aside for an entry that is refused', async () => {
      const honest = await start(2)
      await ask(1, 2, REPLICA, push(log.offers, log.head))
      const later = next({ head: log.at(3).entry })
      const fork = await log.branch(5).posts(1, 'Otherwise')
      const forged = { ...fork.at(5).offer, signature: log.at(5).offer.signature }
      await ask(3, 2, REPLICA, push([forged], fork.head, {}, later))
      expect(await headOf(honest)).toEqual(log.head)
      expect(await honest.exchange.store.aside('maria')).toEqual([])
      honest.exchange.stop()
    })
  })
})

describe('a frame of receipts', () => {
  it('ends at the first that is none, and goes past those that do not count here', async () => {
    const primary = await start(1)
    await follow(primary)
    const head = { seq: 0, id: log.genesis.id }
    const good = signedRow(receiptOf(2, head).signed)
    const elsewhere = signedRow(receiptOf(2, head, { log: 'joe' }).signed)
    const forged: SignedRow = [good[0], Buffer.alloc(64)]
    const send = (receipts: readonly SignedRow[]) => ask(2, 1, REPLICA, { t: 'receipts', receipts })
    expect(await send([elsewhere, good])).toEqual({ ok: true })
    expect(await send([good, forged, good])).toMatchObject({ error: { code: 'PEER_SIGNATURE' } })
  })

  it('lets others have their turn: after each fifty a pause', async () => {
    const primary = await start(1)
    await follow(primary)
    const waiting = primary.clock.waiting
    const good = signedRow(receiptOf(2, { seq: 0, id: log.genesis.id }).signed)
    const answer = ask(2, 1, REPLICA, { t: 'receipts', receipts: new Array(60).fill(good) })
    await expect.poll(() => primary.clock.waiting).toBe(waiting + 1)
    await primary.clock.pass(0)
    expect(await answer).toEqual({ ok: true })
  })
})

describe('Push', () => {
  const answers: [string, (first: Receipt) => unknown][] = [
    ['an old receipt', (first) => ({ receipt: signedRow(first.signed) })],
    ["another replica's receipt", () => ({ receipt: signedRow(receiptOf(3, log.head).signed) })],
    [
      'a receipt for another entry',
      () => ({ receipt: signedRow(receiptOf(2, { seq: 6, id: fakeId('aa') }).signed) }),
    ],
    ['that it needs what it was sent', () => ({ need: 0 })],
    ['something else', () => ({ receipt: 7 })],
  ]
  it.each(answers)('gives up on a secondary that always answers with %s', async (_what, answer) => {
    const primary = await start(1)
    const kept = await follow(primary)
    await primary.exchange.replicas.take(kept, log.offers, { way: 'submit', head: log.head })
    const first = receiptOf(2, log.at(0).entry)
    await primary.exchange.replicas.receive(first.signed)
    let pushes = 0
    wire.network(2).handle(REPLICA, async (_from, body) => {
      if ((body as { t: string }).t === 'push') pushes++
      return answer(first)
    })
    primary.exchange.connected(peer(2).peer)
    await settle()
    for (const ms of pushRetryMs) await primary.clock.pass(ms)
    const tries = 1 + pushRetryMs.length
    // Each pull round may begin such a series again.
    expect(pushes).toBeGreaterThan(0)
    expect(pushes).toBeLessThanOrEqual(4 * tries)
    primary.exchange.stop()
  })
})

describe('Submit.submit', () => {
  const submitted = async (answer: unknown) => {
    const relay = await start(4)
    wire.network(0).handle(READ, async () => ({ proof: proofRow(act.proof), carriesNames: true }))
    wire.network(1).handle(SUBMIT, async () => answer)
    const { entry, offer } = log.at(6)
    const done = await relay.exchange.submit.submit(entry, offer)
    relay.exchange.stop()
    return must(done)
  }
  const reply = (...receipts: Receipt[]) => ({
    ...{ published: true, copies: 3, wanted: 3 },
    receipts: receipts.map((receipt) => signedRow(receipt.signed)),
  })

  it('believes receipts, not the word of a primary', async () => {
    const own = () => receiptOf(1, log.head)
    expect(await submitted(reply())).toMatchObject({ published: false, copies: 0 })
    expect(await submitted(reply(own()))).toMatchObject({ published: false, copies: 1 })
    const lies = [
      receiptOf(4, log.head),
      receiptOf(2, log.at(5).entry),
      receiptOf(3, { seq: 6, id: fakeId('aa') }),
      receiptOf(3, log.head, { act: fakeId('bb') }),
    ]
    expect(await submitted(reply(own(), ...lies))).toMatchObject({ published: false, copies: 1 })
    expect(await submitted(reply(own(), receiptOf(2, log.head)))).toMatchObject({
      ...{ published: true, copies: 2, wanted: 3 },
    })
  })
})

describe('Visits.open', () => {
  const reads = async (answer: (from: number) => object) => {
    const visitor = await start(4)
    wire.network(0).handle(READ, async () => ({ proof: proofRow(act.proof), carriesNames: true }))
    wire.network(2).handle(READ, async (_from, body) => ({
      act: proofRow(act.proof),
      receipts: [],
      more: false,
      ...answer((body as { from: number }).from),
    }))
    const visit = await visitor.exchange.visits.open(maria)
    visitor.exchange.stop()
    expect(wire.asked.length).toBeLessThan(20)
    return visit
  }

  it('shows nothing of a log whose genesis is not the one that the act names', async () => {
    const other = await (await TestLog.begin(council.council, mallory)).posts(2)
    expect(await reads((from) => ({ entries: rows(other.offers.slice(from)) }))).toBe('unreachable')
  })

  it('ends a visit to a holder that sends the same page for ever', async () => {
    expect(await reads(() => ({ entries: rows(log.offers), more: true }))).toBe('unreachable')
  })

  it.each([0, 0.9])(
    'passes by a holder that sends nothing of what it signed for, asked %s',
    async (at) => {
      const visitor = await start(4)
      Object.assign(visitor.clock, { random: () => at })
      wire.network(0).handle(READ, async () => ({ proof: proofRow(act.proof), carriesNames: true }))
      const answer = (from: number, entries: object[]) =>
        wire.network(from).handle(READ, async (_from, body) => ({
          ...{ act: proofRow(act.proof), more: false },
          receipts: [signedRow(receiptOf(from, log.head).signed)],
          entries: entries.slice((body as { from: number }).from),
        }))
      answer(2, [])
      answer(3, rows(log.offers))
      const visit = await visitor.exchange.visits.open(maria)
      visitor.exchange.stop()
      if (typeof visit === 'string') throw new Error(visit)
      expect((await visit.ingest.record('maria'))?.head).toEqual(log.head)
    },
  )

  it('counts no receipt for another entry than the one that is shown', async () => {
    const fork = await log.branch(6).posts(1, 'Otherwise')
    const visit = await reads((from) => ({
      entries: rows(fork.offers.slice(from)),
      receipts: [
        receiptOf(2, fork.head),
        receiptOf(1, log.head),
        receiptOf(3, { seq: 50, id: log.head.id }),
      ].map((receipt) => signedRow(receipt.signed)),
    }))
    if (typeof visit === 'string') throw new Error(visit)
    expect(visit.receipts.published()).toBe(-1)
    expect(visit.receipts.copies(6)).toBe(1)
  })
})

describe('Alive', () => {
  it("refuses a heartbeat in another peer's name", async () => {
    const honest = await start(2)
    const beat = signHeartbeat(peer(3), {
      ...{ council: council.council, replica: replica(3), atMs: startMs, freeBytes: 1, load: 0 },
      ...{ roster: council.roster.head, names: null, mark: null, busy: [] },
    })
    const body = { t: 'beat', beat: signedRow(beat) }
    expect(await ask(4, 2, ALIVE, body)).toMatchObject({ error: { code: 'HEARTBEAT_OTHER' } })
    expect(honest.exchange.alive.isLive(peer(3).peer)).toBe(false)
    expect(await ask(3, 2, ALIVE, body)).toHaveProperty('beat')
    expect(honest.exchange.alive.isLive(peer(3).peer)).toBe(true)
    honest.exchange.stop()
  })

  it('is heard by an authority that is still starting when they connect, before the next heartbeat', async () => {
    const spoke = await start(2)
    spoke.exchange.connected(peer(0).peer)
    await settle()
    const authority = await start(0)
    const isHeard = () => authority.exchange.alive.isLive(peer(2).peer)
    expect(isHeard()).toBe(false)
    await spoke.clock.pass(500)
    await expect.poll(isHeard).toBe(true)
    for (const { exchange } of [spoke, authority]) exchange.stop()
  })

  it('fetches an address for the authority only, and a web address only', async () => {
    const honest = await start(2)
    const fetch = (from: number, url: string) =>
      ask(from, 2, ALIVE, { t: 'fetch', url, nonce: 'n'.repeat(24) })
    expect(await fetch(3, 'http://127.0.0.1:80')).toMatchObject({
      error: { code: 'FETCH_REFUSED' },
    })
    expect(await fetch(0, 'file:///etc/passwd')).toMatchObject({ error: { code: 'FETCH_REFUSED' } })
    expect(await fetch(0, 'http://127.0.0.1:80')).toMatchObject({
      error: { code: 'HELLO_UNREACHABLE' },
    })
    honest.exchange.stop()
  })
})

describe('every handler', () => {
  it.each([SYNC, REPLICA, SUBMIT, READ, ALIVE])(
    'answers what it cannot read with a code: %s',
    async (protocol) => {
      const honest = await start(2)
      const junk = [
        null,
        7,
        'x',
        [],
        {},
        Buffer.alloc(1_000, 7),
        { t: 'nothing' },
        { t: 7 },
        { t: 'range', log: 'maria', from: -1 },
        { t: 'range', log: 'maria', from: 2n ** 63n },
        { t: 'heads', logs: new Array(100_000).fill('maria') },
        { t: 'heads', logs: [{}] },
        { t: 'receipts', receipts: new Array(2_000).fill([1, 2]) },
        { t: 'push' },
        { t: 'entry', entry: ['text', 'signature'] },
        { t: 'beat', beat: [Buffer.alloc(0)] },
        { t: 'act', proof: [Buffer.alloc(3), Buffer.alloc(3), 3] },
        { t: 'log', log: 'x'.repeat(41), from: 0 },
        { t: 'claim', id: 'short' },
        { t: 'hold', log: 'maria', act: [] },
      ]
      for (const body of junk) {
        const answer = (await ask(3, 2, protocol, body)) as { error: { reason: string } }
        expect(answer).toMatchObject({ error: { code: 'REQUEST_MALFORMED' } })
        expect(answer.error.reason.length).toBeLessThanOrEqual(2_000)
      }
      honest.exchange.stop()
    },
  )

  it('refuses signed texts that are none without storing anything', async () => {
    const honest = await start(2)
    await follow(honest)
    const before = (await honest.disk.rows()).length
    const noise: [Uint8Array, Uint8Array] = [Buffer.alloc(300, 'z'), Buffer.alloc(64)]
    const bodies: [string, object][] = [
      [REPLICA, { t: 'receipts', receipts: [noise, noise] }],
      [REPLICA, { t: 'act', proof: [...noise, [noise]] }],
      [REPLICA, { t: 'hold', log: '@names', act: noise }],
      [SUBMIT, { t: 'entry', entry: noise }],
      [SUBMIT, { t: 'claim', entry: noise }],
      [ALIVE, { t: 'beat', beat: noise }],
    ]
    for (const [protocol, body] of bodies) await ask(3, 2, protocol, body)
    expect((await honest.disk.rows()).length).toBe(before)
    honest.exchange.stop()
  })
})

describe('what lies aside', () => {
  it('is bounded: the oldest seqs make room', async () => {
    const { store } = new TestDisk()
    const item = (seq: number, n: number) => ({
      ...log.at(1).entry,
      ...{ seq, id: fakeId(String(10_000 + n).padStart(16, '0')) },
    })
    const put = async (seq: number, n: number) => {
      const aside = { item: item(seq, n), signature: Buffer.from('s'), firstMs: startMs }
      await store.write(await store.putAside('maria', [aside]))
    }
    for (let n = 0; n < maxAsidePerLog; n++) await put(5, n)
    for (const n of [3, 3, 3]) await put(5, n)
    expect(await store.asideById('maria', 5, item(5, 0).id)).not.toBeNull()
    await put(4, 0)
    expect(await store.asideById('maria', 4, item(4, 0).id)).toBeNull()
    await put(6, 0)
    expect(await store.asideById('maria', 6, item(6, 0).id)).not.toBeNull()
    expect(await store.asideById('maria', 5, item(5, 0).id)).toBeNull()
    expect(await store.aside('maria')).toHaveLength(maxAsidePerLog)
  })

  it('keeps both of two entries for one seq, one in the log, and tells the author of the head', async () => {
    const primary = await start(1)
    const kept = await follow(primary)
    const before = log.branch(6)
    await primary.exchange.replicas.take(kept, before.offers, { way: 'submit', head: before.head })
    await primary.exchange.replicas.receive(receiptOf(2, before.head).signed)
    const other = (await log.branch(6).posts(1, 'Otherwise')).at(6)
    const both = [log.at(6), other]
    const done = Promise.all(
      both.map(({ offer }) => ask(4, 1, SUBMIT, { t: 'entry', entry: signedRow(offer) })),
    )
    await expect.poll(() => headOf(primary)).toEqual(log.head)
    await primary.clock.pass(publishWaitMs)
    const [first, second] = await done
    expect(first).toMatchObject({ published: false, copies: 1 })
    expect(second).toEqual({ taken: { seq: 6, id: log.at(6).entry.id } })
    expect(await headOf(primary)).toEqual(log.head)
    expect(await primary.exchange.store.asideById('maria', 6, other.entry.id)).not.toBeNull()
    primary.exchange.stop()
  })
})

describe('a rekey by the recovery key', () => {
  it('is refused when it names the key in force: an entry never has two keys to be checked by', async () => {
    const honest = await start(2)
    const recovered = await TestLog.begin(council.council, author, {
      blog: 'joe',
      recovery: mallory,
    })
    const same = council.write(
      assignment({
        ...{ blog: 'joe' as BlogName, genesis: recovered.genesis.id },
        head: { seq: 0, id: recovered.genesis.id },
      }),
    )
    await recovered.rekey(author, { signer: mallory })
    const kept = await follow(honest, same)
    const outcome = await honest.exchange.replicas.take(kept, recovered.offers, {
      ...{ way: 'push', head: recovered.head },
    })
    expect(outcome).toMatchObject({ kind: 'refused', refusal: { code: 'REKEY_SAME_KEY' } })
    honest.exchange.stop()
  })
})
