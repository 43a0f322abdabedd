import { beforeEach, describe, expect, it } from 'vitest'
import type { ActsPage } from '../../../src/replication/exchange/act-pull.ts'
import { checkRevoked, Revocations } from '../../../src/replication/exchange/revocations.ts'
import { rosterLog } from '../../../src/replication/log/log.ts'
import { SYNC } from '../../../src/replication/protocol.ts'
import type { Decision } from '../../../src/replication/registry/act.ts'
import { type ProofOfAct, proofRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, type TestEntry, TestLog } from '../test-author.ts'
import {
  assignFields,
  codeOf,
  forge,
  must,
  peer,
  replica,
  TestCouncil,
  TestDisk,
  type Written,
} from '../test-council.ts'
import { assign, codeIn, maria, TestPeer } from './test-peer.ts'

const [author, heir, recovery] = [
  await TestAuthor.make('maria'),
  await TestAuthor.make('heir'),
  await TestAuthor.make('recovery'),
]
const soft = await author.revoke(3)
const hard = await author.revoke(2)
const revoke = (by: TestAuthor, certificate: string): Decision => ({
  ...{ kind: 'revoke', key: by.fingerprint, certificate },
})

/** A council in which the key was revoked as act 2 of @names, between other acts. */
const council = new TestCouncil().admit(1, 2, 3)
council.write(assignFields())
const revoked = council.write(revoke(author, soft))
const { seq } = revoked.act
council.write(assignFields({ blog: 'other' as never }))
const other = new TestCouncil({ zone: 'other.localhost' }).admit(1, 2, 3)

/** A spoke that does not carry @names, with @roster as far as it is given. */
async function spoke(disk = new TestDisk(), proofs = council.rosterProofs): Promise<TestPeer> {
  const { councilId } = council.roster
  const started = new TestPeer(1, { councilId, council: council.council }, disk)
  await started.council.start()
  await started.council.take(rosterLog, proofs, 'pull')
  await started.revocations.start()
  return started
}

const two = peer(2).peer
type Page = (from: number) => ActsPage | object
const answering =
  (page: Page) =>
  (protocol: string, body: { t: string; from: number }): unknown =>
    protocol === SYNC && body.t === 'revocations' ? page(body.from) : null
const page = (proofs: readonly ProofOfAct[], next: number): ActsPage => ({
  ...{ proofs: proofs.map(proofRow), next },
})
const isKnown = (at: TestPeer) => at.revocations.of(author.fingerprint)

