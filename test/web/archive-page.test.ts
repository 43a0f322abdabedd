import { describe, expect, it } from 'vitest'
import { host, validPage } from './browser.ts'
import { logOf, memorySpoke, openLog, type Said } from './memory-spoke.ts'

const post = (slug: string, year: number, title = slug): Said => ({
  ...{ kind: 'post', slug, title, date: `${year}-03-01T00:00:00Z` },
})

describe('archivePages', () => {
  it('lists all posts by the year in which they began, without the removed ones', async () => {
    const maria = openLog(
      logOf(
        'maria',
        post('first', 2027),
        post('second', 2028),
        post('gone', 2028, 'Regret'),
        { kind: 'retract', slug: 'gone', date: '2028-04-01T00:00:00Z' },
        { ...post('first', 2029), title: 'First, again' } as Said,
      ),
    )
    const text = await validPage(memorySpoke({ maria }), `${host('maria')}/archive`)
    const order = ['<h2>2028</h2>', 'href="/2028/second"', '<h2>2027</h2>', 'href="/2027/first"']
    const places = order.map((each) => text.indexOf(each))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    expect(places).not.toContain(-1)
    expect(text).toContain('First, again')
    expect(text).not.toMatch(/2029<\/h2>|Regret/)
  })

  it('gives eighty posts at a time, below 30 KB', async () => {
    const many = Array.from({ length: 81 }, (_, n) => post(`n${n}`, 2027, `The post number ${n}.`))
    const spoke = memorySpoke({ maria: openLog(logOf('maria', ...many)) })
    const first = await validPage(spoke, `${host('maria')}/archive`)
    expect(first.length).toBeLessThan(30_000)
    expect(first).not.toContain('number 0.')
    const older = /href="(\/archive\?before=\d+)"/.exec(first)?.[1]
    expect(await validPage(spoke, host('maria') + older)).toContain('number 0.')
  })

  it('says so when there are no posts', async () => {
    const spoke = memorySpoke({ maria: openLog(logOf('maria')) })
    expect(await validPage(spoke, `${host('maria')}/archive`)).toContain('No posts yet.')
  })
})
