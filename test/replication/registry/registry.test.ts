import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import type { Receipt } from '../../../src/replication/log/receipt.ts'
import { recordKey } from '../../../src/replication/protocol.ts'
import type { AssignFields } from '../../../src/replication/registry/act.ts'
import { type Assignment, toAssignment } from '../../../src/replication/registry/assignment.ts'
import { CouncilLogs } from '../../../src/replication/registry/council-logs.ts'
import { checkRecord, encodeRecord, Registry } from '../../../src/replication/registry/registry.ts'
import {
  assignFields,
  codeOf,
  councilIngest,
  dayMs,
  fakeId,
  must,
  peer,
  replica,
  startMs,
  storeOf,
  TestClock,
  TestCouncil,
  TestDisk,
  type Written,
} from '../test-council.ts'

const maria = 'maria' as BlogName
let council: TestCouncil
let first: Written
let second: Written
beforeEach(() => {
  council = new TestCouncil().admit(1, 2, 3, 4)
  first = council.draft(assignFields())
  second = council.draft(
    assignFields({
      epoch: 2,
      ends: first.act.id,
      primary: peer(2).peer,
      via: null,
      head: { seq: 5, id: fakeId('ef') },
    }),
  )
})

const assignment = ({ act, proof }: Written) => toAssignment(act, proof) as Assignment
const record = (
  written: Written,
  { by = [1, 2], change = {} }: { by?: number[]; change?: Partial<Receipt> } = {},
) =>
  encodeRecord(
    assignment(written),
    by.map((n) => council.receipt(n, written.act, change)),
  )
const key = () => recordKey(council.roster.councilId, 'maria')
const check = (value: Uint8Array, { at = key(), nowMs = startMs } = {}) =>
  checkRecord(at, value, council.roster, nowMs)

describe('checkRecord', () => {
  it.each<[string, () => ReturnType<typeof checkRecord>, string]>([
    ['8,193 bytes', () => check(Buffer.alloc(8_193)), 'RECORD_SIZE'],
    ['nothing', () => check(Buffer.alloc(0)), 'RECORD_FORM'],
    ['no CBOR', () => check(Buffer.from('hello')), 'RECORD_FORM'],
    [
      'a founding act',
      () => check(encodeRecord({ proof: council.rosterProofs[0] } as Assignment, [])),
      'ACT_LOG',
    ],
    [
      'an act that gives no name',
      () => check(encodeRecord({ proof: council.namesProofs[0] } as Assignment, [])),
      'ACT_NOT_ASSIGN',
    ],
    [
      'the key of another blog',
      () => check(record(first), { at: recordKey(council.roster.councilId, 'joe') }),
      'RECORD_KEY',
    ],
    [
      'the key of another council',
      () => check(record(first), { at: recordKey(fakeId('ab'), 'maria') }),
      'RECORD_KEY',
    ],
    ['too few receipts', () => check(record(first, { by: [1] })), 'RECORD_RECEIPTS'],
    ['the same receipt twice', () => check(record(first, { by: [1, 1] })), 'RECORD_RECEIPTS'],
    [
      'receipts of peers that the act does not name',
      () => check(record(first, { by: [1, 4] })),
      'RECORD_RECEIPTS',
    ],
    [
      'receipts for another blog',
      () => check(record(first, { change: { log: 'joe' } })),
      'RECORD_RECEIPTS',
    ],
    [
      'receipts of another act',
      () => check(record(first, { change: { act: fakeId('ab') } })),
      'RECORD_RECEIPTS',
    ],
    [
      'receipts of another council',
      () => check(record(first, { change: { council: `x.org/${fakeId('a')}` } })),
      'RECORD_RECEIPTS',
    ],
    [
      'receipts given 48 hours and a second ago',
      () => check(record(first), { nowMs: startMs + 2 * dayMs + 1_000 }),
      'RECORD_RECEIPTS',
    ],
    [
      'receipts given 10 minutes and a second from now',
      () => check(record(first), { nowMs: startMs - 601_000 }),
      'RECORD_RECEIPTS',
    ],
    [
      'receipts that end before the head of the act',
      () => check(record(second, { change: { head: { seq: 4, id: fakeId('a') } } })),
      'RECORD_RECEIPTS',
    ],
    [
      'an act without receipts of holders',
      () => check(record(council.draft(assignFields(), { givers: [] }))),
      'ACT_NOT_IN_FORCE',
    ],
    [
      'an act with receipts of a foreign holder',
      () =>
        check(
          record(
            council.draft(assignFields(), {
              receipt: { replica: { peer: peer(0).peer, store: storeOf(9) } },
            }),
          ),
        ),
      'ACT_NOT_IN_FORCE',
    ],
    [
      'an act that a member signed',
      () => check(record(council.draft(assignFields(), { signer: peer(1) }))),
      'ACT_SIGNATURE',
    ],
    [
      'an act under a line of @roster to come',
      () => {
        const late = council.admit(5).draft(assignFields())
        return checkRecord(key(), record(late), council.rosters[2] as never, startMs)
      },
      'ROSTER_BEHIND',
    ],
  ])('refuses %s', (_, run, code) => {
    expect(codeOf(run())).toBe(code)
  })

  it('accepts receipts given up to 48 hours ago', () => {
    expect(codeOf(check(record(first), { nowMs: startMs + 2 * dayMs }))).toBe('accepted')
    expect(codeOf(check(record(first, { by: [2, 3] })))).toBe('accepted')
  })

  it('never throws', () => {
    const good = record(first)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc
        .tuple(fc.nat(good.length - 1), fc.nat(255))
        .map(([at, by]) => Buffer.from(good).fill(by, at, at + 1)),
    )
    fc.assert(
      fc.property(bytes, (value) => {
        const verdict = check(value)
        if (verdict.ok) expect(verdict.value.id).toBe(first.act.id)
      }),
      { numRuns: 500 },
    )
  })
})

