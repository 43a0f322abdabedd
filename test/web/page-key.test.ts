import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { placeOfHost } from '../../src/web/host.ts'
import { keptAddress } from '../../src/web/page-key.ts'
import { zone } from './memory-spoke.ts'

const place = (host: string) => placeOfHost(host, zone, 'dotted', ['127.0.0.12'])
const maria = place(`maria.${zone}`)
const keyOf = (target: string) => keptAddress(maria, target)?.key ?? null

describe('keptAddress', () => {
  it.each([
    '/log.json',
    '/log/1.txt',
    '/key.asc',
    '/export.tar',
    '/_council/hello?n=1234567890123456',
    '/nothing',
    '/2026/x/',
    '/2026/X',
    '/2026/%78',
    '/2026/../2026/x',
    '//',
    '/tag/',
    '/tag/.',
    '/tag/..',
    '/tag/%2e%2E',
    '/tag/%ff',
    '/tag/a/b',
    '/?before=x',
    '/?before=1e3',
    '/?before=',
    '/?before=1234567890123456',
    '/history/x?from=1&to=-1',
    '/#x',
    '/?a#b',
    `/?${'a'.repeat(1_000)}`,
    'http://maria.blogs.localhost/',
    '*',
    '',
  ])('keeps nothing for %j of a blog', (target) => {
    expect(keyOf(target)).toBeNull()
  })

  it.each([`edit.maria.${zone}`, `edit--maria.${zone}`, 'evil.example', `c.d.${zone}`])(
    'keeps nothing for the host %j',
    (host) => {
      expect(keptAddress(place(host), '/')).toBeNull()
    },
  )

  it.each([zone, `b.spoke.${zone}`, '127.0.0.12'])(
    'keeps the front page and its feeds of %s, and nothing else',
    (host) => {
      const kept = ['/', '/?utm=1', '/feed.atom', '/feed.rss', '/feed.json?lang=es']
      for (const path of kept) expect(keptAddress(place(host), path)).toMatchObject({ blog: null })
      expect(keptAddress(place(host), '/?utm=1')).toEqual(keptAddress(place(host), '/'))
      const keys = kept.map((path) => keptAddress(place(host), path)?.key)
      expect(new Set(keys).size).toBe(kept.length - 1)
      for (const path of ['/?lang=es', '/?a=b&lang=es', '/?%6cang=es', '/?lang']) {
        expect(keptAddress(place(host), path), path).toBeNull()
      }
      for (const path of ['/search', '/search?q=a', '/blogs', '/blogs.opml', '/tag/x', '/acts']) {
        expect(keptAddress(place(host), path), path).toBeNull()
      }
      for (const path of ['/claim/1', '/start', '/_council/status', '/2026/x', '/archive']) {
        expect(keptAddress(place(host), path), path).toBeNull()
      }
    },
  )

  it.each([
    ['/', '/?utm_source=x'],
    ['/', '/?'],
    ['/?before=3', '/?a=1&before=3&before=4'],
    ['/?before=3', '/?%62efore=%33'],
    ['/2026/x', '/2026/x?before=3&from=1'],
    ['/feed.atom', '/feed.atom?before=1'],
    ['/tag/%C3%B1', '/tag/%c3%b1'],
    ['/tag/plaza', '/tag/pl%61za'],
    ['/history/x?from=1&to=2', '/history/x?to=2&from=1&c=3'],
  ])('takes %j and %j for one page', (one, other) => {
    expect(keyOf(one)).not.toBeNull()
    expect(keyOf(other)).toBe(keyOf(one))
  })

  it('tells pages, blogs, tags, and stretches of a list apart', () => {
    const targets = ['/', '/?before=3', '/?before=4', '/archive', '/archive?before=3']
    targets.push('/2026/x', '/2025/x', '/history/x', '/history/x?before=3', '/history/x?from=3')
    targets.push('/history/x?to=3', '/tag/x', '/tag/y', '/tag/x?before=3', '/feed.rss')
    const keys = targets.map(keyOf)
    expect(keys).not.toContain(null)
    expect(new Set(keys).size).toBe(targets.length)
    expect(keptAddress(place(`noor.${zone}`), '/')?.key).not.toBe(keyOf('/'))
  })

  it('reads any target', () => {
    fc.assert(
      fc.property(fc.oneof(fc.webUrl(), fc.string()), (target) => {
        keyOf(`/${target}`)
        keyOf(`/tag/${target}`)
      }),
    )
  })
})
