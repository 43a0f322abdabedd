import { describe, expect, it } from 'vitest'
import { assignFields, TestCouncil } from '../replication/test-council.ts'
import { get, host, validPage } from './browser.ts'
import { actsOf, logOf, memorySpoke, nameOf, openLog } from './memory-spoke.ts'

const written = new TestCouncil().admit(0, 1, 2)
written.write(assignFields())
const claimId = 'c'.repeat(64)
const spoke = memorySpoke(
  { maria: openLog(logOf('maria', { kind: 'post', slug: 'x', title: 'X', tags: ['plaza'] })) },
  {
    ...actsOf(written),
    claim: async (id) =>
      id === claimId
        ? {
            ...{ id, blog: nameOf('maria'), state: 'ready', steps: [], code: null, reason: null },
          }
        : null,
  },
)
const pages = [
  ['/', 200],
  ['/?lang=es', 200],
  ['/search', 200],
  ['/search?q=x', 200],
  ['/search?q=', 400],
  ['/tag/plaza', 200],
  ['/tag/nothing', 404],
  ['/blogs', 200],
  ['/acts', 200],
  ['/acts?before=roster:1,names:0', 200],
  ['/acts?before=x', 400],
  [`/claim/${claimId}`, 200],
  ['/claim/x', 404],
  ['/help/keys', 200],
  ['/nothing', 404],
] as const

const hostsIn = (html: string, attributes: string) =>
  [...html.matchAll(new RegExp(` (?:${attributes})="([^"]*)"`, 'g'))].map(
    ([, address = '']) => URL.parse(address)?.host ?? `relative: ${address}`,
  )

describe('pages of the council at the zone’s own name', () => {
  it.each(pages)('link to the spoke that answered, or to a blog: %s', async (path, status) => {
    const [, body = ''] = (await validPage(spoke, host('') + path, status)).split('<body>')
    // Feeds are kept, so they name the zone (DESIGN 6).
    const links = body.replace(/<a href="[^"]*\/(feed\.[a-z]+|blogs\.opml)">/g, '<a>')
    const hosts = hostsIn(links, 'href|action|formaction')
    expect(hosts).toContain('b.spoke.blogs.localhost:8380')
    expect(hosts.filter((each) => !/^(b\.spoke|maria)\.blogs\.localhost:8380$/.test(each))).toEqual(
      [],
    )
  })

  it.each(pages)('name only the zone in what is kept or copied: %s', async (path, status) => {
    const page = await validPage(spoke, host('') + path, status)
    const [head = '', body = ''] = page.split('<body>')
    for (const each of hostsIn(head, 'href')) expect(each).toBe('blogs.localhost:8380')
    const words = body.replace(/<(a|form) [^>]*>/g, '')
    expect(words).not.toMatch(/\.spoke\./)
    expect(head).not.toMatch(/\.spoke\./)
  })

  it('set no cookie', async () => {
    for (const [path] of pages) {
      const { headers } = await get(spoke, host('') + path)
      expect(headers.getSetCookie()).toEqual([])
    }
  })
})

describe('pages of a blog', () => {
  it.each(['/', '/2026/x', '/archive', '/nothing'])(
    'lead to the zone, whoever answers there: %s',
    async (path) => {
      const [, body = ''] = (await (await get(spoke, host('maria') + path)).text()).split('<body>')
      expect(hostsIn(body, 'href')).toContain('blogs.localhost:8380')
      expect(body).not.toContain('.spoke.')
    },
  )
})
