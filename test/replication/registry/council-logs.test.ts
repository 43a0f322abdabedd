import { beforeEach, describe, expect, it } from 'vitest'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { decodeReceipt } from '../../../src/replication/log/receipt.ts'
import type { EntryId, Signed } from '../../../src/replication/log/text.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import { CouncilLogs } from '../../../src/replication/registry/council-logs.ts'
import {
  assignFields,
  codeOf,
  councilIngest,
  fakeId,
  member,
  must,
  peer,
  replica,
  storeOf,
  TestClock,
  TestCouncil,
  TestDisk,
} from '../test-council.ts'

const admit = (n: number, change = {}): Decision => ({
  ...{ kind: 'admit', policy: 'open', member: member(n, change) },
})
const three: Decision = { kind: 'holders', holders: [0, 1, 2].map(replica) }
const maria = 'maria' as BlogName

/** One peer's copy of the council's logs. */
const run = { count: 1, id: '0'.repeat(32) }

class Carrier {
  readonly disk: TestDisk
  readonly logs: CouncilLogs
  /** holders that answer, and how */
  readonly holders = new Map<
    PeerName,
    (log: LogName, acts: readonly Signed[]) => Promise<readonly Signed[] | 'other' | 'fenced'>
  >()
  store = storeOf(0)

  constructor(n: number, councilId: EntryId | null, disk = new TestDisk()) {
    this.disk = disk
    this.store = storeOf(n)
    const ingest = councilIngest(
      disk.store,
      () => this.logs.roster(),
      () => councilId,
    )
    this.logs = new CouncilLogs({
      ...{ store: disk.store, ingest, signer: peer(n), storeId: () => this.store },
      clock: new TestClock(),
      askHolder: async (holder, log, acts) => (await this.holders.get(holder)?.(log, acts)) ?? [],
    })
    this.logs.begin(run)
  }

  static async of(n: number, council: TestCouncil, disk?: TestDisk): Promise<Carrier> {
    const carrier = new Carrier(n, council.roster.councilId, disk)
    await carrier.logs.start()
    if (carrier.logs.roster() === null) {
      await carrier.logs.take(rosterLog, council.rosterProofs, 'pull')
      await carrier.logs.take(namesLog, council.namesProofs, 'pull')
    }
    return carrier
  }

  /** Lets this authority ask another holder. */
  knows(other: Carrier): this {
    const number = [0, 1, 2, 3, 4].find((n) => storeOf(n) === other.store) as number
    this.holders.set(peer(number).peer, async (log, acts) => {
      const held = await other.logs.holding.hold(log, acts, run)
      if (held.ok) return held.value.map(({ signed }) => signed)
      return held.code === 'HOLDER_OTHER_ACT' ? 'other' : []
    })
    return this
  }
}

let council: TestCouncil
beforeEach(() => {
  council = new TestCouncil().admit(1, 2, 3)
})

