import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import { trustedProxies } from '../../src/web/client.ts'
import { type RateKind, RateLimits } from '../../src/web/rate-limit.ts'
import { logOf, memorySpoke, openLog, signature, submitSpoke, zone } from './memory-spoke.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

async function tries(rates: RateLimits, kind: RateKind, who: string, most = 20_000) {
  for (let count = 0; count < most; count++) {
    if (!(await rates.allow(kind, who)).ok) return count
  }
  return most
}

describe('RateLimits', () => {
  it.each([
    ['login', 10],
    ['challenge', 20],
    ['form', 600],
    ['read', 6_000],
    ['revocation', 10],
    ['search', 60],
  ] as const)('allows one client %s %i times a minute', async (kind, most) => {
    const rates = new RateLimits('salt')
    expect(await tries(rates, kind, '192.0.2.7')).toBe(most)
    const beyond = await rates.allow(kind, '192.0.2.7')
    expect(beyond).toEqual({ ok: false, retryAfterSeconds: 60 })
    vi.advanceTimersByTime(59_500)
    expect(await rates.allow(kind, '192.0.2.7')).toEqual({ ok: false, retryAfterSeconds: 1 })
    vi.advanceTimersByTime(1_000)
    expect(await rates.allow(kind, '192.0.2.7')).toEqual({ ok: true })
  })

  it('counts clients and kinds apart', async () => {
    const rates = new RateLimits('salt')
    await tries(rates, 'login', '192.0.2.7')
    expect(await rates.allow('login', '192.0.2.8')).toEqual({ ok: true })
    expect(await rates.allow('revocation', '192.0.2.7')).toEqual({ ok: true })
  })

  it('stays within its memory, however many addresses come, and frees it', async () => {
    const rates = new RateLimits('salt')
    for (let count = 0; count < 60_000; count++)
      await rates.allow('login', `2001:db8:${count}::/64`)
    const timers = vi.getTimerCount()
    expect(timers).toBeGreaterThan(10_000)
    expect(timers).toBeLessThanOrEqual(16_384)
    vi.advanceTimersByTime(61_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('chooses by its salt which addresses share a counter', async () => {
    const blocked = async (salt: string) => {
      const rates = new RateLimits(salt)
      await tries(rates, 'login', '192.0.2.7')
      const others = Array.from({ length: 40_000 }, (_, index) => `a${index}`)
      const verdicts = await Promise.all(others.map((who) => rates.allow('login', who)))
      return others.find((_, index) => !verdicts[index]?.ok)
    }
    expect(await blocked('one')).not.toBe(await blocked('other'))
  })
})

describe('createApp', () => {
  const blog = openLog(logOf('maria', { kind: 'post', slug: 'x', title: 'X', body: 'words' }))
  const isTrustedProxy = trustedProxies(['127.0.0.1'])
  const fail = (error: unknown) => {
    throw error
  }

  function server(spoke = memorySpoke({ maria: blog })) {
    const app = createApp(spoke, fail, { rates: new RateLimits('salt'), isTrustedProxy })
    return (url: string, init: RequestInit, remoteAddress = '192.0.2.7') =>
      app.fetch(new Request(url, init), { remoteAddress })
  }
  const uncached = `http://maria.${zone}/log/1.txt`
  const program = { accept: 'application/json' }

  async function exhaust(
    ask: ReturnType<typeof server>,
    url: string,
    init: RequestInit,
    from?: string,
  ) {
    for (let count = 0; count < 10_000; count++) {
      const answer = await ask(url, init, from)
      if (answer.status === 429) return answer
    }
    throw new Error('no end')
  }

  it('answers 429 to a client that reads too much, and not to another one', async () => {
    const ask = server()
    const answer = await exhaust(ask, uncached, { headers: program })
    expect(answer.headers.get('retry-after')).toBe('60')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.json()).toEqual({
      error: {
        code: 'RATE_LIMITED',
        reason:
          'Too many requests came from your address within a minute. Wait 60 s and try again.',
      },
    })
    const page = await ask(uncached, { headers: { accept: 'text/html' } })
    expect([page.status, await page.text()]).toEqual([429, expect.stringContaining('Wait 60 s')])
    expect((await ask(uncached, {}, '192.0.2.8')).status).toBe(200)
  })

  it('still answers it what is in memory, and machines of the council', async () => {
    const ask = server()
    const page = `http://maria.${zone}/2026/x`
    expect((await ask(page, {})).status).toBe(200)
    await exhaust(ask, uncached, {})
    expect((await ask(page, {})).status).toBe(200)
    const hello = await ask(`http://127.0.0.12/_council/hello?n=${'n'.repeat(16)}`, {})
    expect(hello.status).toBe(503)
    expect((await ask(`http://127.0.0.12/_council/tls-ask?domain=${zone}`, {})).status).toBe(200)
  })

  it('answers 429 to a client that hands in too much, and stores nothing of it', async () => {
    const { spoke, taken } = submitSpoke({ kind: 'refused', code: 'TEXT_BOM', reason: 'no' })
    const ask = server(spoke)
    const send = { method: 'POST', body: `text\n${signature}` }
    const answer = await exhaust(ask, `http://${zone}/log`, send)
    expect(taken).toHaveLength(600)
    expect(await answer.json()).toMatchObject({
      error: { code: 'RATE_LIMITED', reason: expect.stringContaining('Nothing was stored') },
    })
  })

  it('tells a crowd behind a trusted proxy apart, and takes no stranger’s word for who he is', async () => {
    const ask = server()
    const as = (client: string) => ({ headers: { 'x-forwarded-for': client } })
    await exhaust(ask, uncached, as('198.51.100.1'), '127.0.0.1')
    expect((await ask(uncached, as('198.51.100.2'), '127.0.0.1')).status).toBe(200)
    expect((await ask(uncached, as('198.51.100.1'), '127.0.0.1')).status).toBe(429)
    let forged = 0
    for (; forged < 10_000; forged++) {
      const answer = await ask(uncached, as(`203.0.113.${forged % 256}`), '192.0.2.66')
      if (answer.status === 429) break
    }
    expect(forged).toBe(6_000)
  })

  it('takes all addresses of a /64 for one client', async () => {
    const ask = server()
    await exhaust(ask, uncached, {}, '2001:db8:0:7::1')
    expect((await ask(uncached, {}, '2001:db8:0:7:ffff::2')).status).toBe(429)
    expect((await ask(uncached, {}, '2001:db8:0:8::1')).status).toBe(200)
  })
})
