import { beforeEach, describe, expect, it } from 'vitest'
import { accept, refuse, type Verdict } from '../../../src/auth/verdict.ts'
import type { Move } from '../../../src/node/authority/move-desk.ts'
import { OrderDesk } from '../../../src/node/authority/order-desk.ts'
import { Orders } from '../../../src/node/authority/orders.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Signed } from '../../../src/replication/log/text.ts'
import { encodeOrder, type MoveOrder } from '../../../src/replication/registry/order.ts'
import { TestPeer } from '../../replication/exchange/test-peer.ts'
import { hourMs, TestAuthor, TestLog } from '../../replication/test-author.ts'
import {
  assignFields,
  codeOf,
  fakeId,
  must,
  peer,
  startMs,
  TestCouncil,
  type Written,
} from '../../replication/test-council.ts'

const [author, heir, mallory, brief] = [
  await TestAuthor.make('maria'),
  await TestAuthor.make('heir'),
  await TestAuthor.make('mallory'),
  await TestAuthor.make('brief', { expireSeconds: 340 * 24 * 3_600 }),
]
const maria = 'maria' as BlogName
const minuteMs = 60_000

let council: TestCouncil
let authority: TestPeer
let orders: Orders
let desk: OrderDesk
let log: TestLog
let act: Written
/** the state of the log that the authority gets to see; a string where it gets none */
let seen: 'all' | 'unreachable' | { readonly published: number; readonly genesis?: string }
let moved: string[]
let opened: number
let tooFew: boolean

/** A council of spokes s1 to s4; maria is led by s1, kept by s1, s2 and s3. */
beforeEach(() => begin(author))
async function begin(by: TestAuthor, { rekeyTo }: { rekeyTo?: TestAuthor } = {}) {
  council = new TestCouncil().admit(1, 2, 3, 4, 5)
  council.write({ kind: 'cutoff', peer: peer(5).peer, reason: 'it lied', evidence: null })
  log = await (await TestLog.begin(council.council, by)).posts(2)
  if (rekeyTo !== undefined) await log.rekey(rekeyTo)
  const { id, key } = log.genesis
  act = council.write(assignFields({ genesis: id, key }))
  authority = await TestPeer.start(0, council)
  authority.clock.ms = startMs + hourMs
  const following = { epoch: 1, head: log.head }
  const given = await authority.ingest.offer(maria, log.offers, { way: 'pull', following })
  expect(given.kind).toBe('held')
  orders = new Orders(authority.disk.store)
  ;[seen, moved, opened, tooFew] = ['all', [], 0, false]
  desk = newDesk()
}

/** Moves do what they say at once, but in the log of acts. */
const newDesk = () =>
  new OrderDesk({
    exchange: {
      council: authority.council,
      revocations: authority.revocations,
      visits: {
        open: async () => {
          opened++
          if (seen === 'unreachable') return seen
          const { published = 0, genesis = log.genesis.id } = seen === 'all' ? {} : seen
          const assignment = { genesis, head: { seq: 0, id: log.genesis.id } }
          const receipts = { published: () => published }
          return { ingest: authority.ingest, assignment, receipts } as never
        },
      } as never,
    },
    orders,
    moves: {
      transfer: async ({ blog, spoke, reason, evidence, dryRun, signedMs = null }) => {
        if (tooFew) return refuse('MOVE_TOO_FEW', 'Too few live copies would be left.')
        const isDone = spoke === authority.council.names()?.blogs.get(maria)?.primary
        if (!dryRun) {
          moved.push(`${spoke} ${reason}`)
          if (isDone) await orders.withdraw(maria, signedMs)
          else {
            const signed =
              signedMs === null ? null : { dateMs: signedMs, takenMs: authority.clock.ms }
            await orders.lead(maria, { peer: spoke as never, reason, evidence }, signed)
          }
        }
        return accept({ blog, to: spoke, isDone } as unknown as Move)
      },
    },
    clock: authority.clock,
    log: { info: () => undefined } as never,
  })

const textOf = (change: Partial<MoveOrder> = {}): Uint8Array =>
  must(
    encodeOrder({
      ...{ council: council.council, blog: maria, act: act.act.id, epoch: 1, spoke: 's2' },
      ...{ primary: peer(2).peer, dateMs: authority.clock.ms, key: author.fingerprint as never },
      ...change,
    }),
  ).text
