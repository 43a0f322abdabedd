import { beforeEach, describe, expect, it } from 'vitest'
import type { Verdict } from '../../../src/auth/verdict.ts'
import { RevocationDesk } from '../../../src/node/authority/revoking.ts'
import type { Visit } from '../../../src/replication/exchange/visits.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import { TestPeer } from '../../replication/exchange/test-peer.ts'
import { TestAuthor, TestLog } from '../../replication/test-author.ts'
import {
  assignFields,
  codeOf,
  fakeId,
  must,
  peer,
  replica,
  TestCouncil,
} from '../../replication/test-council.ts'

const [author, heir, stranger] = [
  await TestAuthor.make('maria'),
  await TestAuthor.make('heir'),
  await TestAuthor.make('stranger'),
]
const [soft, hard] = [await author.revoke(3), await author.revoke(2)]
const next = await heir.revoke(1)

let authority: TestPeer
let desk: RevocationDesk
let open: () => Promise<Visit | 'unknown' | 'unreachable'>
let told: string[][]

/** An authority whose council has two blogs of one key; the log of one goes over to an heir. */
beforeEach(async () => {
  const council = new TestCouncil().admit(1, 2, 3)
  const { fingerprint } = author
  const second = { replicas: [replica(2)], primary: peer(2).peer, genesis: fakeId('2b') }
  council.write(assignFields({ key: fingerprint, replicas: [replica(1)] }))
  council.write(assignFields({ key: fingerprint, blog: 'second' as never, ...second }))
  authority = await TestPeer.start(0, council)
  const log = await TestLog.begin(council.council, author)
  await log.rekey(heir)
  const following = { epoch: 1, head: log.head }
  await authority.ingest.offer('maria', log.offers, { way: 'pull', following })
  open = async () => ({ ingest: authority.ingest, store: authority.disk.store }) as never
  told = []
  desk = new RevocationDesk(
    {
      council: authority.council,
      visits: { open: () => open() } as never,
      tell: async (_log, _proof, replicas) => void told.push([...replicas]),
    },
    { info: () => undefined } as never,
  )
})

const decide = (certificate: string, blog: string | null = null) =>
  desk.decide({ certificate, blog })
const seqOf = (verdict: Verdict<readonly unknown[]>) =>
  must(decodeAct(must(verdict)[0] as Uint8Array)).seq
const head = () => authority.council.names()?.head.seq

describe('RevocationDesk.decide', () => {
  it.each<[string, () => Promise<[string, string | null]>, string]>([
    ['a key of no blog', async () => [await stranger.revoke(2), null], 'REVOCATION_KEY_UNKNOWN'],
    [
      'a key of another blog than the one named',
      async () => [await stranger.revoke(2), 'maria'],
      'REVOCATION_KEY_UNKNOWN',
    ],
    [
      'a blog that nobody has',
      async () => [await stranger.revoke(2), 'nobody'],
      'REVOCATION_KEY_UNKNOWN',
    ],
    ['a name that is none', async () => [next, '../x'], 'REVOCATION_KEY_UNKNOWN'],
    ['a key that is not revoked', async () => [author.block, null], 'REVOCATION_MISSING'],
    ['junk', async () => ['x', 'maria'], 'ARMOR_MISSING'],
  ])('writes nothing for %s', async (_, make, code) => {
    expect(codeOf(await decide(...(await make())))).toBe(code)
    expect(head()).toBe(2)
    expect(told).toEqual([])
  })

  it('writes one act per key, and a second one only for a hard revocation after a soft one', async () => {
    expect(seqOf(await decide(soft))).toBe(3)
    expect(seqOf(await decide(soft))).toBe(3)
    expect(seqOf(await decide(await author.revoke(1)))).toBe(3)
    expect(seqOf(await decide(hard))).toBe(4)
    expect(seqOf(await decide(await author.revoke(0)))).toBe(4)
    expect(seqOf(await decide(soft))).toBe(4)
    expect(head()).toBe(4)
    expect(authority.revocations.of(author.fingerprint)).toMatchObject({ reason: 2, seq: 4 })
  })

  it('gives those who ask at the same time the same act', async () => {
    const seqs = (await Promise.all([decide(soft), decide(soft), decide(soft)])).map(seqOf)
    expect(seqs).toEqual([3, 3, 3])
  })

  it('tells the replicas of every blog that was claimed with the key', async () => {
    await decide(soft)
    expect(told.map((peers) => new Set(peers))).toEqual([new Set([peer(1).peer, peer(2).peer])])
  })

  it('takes a key that a blog went over to, when the blog is named', async () => {
    expect(codeOf(await decide(next))).toBe('REVOCATION_KEY_UNKNOWN')
    expect(seqOf(await decide(next, 'maria'))).toBe(3)
  })

  it('says "not now", never "unknown", while the blog cannot be looked into', async () => {
    open = async () => 'unreachable'
    expect(codeOf(await decide(next, 'maria'))).toBe('BLOG_UNREACHABLE')
    // A key that @names itself has needs no look.
    expect(seqOf(await decide(soft))).toBe(3)
  })

  it('looks into four logs at once at most', async () => {
    let release = () => {}
    const wait = new Promise<void>((resolve) => {
      release = resolve
    })
    const before = open
    open = () => wait.then(before)
    const all = Array.from({ length: 5 }, () => decide(next, 'maria'))
    // Which of the five comes last to the logs is not said.
    const refused: string[] = []
    for (const each of all) void each.then((done) => done.ok || refused.push(done.code))
    await expect.poll(() => refused).toEqual(['BLOG_UNREACHABLE'])
    release()
    const done = (await Promise.all(all)).filter(({ ok }) => ok)
    expect(done.map(seqOf)).toEqual([3, 3, 3, 3])
  })
})