describe('CouncilLogs.take', () => {
  const refusal = async (
    log: LogName,
    proofs: Parameters<CouncilLogs['take']>[1],
    at?: Carrier,
  ) => {
    const carrier = at ?? (await Carrier.of(4, council))
    const before = await carrier.disk.rows()
    const outcome = await carrier.logs.take(log, proofs, 'pull')
    expect(await carrier.disk.rows()).toEqual(before)
    return outcome.kind === 'refused' ? outcome.refusal.code : outcome.kind
  }

  it.each<[string, LogName, (c: TestCouncil) => ReturnType<TestCouncil['draft']>['proof'], string]>(
    [
      [
        'random bytes',
        rosterLog,
        (c) => ({ ...c.draft(admit(4)).proof, text: Buffer.from([9, 200]) }),
        'TEXT_NOT_UTF8',
      ],
      [
        'an act without receipts of holders',
        rosterLog,
        (c) => c.draft(admit(4), { givers: [] }).proof,
        'ACT_NOT_IN_FORCE',
      ],
      [
        'an act signed by a member',
        rosterLog,
        (c) => c.draft(admit(4), { signer: peer(1) }).proof,
        'ACT_SIGNATURE',
      ],
      ['a peer admitted twice', rosterLog, (c) => c.draft(admit(1)).proof, 'ROSTER_MEMBER'],
      [
        'an act of the other log',
        rosterLog,
        (c) => c.draft(assignFields()).proof,
        'ITEM_OTHER_LOG',
      ],
      ['a founding act as @names', namesLog, (c) => c.rosterProofs[0] as never, 'ITEM_OTHER_LOG'],
      [
        'an assignment without receipts',
        namesLog,
        (c) => c.draft(assignFields(), { givers: [] }).proof,
        'ACT_NOT_IN_FORCE',
      ],
      [
        'an assignment signed by a member',
        namesLog,
        (c) => c.draft(assignFields(), { signer: peer(1) }).proof,
        'ACT_SIGNATURE',
      ],
      [
        'an epoch out of order',
        namesLog,
        (c) => c.draft(assignFields({ epoch: 2, ends: fakeId('ab') })).proof,
        'NAME_EPOCH',
      ],
      [
        'an act behind a gap',
        rosterLog,
        (c) => {
          c.admit(4)
          return c.draft(admit(5)).proof
        },
        'gap',
      ],
    ],
  )('refuses %s and stores nothing', async (_, log, make, code) => {
    const carrier = await Carrier.of(4, council)
    expect(await refusal(log, [make(council)], carrier)).toBe(code)
  })

  it('refuses a @roster that is not the council it was asked for', async () => {
    const other = new TestCouncil({ zone: 'other.localhost' })
    const carrier = new Carrier(4, council.roster.councilId)
    expect(await refusal(rosterLog, other.rosterProofs, carrier)).toBe('COUNCIL_ID')
    expect(carrier.logs.roster()).toBeNull()
  })

  it('keeps a second act for one seq aside, as proof against the authority that signed it', async () => {
    const carrier = await Carrier.of(4, council)
    const one = council.draft(admit(4)).proof
    const two = council.draft(admit(5)).proof
    expect(await carrier.logs.take(rosterLog, [one], 'pull')).toMatchObject({ kind: 'held' })
    expect(await carrier.logs.take(rosterLog, [two], 'pull')).toMatchObject({ kind: 'fork' })
    expect(await carrier.disk.store.aside(rosterLog)).toHaveLength(1)
    expect(carrier.logs.isMember(peer(5).peer)).toBe(false)
  })

  it('obeys acts in force, tells of them, and knows them after a restart', async () => {
    const carrier = await Carrier.of(4, council)
    const heard: string[] = []
    carrier.logs.onChange((log, acts) => heard.push(`${log} ${acts.map(({ seq }) => seq)}`))
    const stop = carrier.logs.onChange(() => heard.push('told one that has stopped'))
    stop()
    council.admit(4)
    council.write(assignFields())
    await carrier.logs.take(rosterLog, council.rosterProofs.slice(-1), 'push')
    await carrier.logs.take(namesLog, council.namesProofs, 'push')
    expect(heard).toEqual(['@roster 4', '@names 1'])
    const again = await Carrier.of(4, council, carrier.disk)
    for (const { logs } of [carrier, again]) {
      expect(logs.isMember(peer(4).peer)).toBe(true)
      expect(logs.names()?.blogs.get(maria)?.epoch).toBe(1)
      expect(logs.head(namesLog)).toEqual(council.namesHead())
    }
  })

  it('shows nothing that the disk did not take, and works again when it does', async () => {
    const carrier = await Carrier.of(4, council)
    const { proof } = council.write(assignFields())
    carrier.disk.fails = true
    await expect(carrier.logs.take(namesLog, [proof], 'push')).rejects.toMatchObject({
      code: 'STORE_WRITE_FAILED',
    })
    expect(carrier.logs.names()?.blogs.size).toBe(0)
    carrier.disk.fails = false
    expect(await carrier.logs.take(namesLog, [proof], 'push')).toMatchObject({ kind: 'held' })
    expect(carrier.logs.names()?.blogs.size).toBe(1)
  })
})