describe('Revocations.pull', () => {
  it.each<[string, () => Written | ProofOfAct]>([
    ['an act that is not in force', () => council.draft(revoke(author, hard), { givers: [] })],
    ['an act by a member', () => council.draft(revoke(author, hard), { signer: peer(2) })],
    ['an act of another council', () => other.draft(revoke(author, hard))],
    ['an assignment', () => council.draft(assignFields({ blog: 'third' as never }))],
    ['a certificate that does not hold', () => council.draft(revoke(author, 'x'))],
    ['another key’s certificate', () => council.draft(revoke(heir, hard))],
    [
      'an altered text',
      () => ({ ...revoked.proof, text: forge(revoked.proof.text, 'seq 2', 'seq 4') }),
    ],
  ])('does not believe %s', async (_, make) => {
    const at = await spoke()
    const made = make()
    at.remotes.set(
      two,
      answering(() => page(['proof' in made ? made.proof : made], 5)),
    )
    await expect(at.revocations.pull(two)).rejects.toMatchObject({ code: 'PEER_ANSWER_MALFORMED' })
    expect(isKnown(at)).toBeNull()
    // It is asked for the same again.
    at.remotes.set(
      two,
      answering((from) => page(from <= seq ? [revoked.proof] : [], 4)),
    )
    await at.revocations.pull(two)
    expect(isKnown(at)).toMatchObject({ reason: 3, seq })
  })

  it('learns of every revocation from a peer that carries @names, page by page', async () => {
    const carrier = await TestPeer.start(2, council)
    const at = await spoke()
    at.remotes.set(two, (protocol, body) => carrier.answer(1, protocol, body))
    await at.revocations.pull(two)
    expect(isKnown(at)).toEqual(carrier.revocations.of(author.fingerprint))
    expect(isKnown(at)).toMatchObject({ seq, knownMs: revoked.act.dateMs })
  })

  it('keeps what it learnt, and asks only for what is new, also after a restart', async () => {
    const disk = new TestDisk()
    const at = await spoke(disk)
    const asked: number[] = []
    const remote = answering((from) => {
      asked.push(from)
      return page(from <= seq ? [revoked.proof] : [], 4)
    })
    at.remotes.set(two, remote)
    await at.revocations.pull(two)
    const again = await spoke(disk)
    expect(isKnown(again)).toEqual(isKnown(at))
    again.remotes.set(two, remote)
    await again.revocations.pull(two)
    await again.revocations.pull(two, 3)
    expect(asked).toEqual([0, 4, 4])
  })

  it('does not let one peer hide what another one tells', async () => {
    const at = await spoke()
    at.remotes.set(
      two,
      answering(() => page([], 1_000_000)),
    )
    at.remotes.set(
      peer(3).peer,
      answering(() => page([revoked.proof], 4)),
    )
    await at.revocations.pull(two)
    await at.revocations.pull(peer(3).peer)
    expect(isKnown(at)).toMatchObject({ seq })
  })

  it('ends when a peer sends the same for ever', async () => {
    const at = await spoke()
    let count = 0
    at.remotes.set(
      two,
      answering(() => page([revoked.proof], ++count && 0)),
    )
    await at.revocations.pull(two)
    expect(count).toBe(1)
  })

  it('pulls @roster first when the act needs more of it', async () => {
    const grown = new TestCouncil().admit(1, 2, 3)
    const before = [...grown.rosterProofs]
    const at = await spoke(new TestDisk(), before)
    grown.admit(4)
    const { proof } = grown.write(revoke(author, soft))
    const whole = await TestPeer.start(2, grown)
    at.remotes.set(two, (protocol, body) => whole.answer(1, protocol, body))
    await at.revocations.pull(two)
    expect(isKnown(at)).toMatchObject({ seq: 1 })
    expect(at.council.checkProof(proof).ok).toBe(true)
  })
})

describe('the request "revocations"', () => {
  it('is answered from a seq on, with where to ask next', async () => {
    const carrier = await TestPeer.start(2, council)
    const ask = (from: number) => carrier.answer(1, SYNC, { t: 'revocations', from })
    const first = (await ask(0)) as ActsPage
    expect(first.next).toBe(4)
    expect(first.proofs.map(([text]) => Buffer.from(text))).toEqual([revoked.proof.text])
    expect(await ask(seq)).toMatchObject({ proofs: [expect.anything()], next: 4 })
    expect(await ask(seq + 1)).toEqual({ proofs: [], next: 4 })
    expect(await ask(900)).toEqual({ proofs: [], next: 900 })
    const at = await spoke()
    at.sync.start()
    expect(codeIn(await at.answer(2, SYNC, { t: 'revocations', from: 0 }))).toBe('NOT_HELD')
    expect(codeIn(await carrier.answer(1, SYNC, { t: 'revocations', from: -1 }))).toBe(
      'REQUEST_MALFORMED',
    )
  })
})

