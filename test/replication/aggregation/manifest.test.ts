import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  bucketOf,
  Manifest,
  manifestBuckets,
  readBucket,
} from '../../../src/replication/aggregation/manifest.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { randomOf } from '../../support/simulation/random.ts'
import { codeOf, fakeId, must } from '../test-council.ts'

const head = (seq: number, id = fakeId('ab')) => ({ seq, id })
const name = (n: number) => `blog-${n}` as BlogName
const made = (count: number): Manifest => {
  const manifest = new Manifest()
  for (let n = 0; n < count; n++) manifest.set(name(n), head(n))
  return manifest
}

describe('Manifest', () => {
  it('has the root of what it holds, whatever happened before', () => {
    const { next } = randomOf(1, 'manifest')
    const grown = new Manifest()
    const held = new Map<BlogName, Head | null>()
    for (let step = 0; step < 500; step++) {
      const blog = name(Math.floor(next() * 80))
      held.set(blog, next() < 0.3 ? null : head(Math.floor(next() * 9)))
      grown.set(blog, held.get(blog) ?? null)
      if (next() < 0.1) grown.snapshot()
    }
    const fresh = new Manifest()
    for (let n = 79; n >= 0; n--) fresh.set(name(n), held.get(name(n)) ?? null)
    expect(grown.snapshot()).toEqual(fresh.snapshot())
  })

  it('is what its description says, so that another program gets the same root', () => {
    const manifest = new Manifest()
    manifest.set('ana' as BlogName, head(3))
    const sha = (data: string | Buffer) => createHash('sha256').update(data).digest()
    const own = sha('ana')[0]
    const hashes = Array.from({ length: manifestBuckets }, (_, at) =>
      sha(at === own ? `ana 3 ${fakeId('ab')}` : ''),
    )
    expect(manifest.snapshot().root).toBe(sha(Buffer.concat(hashes)).toString('hex'))
  })

  it('leaves an earlier snapshot as it was', () => {
    const manifest = made(20)
    const before = manifest.snapshot()
    const { root, texts } = structuredClone(before)
    manifest.set(name(3), head(99))
    expect(manifest.snapshot().root).not.toBe(root)
    expect(before.root).toBe(root)
    expect(before.texts).toEqual(texts)
  })

  it('counts its blogs', () => {
    const manifest = made(10)
    manifest.set(name(3), null)
    manifest.set(name(3), null)
    manifest.set(name(4), head(9))
    expect(manifest.snapshot().blogs).toBe(9)
  })
})

describe('readBucket', () => {
  const manifest = made(2_000)
  const { root, hashes, texts } = manifest.snapshot()
  const at = bucketOf(name(7))
  const text = Buffer.from(texts[at] as string)
  /** A manifest that is signed as it is, with a bucket that should not be. */
  const wrong = (bucket: string) => {
    const sha = (data: string | Uint8Array) => createHash('sha256').update(data).digest()
    const forged = Buffer.from(hashes)
    forged.set(sha(bucket), at * 32)
    return { root: sha(forged).toString('hex') as typeof root, hashes: forged, bucket }
  }
  const line = (blog: string, rest = `1 ${fakeId('ab')}`) => `${blog} ${rest}`

  it('reads each blog of a bucket', () => {
    expect(must(readBucket(root, hashes, at, text)).get(name(7))).toEqual(head(7))
  })

  it.each([
    [
      'hashes of another manifest',
      () => readBucket(fakeId('00'), hashes, at, text),
      'MANIFEST_ROOT',
    ],
    ['hashes that are cut', () => readBucket(root, hashes.subarray(32), at, text), 'MANIFEST_ROOT'],
    [
      'a bucket without its last line',
      () => readBucket(root, hashes, at, text.subarray(0, text.lastIndexOf(10))),
      'MANIFEST_BUCKET',
    ],
    [
      'the bucket of other blogs',
      () => readBucket(root, hashes, (at + 1) % 256, text),
      'MANIFEST_BUCKET',
    ],
  ])('refuses %s', (_what, read, code) => {
    expect(codeOf(read())).toBe(code)
  })

  const [a = '', b = ''] = (texts[at] as string).split('\n')
  it.each([
    ['lines that are not sorted', `${b}\n${a}`],
    ['a line twice', `${a}\n${a}`],
    ['a blog twice', `${a}\n${a.replace(/ab$/, 'cd')}`],
    ['a blog of another bucket', line(name(8))],
    ['a name that is none', line('x')],
    ['a seq that is none', line(name(7), `01 ${fakeId('ab')}`)],
    ['an id that is none', line(name(7), '1 ab')],
    ['an empty line', '\n'],
    ['something behind a line', `${line(name(7))} 1`],
  ])('refuses a signed bucket with %s', (_what, bucket) => {
    const signed = wrong(bucket)
    const verdict = readBucket(signed.root, signed.hashes, at, Buffer.from(bucket))
    expect(codeOf(verdict)).toBe('MANIFEST_FORM')
  })
})
