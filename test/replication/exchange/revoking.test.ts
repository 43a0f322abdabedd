import { beforeEach, describe, expect, it } from 'vitest'
import { HeldKeys, keysOfLog } from '../../../src/replication/exchange/blog-keys.ts'
import { Revoking } from '../../../src/replication/exchange/revoking.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import { rosterLog } from '../../../src/replication/log/log.ts'
import { SUBMIT } from '../../../src/replication/protocol.ts'
import { proofRow } from '../../../src/replication/registry/proof.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import {
  codeOf,
  must,
  peer,
  replica,
  TestCouncil,
  TestDisk,
  type Written,
} from '../test-council.ts'
import { assign, maria, TestPeer } from './test-peer.ts'

const [author, heir, recovery, stranger] = (await Promise.all(
  ['maria', 'heir', 'recovery', 'stranger'].map((name) => TestAuthor.make(name)),
)) as [TestAuthor, TestAuthor, TestAuthor, TestAuthor]
const authority = peer(0).peer
/** Checking a signature takes real time. */
const patient = { timeout: 20_000 }

let council: TestCouncil
let log: TestLog
let self: TestPeer
let disk: TestDisk
let revoking: Revoking
/** what the authority was asked */
let asked: { certificate: string; blog: string | null }[]
/** blogs that this spoke does not keep, as others hand them out */
let visits: Map<string, TestPeer>

const partsOf = (at: TestPeer) => ({ ingest: at.ingest, store: at.disk.store })

/** A spoke that keeps maria and does not carry @names. */
async function start(): Promise<void> {
  const { councilId } = council.roster
  self = new TestPeer(1, { councilId, council: council.council }, disk)
  await self.council.start()
  await self.council.take(rosterLog, council.rosterProofs, 'pull')
  await self.revocations.start()
  const none = () => undefined
  await self.replicas.start({ assigned: none, grown: none, given: none, received: none })
  revoking = new Revoking({
    ...{ store: disk.store, council: self.council, revocations: self.revocations },
    ...{ toAuthority: self.toAuthority, clock: self.clock },
    held: new HeldKeys(partsOf(self), self.replicas),
    reader: {
      open: async (blog) => {
        const at = visits.get(blog)
        return at === undefined ? 'unreachable' : ({ ...partsOf(at) } as never)
      },
    },
  })
  await revoking.start()
}

/** An authority that writes what it is asked. */
function answer(decide: (certificate: string) => Written | { code: string } | null) {
  self.remotes.set(
    authority,
    (protocol, body: { t: string; certificate: string; blog: string }) => {
      if (protocol !== SUBMIT || body.t !== 'revoke') return null
      asked.push({ certificate: body.certificate, blog: body.blog })
      const decided = decide(body.certificate)
      if (decided === null) return null
      return 'proof' in decided
        ? { proof: proofRow(decided.proof) }
        : { error: { code: decided.code, reason: 'No.' } }
    },
  )
}
const writing = (by: TestAuthor) => (certificate: string) =>
  council.write({ kind: 'revoke', key: by.fingerprint, certificate })
const bare = (certificate: string) => {
  // The certificate without its key, as gpg writes one.
  const lines = certificate.split('\n')
  const bytes = Buffer.from(lines.slice(2, -2).join(''), 'base64')
  const keyLength = 2 + (bytes[1] as number)
  const base64 = bytes.subarray(keyLength).toString('base64')
  return `${lines[0]}\n\n${base64}\n${lines.at(-1)}\n`
}

beforeEach(async () => {
  council = new TestCouncil().admit(1, 2, 3)
  log = await TestLog.begin(council.council, author, { recovery })
  await log.rekey(heir)
  asked = []
  visits = new Map()
  disk = new TestDisk()
  await start()
  const kept = await self.learn(assign(council, log, { replicas: [replica(1)] }).proof)
  const following = { epoch: 1, head: log.head }
  await self.ingest.offer(maria, log.offers, { way: 'submit', following })
  await self.replicas.give(kept)
})

describe('keysOfLog', () => {
  it('gives the keys of genesis and rekeys, and the recovery key', async () => {
    const keys = await keysOfLog(maria, partsOf(self))
    expect(keys.map(({ fingerprint }) => fingerprint)).toEqual(
      [author, recovery, heir].map(({ fingerprint }) => fingerprint),
    )
    expect(keys.map(({ block }) => block)).toEqual([author, recovery, heir].map((it) => it.block))
  })
})

