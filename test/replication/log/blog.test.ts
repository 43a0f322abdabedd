import { describe, expect, it } from 'vitest'
import { Blog } from '../../../src/replication/log/blog.ts'
import {
  type Draft,
  decodeEntry,
  type Entry,
  encodeEntry,
  type Genesis,
} from '../../../src/replication/log/entry.ts'

const oldKey = 'A'.repeat(40)
const newKey = 'B'.repeat(40)
const recovery = 'C'.repeat(40)

type Said = { readonly alias?: string; readonly [field: string]: unknown }

/** A blog to which drafts are added; the chain and the dates follow. */
function start() {
  const entries: Entry[] = []
  const next = ({ alias, ...draft }: Said): Entry => {
    const seq = entries.length
    const verdict = encodeEntry({
      ...{ council: `blogs.localhost/${'5f'.repeat(32)}`, blog: 'maria', seq },
      ...{ prev: entries.at(-1)?.id ?? null, key: oldKey, body: '' },
      date: `2026-05-03T14:${String(seq).padStart(2, '0')}:00Z`,
      ...draft,
    } as Draft)
    if (!verdict.ok) throw new Error(verdict.reason)
    const entry = alias === undefined ? verdict.value : withAlias(verdict.value, alias)
    entries.push(entry)
    return entry
  }
  const blog = new Blog(next({ kind: 'genesis', recovery, body: 'the key' }) as Genesis)
  return {
    blog,
    entries,
    add: (draft: Said) => {
      const entry = next(draft)
      blog.fold(entry)
      return entry
    },
  }
}

/** The same entry with an old address; drafts of our own have none. */
function withAlias({ text }: Entry, alias: string): Entry {
  const lines = Buffer.from(text).toString().replace('\ntitle ', `\nalias ${alias}\ntitle `)
  const verdict = decodeEntry(Buffer.from(lines))
  if (!verdict.ok) throw new Error(verdict.reason)
  return verdict.value
}

const post = (slug: string, more: object = {}) => ({
  kind: 'post',
  slug,
  title: slug,
  body: 'x',
  ...more,
})
const retract = (slug: string) => ({ kind: 'retract', slug })
const slugs = (blog: Blog) => blog.posts().map(({ slug }) => slug)

describe('Blog', () => {
  it('refuses an entry that is not the next one, since placing it was the job of ingest', () => {
    const { blog, add, entries } = start()
    const first = add(post('one'))
    expect(() => blog.fold(first)).toThrow('cannot fold maria 1 behind maria 1')
    expect(() => blog.fold(entries[0] as Entry)).toThrow('cannot fold')
    expect(slugs(blog)).toEqual(['one'])
  })

  it('begins with the name as title, no posts and the genesis as head and identity', () => {
    const { blog, entries } = start()
    expect(blog).toMatchObject({
      name: 'maria',
      title: 'maria',
      about: '',
      lang: null,
      postCount: 0,
    })
    expect(blog.genesis).toBe(entries[0]?.id)
    expect(blog.head).toMatchObject({ seq: 0, id: entries[0]?.id })
  })

  it('lists the post that began last first and leaves a revised post in its place', () => {
    const { blog, add } = start()
    add(post('one'))
    add(post('two'))
    add(post('one', { title: 'One, better' }))
    expect(slugs(blog)).toEqual(['two', 'one'])
    expect(blog.post('one')?.current.title).toBe('One, better')
    expect(blog.post('one')?.revisions.map(({ seq }) => seq)).toEqual([1, 3])
    expect(blog.postCount).toBe(2)
  })

  it('keeps the year of the first revision in the address', () => {
    const { blog, add } = start()
    add(post('one', { date: '2026-12-31T23:59:59Z' }))
    add(post('one', { date: '2027-01-01T00:00:00Z' }))
    expect(blog.post('one')?.year).toBe(2026)
  })

  it('hides a retracted post, keeps its revisions and says when it went', () => {
    const { blog, add } = start()
    add(post('one'))
    const gone = add(retract('one'))
    expect(slugs(blog)).toEqual([])
    expect(blog.postCount).toBe(0)
    expect(blog.post('one')?.retracted).toEqual({ seq: 2, dateMs: gone.dateMs })
    expect(blog.post('one')?.revisions).toHaveLength(1)
  })

  it('shows a post again that is written after its retraction', () => {
    const { blog, add } = start()
    add(post('one'))
    add(retract('one'))
    add(post('one'))
    expect(slugs(blog)).toEqual(['one'])
    expect(blog.post('one')).toMatchObject({ retracted: null, current: { seq: 3 } })
    expect(blog.postCount).toBe(1)
  })

  it('takes no harm from retracting what is unknown or already retracted', () => {
    const { blog, add } = start()
    add(retract('nothing'))
    add(post('one'))
    const first = add(retract('one'))
    add(retract('one'))
    expect(blog.postCount).toBe(0)
    expect(blog.post('nothing')).toBeNull()
    expect(blog.post('one')?.retracted?.seq).toBe(first.seq)
  })

  it('takes title, words and language from the newest profile', () => {
    const { blog, add } = start()
    add({ kind: 'profile', title: 'María', lang: 'es', body: 'Hola' })
    add({ kind: 'profile', title: 'Maria' })
    expect(blog).toMatchObject({ title: 'Maria', about: '', lang: null })
  })

  it('finds a post by an old address, the newest claim to it first', () => {
    const { blog, add } = start()
    add(post('one', { alias: '/old?p=1' }))
    expect(blog.postOfAlias('/old?p=1')?.slug).toBe('one')
    expect(blog.postOfAlias('/other')).toBeNull()
    add(post('two', { alias: '/old?p=1' }))
    expect(blog.postOfAlias('/old?p=1')?.slug).toBe('two')
  })

  it('changes the key at once when the key in force signs the rekey', () => {
    const { blog, add } = start()
    add({ kind: 'rekey', next: newKey, body: 'the next key' })
    expect(blog.key).toBe(newKey)
    add(post('one', { key: newKey }))
    expect(blog.key).toBe(newKey)
  })

  it('changes the key by a recovery rekey only when the new key signs the next entry', () => {
    const { blog, add } = start()
    add({ kind: 'rekey', key: recovery, next: newKey, body: 'the next key' })
    expect(blog.key).toBe(oldKey)
    add(post('one', { key: newKey }))
    expect(blog.key).toBe(newKey)
  })

  it('forgets a recovery rekey when the old key signs the next entry', () => {
    const { blog, add } = start()
    add({ kind: 'rekey', key: recovery, next: newKey, body: 'the next key' })
    add(post('one'))
    expect(blog.key).toBe(oldKey)
    expect(blog.head.seq).toBe(2)
  })

  it('gives any range of the log as lines without bodies', () => {
    const { blog, add } = start()
    add(post('one', { title: 'Eins' }))
    add(retract('one'))
    expect(blog.lines(1, 1)).toMatchObject([{ seq: 1, kind: 'post', slug: 'one', title: 'Eins' }])
    expect(blog.lines(0, 9).map(({ kind }) => kind)).toEqual(['genesis', 'post', 'retract'])
    expect(blog.lines(3, 9)).toEqual([])
  })
})
