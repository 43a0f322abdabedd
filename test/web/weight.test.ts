import { describe, expect, it } from 'vitest'
import { assignFields, fakeId, member, TestCouncil } from '../replication/test-council.ts'
import { get, host } from './browser.ts'
import { actsOf, logOf, memorySpoke, openLog, type Said } from './memory-spoke.ts'

const title = 'Un artículo con un título de longitud bastante normal, digamos'
const posts = Array.from(
  { length: 120 },
  (_, n): Said => ({
    ...{ kind: 'post', slug: `un-articulo-con-un-titulo-de-longitud-${n}`, lang: 'es' },
    ...{ tags: ['plaza'], title: `${title} ${n}`, date: '2026-05-03T15:00:00Z' },
  }),
)
const versions = Array.from(
  { length: 60 },
  (_, n): Said => ({
    ...{ kind: 'post', slug: 'again', lang: 'es', title: `${title} ${n}` },
    ...{ tags: ['plaza'], date: '2026-05-03T16:00:00Z', body: title.repeat(20) },
  }),
)
const council = new TestCouncil().admit(1, 2, 3)
for (let n = 0; n < 120; n++) {
  council.write(
    assignFields({ blog: `a-blog-of-some-length-${n}` as never, genesis: fakeId('1a') }),
  )
  if (n % 15 === 7) council.write({ kind: 'change', member: member(1 + (n % 3)) })
}
const spoke = memorySpoke(
  { maria: openLog(logOf('maria', ...posts, ...versions)) },
  actsOf(council),
)

describe('pages for readers', () => {
  it.each([
    ['maria', '/'],
    ['maria', '/archive'],
    ['maria', '/tag/plaza'],
    ['maria', '/2026/again'],
    ['maria', '/history/again'],
    ['', '/acts'],
    ['', '/help/keys'],
  ])('weigh at most 30 KB when they are full, without a script: %s%s', async (label, path) => {
    const text = await (await get(spoke, host(label) + path)).text()
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(30 * 1024)
    expect(text).not.toContain('<script')
  })
})
