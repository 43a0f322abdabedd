import { describe, expect, it } from 'vitest'
import { workedMs } from '../support/worked.ts'
import { get, host, validPage, wordsOf } from './browser.ts'
import { fingerprint, logOf, memorySpoke, openLog, type Said } from './memory-spoke.ts'

const nextKey = `${fingerprint.slice(0, -4)}0B0B`
const maria = openLog(
  logOf(
    'maria',
    { kind: 'post', slug: 'x', title: 'Old <b>', lang: 'es', tags: ['a'], body: 'uno <i> dos' },
    { kind: 'post', slug: 'y', title: 'Y', body: 'y' },
    { kind: 'post', slug: 'x', title: 'New <b>', lang: 'es', tags: ['a'], body: 'uno <u> dos' },
    { kind: 'post', slug: 'x', title: '第一条', lang: 'zh-Hans', body: '人人自由', key: nextKey },
    { kind: 'post', slug: 'gone', title: 'Regret', body: 'secret' },
    { kind: 'post', slug: 'gone', title: 'Regret', body: 'secrets' },
    { kind: 'retract', slug: 'gone' },
  ),
)
const spoke = memorySpoke({ maria })
const history = `${host('maria')}/history/x`

describe('historyPages', () => {
  it.each([
    '?from=1',
    '?to=3',
    '?from=1&to=2',
    '?from=1&to=99',
    '?from=-1&to=3',
    '?from=01&to=3',
    '?from=%3Cscript%3E&to=3',
    '?from=&to=',
    '?from=1e0&to=3',
  ])('refuses to compare %s', async (query) => {
    await validPage(spoke, history + query, 400)
  })

  it.each(['nothing', '%ff', '..%2fx', 'X'])('has nothing for the slug %s', async (slug) => {
    await validPage(spoke, `${host('maria')}/history/${slug}`, 404)
  })

  it('lists all versions, who signed them with which key, and their texts', async () => {
    const text = await validPage(spoke, history)
    const words = wordsOf(text)
    expect(words).toContain(
      'Version 3: 第一条. Dated 3 May 2026, signed by maria, key …0B0B: text, signature, what changed',
    )
    expect(words).toContain(
      'Version 1: Old &lt;b&gt;. Dated 3 May 2026, signed by maria, key …66A8: text, signature',
    )
    expect(words.indexOf('Version 3:')).toBeLessThan(words.indexOf('Version 1:'))
    for (const seq of [1, 3, 4]) expect(text).toContain(`href="/log/${seq}.txt"`)
    expect(text).not.toContain('href="/log/2.txt"')
    expect(text).toContain('href="/history/x?from=3&amp;to=4"')
  })

  it('is where a post with more than one version leads', async () => {
    expect(await validPage(spoke, `${host('maria')}/2026/x`)).toContain('href="/history/x"')
    expect(await validPage(spoke, `${host('maria')}/2026/y`)).not.toContain('/history/')
  })

  it('shows what changed between two versions, word by word', async () => {
    const text = await validPage(spoke, `${history}?from=1&to=3`)
    expect(text).toContain('<del>Old </del><ins>New </ins>&lt;b&gt;')
    expect(text).toContain('uno &lt;<del>i</del><ins>u</ins>&gt; dos')
    expect(text).not.toMatch(/<h3>Tags|<i>|<u>|<b>/)
    expect(text).toContain('<option value="1" selected>version 1, 3 May 2026</option>')
  })

  it('compares any two, in either direction', async () => {
    const back = await validPage(spoke, `${history}?from=3&to=1`)
    expect(back).toContain('<del>New </del><ins>Old </ins>')
    const far = await validPage(spoke, `${history}?from=1&to=4`)
    expect(far).toContain('<h3>Language</h3>')
    expect(far).toContain('<h3>Tags</h3>')
    expect(far).toContain('<div class="compared" lang="zh-Hans" dir="ltr">')
    const same = await validPage(spoke, `${history}?from=3&to=3`)
    expect(same).toContain('are the same in both')
  })

  it('says so when only blanks differ', async () => {
    const post: Said = { kind: 'post', slug: 'x', title: 'X', body: 'a b' }
    const open = openLog(logOf('maria', post, { ...post, body: 'a\n\nb' } as Said))
    const text = await validPage(memorySpoke({ maria: open }), `${history}?from=1&to=2`)
    expect(text).toContain('Only blanks and line ends differ.')
  })

  it('shows both texts when they differ too much, soon enough', async () => {
    const post: Said = { kind: 'post', slug: 'x', title: 'X', body: `${'.\n'.repeat(32_000)}.` }
    const other = { ...post, body: `${',\n'.repeat(32_000)},` } as Said
    const open = openLog(logOf('maria', post, other))
    const startMs = workedMs()
    const text = await (await get(memorySpoke({ maria: open }), `${history}?from=1&to=2`)).text()
    expect(workedMs() - startMs).toBeLessThan(2_000)
    expect(text).toContain('They differ too much')
    expect(text.match(/<div class="compared"/g)).toHaveLength(2)
  })

  it('shows no word of a removed post, and keeps its signed texts reachable', async () => {
    for (const query of ['', '?from=5&to=6']) {
      const text = await validPage(spoke, `${host('maria')}/history/gone${query}`, 410)
      expect(text).not.toMatch(/Regret|secret/)
      expect(text).toContain('href="/log/5.txt"')
    }
  })

  it('gives fifty versions at a time', async () => {
    const many = Array.from(
      { length: 51 },
      (_, n): Said => ({ kind: 'post', slug: 'x', title: `Title ${n}.` }),
    )
    const full = memorySpoke({ maria: openLog(logOf('maria', ...many)) })
    const first = await validPage(full, history)
    expect(first).not.toContain('Title 0.')
    expect(first.length).toBeLessThan(30_000)
    const older = /href="(\/history\/x\?before=\d+)"/.exec(first)?.[1]
    expect(await validPage(full, host('maria') + older)).toContain('Title 0.')
    const chosen = await validPage(full, `${history}?from=1&to=51`)
    expect(chosen).toContain('<option value="1" selected>')
  })

  it('says so when no holder hands out a text', async () => {
    const silent = memorySpoke({ maria: { ...maria, entry: async () => null } })
    await validPage(silent, `${history}?from=1&to=3`, 503)
  })
})
