import { describe, expect, it } from 'vitest'
import { entryFile, readArchive, withoutFolder } from '../../src/replication/log/archive.ts'
import { createApp } from '../../src/web/app.ts'
import type { OpenBlog } from '../../src/web/spoke.ts'
import {
  council,
  fingerprint,
  keyBlock,
  logOf,
  memorySpoke,
  openLog,
  sha256,
  signature,
  udhr,
  zone,
} from './memory-spoke.ts'

const entries = logOf(
  'maria',
  { kind: 'post', slug: 'article-1', lang: 'ar', ...udhr.ar },
  { kind: 'retract', slug: 'article-1' },
)
const get = (path: string, more: Partial<OpenBlog> = {}) => {
  const app = createApp(memorySpoke({ maria: openLog(entries, more) }), () => {})
  return app.request(new Request(`http://maria.${zone}${path}`))
}

describe('log files', () => {
  it('hand out exactly the signed bytes', async () => {
    for (const { seq, id } of entries) {
      const answer = await get(`/log/${seq}.txt`)
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(sha256(new Uint8Array(await answer.arrayBuffer()))).toBe(id)
    }
  })

  it('hand out the armored signature', async () => {
    const answer = await get('/log/1.txt.asc')
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(await answer.text()).toBe(signature)
  })

  it('hand out every key that ever signed, the one in force first, each a block of its own', async () => {
    const older = keyBlock.replace('AAAA', 'BBBB').trimEnd()
    const answer = await get('/key.asc', { keys: async () => [keyBlock, older] })
    expect(await answer.text()).toBe(`${keyBlock}\n${older}\n`)
  })

  it('answer 404 for an entry that does not exist, 503 for one that nobody hands out', async () => {
    expect((await get('/log/3.txt')).status).toBe(404)
    expect((await get('/log/999999999999999.txt.asc')).status).toBe(404)
    expect((await get('/log/1.txt', { entry: async () => null })).status).toBe(503)
  })
})

describe('/log.json', () => {
  it('lists the entries without bodies, with head and identity', async () => {
    const answer = await get('/log.json')
    const [genesis, post, retract] = entries
    expect(await answer.json()).toEqual({
      ...{ council, blog: 'maria', genesis: genesis.id, key: fingerprint, published: 2 },
      head: { seq: 2, id: retract?.id },
      entries: [
        { seq: 0, id: genesis.id, kind: 'genesis', date: '2026-05-03T14:00:00Z' },
        {
          ...{ seq: 1, id: post?.id, kind: 'post', date: '2026-05-03T14:01:00Z' },
          ...{ slug: 'article-1', title: udhr.ar.title },
        },
        {
          seq: 2,
          id: retract?.id,
          kind: 'retract',
          date: '2026-05-03T14:02:00Z',
          slug: 'article-1',
        },
      ],
      ...{ receipts: [], act: null, roster: [] },
    })
  })

  it('carries the proofs as text with base64 of the signature', async () => {
    const signed = { text: Buffer.from('council-receipt 1\nñ'), signature: Buffer.alloc(64, 1) }
    const shown = {
      text: 'council-receipt 1\nñ',
      signature: Buffer.alloc(64, 1).toString('base64'),
    }
    const proof = {
      ...{ published: 1, receipts: [signed], roster: [signed] },
      act: { ...signed, receipts: [signed] },
    }
    const answer = await get('/log.json', { proof: async () => proof })
    expect(await answer.json()).toMatchObject({
      ...{ published: 1, receipts: [shown], roster: [shown] },
      act: { ...shown, receipts: [shown] },
    })
  })

  it.each([
    ['?from=1', [1, 2]],
    ['?from=1&limit=1', [1]],
    ['?limit=2', [1, 2]],
    ['?from=9', []],
    ['?from=0&limit=1000', [0, 1, 2]],
  ])('gives the range %s', async (query, seqs) => {
    const list = (await (await get(`/log.json${query}`)).json()) as { entries: { seq: number }[] }
    expect(list.entries.map(({ seq }) => seq)).toEqual(seqs)
  })

  it.each(['?limit=0', '?limit=1001', '?limit=', '?from=-1', '?from=1.5', '?from=x', '?from=01'])(
    'refuses the range %s as JSON',
    async (query) => {
      const answer = await get(`/log.json${query}`)
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: { code: 'QUERY_MALFORMED' } })
    },
  )
})

describe('/export.tar', () => {
  it('streams the whole log as an archive of the blog’s name', async () => {
    const answer = await get('/export.tar')
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/x-tar')
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="maria.tar"')
    expect(answer.headers.get('etag')).toBeNull()
    const files = readArchive(new Uint8Array(await answer.arrayBuffer()))
    const texts = files.ok ? withoutFolder(files.value) : files
    if (!texts.ok) throw new Error(texts.reason)
    for (const { seq, id } of entries) {
      expect(sha256(texts.value.get(entryFile(seq)) ?? new Uint8Array())).toBe(id)
    }
  })

  it('says so when nobody hands out the log', async () => {
    const answer = await get('/export.tar', { entry: async () => null })
    expect(answer.status).toBe(503)
  })

  it('breaks off rather than ending early when an entry is missing', async () => {
    const whole = openLog(entries)
    const entry: OpenBlog['entry'] = async (seq) => (seq === 2 ? null : whole.entry(seq))
    const answer = await get('/export.tar', { entry })
    await expect(answer.arrayBuffer()).rejects.toThrow('entry 2 is not here')
  })
})
