import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/web/app.ts'
import type { SubmitAnswer, WebSpoke } from '../../src/web/spoke.ts'
import { maxSubmitBytes, splitSubmission } from '../../src/web/submit.ts'
import { logOf, memorySpoke, signature, submitSpoke, udhr, zone } from './memory-spoke.ts'

const [genesis, post, profile] = logOf(
  'maria',
  { kind: 'post', slug: 'article-1', lang: 'ar', ...udhr.ar },
  { kind: 'profile', title: 'María' },
)
if (post === undefined || profile === undefined) throw new Error('no entries')

const send = (spoke: WebSpoke, body: RequestInit['body'], host = zone) => {
  const init = { method: 'POST', body: body ?? null, duplex: 'half' } as RequestInit
  const fail = (error: unknown) => {
    throw error
  }
  return createApp(spoke, fail).request(new Request(`http://${host}/log`, init))
}
const bodyOf = (text: Uint8Array) => Buffer.concat([text, Buffer.from(`\n${signature}`)])
const split = (body: string) => splitSubmission(Buffer.from(body))
const receipt = {
  ...{ peer: '12D3', spoke: 'b', store: 's1', since: '2026-05-03T14:05:00Z' },
  ...{ at: '2026-05-03T14:05:01Z', text: 'council-receipt 1', signature: 'AAAA' },
}
const published: SubmitAnswer = {
  ...{ kind: 'published', entry: post, copies: 2, wanted: 3, receipts: [receipt], reason: null },
}

describe('splitSubmission', () => {
  it.each([
    ['', 'SUBMIT_NO_SIGNATURE'],
    ['council-entry 1\n', 'SUBMIT_NO_SIGNATURE'],
    ['text -----BEGIN PGP SIGNATURE-----\n', 'SUBMIT_NO_SIGNATURE'],
    ['text\r-----BEGIN PGP SIGNATURE-----\n', 'SUBMIT_NO_SIGNATURE'],
    [signature, 'SUBMIT_NO_TEXT'],
    [`\n${signature}`, 'SUBMIT_NO_TEXT'],
    [`-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\na\n${signature}`, 'SUBMIT_CLEAR_SIGNED'],
  ])('refuses %j with %s', (body, code) => {
    expect(split(body)).toMatchObject({ ok: false, code })
  })

  it('leaves every byte of the text as it was sent', () => {
    for (const text of ['a', 'a\n', 'a\r', 'a \r\n', 'ä\u0000\ufeff']) {
      const verdict = split(`${text}\n${signature}`)
      expect(verdict.ok && Buffer.from(verdict.value.text).toString()).toBe(text)
      expect(verdict.ok && verdict.value.signature).toBe(signature)
    }
  })

  it('splits at the last signature, so that a text may quote one', () => {
    const text = `quote:\n${signature}and -----BEGIN PGP SIGNATURE----- in a line`
    const verdict = split(`${text}\n${signature}`)
    expect(verdict.ok && Buffer.from(verdict.value.text).toString()).toBe(text)
  })

  it('looks for the beginning of a line only', () => {
    const verdict = split(`a\n${signature}x-----BEGIN PGP SIGNATURE-----`)
    expect(verdict.ok && Buffer.from(verdict.value.text).toString()).toBe('a')
  })
})

