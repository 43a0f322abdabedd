import { describe, expect, it } from 'vitest'
import { get, host } from './browser.ts'
import { logOf, memorySpoke, openLog } from './memory-spoke.ts'

const maria = openLog(
  logOf(
    'maria',
    { kind: 'post', slug: 'x', title: '<b> ]]> &' },
    { kind: 'post', slug: 'gone', title: 'Regret' },
    { kind: 'retract', slug: 'gone' },
    { kind: 'post', slug: 'x', title: 'X', date: '2027-01-01T00:00:00Z' },
  ),
)

describe('crawlerFiles', () => {
  it('lists the blog and each post that readers see, with the day of its newest version', async () => {
    const answer = await get(memorySpoke({ maria }), `${host('maria')}/sitemap.xml`)
    expect(answer.headers.get('content-type')).toBe('application/xml; charset=utf-8')
    expect(await answer.text()).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<url><loc>${host('maria')}/</loc></url>
<url><loc>${host('maria')}/2026/x</loc><lastmod>2027-01-01T00:00:00.000Z</lastmod></url>
</urlset>
`)
  })

  it('keeps crawlers from what has to be computed, and names the sitemap', async () => {
    const answer = await get(memorySpoke({ maria }), `${host('maria')}/robots.txt`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/)
    expect(await answer.text()).toBe(
      `User-agent: *\nDisallow: /history/\nDisallow: /export.tar\n\nSitemap: ${host('maria')}/sitemap.xml\n`,
    )
  })
})
