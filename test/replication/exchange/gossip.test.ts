import { encode } from 'cborg'
import { beforeEach, describe, expect, it } from 'vitest'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import { idOf } from '../../../src/replication/log/text.ts'
import { actsTopic, logTopic } from '../../../src/replication/protocol.ts'
import { proofRow, signedRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { assignFields, fakeId, forge, peer, settle, TestCouncil } from '../test-council.ts'
import { assign, TestPeer } from './test-peer.ts'

const [author, mallory] = [await TestAuthor.make('maria'), await TestAuthor.make('mallory')]
let council: TestCouncil
let log: TestLog
let self: TestPeer
let act: ReturnType<typeof assign>
beforeEach(async () => {
  council = new TestCouncil().admit(1, 2, 3, 4)
  log = await (await TestLog.begin(council.council, author)).posts(3)
  act = assign(council, log)
  self = await TestPeer.start(2, council)
  await self.learn(act.proof)
})

const { councilId } = new TestCouncil().admit(1, 2, 3, 4).roster
const judge = (from: number, message: unknown, topic = logTopic(councilId, peer(1).peer)) =>
  self.topics.get(topic)?.(
    peer(from).peer,
    message instanceof Uint8Array ? message : encode(message),
  )
const entry = (seq: number, of = log) => ({ log: 'maria', ...of.at(seq).offer })
/** The log up to `seq`, as the primary's push brings it. */
const hold = (seq: number) =>
  self.ingest.offer('maria', log.offers.slice(0, seq + 1), {
    way: 'push',
    following: { epoch: 1, head: { seq, id: log.at(seq).entry.id } },
  })

describe('gossip of entries', () => {
  it.each<[string, () => unknown]>([
    ['random bytes', () => Buffer.from([1, 200, 3])],
    ['nothing', () => Buffer.alloc(0)],
    ['97 KB', () => Buffer.alloc(97 * 1024)],
    ['another form', () => ({ log: 'maria', text: 'a string' })],
    [
      'an entry with one byte of its body changed',
      () => ({ ...entry(2), text: forge(log.at(2).offer.text, 'Text', 'Tent') }),
    ],
    [
      'an entry with the signature of another',
      () => ({ ...entry(2), signature: log.at(1).offer.signature }),
    ],
    ['bytes that are no entry', () => ({ ...entry(2), text: Buffer.from('hello') })],
    [
      'an entry of another blog',
      () => ({ ...entry(2), text: forge(log.at(2).offer.text, 'blog maria', 'blog joe') }),
    ],
    [
      "a head with another peer's receipt",
      () => ({ log: 'maria', head: signedRow(council.receipt(3, act.act).signed) }),
    ],
  ])('rejects %s', async (_, message) => {
    await hold(1)
    const before = await self.disk.rows()
    expect(await judge(1, message())).toBe('reject')
    expect(await self.disk.rows()).toEqual(before)
  })

  it('rejects an entry by another key, and stores nothing', async () => {
    await hold(1)
    const forged = await log.branch(2).add({ kind: 'post' }, { by: mallory })
    expect(await judge(1, { log: 'maria', ...forged.offer })).toBe('reject')
    expect(await self.head()).toBe(1)
  })

  it('rejects what another peer than the primary says on its topic', async () => {
    await hold(1)
    expect(await judge(3, entry(2))).toBe('reject')
    expect(await self.head()).toBe(1)
  })

  it('accepts the next entry of the primary, and counts its way', async () => {
    await hold(1)
    expect(await judge(1, entry(2))).toBe('accept')
    expect(await self.head()).toBe(2)
    expect(self.ingest.counts.gossip).toBe(1)
    expect(await judge(1, entry(2))).toBe('accept')
    expect(self.ingest.counts.gossip).toBe(1)
  })

  it('ignores a fork, keeps it aside, and lets nobody pay for it', async () => {
    await hold(2)
    const fork = await log.branch(2).add({ kind: 'post' }, { body: 'Another' })
    expect(await judge(1, { log: 'maria', ...fork.offer })).toBe('ignore')
    expect(await self.disk.store.aside('maria')).toHaveLength(1)
    expect(await self.head()).toBe(2)
  })

  it.each<[string, number, number]>([
    ['entries are missing before it', 0, 3],
    ['nothing of the log is here', -1, 2],
  ])('takes it for a hint to pull where %s', async (_, held, seq) => {
    if (held >= 0) await hold(held)
    expect(await judge(1, entry(seq))).toBe('ignore')
    await settle()
    expect(self.sent.map(([to]) => to)).toContain(peer(1).peer)
    expect(await self.head()).toBe(held)
  })

  it("takes the primary's receipt for a large entry as a hint to pull", async () => {
    await hold(1)
    const { signed } = council.receipt(1, act.act, { head: log.head })
    expect(await judge(1, { log: 'maria', head: signedRow(signed) })).toBe('accept')
    await settle()
    expect(self.sent).not.toEqual([])
  })

  it('keeps aside what a primary of before says, once, and nothing that is forged', async () => {
    await hold(1)
    // Peer 1 stays the primary of another blog, so its topic is still followed.
    const other = await TestLog.begin(council.council, author, { blog: 'joe' })
    await self.learn(
      assign(council, other, {
        ...{ blog: other.genesis.log, head: { seq: 0, id: other.genesis.id } },
      }).proof,
    )
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, primary: peer(3).peer, via: null },
    })
    await self.learn(next.proof)
    const forged = { ...entry(2), signature: log.at(1).offer.signature }
    for (const message of [entry(1), entry(2), entry(2), forged])
      expect(await judge(1, message)).toBe('ignore')
    expect(await self.head()).toBe(1)
    const aside = await self.disk.store.aside('maria')
    expect(aside.map(({ text }) => idOf(text))).toEqual([log.at(2).entry.id])
  })

  it('ignores blogs that this peer keeps no copy of', async () => {
    expect(await judge(1, { ...entry(1), log: 'joe' })).toBe('ignore')
  })

  it('follows the topics of its primaries, and leaves them with the act', async () => {
    expect([...self.topics.keys()]).toContain(logTopic(councilId, peer(1).peer))
    const next = assign(council, log, {
      ...{ epoch: 2, ends: act.act.id, primary: peer(3).peer, via: null },
    })
    await self.learn(next.proof)
    expect([...self.topics.keys()]).not.toContain(logTopic(councilId, peer(1).peer))
    expect([...self.topics.keys()]).toContain(logTopic(councilId, peer(3).peer))
  })
})

