import { createMiddleware } from 'hono/factory'
import type { Place } from './host.ts'
import { hasCurrent, wantsGzip } from './negotiate.ts'
import { type KeptAddress, keptAddress } from './page-key.ts'
import { type KeptPage, maxKeptPage, PageMemory, readyPage } from './page-memory.ts'
import { placeReader } from './places.ts'
import type { WebSpoke } from './spoke.ts'

/** A request, as far as it matters which bytes go out. */
export type PageRequest = {
  readonly method: string
  readonly host: string
  /** path and query */
  readonly target: string
  /** by its name in lower case */
  readonly header: (name: string) => string | undefined
}
export type PageAnswer = {
  readonly status: 200 | 304
  readonly headers: Readonly<Record<string, string>>
  /** null for HEAD and for 304 */
  readonly body: Uint8Array<ArrayBuffer> | null
}

/**
 * Answers pages that everybody sees alike from memory, as long as nothing on which they depend has
 * changed: `WebSpoke.blogVersion` and the version of `front` say so. Only whole pages (200) are kept; never
 * one with a cookie or `no-store`.
 */
export class KeptPages {
  readonly #spoke: WebSpoke
  readonly #placeOf: (host: string) => Place
  readonly #memory: PageMemory
  /** pages that are being made, by key and version: a crowd waits for one */
  readonly #making = new Map<string, Promise<KeptPage | null>>()

  constructor(spoke: WebSpoke, memory: PageMemory = new PageMemory()) {
    this.#spoke = spoke
    this.#placeOf = placeReader(spoke)
    this.#memory = memory
  }

  /**
   * The answer from memory; null when the page is none that is kept, or has to be made. Known at
   * once for most pages: a promise would cost as much as all the rest.
   */
  find(request: PageRequest): PageAnswer | null | Promise<PageAnswer | null> {
    const address = this.#addressOf(request)
    if (address === null) return null
    const version = this.#versionOf(address)
    return version instanceof Promise
      ? version.then((known) => this.#found(address, known, request))
      : this.#found(address, version, request)
  }

  #found(address: KeptAddress, version: string | null, request: PageRequest): PageAnswer | null {
    const page = version === null ? null : this.#pageOf(address, version)
    return page === null ? null : answerOf(page, request)
  }

  /**
   * The page in memory. While the front page is being made anew, everybody else gets the one from
   * before: it changes four times a second at its busiest, and a crowd would wait each time.
   */
  #pageOf({ key, blog }: KeptAddress, version: string): KeptPage | null {
    const page = this.#memory.find(key, version)
    const isMade = page !== null || blog !== null || !this.#making.has(slotOf(key, version))
    return isMade ? page : this.#memory.last(key)
  }

  /** Whether the page is one that is kept, so that nobody else needs to make a tag of it. */
  isKept(request: Request): boolean {
    const { method, host, target } = requestOf(request)
    return isRead(method) && keptAddress(this.#placeOf(host), target) !== null
  }

  /** Around everything else that makes a page: answers from memory, or keeps what was made. */
  middleware() {
    return createMiddleware(async (c, next) => {
      const request = requestOf(c.req.raw)
      const address = this.#addressOf(request)
      const version = address === null ? null : await this.#knownVersion(address)
      if (address === null || version === null) return next()
      const { key } = address
      const slot = slotOf(key, version)
      const making = this.#making.get(slot)
      const page = this.#pageOf(address, version) ?? (making === undefined ? null : await making)
      if (page !== null) return responseOf(answerOf(page, request))
      const made = Promise.withResolvers<KeptPage | null>()
      this.#making.set(slot, made.promise)
      let ready: KeptPage | null = null
      try {
        await next()
        if (!mayBeKept(c.res)) return
        const { headers } = c.res
        const body = new Uint8Array(await c.res.arrayBuffer())
        // Setting a response keeps the headers of the one before, unless there is none.
        c.res = undefined
        if (body.length > maxKeptPage) {
          c.res = new Response(body, { headers })
          return
        }
        ready = await readyPage(body, Object.fromEntries(headers))
        this.#memory.keep(key, version, ready)
        c.res = responseOf(answerOf(ready, request))
      } finally {
        if (this.#making.get(slot) === made.promise) this.#making.delete(slot)
        made.resolve(ready)
      }
    })
  }

  #addressOf({ method, host, target, header }: PageRequest): KeptAddress | null {
    const place = this.#placeOf(host)
    // Another spoke's host is not answered here, not even with a page that all spokes have.
    if (place.kind === 'spoke' && place.name !== this.#spoke.name) return null
    const address = isRead(method) ? keptAddress(place, target) : null
    // Hosts where people log in may show each something else. A blog's host knows no cookies.
    return address?.blog === null && header('cookie') !== undefined ? null : address
  }

  /** null also where it cannot be had: the page meets the same failure, and knows how to answer. */
  async #knownVersion(address: KeptAddress): Promise<string | null> {
    try {
      return await this.#versionOf(address)
    } catch {
      return null
    }
  }

  #versionOf({ blog }: KeptAddress): string | null | Promise<string | null> {
    if (blog !== null) return this.#spoke.blogVersion(blog)
    const front = this.#spoke.front()
    return front instanceof Promise ? front.then(({ version }) => version) : front.version
  }
}

const slotOf = (key: string, version: string) => `${key} ${version}`

const isRead = (method: string) => method === 'GET' || method === 'HEAD'

function requestOf(request: Request): PageRequest {
  const { host, pathname, search } = new URL(request.url)
  return {
    method: request.method,
    host: request.headers.get('host') ?? host,
    target: pathname + search,
    header: (name) => request.headers.get(name) ?? undefined,
  }
}

function answerOf({ plain, gzipped }: KeptPage, { method, header }: PageRequest): PageAnswer {
  const form = gzipped !== null && wantsGzip(header('accept-encoding')) ? gzipped : plain
  if (hasCurrent(header('if-none-match'), form.tag)) {
    return { status: 304, headers: form.unchanged, body: null }
  }
  return { status: 200, headers: form.headers, body: method === 'HEAD' ? null : form.body }
}

function responseOf({ status, headers, body }: PageAnswer): Response {
  return new Response(body, { status, headers })
}

/** Whether everybody may get the response again. */
function mayBeKept({ status, headers }: Response): boolean {
  if (status !== 200 || headers.has('set-cookie')) return false
  return !/no-store|private/.test(headers.get('cache-control') ?? '')
}
