import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { HtmlValidate } from 'html-validate'
import { expect } from 'vitest'
import { peerSigner } from '../../src/auth/peer-signature.ts'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { maxSessionMs, passMs, readToken, signToken } from '../../src/auth/session.ts'
import { createApp } from '../../src/web/app.ts'
import type { OpenBlog, WebSpoke } from '../../src/web/spoke.ts'
import { council, memorySpoke } from './memory-spoke.ts'

/** What somebody's clock says; a test may move it. */
export type TestClock = { nowMs: number }

/** A spoke `b` in memory that can let people in: its tokens are signed by a real peer key. */
export async function spokeWithDoor(
  blogs: Readonly<Record<string, OpenBlog | 'unreachable'>>,
  more: Partial<WebSpoke> = {},
  clock: TestClock = { nowMs: Date.now() },
): Promise<WebSpoke> {
  const signer = peerSigner(await generateKeyPair('Ed25519'))
  const accounts = new Map<string, string>()
  return memorySpoke(blogs, {
    now: () => clock.nowMs,
    signToken: (kind, of) =>
      signToken(signer, kind, {
        ...{ council, ...of, issuedMs: clock.nowMs },
        id: of.id ?? randomBytes(16).toString('hex'),
        expiresMs: clock.nowMs + (kind === 'session' ? maxSessionMs : passMs),
      }),
    readToken: (kind, value, host) =>
      readToken(kind, value, {
        ...{ council, host, nowMs: clock.nowMs },
        isMember: (peer) => peer === signer.peer,
      }),
    accounts: {
      find: async (key) => accounts.get(key) ?? null,
      keep: async (key, armored) => void accounts.set(key, armored),
    },
    blogsOf: async (key: Fingerprint) =>
      Object.values(blogs).flatMap((open) =>
        open !== 'unreachable' && open.blog.key === key ? [open.blog.name] : [],
      ),
    ...more,
  })
}

export type Page = {
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly html: string
  /** as a person reads it */
  readonly words: string
}

const validator = new HtmlValidate({ extends: ['html-validate:recommended'], root: true })

/**
 * A browser without script, as far as these pages need one: cookies by host, redirects, forms. Each
 * page that it shows is valid HTML without script.
 */
export class Visitor {
  readonly #app: ReturnType<typeof createApp>
  /** host → cookie name → value */
  readonly cookies = new Map<string, Map<string, string>>()
  page: Page | null = null

  constructor(spoke: WebSpoke) {
    this.#app = createApp(spoke, (error) => {
      throw error
    })
  }

  async open(url: string, init: RequestInit = {}): Promise<Page> {
    let request = { url, init }
    for (let hops = 0; hops < 10; hops++) {
      const { host } = new URL(request.url)
      const jar = this.cookies.get(host) ?? new Map<string, string>()
      const headers = new Headers({ accept: 'text/html', host, ...request.init.headers })
      if (jar.size > 0) headers.set('cookie', [...jar].map((pair) => pair.join('=')).join('; '))
      const answer = await this.#app.request(new Request(request.url, { ...request.init, headers }))
      for (const cookie of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
        if (/max-age=0/i.test(cookie)) jar.delete(name)
        else jar.set(name, value)
      }
      this.cookies.set(host, jar)
      const location = answer.headers.get('location')
      if (location === null) return this.#shown(request.url, answer)
      request = { url: new URL(location, request.url).href, init: {} }
    }
    throw new Error(`${url} leads nowhere`)
  }

  async #shown(url: string, answer: Response): Promise<Page> {
    const html = await answer.text()
    const words = decodeHtml(html.replace(/<[^>]*>/g, '')).replace(/\s+/g, ' ')
    this.page = { url, status: answer.status, headers: answer.headers, html, words }
    if (/^text\/html/.test(answer.headers.get('content-type') ?? '')) {
      const { results } = await validator.validateString(html)
      expect(
        results.flatMap(({ messages }) => messages.map((m) => `${m.ruleId}: ${m.message}`)),
      ).toEqual([])
      expect(html).not.toContain('<script')
    }
    return this.page
  }

  /** What the page's form to `action` would send now. */
  form(action: string): { readonly action: string; readonly fields: Record<string, string> } {
    const { html, url } = this.page as Page
    const forms = html.match(/<form[^>]*method="post"[\s\S]*?<\/form>/g) ?? []
    const form = forms.find((each) => new URL(attribute(each, 'action'), url).pathname === action)
    if (form === undefined) throw new Error(`${url} has no form to ${action}: ${html}`)
    const fields: Record<string, string> = {}
    for (const input of form.match(/<input[^>]*>/g) ?? []) {
      fields[attribute(input, 'name')] = decodeHtml(attribute(input, 'value'))
    }
    for (const area of form.match(/<textarea[^>]*>[\s\S]*?<\/textarea>/g) ?? []) {
      const value = /<textarea[^>]*>\n?([\s\S]*)<\/textarea>/.exec(area)?.[1] ?? ''
      fields[attribute(area, 'name')] = decodeHtml(value)
    }
    return { action: new URL(attribute(form, 'action'), url).href, fields }
  }

  /** Fills the form in and sends it as a browser does: CRLF, Origin. */
  async send(
    action: string,
    filled: Readonly<Record<string, string>> = {},
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Page> {
    const form = this.form(action)
    return this.post(form.action, { ...form.fields, ...filled }, headers)
  }

  async post(
    url: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Page> {
    const body = new URLSearchParams(
      Object.entries(fields).map(([name, value]): [string, string] => [
        name,
        value.replace(/\r?\n/g, '\r\n'),
      ]),
    )
    return this.open(url, {
      method: 'POST',
      body: body.toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: new URL(url).origin,
        ...headers,
      },
    })
  }
}

const attribute = (tag: string, name: string) =>
  new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? ''

/** Entities that `hono/html` writes. */
export const decodeHtml = (text: string) =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&')