describe('CouncilLogs.hold', () => {
  const hold = async (n: number, log: LogName, signed: Signed) =>
    codeOf(await (await Carrier.of(n, council)).logs.holding.hold(log, [signed], run))

  it.each<[string, LogName, (c: TestCouncil) => Signed, string]>([
    [
      'random bytes',
      rosterLog,
      () => ({ text: Buffer.from([9, 200]), signature: Buffer.alloc(64) }),
      'TEXT_NOT_UTF8',
    ],
    ['an act of the other log', namesLog, (c) => c.draft(admit(4)).proof, 'ACT_LOG'],
    ['a founding act as @names', namesLog, (c) => c.rosterProofs[0] as Signed, 'ACT_LOG'],
    [
      'an act signed by a member',
      rosterLog,
      (c) => c.draft(admit(4), { signer: peer(1) }).proof,
      'ACT_SIGNATURE',
    ],
    [
      'an act beyond the next',
      namesLog,
      (c) => {
        c.write(assignFields())
        return c.draft({ kind: 'revoke', key: 'A'.repeat(40), certificate: 'x' }).proof
      },
      'HOLDER_BEHIND',
    ],
    [
      'an act that follows another one',
      namesLog,
      (c) => c.draft(assignFields(), { head: { seq: 0, id: fakeId('ab') } }).proof,
      'ACT_PLACE',
    ],
    [
      'an act that @roster cannot take',
      rosterLog,
      (c) => c.draft(admit(4, { name: 's1' })).proof,
      'ROSTER_NAME',
    ],
    [
      'an act that @names cannot take',
      namesLog,
      (c) => c.draft(assignFields({ epoch: 2, ends: fakeId('ab') })).proof,
      'NAME_EPOCH',
    ],
    [
      'an assignment for another council',
      namesLog,
      (c) => c.draft(assignFields(), { council: `x.org/${fakeId('a')}` }).proof,
      'ACT_COUNCIL',
    ],
  ])('gives no receipt for %s', async (_, log, make, code) => {
    const carrier = await Carrier.of(0, council)
    expect(codeOf(await carrier.logs.holding.hold(log, [make(council)], run))).toBe(code)
  })

  it('gives none as a peer, or with a store, that @roster does not name', async () => {
    const { proof } = council.draft(admit(4))
    expect(await hold(1, rosterLog, proof)).toBe('HOLDER_NOT_NAMED')
    const moved = await Carrier.of(0, council)
    moved.store = storeOf(9)
    expect(must(await moved.logs.holding.hold(rosterLog, [proof], run))).toEqual([])
  })

  it('keeps an act of its own, as the authority with a store that is not named, and no other', async () => {
    const moved = await Carrier.of(0, council)
    moved.store = storeOf(9)
    const { holding } = moved.logs
    const { proof } = council.draft(admit(4))
    await holding.hold(rosterLog, [proof], run)
    const next = council.roster.head.seq + 1
    expect((await holding.heldFrom(rosterLog, next)).map(({ text }) => Buffer.from(text))).toEqual([
      proof.text,
    ])
    const { proof: other } = council.draft(admit(5))
    expect(codeOf(await holding.hold(rosterLog, [other], run))).toBe('HOLDER_OTHER_ACT')
  })

  it('gives one for one act per seq, ever, also after a restart', async () => {
    const carrier = await Carrier.of(0, council)
    const one = council.draft(admit(4)).proof
    const two = council.draft(admit(5)).proof
    expect(codeOf(await carrier.logs.holding.hold(rosterLog, [one], run))).toBe('accepted')
    expect(codeOf(await carrier.logs.holding.hold(rosterLog, [two], run))).toBe('HOLDER_OTHER_ACT')
    const again = await Carrier.of(0, council, carrier.disk)
    expect(codeOf(await again.logs.holding.hold(rosterLog, [two], run))).toBe('HOLDER_OTHER_ACT')
    expect(codeOf(await again.logs.holding.hold(rosterLog, [one], run))).toBe('accepted')
  })

  it('gives none when the disk did not take the act', async () => {
    const carrier = await Carrier.of(0, council)
    carrier.disk.fails = true
    await expect(
      carrier.logs.holding.hold(rosterLog, [council.draft(admit(4)).proof], run),
    ).rejects.toThrow()
    carrier.disk.fails = false
    const other = council.draft(admit(5)).proof
    expect(codeOf(await carrier.logs.holding.hold(rosterLog, [other], run))).toBe('accepted')
  })

  it('gives one per set of holders that names it', async () => {
    const carrier = await Carrier.of(0, council)
    const { act, proof } = council.draft(three)
    const given = must(await carrier.logs.holding.hold(rosterLog, [proof], run))
    expect(given.map((receipt) => [receipt.act, receipt.epoch])).toEqual([
      [council.roster.councilId, 1],
      [act.id, 2],
    ])
    for (const { signed } of given) expect(codeOf(decodeReceipt(signed))).toBe('accepted')
  })
})