describe('gossip of acts', () => {
  const said = (message: unknown, from = 0) => judge(from, message, actsTopic(councilId))

  it('accepts an act in force from the authority', async () => {
    const { proof } = council.write({
      ...assignFields(),
      genesis: log.genesis.id,
      head: { seq: 0, id: log.genesis.id },
    })
    expect(await said({ log: namesLog, act: proofRow(proof) })).toBe('accept')
    expect(self.council.names()?.blogs.size).toBe(1)
  })

  it.each<[string, () => unknown, string]>([
    ['random bytes', () => Buffer.from([9, 9, 9]), 'reject'],
    ['an act of the other log', () => ({ log: rosterLog, act: proofRow(act.proof) }), 'reject'],
    [
      'a text that is no act',
      () => ({ log: namesLog, act: [Buffer.from('x'), Buffer.alloc(64), []] }),
      'reject',
    ],
    ['another log', () => ({ log: 'maria', act: proofRow(act.proof) }), 'reject'],
    [
      'an act that is not in force',
      () => ({ log: namesLog, act: proofRow({ ...act.proof, receipts: [] }) }),
      'ignore',
    ],
    [
      'an act under a line of @roster to come',
      () => ({
        log: namesLog,
        act: proofRow(council.admit(5).draft(assignFields({ genesis: fakeId('ab') })).proof),
      }),
      'ignore',
    ],
  ])('does not obey %s', async (_, message, verdict) => {
    expect(await said(message())).toBe(verdict)
    expect(self.council.names()?.blogs.size).toBe(0)
  })

  it('ignores what another member says', async () => {
    expect(await said({ log: namesLog, act: proofRow(act.proof) }, 3)).toBe('ignore')
  })
})

describe('Gossip.announce', () => {
  it("sends an entry whole up to 32 KiB, else only this primary's receipt", async () => {
    const primary = await TestPeer.start(1, council)
    const long = `${'x'.repeat(16_000)}\n`.repeat(3).trimEnd()
    await log.add({ kind: 'post' }, { body: long })
    const kept = await primary.learn(act.proof)
    const following = { epoch: 1, head: log.head }
    await primary.ingest.offer('maria', log.offers, { way: 'submit', following })
    await primary.gossip.announce(kept, [log.at(3).entry, log.at(4).entry] as never)
    const sizes = primary.published.map(([, data]) => data.length)
    expect(sizes).toHaveLength(2)
    expect(Math.max(...sizes)).toBeLessThan(2_000)
    await hold(2)
    const verdicts = []
    for (const [topic, data] of primary.published) verdicts.push(await judge(1, data, topic))
    expect(verdicts).toEqual(['accept', 'accept'])
    expect(await self.head()).toBe(3)
  })
})
