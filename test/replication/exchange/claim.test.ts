import { decode, encode } from 'cborg'
import { beforeEach, describe, expect, it } from 'vitest'
import { checkGenesis } from '../../../src/replication/exchange/check-genesis.ts'
import { maxPendingClaims } from '../../../src/replication/exchange/claim.ts'
import { maxDecidedClaims } from '../../../src/replication/exchange/claim-rows.ts'
import type { Kept } from '../../../src/replication/exchange/replica.ts'
import type { Genesis } from '../../../src/replication/log/entry.ts'
import type { Write } from '../../../src/replication/log/store.ts'
import { REPLICA, SUBMIT } from '../../../src/replication/protocol.ts'
import { proofRow, signedRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import {
  codeOf,
  dayMs,
  fakeId,
  must,
  peer,
  replica,
  startMs,
  TestCouncil,
} from '../test-council.ts'
import { assign, codeIn, maria, TestPeer } from './test-peer.ts'

const [author, mallory] = [await TestAuthor.make('maria'), await TestAuthor.make('mallory')]
const council = new TestCouncil().admit(1, 2, 3, 4)
const log = await TestLog.begin(council.council, author)
const { genesis } = log
const { offer } = log.at(0)
const act = assign(council, log)

const given = { proof: proofRow(act.proof) }
const refused = (code: string) => ({ error: { code, reason: `${code}.` } })

let self: TestPeer
beforeEach(async () => {
  self = await TestPeer.start(1, council)
})
const authority = (answer: () => unknown) => self.remotes.set(peer(0).peer, answer)
const claim = async () => must(await self.claims.claim(genesis, offer))
const record = () => self.claims.record(genesis.id)
const steps = async () => (await record())?.steps.map(({ step, state }) => `${step} ${state}`)
const last = async () => (await steps())?.at(-1)
const reaches = (state: string) => expect.poll(async () => (await record())?.state).toBe(state)

describe('checkGenesis', () => {
  const check = (entry: Genesis, signed = offer, change = {}) =>
    checkGenesis(entry, signed, {
      council: council.council,
      keys: self.keys,
      nowMs: startMs,
      ...change,
    })

  it('refuses what neither the spoke nor the authority may act on', async () => {
    expect(codeOf(await check(genesis))).toBe('accepted')
    expect(codeOf(await check(genesis, offer, { council: `x.org/${fakeId('a')}` }))).toBe(
      'ENTRY_COUNCIL',
    )
    expect(codeOf(await check(genesis, offer, { nowMs: startMs - 601_000 }))).toBe('DATE_IN_FUTURE')
    const foreign = Buffer.from(await mallory.sign(offer.text))
    expect(codeOf(await check(genesis, { ...offer, signature: foreign }))).toBe(
      'SIGNATURE_OTHER_KEY',
    )
    const brief = await TestAuthor.make('brief', { expireSeconds: 330 * 86_400 })
    const expired = await TestLog.begin(council.council, brief)
    const late = { nowMs: startMs + 10 * dayMs }
    expect(codeOf(await check(expired.genesis, expired.at(0).offer, late))).toBe('KEY_EXPIRED')
  })
})

describe('Claims', () => {
  it('stores nothing of a genesis that is wrong by itself', async () => {
    const before = await self.disk.rows()
    const foreign = Buffer.from(await mallory.sign(offer.text))
    expect(codeOf(await self.claims.claim(genesis, { ...offer, signature: foreign }))).toBe(
      'SIGNATURE_OTHER_KEY',
    )
    expect(await self.disk.rows()).toEqual(before)
    expect(await record()).toBeNull()
  })

  it('goes from the genesis to a blog that takes writes, step by step', async () => {
    authority(() => given)
    self.remotes.set(peer(2).peer, (protocol) =>
      protocol === REPLICA ? { receipt: signedRow(council.receipt(2, act.act).signed) } : null,
    )
    expect((await claim()).state).toBe('pending')
    await reaches('ready')
    expect(await steps()).toEqual([
      'checked done',
      'asked-dns done',
      'asked-authority done',
      'assigned done',
      'copied done',
    ])
    expect(await record()).toMatchObject({ state: 'ready', blog: 'maria', code: null })
    expect(self.replicas.get(maria)?.receipts.isActive()).toBe(true)
  })

  it('waits for copies before it is ready', async () => {
    authority(() => given)
    await claim()
    await expect.poll(last).toBe('copied waiting')
    expect(await record()).toMatchObject({ state: 'pending' })
    await self.replicas.receive(council.receipt(3, act.act).signed)
    await reaches('ready')
  })

  it.each(['NAME_TAKEN', 'NAME_RESERVED', 'NAME_QUOTA_KEY'])(
    'ends with %s, and says why',
    async (code) => {
      authority(() => refused(code))
      await claim()
      await reaches('refused')
      expect(await record()).toMatchObject({ code, reason: `${code}.` })
      expect(self.replicas.get(maria)).toBeNull()
      expect(await self.head()).toBe(-1)
    },
  )

  it.each<[string, () => unknown]>([
    ['does not answer', () => null],
    ['is no member yet', () => refused('NOT_A_MEMBER')],
    ['could not put the act in force', () => refused('ACT_NOT_IN_FORCE')],
    ['answers in another form', () => 'hello'],
  ])('shows that it waits, and asks again, while the authority %s', async (_, answer) => {
    authority(answer)
    await claim()
    await expect.poll(() => self.clock.waiting).toBe(1)
    expect(await last()).toBe('asked-authority waiting')
    expect(await record()).toMatchObject({ state: 'pending' })
    authority(() => given)
    await self.clock.pass(1_000)
    await expect.poll(steps).toContain('assigned done')
  })

  it('goes on without an answer of DNS, and leaves "taken" to the authority', async () => {
    self.inDns = 'no answer'
    authority(() => null)
    await claim()
    await expect.poll(steps).toContain('asked-dns failed')
    self = await TestPeer.start(1, council)
    self.inDns = 'taken'
    authority(() => refused('NAME_TAKEN'))
    await claim()
    await reaches('refused')
    expect(await record()).toMatchObject({ code: 'NAME_TAKEN' })
  })

  it('answers the same claim again with its record, and asks once', async () => {
    authority(() => null)
    const first = await claim()
    expect((await claim()).id).toBe(first.id)
    await expect.poll(() => self.clock.waiting).toBe(1)
    expect(self.sent.filter(([to]) => to === peer(0).peer)).toHaveLength(1)
  })
  /** Claims of so many names, each by its own signed genesis. */
  const many = (count: number) =>
    Promise.all(
      Array.from({ length: count }, (_, n) =>
        TestLog.begin(council.council, author, { blog: `blog-${n}` }),
      ),
    )

  it('holds a bounded number while the authority is away, and more when these are decided', async () => {
    authority(() => null)
    const logs = await many(maxPendingClaims + 5)
    const ask = (each: TestLog) => self.claims.claim(each.genesis, each.at(0).offer)
    const answers = await Promise.all(logs.map(ask))
    const taken = answers.filter(({ ok }) => ok)
    expect(taken).toHaveLength(maxPendingClaims)
    expect(answers.filter(({ ok }) => !ok)).toMatchObject(
      new Array(5).fill({ code: 'RATE_LIMITED', retryMs: 30_000 }),
    )
    // What is under way already is answered all the same.
    expect(codeOf(await ask(logs[answers.findIndex(({ ok }) => ok)] as TestLog))).toBe('accepted')

    await expect.poll(() => self.clock.waiting).toBe(maxPendingClaims)
    authority(() => refused('NAME_TAKEN'))
    await self.clock.pass(1_000)
    const last = logs[answers.findIndex(({ ok }) => !ok)] as TestLog
    await expect.poll(async () => codeOf(await ask(last))).toBe('accepted')
  })

  it('keeps the newest decided claims, without their bytes, also over a restart', async () => {
    authority(() => refused('NAME_TAKEN'))
    const decided = async (peer: TestPeer, logs: readonly TestLog[]) => {
      const records = await Promise.all(logs.map((each) => peer.claims.record(each.genesis.id)))
      return records.filter((each) => each?.state === 'refused').length
    }
    // Decided long ago, more than are remembered.
    const old = Array.from({ length: maxDecidedClaims + 20 }, (_, n) => ({
      ...{ type: 'put', key: `claim/${n}` },
      value: encode({
        ...{ text: new Uint8Array(), signature: new Uint8Array() },
        record: {
          ...{ id: String(n), blog: 'maria', state: 'ready', code: null, reason: null },
          steps: [{ step: 'copied', state: 'done', atMs: startMs - dayMs + n, detail: '' }],
        },
      }),
    })) as Write[]
    await self.disk.disk.batch(old, { sync: true })
    self = await TestPeer.start(1, council, self.disk)
    authority(() => refused('NAME_TAKEN'))
    await self.claims.start()
    const logs = await many(3)
    for (const each of logs) must(await self.claims.claim(each.genesis, each.at(0).offer))
    await expect.poll(() => decided(self, logs)).toBe(3)
    const rows = async () => (await self.disk.rows()).filter(([key]) => key.startsWith('claim/'))
    await expect.poll(async () => (await rows()).length).toBe(maxDecidedClaims)
    expect(await self.claims.record('22')).toBeNull()
    expect(await self.claims.record('23')).not.toBeNull()
    for (const [, value] of await rows()) expect(decode(value).text).toHaveLength(0)
  })

  it('asks the authority again no sooner than it was told to', async () => {
    authority(() => ({ error: { code: 'RATE_LIMITED', reason: 'Later.', retryMs: 45_000 } }))
    await claim()
    await expect.poll(() => self.clock.waiting).toBe(1)
    expect(await record()).toMatchObject({ state: 'pending' })
    authority(() => given)
    await self.clock.pass(44_000)
    expect(await last()).toBe('asked-authority waiting')
    await self.clock.pass(1_000)
    await expect.poll(steps).toContain('assigned done')
  })

  it('goes on with a claim whose record the disk did not take, when it comes again', async () => {
    authority(() => null)
    self.disk.fails = true
    await expect(claim()).rejects.toMatchObject({ code: 'STORE_WRITE_FAILED' })
    expect(await record()).toBeNull()
    self.disk.fails = false
    authority(() => given)
    await claim()
    await expect.poll(steps).toContain('assigned done')
  })

  describe('of a blog that the authority gives to another spoke', () => {
    const replicas = [2, 3, 4].map(replica)
    const moved = assign(council, log, { replicas, primary: peer(2).peer, via: peer(1).peer })
    const answer = { proof: proofRow(moved.proof) }
    /** the one that leads it, which the third gives its receipt */
    const leader = async () => {
      const other = await TestPeer.start(2, council)
      self.remotes.set(peer(2).peer, (protocol, body) => other.answer(1, protocol, body))
      const receipt = signedRow(council.receipt(3, moved.act).signed)
      other.remotes.set(peer(3).peer, () => ({ receipt }))
      return other
    }
    const handed = (signature: Uint8Array) => ({
      ...{ t: 'genesis', entry: signedRow({ ...offer, signature }) },
      ...answer,
    })

    it('hands it the genesis, and is ready when its servers have it', async () => {
      authority(() => answer)
      const other = await leader()
      await claim()
      await reaches('ready')
      expect(await other.head()).toBe(0)
      expect(other.replicas.get(maria)?.receipts.isActive()).toBe(true)
      const details = (await record())?.steps.map(({ detail }) => detail)
      expect(details?.[3]).toBe(
        'kept by 3 servers; this server has no room for new blogs, so s2 takes what is written',
      )
    })

    it('is not ready by the leader’s own word, nor while it does not answer', async () => {
      authority(() => answer)
      await claim()
      await expect.poll(last).toBe('copied waiting')
      const said = { published: true, copies: 3, wanted: 3, receipts: [] }
      self.remotes.set(peer(2).peer, () => said)
      await expect.poll(() => self.clock.waiting).toBe(1)
      await self.clock.pass(1_000)
      await expect.poll(() => self.clock.waiting).toBe(1)
      expect((await record())?.state).toBe('pending')
      await leader()
      await self.clock.pass(2_000)
      await reaches('ready')
    })

    it('goes on over a restart', async () => {
      authority(() => answer)
      await claim()
      await expect.poll(last).toBe('copied waiting')
      self.claims.stop()
      self = await TestPeer.start(1, council, self.disk)
      authority(() => answer)
      const other = await leader()
      await self.claims.start()
      await reaches('ready')
      expect(await other.head()).toBe(0)
    })

    it('asks the authority anew who leads it when that spoke does not', async () => {
      authority(() => answer)
      self.remotes.set(peer(2).peer, () => refused('NOT_PRIMARY'))
      await claim()
      await expect.poll(() => self.clock.waiting).toBe(1)
      const later = assign(council, log, {
        ...{ epoch: 2, ends: moved.act.id, replicas, primary: peer(3).peer, via: null },
      })
      authority(() => ({ proof: proofRow(later.proof) }))
      await self.clock.pass(1_000)
      await expect.poll(() => self.replicas.get(maria)?.assignment.epoch).toBe(2)
    })

    it.each<[string, number, () => Promise<unknown>, string]>([
      [
        'another genesis',
        2,
        async () => {
          const foreign = await TestLog.begin(council.council, mallory)
          return { t: 'genesis', entry: signedRow(foreign.at(0).offer), ...answer }
        },
        'OTHER_GENESIS',
      ],
      ['no signature', 2, async () => handed(new Uint8Array(4)), 'ARMOR_MISSING'],
      [
        'another key’s signature',
        2,
        async () => handed(Buffer.from(await mallory.sign(offer.text))),
        'SIGNATURE_OTHER_KEY',
      ],
      [
        'an act by which another spoke leads',
        3,
        async () => handed(offer.signature),
        'NOT_PRIMARY',
      ],
      [
        'an act that is not in force',
        2,
        async () => ({
          ...handed(offer.signature),
          proof: proofRow({ ...moved.proof, receipts: [] }),
        }),
        'ACT_NOT_IN_FORCE',
      ],
    ])('takes no genesis handed over with %s', async (_, to, body, code) => {
      const other = await TestPeer.start(to, council)
      expect(codeIn(await other.answer(1, SUBMIT, await body()))).toBe(code)
      expect(await other.head()).toBe(-1)
    })

    it('leaves a log as it is that has gone on since', async () => {
      const other = await leader()
      expect(codeIn(await other.answer(1, SUBMIT, handed(offer.signature)))).toBe('answered')
      const longer = await log.branch().posts(1)
      const kept = other.replicas.get(maria) as Kept
      expect(codeOf(await other.replicas.write(kept, longer.at(1).offer))).toBe('accepted')
      expect(codeIn(await other.answer(1, SUBMIT, handed(offer.signature)))).toBe('answered')
      expect(await other.head()).toBe(1)
    })
  })

  it('waits while no spoke has room', async () => {
    authority(() => refused('NO_ROOM'))
    await claim()
    await expect.poll(last).toBe('asked-authority waiting')
    authority(() => given)
    await expect.poll(() => self.clock.waiting).toBe(1)
    await self.clock.pass(1_000)
    await expect.poll(steps).toContain('assigned done')
  })

  it('goes on after a restart where it was', async () => {
    authority(() => null)
    await claim()
    await expect.poll(last).toBe('asked-authority waiting')
    self.claims.stop()
    self = await TestPeer.start(1, council, self.disk)
    authority(() => given)
    await self.claims.start()
    await expect.poll(last).toBe('copied waiting')
  })
})