describe('checkRevoked', () => {
  const of = new Revocations({
    ...{ network: null as never, store: new TestDisk().store },
    council: { names: () => null, checkProof: () => ({ ok: true, value: council as never }) },
    pullRoster: async () => undefined,
  }).of
  const keysOf = async (...decisions: Decision[]) => {
    const at = await spoke()
    for (const decision of decisions) must(await at.revocations.take(council.draft(decision).proof))
    return at.revocations.of
  }
  const begin = () => TestLog.begin(council.council, author, { recovery })
  const judge = async (entry: TestEntry, ...decisions: Decision[]) =>
    codeOf(checkRevoked(entry.entry, await keysOf(...decisions)))
  const [softly, hardly] = [revoke(author, soft), revoke(author, hard)]

  it('lets every entry through while no key is revoked', async () => {
    const log = await begin()
    const all = [log.at(0), await log.add({ kind: 'post' }), await log.rekey(heir)]
    for (const { entry } of all) expect(checkRevoked(entry, of).ok).toBe(true)
  })

  it.each([
    ['soft', softly],
    ['hard', hardly],
  ])('ends writing with a key after a %s revocation', async (_, decision) => {
    const log = await begin()
    for (const entry of [
      log.at(0),
      await log.add({ kind: 'post', slug: 'a' }),
      await log.add({ kind: 'retract', slug: 'a' }, { body: '' }),
      await log.add({ kind: 'profile', title: 'Title' }),
    ])
      expect(await judge(entry, decision)).toBe('KEY_REVOKED')
  })

  it('lets a key revoked softly hand over to the next key, a hard one not', async () => {
    const entry = await (await begin()).rekey(heir)
    expect(await judge(entry, softly)).toBe('accepted')
    expect(await judge(entry, hardly)).toBe('KEY_REVOKED')
  })

  it('does not let a revoked key extend itself', async () => {
    expect(await judge(await (await begin()).rekey(author), softly)).toBe('KEY_REVOKED')
  })

  it('lets the recovery key hand over, whatever became of the other', async () => {
    const entry = await (await begin()).rekey(heir, { signer: recovery })
    expect(await judge(entry, hardly)).toBe('accepted')
    expect(await judge(entry, hardly, revoke(recovery, await recovery.revoke(0)))).toBe(
      'KEY_REVOKED',
    )
  })

  it('lets no blog go over to a revoked key, or begin with one', async () => {
    const next = revoke(heir, await heir.revoke(1))
    expect(await judge(await (await begin()).rekey(heir), next)).toBe('KEY_REVOKED')
    const spare = revoke(recovery, await recovery.revoke(1))
    expect(await judge((await begin()).at(0), spare)).toBe('KEY_REVOKED')
  })

  it('says which key, when, why, by which act, and what can be done', async () => {
    const { entry } = await (await begin()).add({ kind: 'post' })
    const verdict = checkRevoked(entry, await keysOf(softly))
    expect(!verdict.ok && verdict.reason).toBe(
      `The key ${author.fingerprint} was revoked on 2026-11-23 (retired; act 4 of @names) and cannot sign here any more. What was published stays. To go on with the blog, sign a rekey to your new key.`,
    )
  })
})

describe('the primary’s door', () => {
  const blog = new TestCouncil().admit(1, 2, 3)
  let log: TestLog
  let self: TestPeer

  beforeEach(async () => {
    log = await (await TestLog.begin(blog.council, author, { recovery })).posts(1)
    const given = assign(blog, log, { replicas: [replica(1)] })
    self = await TestPeer.start(1, blog)
    self.clock.ms += 86_400_000
    const kept = await self.learn(given.proof)
    const following = { epoch: 1, head: log.head }
    await self.ingest.offer(maria, log.offers, { way: 'submit', following })
    await self.replicas.give(kept)
  })
  const submit = async ({ entry, offer }: TestEntry) =>
    codeOf(await self.submit.submit(entry, offer))
  const learn = async (certificate: string) =>
    must(await self.revocations.take(blog.draft(revoke(author, certificate)).proof))

  it('stores nothing of a revoked key, however its signature is dated', async () => {
    await learn(soft)
    const before = await self.disk.rows()
    expect(await submit(await log.branch().add({ kind: 'post' }))).toBe('KEY_REVOKED')
    expect(await self.disk.rows()).toEqual(before)
  })

  it('takes the hand-over of a key revoked softly, then entries by the next key', async () => {
    await learn(soft)
    expect(await submit(await log.rekey(heir))).toBe('accepted')
    expect(await submit(await log.add({ kind: 'post' }, { by: heir }))).toBe('accepted')
  })

  it('answers an entry that it holds from before as before', async () => {
    const held = await log.add({ kind: 'post' })
    expect(await submit(held)).toBe('accepted')
    await learn(hard)
    expect(await submit(held)).toBe('accepted')
  })

  it('is the only one that judges: replicas and catch-up take what a primary took', async () => {
    const entries = await log.branch().add({ kind: 'post' })
    await learn(hard)
    const following = { epoch: 1, head: { seq: entries.entry.seq, id: entries.entry.id } }
    const outcome = await self.ingest.offer(maria, [entries.offer], { way: 'pull', following })
    expect(outcome.kind).toBe('held')
  })
})
