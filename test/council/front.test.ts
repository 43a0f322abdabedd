import { parseAtomFeed, parseOpml } from 'feedsmith'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeEntry } from '../../src/replication/log/entry.ts'
import { makeSigner, must, submissionOf } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
  zone,
} from '../support/council.ts'
import { draftText } from '../support/site.ts'
import { udhr } from '../web/memory-spoke.ts'

type Words = Parameters<typeof draftText>[2]

/** Signs the next entry and hands it in, published or not yet. */
async function write(council: TestCouncil, blog: TestBlog, at: TestPeer, words: Words) {
  const entry = must(decodeEntry(Buffer.from(draftText(council, blog, words))))
  const signature = await blog.signer.sign(entry.text)
  const submission = submissionOf(entry.text, signature)
  await soon(async () => {
    const answer = await at.post(submission)
    expect([201, 202], answer.body.toString()).toContain(answer.status)
  })
  blog.entries.push({ entry, signature, submission })
}
const read = async (at: TestPeer, path: string, host: string = zone) => {
  const answer = await at.ask(path, host)
  expect(answer.status, path).toBe(200)
  return answer.body.toString()
}

describe('front page, search and feeds of one spoke', () => {
  let council: TestCouncil
  let spoke: TestPeer
  let maria: TestBlog
  let noor: TestBlog
  beforeAll(async () => {
    council = await startCouncil({ spokes: 1 })
    ;[spoke] = council.spokes as [TestPeer]
    maria = await council.claim('maria', await makeSigner())
    noor = await council.claim('noor', await makeSigner())
    await write(council, noor, spoke, {
      ...{ kind: 'post', slug: 'article-1', lang: 'ar', tags: ['udhr'], ...udhr.ar },
    })
    await write(council, maria, spoke, {
      ...{ kind: 'post', slug: 'article-1', lang: 'es', tags: ['plaza', 'udhr'], ...udhr.es },
    })
  })
  afterAll(() => council?.[Symbol.asyncDispose]())

  it('show what was written here, the newest first, and say that it is no more than that', async () => {
    await soon(async () => {
      const page = await read(spoke, '/')
      expect(page).toContain(udhr.ar.title)
      expect(page.indexOf(udhr.es.title)).toBeGreaterThan(0)
      expect(page.indexOf(udhr.es.title)).toBeLessThan(page.indexOf(udhr.ar.title))
      expect(page).toContain('Only the blogs that this server keeps, because')
    })
    await soon(async () => {
      const page = await read(spoke, '/')
      expect(await read(spoke, '/', `${spoke.name}.spoke.${zone}`)).toBe(page)
    })
    const { covers } = json<{ covers: unknown }>(await spoke.ask('/_council/status'))
    expect(covers).toEqual({ kind: 'own', reason: expect.any(String) })
  })

  it('find words, tags and languages, and give them as feeds', async () => {
    const found = await soon(async () => {
      const page = await read(spoke, `/search?q=${encodeURIComponent('dignidad lang:es')}`)
      expect(page).toContain('<mark>dignidad</mark>')
      return page
    })
    expect(found).not.toContain('lang="ar"')
    expect(await read(spoke, '/?lang=ar')).not.toContain(udhr.es.title)
    await soon(async () =>
      expect(await read(spoke, '/tag/udhr')).toMatch(/lang="es"[\s\S]*lang="ar"/),
    )
    for (const [path, count] of [
      ['/feed.atom', 2],
      ['/tag/plaza/feed.atom', 1],
      ['/tag/udhr/feed.atom', 2],
      ['/lang/es/feed.atom', 1],
    ] as const) {
      expect(parseAtomFeed(await read(spoke, path)).entries, path).toHaveLength(count)
    }
    expect(await read(spoke, '/blogs')).toMatch(/maria, 1 post<[\s\S]*noor, 1 post</)
    const opml = parseOpml(await read(spoke, '/blogs.opml'))
    for (const { xmlUrl = '' } of opml.body?.outlines ?? []) {
      const { hostname, pathname } = new URL(xmlUrl)
      expect(parseAtomFeed(await read(spoke, pathname, hostname)).entries).toHaveLength(1)
    }
  })

  it('show a new version in place of the old one, where the old one stood', async () => {
    await write(council, noor, spoke, {
      ...{ kind: 'post', slug: 'article-1', lang: 'ar', title: 'عنوان جديد', body: 'كلمات' },
    })
    await soon(async () => {
      const page = await read(spoke, '/')
      expect(page).not.toContain(udhr.ar.title)
      expect(page.indexOf('عنوان جديد')).toBeGreaterThan(page.indexOf(udhr.es.title))
    })
    await soon(async () => {
      const { body } = await spoke.ask(`/search?q=${encodeURIComponent('متساوين')}`, zone)
      expect(body.toString()).toContain('Nothing was found.')
    })
  })

  it('show three posts of one blog at most', async () => {
    for (let n = 0; n < 4; n++) {
      await write(council, noor, spoke, { kind: 'post', slug: `n${n}`, title: `Post ${n}.` })
    }
    await soon(async () => {
      const page = await read(spoke, '/')
      expect([0, 1, 2, 3].map((n) => page.includes(`Post ${n}.`))).toEqual([
        ...[false, true, true, true],
      ])
      expect(page).toContain(udhr.es.title)
    })
  })

  it('show nothing of what its author removed', async () => {
    await write(council, maria, spoke, { kind: 'retract', slug: 'article-1' })
    await soon(async () => {
      for (const path of ['/', '/feed.json', '/?lang=es', '/search?q=dignidad&order=best']) {
        expect(await read(spoke, path), path).not.toContain(udhr.es.title)
      }
    })
  })
})

it('shows a post when it is published, not before', async () => {
  await using council = await startCouncil({ spokes: 3, authority: 'apart' })
  const [spoke, ...others] = council.spokes as [TestPeer, ...TestPeer[]]
  const blog = await council.claim('maria', await makeSigner(), spoke)
  await write(council, blog, spoke, { kind: 'post', slug: 'one', title: 'First words' })
  await soon(async () => expect(await read(spoke, '/')).toContain('First words'))
  await Promise.all(others.map((each) => each.stop()))
  await write(council, blog, spoke, { kind: 'post', slug: 'two', title: 'Not yet' })
  await write(council, blog, spoke, { kind: 'post', slug: 'one', title: 'Changed words' })
  await soon(async () => {
    expect(await read(spoke, '/', blog.host)).toMatch(/Not yet[\s\S]*Changed words/)
  })
  const page = await read(spoke, '/')
  expect(page).toContain('First words')
  expect(page).not.toMatch(/Not yet|Changed words/)
  expect(await read(spoke, '/search?q=words')).not.toContain('Changed')
  await Promise.all(others.map((each) => each.start()))
  await soon(async () => {
    for (const each of council.spokes) {
      expect(await read(each, '/')).toMatch(/Not yet[\s\S]*Changed words/)
    }
  })
})