describe('CouncilLogs.hold of several acts', () => {
  const blogOf = (name: string, genesis: string) =>
    assignFields({ blog: name as never, genesis: fakeId(genesis) })
  /** Acts of `@names` that follow each other, none of them in force. */
  const chain = (...decisions: Decision[]) => {
    let head = council.namesHead() as Head
    return decisions.map((decision) => {
      const { act, proof } = council.draft(decision, { head })
      head = { seq: act.seq, id: act.id }
      return proof
    })
  }

  it('gives a receipt for each, in order', async () => {
    const carrier = await Carrier.of(0, council)
    const acts = chain(blogOf('maria', '1a'), blogOf('ana', '2b'), blogOf('luz', '3c'))
    const given = must(await carrier.logs.holding.hold(namesLog, acts, run))
    expect(given.map(({ head }) => head.seq)).toEqual([1, 2, 3])
  })

  it.each<[string, () => Signed[], string]>([
    [
      'one has a hole before it',
      () => chain(blogOf('maria', '1a'), blogOf('ana', '2b'), blogOf('luz', '3c')).toSpliced(1, 1),
      'HOLDER_BEHIND',
    ],
    [
      'one follows another act',
      () => {
        const [first] = chain(blogOf('maria', '1a'))
        const [, second] = chain(blogOf('luz', '3c'), blogOf('ana', '2b'))
        return [first, second] as Signed[]
      },
      'ACT_PLACE',
    ],
    [
      'two are about one blog',
      () => chain(blogOf('maria', '1a'), blogOf('maria', '1a')),
      'ACT_PLACE',
    ],
  ])('gives none at all when %s, and stays free for others', async (_, make, code) => {
    const carrier = await Carrier.of(0, council)
    expect(codeOf(await carrier.logs.holding.hold(namesLog, make(), run))).toBe(code)
    expect(
      codeOf(await carrier.logs.holding.hold(namesLog, chain(blogOf('other', '4d')), run)),
    ).toBe('accepted')
  })
})

