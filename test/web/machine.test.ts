import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import type { WebSpoke } from '../../src/web/spoke.ts'
import { memorySpoke, zone } from './memory-spoke.ts'

const hello: WebSpoke['hello'] = (nonce) => ({
  text: Buffer.from(`council-hello 1\nnonce ${nonce}`),
  signature: Buffer.alloc(64, 7),
})
const get = (host: string, path: string, more: Partial<WebSpoke> = { hello }) => {
  const fail = (error: unknown) => {
    throw error
  }
  return createApp(memorySpoke({}, more), fail).request(new Request(`http://${host}${path}`))
}
const nonce = 'abcDEF012_-xyz789'

describe('/_council/hello', () => {
  it.each(['', '?n=', '?n=short', `?n=${'a'.repeat(65)}`, `?n=${nonce}%0A`, `?n=${nonce}é`])(
    'refuses the nonce of %j',
    async (query) => {
      const answer = await get(zone, `/_council/hello${query}`)
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: { code: 'HELLO_NONCE' } })
    },
  )

  it.each([
    zone,
    `b.spoke.${zone}`,
    `maria.${zone}`,
    `edit.maria.${zone}`,
    '127.0.0.12:8382',
    '[::1]:8382',
  ])('answers at %s with the text, a line end and the signature', async (host) => {
    const answer = await get(host, `/_council/hello?n=${nonce}`)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const signature = Buffer.alloc(64, 7).toString('base64')
    expect(await answer.text()).toBe(`council-hello 1\nnonce ${nonce}\n${signature}`)
  })

  it('answers 503 while this peer is no member', async () => {
    expect((await get(zone, `/_council/hello?n=${nonce}`, {})).status).toBe(503)
  })
})

describe('/_council/status', () => {
  it('answers with what the spoke says, as JSON', async () => {
    const answer = await get(zone, '/_council/status')
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(await answer.json()).toEqual({ ready: true })
  })
})

describe('/_council/tls-ask', () => {
  const asked = async (domain: string) => {
    let looks = 0
    const openBlog = async () => {
      looks += 1
      return 'unreachable' as const
    }
    const keeps = (name: string) => name === 'maria'
    const query = `?domain=${encodeURIComponent(domain)}`
    const answer = await get('127.0.0.12', `/_council/tls-ask${query}`, { keeps, openBlog })
    expect(looks, 'asks nobody').toBe(0)
    return answer
  }

  it.each([
    '',
    'evil.example',
    `c.spoke.${zone}`,
    `nobody.${zone}`,
    `edit.nobody.${zone}`,
    `a.b.maria.${zone}`,
    `maria.${zone}.evil.example`,
    '192.0.2.7',
    '::2',
    '*',
  ])('says no to %j', async (domain) => {
    const answer = await asked(domain)
    expect([404, 421]).toContain(answer.status)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.json()).toMatchObject({ error: { code: expect.any(String) } })
  })

  it.each([
    zone,
    `b.spoke.${zone}`,
    `maria.${zone}`,
    `MARIA.${zone}`,
    `edit.maria.${zone}`,
    `edit--maria.${zone}`,
    '127.0.0.12',
    '::1',
  ])('says yes to %j, which DNS may lead here', async (domain) => {
    expect((await asked(domain)).status).toBe(200)
  })
})
