import { describe, expect, it } from 'vitest'
import { get, host, validPage } from './browser.ts'
import { logOf, memorySpoke, openLog, type Said } from './memory-spoke.ts'

const odd = ['"><i>', '..', '100%', 'a/b?c#d', 'plaza mayor', 'ميدان', '广场']
const maria = openLog(
  logOf(
    'maria',
    { kind: 'profile', title: 'El blog', lang: 'es' },
    { kind: 'post', slug: 'all', title: 'All tags', tags: odd },
    { kind: 'post', slug: 'one', title: 'Other', tags: ['plaza'] },
    { kind: 'post', slug: 'gone', title: 'Regret', tags: ['regret'] },
    { kind: 'retract', slug: 'gone' },
    { kind: 'post', slug: 'was', title: 'Was tagged', tags: ['old'] },
    { kind: 'post', slug: 'was', title: 'Was tagged' },
  ),
)
const spoke = memorySpoke({ maria })
const tagged = (tag: string) => `${host('maria')}/tag/${encodeURIComponent(tag)}`

describe('tagPages', () => {
  it.each(['%ff', '%', '%00', 'nothing', 'PLAZA', 'regret', 'old', '%3Cscript%3E'])(
    'has nothing at /tag/%s',
    async (tag) => {
      await validPage(spoke, `${host('maria')}/tag/${tag}`, 404)
    },
  )

  it.each(odd.filter((tag) => tag !== '..'))('lists the posts tagged %j', async (tag) => {
    const text = await validPage(spoke, tagged(tag))
    expect(text).toContain('<a dir="auto" href="/2026/all">All tags</a>')
    expect(text).not.toMatch(/Other|Regret|<i>/)
    expect(text).toContain(`<link rel="canonical" href="${tagged(tag).replaceAll("'", '&#39;')}">`)
  })

  it('is where each tag of a post leads, but for a tag that no address can hold', async () => {
    const text = await validPage(spoke, `${host('maria')}/2026/all`)
    const links = [...text.matchAll(/<a href="([^"]+)" rel="tag">/g)].map(([, href]) => href)
    expect(links).toHaveLength(odd.length - 1)
    for (const link of links) {
      expect((await get(spoke, host('maria') + link)).status, link).toBe(200)
    }
    expect(text).toContain('<span dir="auto">..</span>')
  })

  it('asks elsewhere for a tag that it does not know yet', async () => {
    const young = openLog(logOf('maria', { kind: 'post', slug: 'x', title: 'X', tags: ['new'] }))
    const behind = openLog(logOf('maria'), { newer: async () => young })
    await validPage(memorySpoke({ maria: behind }), tagged('new'))
  })

  it('gives fifty posts at a time', async () => {
    const many = Array.from(
      { length: 51 },
      (_, n): Said => ({ kind: 'post', slug: `n${n}`, title: `Post ${n}.`, tags: ['a b'] }),
    )
    const full = memorySpoke({ maria: openLog(logOf('maria', ...many)) })
    const first = await validPage(full, tagged('a b'))
    expect(first).not.toContain('Post 0.')
    const older = /href="(\/tag\/a%20b\?before=\d+)"/.exec(first)?.[1]
    expect(await validPage(full, host('maria') + older)).toContain('Post 0.')
  })
})
