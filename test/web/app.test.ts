import { describe, expect, it } from 'vitest'
import { ReplicationError } from '../../src/replication/errors.ts'
import { decodeEntry } from '../../src/replication/log/entry.ts'
import { createApp } from '../../src/web/app.ts'
import type { WebSpoke } from '../../src/web/spoke.ts'
import { logOf, memorySpoke, openLog, zone } from './memory-spoke.ts'

const entries = logOf('maria', { kind: 'post', slug: 'x', title: 'X', body: 'words' })
const spoke = memorySpoke({ maria: openLog(entries) })
const blog = `http://maria.${zone}`

function ask(to: WebSpoke, url: string, init: RequestInit = {}) {
  const reported: unknown[] = []
  const answer = createApp(to, (error) => reported.push(error)).request(new Request(url, init))
  return { answer, reported }
}
const json = { accept: 'application/json' }

describe('createApp', () => {
  it.each(['GET', 'HEAD', 'POST', 'PUT', 'DELETE'])(
    'answers %s for a foreign host with 421',
    async (method) => {
      for (const path of ['/', '/log', '/_council/status', '/2026/x']) {
        const answer = await ask(spoke, `http://evil.example${path}`, { method }).answer
        expect(answer.status).toBe(421)
      }
    },
  )

  it('names the zone to whoever asks for a foreign host', async () => {
    const answer = await ask(spoke, 'http://evil.example/', { headers: json }).answer
    expect(await answer.json()).toMatchObject({
      error: { code: 'HOST_UNKNOWN', reason: expect.stringContaining('blogs.localhost') },
    })
  })

  it.each([
    [`${blog}/log`, 'GET', 'POST'],
    [`${blog}/2026/x`, 'POST', 'GET, HEAD'],
    [`${blog}/key.asc`, 'PUT', 'GET, HEAD'],
    [`${blog}/_council/status`, 'DELETE', 'GET, HEAD'],
    [`http://${zone}/`, 'POST', 'GET, HEAD'],
    [`http://edit.maria.${zone}/log`, 'GET', 'POST'],
  ])(
    'answers %s with the method %s with 405 and the methods allowed',
    async (url, method, allow) => {
      const answer = await ask(spoke, url, { method }).answer
      expect(answer.status).toBe(405)
      expect(answer.headers.get('allow')).toBe(allow)
    },
  )

  it.each([
    '/nothing',
    '/2026',
    '/2026/x/',
    '/2026/x/y',
    '/log/',
    '/log/0',
    '/log/00.txt',
    '/%2e%2e/x',
    '/%ff',
    '//x',
  ])('answers the unknown path %j with 404', async (path) => {
    expect((await ask(spoke, blog + path).answer).status).toBe(404)
  })

  it('answers errors as JSON to programs and as a page to browsers', async () => {
    const program = await ask(spoke, `${blog}/nothing`, { headers: json }).answer
    expect(await program.json()).toEqual({
      error: { code: 'PAGE_NOT_FOUND', reason: 'There is nothing at this address.' },
    })
    const headers = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
    const browser = await ask(spoke, `${blog}/nothing`, { headers }).answer
    expect(browser.headers.get('content-type')).toContain('text/html')
  })

  it('answers HEAD like GET, without the body', async () => {
    const get = await ask(spoke, `${blog}/2026/x`).answer
    const head = await ask(spoke, `${blog}/2026/x`, { method: 'HEAD' }).answer
    expect(head.status).toBe(200)
    expect(await head.text()).toBe('')
    expect(head.headers.get('etag')).toBe(get.headers.get('etag'))
  })

  it.each(['/', '/2026/x', '/log/1.txt', '/log/1.txt.asc', '/key.asc', '/log.json'])(
    'answers 304 for %s when nothing changed',
    async (path) => {
      const first = await ask(spoke, blog + path).answer
      const tag = first.headers.get('etag') ?? ''
      expect(tag).toMatch(/^"[0-9a-f]+"$/)
      expect(first.headers.get('cache-control')).toBe('no-cache')
      const again = await ask(spoke, blog + path, { headers: { 'if-none-match': tag } }).answer
      expect(again.status).toBe(304)
      expect(await again.text()).toBe('')
    },
  )

  it('leads from an old address that a post names to the post, whatever is added to it', async () => {
    const [genesis, post] = entries
    const lines = Buffer.from(post?.text ?? '').toString()
    const moved = decodeEntry(Buffer.from(lines.replace('\ntitle', '\nalias /old\ntitle')))
    if (!moved.ok) throw new Error(moved.reason)
    const to = memorySpoke({ maria: openLog([genesis, moved.value]) })
    const answer = await ask(to, `${blog}/old?utm=1`).answer
    expect([answer.status, answer.headers.get('location')]).toEqual([308, '/2026/x'])
    expect((await ask(to, `${blog}/older`).answer).status).toBe(404)
  })

  it('turns a failure below into 503 with a sentence, and reports it', async () => {
    const failure = new ReplicationError('PEER_UNREACHABLE', 'dial 12D3KooW failed')
    const to = memorySpoke({}, { openBlog: () => Promise.reject(failure) })
    const { answer, reported } = ask(to, `${blog}/2026/x`, { headers: json })
    expect((await answer).status).toBe(503)
    expect(await (await answer).json()).toMatchObject({
      error: { code: 'PEER_UNREACHABLE', reason: expect.not.stringContaining('12D3KooW') },
    })
    expect(reported).toEqual([failure])
  })

  it('turns a bug into 500 without a word of it, and reports it', async () => {
    const bug = new Error('secret detail')
    const to = memorySpoke({}, { front: () => Promise.reject(bug) })
    const { answer, reported } = ask(to, `http://${zone}/`)
    expect((await answer).status).toBe(500)
    expect(await (await answer).text()).not.toContain('secret')
    expect((await answer).headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(reported).toEqual([bug])
  })
})