describe('POST /log', () => {
  it.each([
    zone,
    `b.spoke.${zone}`,
    '127.0.0.12',
    `noor.${zone}`,
    `edit.maria.${zone}`,
    `edit--maria.${zone}`,
  ])('takes an entry of any blog at %s', async (host) => {
    const { spoke, taken } = submitSpoke(published)
    expect((await send(spoke, bodyOf(post.text), host)).status).toBe(201)
    expect(Buffer.from(taken[0]?.text ?? [])).toEqual(Buffer.from(post.text))
    expect(taken[0]?.signature).toBe(signature)
  })

  it('answers 201 with the address and the receipts of a published entry', async () => {
    const answer = await send(submitSpoke(published).spoke, bodyOf(post.text))
    expect(await answer.json()).toEqual({
      ...{ seq: 1, id: post.id, slug: 'article-1', published: true, copies: 2, wanted: 3 },
      url: `http://maria.${zone}:8380/2026/article-1`,
      receipts: [receipt],
    })
  })

  it('answers 202 with the reason for an entry that is stored but not published', async () => {
    const reason = 'stored on 1 server: this council has no second one yet'
    const stored = { ...published, kind: 'stored', entry: profile, copies: 1, reason } as const
    const answer = await send(submitSpoke(stored).spoke, bodyOf(profile.text))
    expect(answer.status).toBe(202)
    expect(await answer.json()).toMatchObject({
      ...{ slug: null, url: `http://maria.${zone}:8380/`, published: false, reason, copies: 1 },
    })
  })

  it('answers 202 with the place to follow for a genesis', async () => {
    const answer = await send(
      submitSpoke({ kind: 'claim', entry: genesis }).spoke,
      bodyOf(genesis.text),
    )
    expect(answer.status).toBe(202)
    expect(await answer.json()).toEqual({
      ...{ seq: 0, id: genesis.id, published: false, receipts: [] },
      claim: `http://b.spoke.${zone}:8380/claim/${genesis.id}`,
      url: `http://maria.${zone}:8380/`,
    })
  })

  it('answers 409 with the head when the seq is taken', async () => {
    const head = { seq: 4, id: 'd'.repeat(64) }
    const { spoke } = submitSpoke({ kind: 'taken', reason: 'Entry 1 exists.', head })
    const answer = await send(spoke, bodyOf(post.text))
    expect(answer.status).toBe(409)
    expect(await answer.json()).toEqual({
      error: { code: 'SEQ_TAKEN', reason: 'Entry 1 exists.' },
      head,
    })
  })

  it.each([
    ['TEXT_TRAILING_BLANK', 400],
    ['SOME_RULE_OF_TOMORROW', 400],
    ['ENTRY_OTHER_KEY', 403],
    ['BLOG_UNKNOWN', 404],
    ['NAME_TAKEN', 409],
    ['TEXT_TOO_LONG', 413],
    ['BLOG_FULL', 413],
    ['PEER_UNREACHABLE', 503],
  ])('answers a refusal with code %s with status %i', async (code, status) => {
    const { spoke } = submitSpoke({ kind: 'refused', code, reason: 'Why <b>not</b>.' })
    const answer = await send(spoke, bodyOf(post.text))
    expect(answer.status).toBe(status)
    expect(await answer.json()).toEqual({ error: { code, reason: 'Why <b>not</b>.' } })
  })

  it('says when to come again to who sends too much: 429 with Retry-After, in whole seconds', async () => {
    const limited = { code: 'RATE_LIMITED', reason: 'Later.', retryMs: 1_200 }
    const { spoke } = submitSpoke({ kind: 'refused', ...limited })
    const answer = await send(spoke, bodyOf(post.text))
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '2'])
    expect(await answer.json()).toEqual({ error: { code: 'RATE_LIMITED', reason: 'Later.' } })
  })

  it('refuses a body without signature as JSON, and passes nothing on', async () => {
    const { spoke, taken } = submitSpoke(published)
    const answer = await send(spoke, 'hello')
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: { code: 'SUBMIT_NO_SIGNATURE' } })
    expect((await send(spoke, null)).status).toBe(400)
    expect(taken).toEqual([])
  })

  it('takes 128 KiB and refuses one byte more', async () => {
    const { spoke, taken } = submitSpoke(published)
    const sized = (bytes: number) => bodyOf(Buffer.alloc(bytes - signature.length - 1, 'a'))
    expect((await send(spoke, sized(maxSubmitBytes))).status).toBe(201)
    expect((await send(spoke, sized(maxSubmitBytes + 1))).status).toBe(413)
    expect(taken).toHaveLength(1)
  })

  it('stops reading a chunked body of unknown length at the limit', async () => {
    const chunk = Buffer.alloc(10_000, 'a')
    let chunks = 0
    const endless = new ReadableStream({
      pull: (controller) => {
        chunks += 1
        controller.enqueue(chunk)
      },
    })
    const answer = await send(memorySpoke({}), endless)
    expect(answer.status).toBe(413)
    expect(await answer.json()).toMatchObject({ error: { code: 'BODY_TOO_LONG' } })
    expect(chunks * chunk.length).toBeLessThan(maxSubmitBytes + 3 * chunk.length)
  })
})
