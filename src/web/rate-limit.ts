import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { clientOf } from './client.ts'
import { answerError } from './errors.ts'
import type { LinkSource } from './links.ts'

// How often one client may do what costs this server work, in one minute.
/** Codes and signatures handed in to log in (facts/SECURITY 1.2). */
const maxLogins = 10
/** Challenges asked for, to log in. */
const maxChallenges = 20
/** Signed entries and forms sent. An author who brings years of posts sends ten a second. */
const maxForms = 600
/** Pages and files that are not answered from memory. A school behind one address reads, too. */
const maxReads = 6_000
/** Revocations handed in. */
const maxRevocations = 10
/** Questions to the search. */
const maxSearches = 60

const perMinute = {
  login: maxLogins,
  challenge: maxChallenges,
  form: maxForms,
  read: maxReads,
  revocation: maxRevocations,
  search: maxSearches,
} as const
export type RateKind = keyof typeof perMinute

/**
 * Counters of each kind. Clients share them by a secret hash, so that no number of addresses fills
 * the memory; with a thousand clients in a minute, one in sixteen shares a counter with another.
 */
const maxCounters = 16_384
const windowSeconds = 60

export type RateVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly retryAfterSeconds: number }

/** How often each client did each kind of thing in its current minute. In memory, bounded. */
export class RateLimits {
  readonly #salt: string
  readonly #limiters: Readonly<Record<RateKind, RateLimiterMemory>>

  /** @param salt - secret and random, so that nobody can choose whose counter an address shares */
  constructor(salt: string) {
    this.#salt = salt
    const of = (points: number) => new RateLimiterMemory({ points, duration: windowSeconds })
    this.#limiters = {
      login: of(perMinute.login),
      challenge: of(perMinute.challenge),
      form: of(perMinute.form),
      read: of(perMinute.read),
      revocation: of(perMinute.revocation),
      search: of(perMinute.search),
    }
  }

  /**
   * Counts one try, and says whether it is within the limit.
   *
   * @param who - `clientOf`, or whatever else is limited: a key's fingerprint, a blog
   */
  async allow(kind: RateKind, who: string): Promise<RateVerdict> {
    try {
      await this.#limiters[kind].consume(this.#counter(who))
      return { ok: true }
    } catch (beyond) {
      if (!(beyond instanceof RateLimiterRes)) throw beyond
      return { ok: false, retryAfterSeconds: Math.max(1, Math.ceil(beyond.msBeforeNext / 1_000)) }
    }
  }

  #counter(who: string): number {
    const hash = createHash('sha256').update(this.#salt).update(who).digest()
    return hash.readUInt32BE(0) % maxCounters
  }
}

/** Lets a client do a kind of thing so often; beyond it answers 429 and when to come back. */
export function limitRate(spoke: LinkSource, rates: RateLimits, kind: RateKind) {
  return createMiddleware(async (c, next) => {
    const verdict = await rates.allow(kind, clientOf(c))
    return verdict.ok ? next() : answerTooMany(c, spoke, verdict.retryAfterSeconds)
  })
}

/** 429 `RATE_LIMITED`: a page for browsers, JSON for programs, with Retry-After. */
export function answerTooMany(c: Context, spoke: LinkSource, retryAfterSeconds: number) {
  c.header('Retry-After', String(retryAfterSeconds))
  c.header('Cache-Control', 'no-store')
  const kept = ['GET', 'HEAD'].includes(c.req.method)
    ? ''
    : ' Nothing was stored: keep what you sent and send it again then.'
  const reason = `Too many requests came from your address within a minute. Wait ${retryAfterSeconds} s and try again.${kept}`
  return answerError(c, spoke, 'RATE_LIMITED', reason)
}