describe('CouncilLogs.write', () => {
  it('founds a council: entry 0 of both logs', async () => {
    const carrier = new Carrier(0, null)
    const founding: Decision = {
      ...{
        kind: 'council',
        edit: 'dotted',
        authority: peer(0).peer,
        wanted: 3,
        holder: replica(0),
      },
    }
    expect(codeOf(await carrier.logs.write(rosterLog, 'blogs.localhost', () => founding))).toBe(
      'accepted',
    )
    const own = carrier.logs.roster()?.council as string
    expect(codeOf(await carrier.logs.write(namesLog, own, () => ({ kind: 'names' })))).toBe(
      'accepted',
    )
    expect(carrier.logs.names()?.head.seq).toBe(0)
  })

  it('is obeyed only once a majority of holders gave receipts, and finishes first what waits', async () => {
    council.write(three)
    const authority = await Carrier.of(0, council)
    const write = (decision: Decision | null) =>
      authority.logs.write(rosterLog, council.council, () => decision)
    expect(codeOf(await write(admit(4)))).toBe('ACT_NOT_IN_FORCE')
    expect(authority.logs.isMember(peer(4).peer)).toBe(false)
    expect(codeOf(await write(admit(5)))).toBe('ACT_NOT_IN_FORCE')
    authority.knows(await Carrier.of(1, council))
    expect(must(await write(null))).toBeNull()
    expect(authority.logs.isMember(peer(4).peer)).toBe(true)
    expect(authority.logs.isMember(peer(5).peer)).toBe(false)
    const { seq } = authority.logs.head(rosterLog) ?? { seq: -1 }
    const proof = await authority.logs.proof(rosterLog, seq)
    expect(proof?.receipts).toHaveLength(2)
  })

  it('does not stop for ever at an act that cannot be', async () => {
    const authority = await Carrier.of(0, council)
    const write = (decision: Decision) =>
      authority.logs.write(rosterLog, council.council, () => decision)
    expect(codeOf(await write(admit(4, { name: 's1' })))).toBe('ROSTER_NAME')
    expect(codeOf(await write(admit(4)))).toBe('accepted')
  })

  it('writes several acts of @names at once; those that did not get into force are finished first', async () => {
    council.write(three)
    const authority = await Carrier.of(0, council)
    const write = (...names: string[]) =>
      authority.logs.writeAll(namesLog, council.council, () =>
        names.map((name, at) =>
          assignFields({ blog: name as never, genesis: fakeId(`${at + 1}a`) }),
        ),
      )
    expect(codeOf(await write('maria', 'ana', 'luz'))).toBe('ACT_NOT_IN_FORCE')
    expect(authority.logs.names()?.blogs.size).toBe(0)
    // Each holder is asked once for all of them.
    const asked: number[] = []
    authority.knows(await Carrier.of(1, council))
    const ask = authority.holders.get(peer(1).peer)
    authority.holders.set(peer(1).peer, async (log, acts) => {
      asked.push(acts.length)
      return (await ask?.(log, acts)) ?? []
    })
    expect(must(await write())).toEqual([])
    expect([...(authority.logs.names()?.blogs.keys() ?? [])]).toEqual(['maria', 'ana', 'luz'])
    expect(asked).toEqual([3])
  })

  it('goes on where a second process of it wrote another act, behind whichever comes into force', async () => {
    council.write(three)
    const authority = await Carrier.of(0, council)
    const write = (...names: string[]) =>
      authority.logs.writeAll(namesLog, council.council, () =>
        names.map((name, at) =>
          assignFields({ blog: name as never, genesis: fakeId(`${at + 1}a`) }),
        ),
      )
    expect(codeOf(await write('maria', 'ana'))).toBe('ACT_NOT_IN_FORCE')
    const others = [await Carrier.of(1, council), await Carrier.of(2, council)]
    const { proof: theirs } = council.draft(assignFields({ blog: 'luz' as never }))
    for (const other of others) {
      must(await other.logs.holding.hold(namesLog, [theirs], run))
      authority.knows(other)
    }
    let contradicted = 0
    authority.logs.onContradicted(() => contradicted++)
    expect(codeOf(await write())).toBe('ACT_NOT_IN_FORCE')
    expect(contradicted).toBe(1)
    const [adopted] = must(await authority.logs.adopt(namesLog, [theirs]))
    for (const { logs } of others) await logs.take(namesLog, [adopted?.proof as never], 'pull')
    // Of what it had written itself nothing waits any more, though it gives no second receipt.
    expect(codeOf(await write('otto', 'rita'))).toBe('accepted')
    expect([...(authority.logs.names()?.blogs.keys() ?? [])]).toEqual(['luz', 'otto', 'rita'])
    expect(contradicted).toBe(1)
    // What it has not kept would look, at its next start, as if its folder had forgotten it.
    const { seq } = authority.logs.head(namesLog) as Head
    expect(await authority.logs.holding.hasHeld(namesLog, seq)).toBe(true)
  })

  it('is not kept from writing by a late word about a run before', async () => {
    council.write(three)
    const authority = await Carrier.of(0, council)
    authority.holders.set(peer(1).peer, async () => {
      authority.logs.begin({ count: 2, id: '2'.repeat(32) })
      return 'fenced'
    })
    const written = await authority.logs.write(rosterLog, council.council, () => admit(4))
    expect(codeOf(written)).toBe('NOT_READY')
    expect(authority.logs.mayWrite()).toBe(true)
  })

  it('writes one act at a time', async () => {
    const authority = await Carrier.of(0, council)
    const written = await Promise.all(
      [4, 5, 6, 7].map((n) => authority.logs.write(rosterLog, council.council, () => admit(n))),
    )
    expect(written.map((each) => must(each)?.act.seq)).toEqual([4, 5, 6, 7])
  })

  it('changes holders with receipts of the old and the new ones', async () => {
    const authority = await Carrier.of(0, council)
    const write = () => authority.logs.write(rosterLog, council.council, () => three)
    expect(codeOf(await write())).toBe('ACT_NOT_IN_FORCE')
    authority.knows(await Carrier.of(2, council))
    expect(codeOf(await authority.logs.write(rosterLog, council.council, () => null))).toBe(
      'accepted',
    )
    expect(authority.logs.roster()?.terms).toHaveLength(2)
  })
  it('counts a holder of the old and the new set in both', async () => {
    council.write(three)
    const authority = (await Carrier.of(0, council)).knows(await Carrier.of(1, council))
    const holders = [0, 1, 3].map(replica)
    const written = await authority.logs.write(rosterLog, council.council, () => ({
      kind: 'holders',
      holders,
    }))
    expect(must(written)?.proof.receipts).toHaveLength(4)
  })
})