describe('Revoking.handIn', () => {
  it.each<[string, () => Promise<string>, string]>([
    ['junk', async () => 'hello', 'ARMOR_MISSING'],
    ['a key that is not revoked', async () => author.block, 'REVOCATION_MISSING'],
    [
      'an altered certificate',
      async () => (await author.revoke(2)).replace(/.{8}\n=/, 'AAAAAAAA\n='),
      'ARMOR_CHECKSUM',
    ],
  ])('refuses %s here, without asking the authority', async (_, make, code) => {
    answer(writing(author))
    expect(codeOf(await revoking.handIn(await make(), null))).toBe(code)
    expect(asked).toEqual([])
  })

  it('brings it to the authority, with a blog of that key, and knows it from then on', async () => {
    answer(writing(author))
    const certificate = await author.revoke(1)
    const done = must(await revoking.handIn(certificate, null))
    expect(done).toMatchObject({ kind: 'acted', revoked: { key: author.fingerprint, seq: 1 } })
    expect(asked).toEqual([{ certificate, blog: 'maria' }])
    expect(self.revocations.of(author.fingerprint)).toMatchObject({ reason: 1 })
    expect(must(await revoking.handIn(await author.revoke(3), null)).kind).toBe('known')
    expect(asked).toHaveLength(1)
    expect(must(await revoking.handIn(await author.revoke(2), null)).kind).toBe('acted')
    expect(must(await revoking.handIn(await author.revoke(0), null)).kind).toBe('known')
  })

  it('completes a bare certificate with the key of a blog that it keeps', async () => {
    for (const by of [author, recovery, heir]) {
      answer(writing(by))
      const certificate = await by.revoke(0)
      expect(must(await revoking.handIn(bare(certificate), null)).kind).toBe('acted')
      expect(asked.at(-1)).toEqual({ certificate, blog: 'maria' })
    }
  })

  it('completes a bare certificate with the key of the blog that the sender names', async () => {
    const far = await TestPeer.start(2, council)
    const other = await TestLog.begin(council.council, stranger, { blog: 'other' })
    const only = { replicas: [replica(2)], primary: replica(2).peer }
    const given = assign(council, other, { blog: 'other' as BlogName, ...only })
    const kept = await far.learn(given.proof)
    const following = { epoch: 1, head: other.head }
    await far.ingest.offer('other', other.offers, { way: 'submit', following })
    await far.replicas.give(kept)
    visits.set('other', far)
    answer(writing(stranger))
    const certificate = await stranger.revoke(0)
    expect(must(await revoking.handIn(bare(certificate), 'other' as BlogName)).kind).toBe('acted')
    expect(asked).toEqual([{ certificate, blog: 'other' }])
  })

  it('passes on a bare certificate of a key that it does not know', async () => {
    const certificate = bare(await stranger.revoke(0))
    answer(() => ({ code: 'REVOCATION_KEY_UNKNOWN' }))
    expect(codeOf(await revoking.handIn(certificate, null))).toBe('REVOCATION_NEEDS_KEY')
    expect(asked).toEqual([{ certificate, blog: null }])
    const whole = await stranger.revoke(0)
    answer(() => writing(stranger)(whole))
    expect(must(await revoking.handIn(certificate, null)).kind).toBe('acted')
  })

  it('does not believe an answer that proves nothing', async () => {
    const lie = council.draft(
      { kind: 'revoke', key: author.fingerprint, certificate: await author.revoke(1) },
      { givers: [] },
    )
    answer(() => lie)
    expect(must(await revoking.handIn(await author.revoke(1), null)).kind).toBe('kept')
    expect(self.revocations.of(author.fingerprint)).toBeNull()
  })

  it('keeps nothing of what the authority refuses', async () => {
    answer(() => ({ code: 'REVOCATION_KEY_UNKNOWN' }))
    const before = await disk.rows()
    expect(codeOf(await revoking.handIn(await stranger.revoke(1), null))).toBe(
      'REVOCATION_KEY_UNKNOWN',
    )
    expect(await disk.rows()).toEqual(before)
    expect(revoking.waiting()).toEqual([])
  })
})

describe('a revocation while the authority does not answer', () => {
  it('is kept, over a restart too, and handed in until it does', async () => {
    const certificate = await author.revoke(2)
    expect(must(await revoking.handIn(certificate, null))).toMatchObject({
      ...{ kind: 'kept', revocation: { certificate } },
    })
    expect(self.revocations.of(author.fingerprint)).toBeNull()
    await start()
    expect(revoking.waiting()).toEqual([author.fingerprint])
    await self.clock.pass(60_000)
    expect(revoking.waiting()).toHaveLength(1)
    answer(writing(author))
    await self.clock.pass(60_000)
    await expect.poll(() => revoking.waiting(), patient).toEqual([])
    expect(self.revocations.of(author.fingerprint)).toMatchObject({ isHard: true })
    await start()
    expect(revoking.waiting()).toEqual([])
  })

  it('is promised only once it is on the disk', async () => {
    disk.fails = true
    await expect(revoking.handIn(await author.revoke(2), null)).rejects.toMatchObject({
      code: 'STORE_WRITE_FAILED',
    })
    expect(revoking.waiting()).toEqual([])
  })

  it('is dropped when the authority then refuses it', async () => {
    must(await revoking.handIn(await stranger.revoke(2), null))
    answer(() => ({ code: 'REVOCATION_KEY_UNKNOWN' }))
    await self.clock.pass(60_000)
    await expect.poll(() => revoking.waiting(), patient).toEqual([])
  })

  it('waits among 100 at most, where a stranger’s makes room for a key known here', async () => {
    const strangers = await Promise.all(
      Array.from({ length: 101 }, (_, n) => TestAuthor.make(`stranger${n}`)),
    )
    const certificates = await Promise.all(strangers.map((one) => one.revoke(1)))
    const all = await Promise.all(certificates.map((each) => revoking.handIn(each, null)))
    expect(all.filter(({ ok }) => ok)).toHaveLength(100)
    expect(all.map(codeOf)).toContain('AUTHORITY_UNREACHABLE')
    const late = await (await TestAuthor.make('late')).revoke(1)
    expect(codeOf(await revoking.handIn(late, 'other' as BlogName))).toBe('AUTHORITY_UNREACHABLE')
    expect(must(await revoking.handIn(await author.revoke(1), null)).kind).toBe('kept')
    expect(revoking.waiting()).toHaveLength(100)
    expect(revoking.waiting()).toContain(author.fingerprint)
    await start()
    expect(revoking.waiting()).toHaveLength(100)
  })
})
