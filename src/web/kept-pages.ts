import { createMiddleware } from 'hono/factory'
import type { Place } from './host.ts'
import { hasCurrent, wantsGzip } from './negotiate.ts'
import { shownAge, takeAge } from './page-age.ts'
import { type KeptAddress, keptAddress } from './page-key.ts'
import {
  type KeptPage,
  maxKeptPage,
  PageMemory,
  pageAtAge,
  readyAged,
  readyPage,
} from './page-memory.ts'
import { placeReader } from './places.ts'
import type { Front, WebSpoke } from './spoke.ts'

/** A page that was right so long ago is not shown while the next one is made, ms. */
const staleMs = 1_000

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
  /** of pages made of the front page, which are few: when each was right for the last time */
  readonly #rightMs = new Map<string, number>()

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
    const known = this.#known(address)
    return known instanceof Promise
      ? known.then((each) => this.#found(address, each, request))
      : this.#found(address, known, request)
  }

  #found(address: KeptAddress, known: Known | null, request: PageRequest): PageAnswer | null {
    const page = known === null ? null : this.#pageOf(address, known)
    return page === null ? null : answerOf(page, request)
  }

  /**
   * The page in memory, with its age of now. While the front page is being made anew, everybody else
   * gets the one from before: it changes four times a second at its busiest, and a crowd would wait
   * each time. But who comes after a quiet hour waits.
   */
  #pageOf({ key, blog }: KeptAddress, { version, atMs }: Known): KeptPage | null {
    const kept = this.#memory.find(key, version)
    if (blog !== null) return kept
    const nowMs = this.#spoke.now()
    if (kept === null) {
      const isRecent = nowMs - (this.#rightMs.get(key) ?? Number.NEGATIVE_INFINITY) < staleMs
      return isRecent && this.#making.has(slotOf(key, version)) ? this.#memory.last(key) : null
    }
    this.#rightMs.set(key, nowMs)
    const page = atMs === null ? kept : pageAtAge(kept, shownAge(nowMs - atMs))
    if (page !== kept) this.#memory.keep(key, version, page)
    return page
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
      const known = address === null ? null : await this.#knownVersion(address)
      if (address === null || known === null) return next()
      const { key, blog } = address
      const { version } = known
      const slot = slotOf(key, version)
      const making = this.#making.get(slot)
      const page = this.#pageOf(address, known) ?? (making === undefined ? null : await making)
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
        const aging = blog === null ? takeAge(Buffer.from(body).toString()) : null
        ready =
          aging === null
            ? await readyPage(body, Object.fromEntries(headers))
            : readyAged(aging, Object.fromEntries(headers))
        this.#rightMs.set(key, this.#spoke.now())
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
  async #knownVersion(address: KeptAddress): Promise<Known | null> {
    try {
      return await this.#known(address)
    } catch {
      return null
    }
  }

  #known({ blog }: KeptAddress): Known | null | Promise<Known | null> {
    if (blog === null) {
      const front = this.#spoke.front()
      return front instanceof Promise ? front.then(ofFront) : ofFront(front)
    }
    const version = this.#spoke.blogVersion(blog)
    return version instanceof Promise ? version.then(ofBlog) : ofBlog(version)
  }
}

/** What a page depends on, and as of when what it shows was gathered, ms; null: it has no age. */
type Known = { readonly version: string; readonly atMs: number | null }

const ofBlog = (version: string | null): Known | null =>
  version === null ? null : { version, atMs: null }
const ofFront = ({ version, coverage }: Front): Known => ({
  version,
  atMs: coverage.kind === 'council' ? coverage.atMs : null,
})

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