async function signed(text: Uint8Array, by = author, atMs = authority.clock.ms): Promise<Signed> {
  return { text, signature: Buffer.from(await by.sign(text, atMs)) }
}
const order = async (change: Partial<MoveOrder> = {}, by = author) => signed(textOf(change), by)
const take = async (given: Signed | Promise<Signed>): Promise<Verdict<Move>> =>
  desk.take(await given)
const code = async (given: Signed | Promise<Signed>) => codeOf(await take(given))

describe('OrderDesk.take', () => {
  const now = () => authority.clock.ms
  it.each<[string, () => Promise<Signed>, string]>([
    ['signed by another key', () => order({}, mallory), 'SIGNATURE_OTHER_KEY'],
    [
      'signed by another key, which it names',
      () => order({ key: mallory.fingerprint as never }, mallory),
      'ORDER_OTHER_KEY',
    ],
    ['for another council', () => order({ council: `a.example/${fakeId('5f')}` }), 'ORDER_COUNCIL'],
    ['for a blog that nobody has', () => order({ blog: 'nobody' as BlogName }), 'BLOG_UNKNOWN'],
    ['that ends another act', () => order({ act: fakeId('ee') }), 'ORDER_ACT'],
    ['of an epoch that is not in force', () => order({ epoch: 2 }), 'ORDER_ACT'],
    [
      'of 10 minutes and a second from now',
      () => order({ dateMs: now() + 601_000 }),
      'DATE_IN_FUTURE',
    ],
    ['of an hour and a second ago', () => order({ dateMs: now() - 3_601_000 }), 'ORDER_TOO_OLD'],
    [
      'with a signature of the future',
      async () => signed(textOf(), author, now() + 700_000),
      'SIGNATURE_IN_FUTURE',
    ],
    ['for a spoke of no such name', () => order({ spoke: 's9' }), 'MEMBER_UNKNOWN'],
    ['whose name is of another peer', () => order({ spoke: 's3' }), 'MEMBER_UNKNOWN'],
    [
      'for a spoke that is cut off',
      () => order({ spoke: 's5', primary: peer(5).peer }),
      'SPOKE_NOT_LIVE',
    ],
    [
      'changed to another spoke after signing',
      async () => ({
        ...(await order()),
        text: textOf({ spoke: 's3', primary: peer(3).peer }),
      }),
      'SIGNATURE_BAD',
    ],
    [
      'without a signature',
      async () => ({ text: textOf(), signature: Buffer.from('x') }),
      'ARMOR_MISSING',
    ],
    ['that is an entry of the blog', async () => log.at(1).offer, 'ORDER_FIRST_LINE'],
  ])('refuses one %s', async (_, make, expected) => {
    expect(await code(make())).toBe(expected)
    expect(moved).toEqual([])
  })

  it('looks for the key only when all else is right: a flood of junk fetches no log', async () => {
    const junk = [{ act: fakeId('ee') }, { spoke: 's9' }, { blog: 'nobody' as BlogName }]
    for (const change of junk) expect(await code(order(change, mallory))).not.toBe('accepted')
    expect(opened).toBe(0)
  })

  it('orders the move, with the order and its signature as evidence', async () => {
    expect(must(await take(order()))).toMatchObject({ to: peer(2).peer, isDone: false })
    expect(moved).toEqual([`${peer(2).peer} its author ordered it to s2`])
    const evidence = orders.evidenceOf(maria) ?? ''
    expect(evidence.startsWith(`${Buffer.from(textOf())}\n-----BEGIN PGP SIGNATURE-----\n`)).toBe(
      true,
    )
  })

  it('gives the same order its present state, however often it comes', async () => {
    const same = await order()
    for (let time = 0; time < 5; time++) expect(await code(same)).toBe('accepted')
    expect(moved).toHaveLength(1)
  })

  it('takes one order of a blog in 10 minutes, and says when the next one may come', async () => {
    expect(await code(order())).toBe('accepted')
    authority.clock.ms += minuteMs
    const refused = await take(order({ spoke: 's3', primary: peer(3).peer }))
    expect(refused).toMatchObject({ code: 'RATE_LIMITED', retryMs: 540_000 })
    authority.clock.ms += 9 * minuteMs
    expect(await code(order({ spoke: 's3', primary: peer(3).peer }))).toBe('accepted')
    expect(moved).toHaveLength(2)
  })

  it('remembers over a restart when it took the last one, also one that was taken back', async () => {
    const to3 = () => order({ spoke: 's3', primary: peer(3).peer })
    const restart = async () => {
      orders = new Orders(authority.disk.store)
      await orders.load()
      desk = newDesk()
    }
    expect(await code(order())).toBe('accepted')
    authority.clock.ms += minuteMs
    await restart()
    expect(await take(to3())).toMatchObject({ code: 'RATE_LIMITED', retryMs: 540_000 })
    expect(await code(order({ spoke: 's1', primary: peer(1).peer }))).toBe('accepted')
    authority.clock.ms += minuteMs
    await restart()
    expect(await take(to3())).toMatchObject({ code: 'RATE_LIMITED', retryMs: 480_000 })
    authority.clock.ms += 8 * minuteMs
    await restart()
    expect(await code(to3())).toBe('accepted')
  })

  it('lets nobody wait longer whose authority’s clock was set back', async () => {
    expect(await code(order({ dateMs: now() - 30 * minuteMs }))).toBe('accepted')
    authority.clock.ms -= 20 * minuteMs
    expect(await code(order({ spoke: 's3', primary: peer(3).peer }))).toBe('accepted')
  })

  it('counts nothing that it refuses: who cannot sign takes nothing from the author', async () => {
    for (let time = 0; time < 20; time++)
      expect(await code(order({}, mallory))).toBe('SIGNATURE_OTHER_KEY')
    tooFew = true
    expect(await code(order())).toBe('MOVE_TOO_FEW')
    tooFew = false
    expect(await code(order())).toBe('accepted')
  })

  it('takes back what was ordered at once, and no earlier order comes back, not even after a restart', async () => {
    const first = await order()
    expect(await code(first)).toBe('accepted')
    authority.clock.ms += 1_000
    const back = await order({ spoke: 's1', primary: peer(1).peer })
    expect(must(await take(back)).isDone).toBe(true)
    expect(orders.evidenceOf(maria)).toBeNull()
    authority.clock.ms += 20 * minuteMs
    expect(await code(first)).toBe('ORDER_EARLIER')
    orders = new Orders(authority.disk.store)
    await orders.load()
    desk = newDesk()
    expect(await code(first)).toBe('ORDER_EARLIER')
    expect(await code(order())).toBe('accepted')
  })

  it('never takes one again once the epoch has moved on', async () => {
    const first = await order()
    expect(await code(first)).toBe('accepted')
    await orders.forget(maria)
    const { id, key } = log.genesis
    const next = { epoch: 2, ends: act.act.id, head: log.head, via: null }
    const written = council.write(assignFields({ genesis: id, key, ...next }))
    await authority.council.take('@names', [written.proof], 'pull')
    expect(await code(first)).toBe('ORDER_ACT')
  })

  it.each([
    ['superseded', 1],
    ['compromised', 2],
  ] as const)('refuses a key that an act has revoked: %s', async (_, reason) => {
    const certificate = await author.revoke(reason)
    const { proof } = council.write({ kind: 'revoke', key: author.fingerprint, certificate })
    await authority.council.take('@names', [proof], 'pull')
    expect(await code(order())).toBe('KEY_REVOKED')
  })

  it('refuses a key that has expired, and one that the blog is no more written with', async () => {
    await begin(brief)
    const key = brief.fingerprint as never
    authority.clock.ms = Date.parse('2026-12-24T00:00:00Z')
    expect(await code(signed(textOf({ key }), brief, startMs))).toBe('KEY_EXPIRED')
    await begin(author, { rekeyTo: heir })
    expect(await code(order())).toBe('ORDER_OTHER_KEY')
    expect(await code(order({ key: heir.fingerprint as never }, heir))).toBe('accepted')
  })

  it.each<[string, typeof seen]>([
    ['nobody shows the log', 'unreachable'],
    ['who shows it holds back what others gave receipts for', { published: 9 }],
    ['who shows it has another blog in its place', { published: 0, genesis: fakeId('9a') }],
  ])('does not guess the key where %s', async (_, state) => {
    seen = state
    expect(await code(order())).toBe('BLOG_UNREACHABLE')
    expect(moved).toEqual([])
  })
})