describe('Registry', () => {
  let disk: TestDisk
  let clock: TestClock
  beforeEach(() => {
    disk = new TestDisk()
    clock = new TestClock()
  })

  type Asks = { dht?: Uint8Array | Error | null; names?: Assignment | 'free' | 'unreachable' }
  const answers: Asks = {}
  const put: Uint8Array[] = []

  /** A peer's registry on the disk at hand; it carries `@names` only when asked to. */
  async function start({
    carries = false,
    isAuthority = false,
    ...asks
  }: Asks & { carries?: boolean; isAuthority?: boolean } = {}) {
    Object.assign(answers, { dht: null, names: 'unreachable', ...asks })
    put.length = 0
    const ingest = councilIngest(
      disk.store,
      () => logs.roster(),
      () => council.roster.councilId,
    )
    const logs: CouncilLogs = new CouncilLogs({
      ...{ store: disk.store, ingest, signer: peer(5), storeId: () => storeOf(5), clock },
      askHolder: async () => [],
    })
    await logs.start()
    if (logs.roster() === null) await logs.take(rosterLog, council.rosterProofs, 'pull')
    if (carries) await logs.take(namesLog, council.namesProofs, 'pull')
    const registry = new Registry({
      ...{ council: logs, store: disk.store, clock, held: () => null, isAuthority },
      dht: {
        put: async (_key, value) => put.push(value),
        get: async () => {
          if (answers.dht instanceof Error) throw answers.dht
          return answers.dht ?? null
        },
      },
      askNames: async () => answers.names ?? 'unreachable',
    })
    return { registry, logs }
  }
  const idOf = (found: Assignment | string) => (typeof found === 'string' ? found : found.id)

  it('refuses an act of a lower epoch than it has ever seen, also after a restart', async () => {
    const { registry } = await start()
    expect(codeOf(await registry.validateRecord(key(), record(second)))).toBe('accepted')
    expect(codeOf(await registry.validateRecord(key(), record(first)))).toBe('RECORD_OLD')
    const again = await start()
    expect(codeOf(await again.registry.validateRecord(key(), record(first)))).toBe('RECORD_OLD')
    expect(codeOf(await again.registry.validateRecord(key(), record(second)))).toBe('accepted')
  })

  it('remembers nothing that it refuses', async () => {
    const { registry } = await start()
    expect(codeOf(await registry.validateRecord(key(), record(second, { by: [2] })))).toBe(
      'RECORD_RECEIPTS',
    )
    expect(codeOf(await registry.validateRecord(key(), record(first)))).toBe('accepted')
  })

  it('keeps two acts of one epoch as proof, and believes the first', async () => {
    const { registry } = await start()
    const lie = council.draft(assignFields({ reason: 'another' }))
    await registry.validateRecord(key(), record(first))
    expect(codeOf(await registry.validateRecord(key(), record(lie)))).toBe('ACT_SAME_EPOCH')
    expect(await disk.store.values('lying/maria/')).toHaveLength(1)
    expect(codeOf(await registry.validateRecord(key(), record(first)))).toBe('accepted')
  })

  it('goes on when @roster is behind, and accepts the record once it has caught up', async () => {
    const { registry, logs } = await start()
    council.admit(6)
    const late = council.draft(assignFields())
    expect(codeOf(await registry.validateRecord(key(), record(late)))).toBe('ROSTER_BEHIND')
    await logs.take(rosterLog, council.rosterProofs.slice(-1), 'pull')
    expect(codeOf(await registry.validateRecord(key(), record(late)))).toBe('accepted')
  })

  it.each<[string, () => Uint8Array | Error | null]>([
    ['finds nothing', () => null],
    ['fails', () => new Error('no peers')],
    ['answers with random bytes', () => Buffer.from([1, 2, 3])],
    ['answers with an old record', () => record(first, { change: { atMs: startMs - 3 * dayMs } })],
  ])('asks the peers that carry @names when the DHT %s', async (_, dht) => {
    const { registry } = await start({ dht: dht(), names: assignment(first) })
    expect(idOf(await registry.lookUp(maria))).toBe(first.act.id)
    const none = await start({ dht: dht(), names: 'unreachable' })
    expect(await none.registry.lookUp('joe' as BlogName)).toBe('unreachable')
  })

  it('believes the DHT alone where its record proves itself', async () => {
    const { registry } = await start({ dht: record(first) })
    expect(idOf(await registry.lookUp(maria))).toBe(first.act.id)
  })

  it('holds the first word of the DHT on a blog against that of a peer that carries @names', async () => {
    const { registry } = await start({ dht: record(first), names: assignment(second) })
    expect(idOf(await registry.lookUp(maria))).toBe(second.act.id)
    disk = new TestDisk()
    const other = await start({ dht: record(second), names: assignment(first) })
    expect(idOf(await other.registry.lookUp(maria))).toBe(second.act.id)
    disk = new TestDisk()
    const free = await start({ dht: record(first), names: 'free' })
    expect(idOf(await free.registry.lookUp(maria))).toBe(first.act.id)
  })

  it('does not take for looked up what somebody only put here', async () => {
    const { registry } = await start({ dht: record(first), names: assignment(second) })
    await registry.validateRecord(key(), record(first))
    expect(idOf(await registry.lookUp(maria))).toBe(second.act.id)
    disk = new TestDisk()
    const cutOff = await start({ dht: record(first) })
    await cutOff.registry.validateRecord(key(), record(first))
    expect(idOf(await cutOff.registry.lookUp(maria, { maxAgeMs: 1 }))).toBe(first.act.id)
    // Until it has asked once: nobody answered before.
    Object.assign(answers, { names: assignment(second) })
    clock.ms += 2
    expect(idOf(await cutOff.registry.lookUp(maria, { maxAgeMs: 1 }))).toBe(second.act.id)
  })

  it('asks the peers that carry @names first once the primary that it knew has refused', async () => {
    const { registry } = await start({ dht: record(first) })
    expect(idOf(await registry.lookUp(maria))).toBe(first.act.id)
    Object.assign(answers, { names: assignment(second) })
    expect(idOf(await registry.lookUp(maria, { maxAgeMs: 0 }))).toBe(second.act.id)
    Object.assign(answers, { dht: record(second), names: 'unreachable' })
    expect(idOf(await registry.lookUp(maria, { maxAgeMs: 0 }))).toBe(second.act.id)
  })

  it.each<[string, () => Asks]>([
    ['the DHT', () => ({ dht: record(first) })],
    ['another peer that carries @names', () => ({ names: assignment(first) })],
  ])(
    'asks %s where its own @names does not name the blog: it may lack the newest acts',
    async (_, asks) => {
      const { registry } = await start({ carries: true, ...asks() })
      expect(idOf(await registry.lookUp(maria))).toBe(first.act.id)
      // The authority's own lacks none.
      disk = new TestDisk()
      const authority = await start({ carries: true, isAuthority: true, ...asks() })
      expect(await authority.registry.lookUp(maria)).toBe('free')
    },
  )

  it('says "free" only by the word of a peer that carries @names', async () => {
    expect(await (await start({ names: 'free' })).registry.lookUp(maria)).toBe('free')
    disk = new TestDisk()
    expect(await (await start({ carries: true })).registry.lookUp(maria)).toBe('free')
  })

  it('never goes back to an older act, whoever says so', async () => {
    const { registry } = await start({ dht: record(second) })
    expect(idOf(await registry.lookUp(maria))).toBe(second.act.id)
    Object.assign(answers, { dht: record(first), names: assignment(first) })
    expect(idOf(await registry.lookUp(maria, { maxAgeMs: 0 }))).toBe(second.act.id)
    const again = await start({ dht: record(first), names: assignment(first) })
    expect(await again.registry.lookUp(maria)).toBe('unreachable')
  })

  it('knows by itself what @names says', async () => {
    council.write(first.act.decision as AssignFields & { kind: 'assign' })
    const { registry } = await start({ carries: true })
    expect(await registry.own(maria)).toMatchObject({ blog: 'maria', epoch: 1 })
    expect(codeOf(await registry.note(assignment(first)))).toBe('ACT_SAME_EPOCH')
  })

  it('chooses the highest epoch, then the youngest receipts', async () => {
    const { registry } = await start()
    const young = record(first, { change: { atMs: startMs + 60_000 } })
    const broken = Buffer.from('broken')
    expect(registry.selectRecord([record(first), young, broken])).toBe(1)
    expect(registry.selectRecord([broken, young, record(second), record(first)])).toBe(2)
  })

  it('puts a record only with young receipts of w of its replicas, and its own epoch first', async () => {
    const { registry } = await start()
    const receipts = (...by: number[]) => by.map((n) => council.receipt(n, second.act))
    await registry.put(assignment(second), receipts(1, 4))
    expect(put).toEqual([])
    await registry.put(assignment(second), receipts(1, 2, 4))
    expect(put).toHaveLength(1)
    expect(codeOf(check(put[0] as Uint8Array))).toBe('accepted')
    expect(codeOf(await registry.validateRecord(key(), record(first)))).toBe('RECORD_OLD')
    expect(must(check(put[0] as Uint8Array)).replicas[0]).toEqual(replica(1))
  })
})
