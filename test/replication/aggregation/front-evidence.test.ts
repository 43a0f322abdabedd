import { describe, expect, it } from 'vitest'
import {
  frontCycleMs,
  judgeFrontEvidence,
  packManifest,
} from '../../../src/replication/aggregation/front-evidence.ts'
import { signFrontPage } from '../../../src/replication/aggregation/front-page.ts'
import { bucketOf, Manifest } from '../../../src/replication/aggregation/manifest.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { TestAuthor, TestLog } from '../test-author.ts'
import { fakeId, peer, startMs, storeOf } from '../test-council.ts'

const council = `blogs.example.org/${fakeId('5f')}`
const maria = await TestAuthor.make('maria')
const log = await (await TestLog.begin(council, maria)).posts(3)
await log.add({ kind: 'retract', slug: 'post-2' })
const blog = 'maria' as BlogName
const at = (seq: number) => {
  const { entry, offer } = log.at(seq)
  return { seq, id: entry.id, dateMs: entry.dateMs, offer, text: offer.text }
}
const [newest, retract, post] = [at(3), at(4), at(2)]
const lateMs = retract.dateMs + frontCycleMs

const front = (head: Head | null, change: object = {}, by = 2) => {
  const manifest = new Manifest()
  manifest.set('ana' as BlogName, { seq: 1, id: fakeId('ab') })
  manifest.set(blog, head)
  const { root, hashes, texts, blogs } = manifest.snapshot()
  const page = signFrontPage(peer(by), {
    ...{ council, run: storeOf(7), round: 3, atMs: lateMs, of: 5, covered: 5, without: [], blogs },
    ...{ roster: { seq: 4, id: fakeId('cd') }, manifest: root, posts: [], ...change },
  })
  return { page, served: packManifest(hashes, Buffer.from(texts[bucketOf(blog)] as string)) }
}
const report = (seq: number) => ({
  ...{ by: peer(1).peer, peer: peer(2).peer, council, log: 'maria', seq, id: at(seq).id },
})
const listed = (seq: number, id = at(seq).id) => ({
  posts: [{ blog, seq, id, seenMs: startMs }],
})
const other = fakeId('99')

describe('judgeFrontEvidence', () => {
  type Given = { seq: number; given: ReturnType<typeof front>; served?: Uint8Array | null }
  it.each<[string, Given, ReturnType<typeof judgeFrontEvidence>]>([
    ['a manifest without the blog', { seq: 3, given: front(null) }, 'shown'],
    ['a manifest that ends before the entry', { seq: 3, given: front(at(2)) }, 'shown'],
    [
      'a manifest with another entry there',
      { seq: 3, given: front({ seq: 3, id: other }) },
      'shown',
    ],
    ['a manifest with the entry', { seq: 3, given: front(at(3)) }, 'nothing'],
    ['a manifest that goes further', { seq: 3, given: front(at(4)) }, 'nothing'],
    [
      'a page that says that it does not cover the reporter',
      { seq: 3, given: front(null, { covered: 4, without: [peer(1).peer] }) },
      'nothing',
    ],
    [
      'a page from before the entry',
      { seq: 3, given: front(null, { atMs: newest.dateMs + frontCycleMs - 1 }) },
      'word',
    ],
    ['a page of another peer', { seq: 3, given: front(null, {}, 3) }, 'word'],
    [
      'a page of another council',
      { seq: 3, given: front(null, { council: `x.org/${other}` }) },
      'word',
    ],
    [
      'the manifest of another page',
      { seq: 3, given: front(null), served: front(at(2)).served },
      'word',
    ],
    [
      'a manifest that is cut',
      { seq: 3, given: front(null), served: front(null).served.subarray(0, 5_000) },
      'word',
    ],
    ['no manifest', { seq: 3, given: front(null), served: null }, 'word'],
    [
      'another post in its place',
      { seq: 3, given: front(at(3), listed(3, other)), served: null },
      'shown',
    ],
    ['the post itself', { seq: 3, given: front(at(3), listed(3)), served: null }, 'nothing'],
    [
      'a post that was taken back',
      { seq: 4, given: front(at(4), listed(2)), served: post.text },
      'shown',
    ],
    [
      'a post of another slug than was taken back',
      { seq: 4, given: front(at(4), listed(3)), served: newest.text },
      'word',
    ],
    [
      'a post that was taken back and is not on the page',
      { seq: 4, given: front(at(4), listed(3)), served: post.text },
      'word',
    ],
    [
      'a post that was taken back only just now',
      { seq: 4, given: front(at(4), { ...listed(2), atMs: lateMs - 1 }), served: post.text },
      'word',
    ],
  ])('takes %s for what it is', (_what, { seq, given, served = given.served }, wanted) => {
    expect(judgeFrontEvidence(report(seq), at(seq).offer, given.page, served)).toBe(wanted)
  })

  it('takes a report without a page, or with one that was altered, for a word', () => {
    const { page, served } = front(null)
    const altered = { ...page, text: Buffer.concat([page.text, Buffer.from('0')]) }
    expect(judgeFrontEvidence(report(3), newest.offer, null, served)).toBe('word')
    expect(judgeFrontEvidence(report(3), newest.offer, altered, served)).toBe('word')
  })
})
