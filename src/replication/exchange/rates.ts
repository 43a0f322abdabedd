import { accept, refuse, type Verdict } from '../../auth/verdict.ts'

/** How much may come at once, and how fast more is let in afterwards. */
export type Rate = { readonly burst: number; readonly perSecond: number }

/** What a spoke takes of one blog; an operator sets it, see `limits` of the config. */
export type DoorLimits = {
  /** entries of one blog that may come at once, so that somebody can bring years of posts with her */
  readonly blogBurst: number
  /** entries of one blog per hour, once that is used up */
  readonly blogHourly: number
  /** bytes of texts and signatures in one blog's log */
  readonly blogBytes: number
}

export const defaultDoorLimits: DoorLimits = {
  blogBurst: 500,
  blogHourly: 60,
  blogBytes: 200_000_000,
}

/** A key may have as many names, and take as much as all of them (LIMITS, Names). */
export const blogsPerKey = 2
/** Rekeys of one blog at once, and per hour: apart from its posts, so that a thief cannot use them up. */
export const rekeyBurst = 10
export const rekeysPerHour = 10
/** Room behind the quota for what must always be possible: to retract, and to change the key. */
export const reservedBytes = 8 * 1024 * 1024
/** Entries that one spoke may hand in at a primary at once, and per second: each costs a verification. */
export const entriesPerSpokeBurst = 500
export const entriesPerSpokeSecond = 50
/** Claims that one spoke may ask the authority about at once, and per second, askings again included. */
export const claimsPerSpokeBurst = 100
export const claimsPerSpokeSecond = 5
/** Keys that one kind of bucket remembers. */
export const maxBuckets = 10_000

type Bucket = { tokens: number; atMs: number }

/**
 * Token buckets by key, kept in memory: after a restart all are full. Of more keys than there is
 * room for, full buckets are forgotten first, since they say nothing, then those used longest ago.
 */
export class Buckets {
  readonly #rate: Rate
  readonly #now: () => number
  readonly #maxKeys: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(rate: Rate, now: () => number, maxKeys: number = maxBuckets) {
    this.#rate = rate
    this.#now = now
    this.#maxKeys = maxKeys
  }

  /** ms until the key has a token again; 0: it has one now. */
  waitMs(key: string): number {
    const missing = 1 - this.#tokens(key)
    return missing <= 0 ? 0 : Math.ceil((missing / this.#rate.perSecond) * 1_000)
  }

  /** Takes a token. Several at once may go below nothing; then the key waits the longer. */
  take(key: string): void {
    const bucket = { tokens: this.#tokens(key) - 1, atMs: this.#now() }
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > this.#maxKeys) this.#forget()
  }

  /** Takes a token if there is one. @returns whether there was */
  tryTake(key: string): boolean {
    if (this.waitMs(key) > 0) return false
    this.take(key)
    return true
  }

  #tokens(key: string): number {
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return this.#rate.burst
    // A clock that was set back must not take anything away.
    const passedMs = Math.max(0, this.#now() - bucket.atMs)
    return Math.min(this.#rate.burst, bucket.tokens + (passedMs / 1_000) * this.#rate.perSecond)
  }

  /** Makes room for an eighth, so that it is not done for each key anew. */
  #forget(): void {
    for (const key of this.#buckets.keys()) {
      if (this.#tokens(key) >= this.#rate.burst) this.#buckets.delete(key)
    }
    const most = Math.floor((this.#maxKeys * 7) / 8)
    for (const key of this.#buckets.keys()) {
      if (this.#buckets.size <= most) return
      this.#buckets.delete(key)
    }
  }
}

/**
 * Code RATE_LIMITED, with the time after which the same may be tried again.
 *
 * @param again - what to do then: by default the same text may be sent once more
 */
export function refuseRate(
  what: string,
  retryMs: number,
  again = 'Nothing was stored; keep the signed text and send it again',
): ReturnType<typeof refuse> {
  return refuse('RATE_LIMITED', `${what} ${again} in ${inWords(retryMs)}.`, { retryMs })
}

function inWords(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1_000))
  if (seconds < 120) return seconds === 1 ? '1 second' : `${seconds} seconds`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 120 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`
}

/** What the door looks at: whose entry it is, and how large its blog would be with it. */
export type AtDoor = {
  readonly blog: string
  readonly key: string
  readonly kind: string
  /** of the entry with its signature, and of the log before it */
  readonly bytes: number
  readonly heldBytes: number
}

/**
 * The rates and the quota of a primary's door. They are judged once, by the primary that takes an
 * entry, never by replicas or in a catch-up: else spokes would disagree (DESIGN 3.1). Only what
 * was verified and stored is counted, so nobody but the blogger can use up what is hers.
 */
export class Door {
  readonly #limits: DoorLimits
  readonly #blogs: Buckets
  readonly #keys: Buckets
  readonly #rekeys: Buckets

  constructor(limits: DoorLimits, now: () => number) {
    this.#limits = limits
    const rate = { burst: limits.blogBurst, perSecond: limits.blogHourly / 3_600 }
    this.#blogs = new Buckets(rate, now)
    this.#keys = new Buckets(
      { burst: rate.burst * blogsPerKey, perSecond: rate.perSecond * blogsPerKey },
      now,
    )
    this.#rekeys = new Buckets({ burst: rekeyBurst, perSecond: rekeysPerHour / 3_600 }, now)
  }

  /** Looks before anything is verified; takes nothing. Codes: RATE_LIMITED, BLOG_FULL. */
  check({ blog, key, kind, bytes, heldBytes }: AtDoor): Verdict<void> {
    const most = this.#limits.blogBytes + (isUrgent(kind) ? reservedBytes : 0)
    if (heldBytes + bytes > most) {
      return refuse(
        'BLOG_FULL',
        `${blog} has ${megabytes(heldBytes)} MB, and this server keeps at most ${megabytes(this.#limits.blogBytes)} MB of one blog. Nothing was stored. Go on in another blog, or ask who runs the server for more.`,
      )
    }
    if (kind === 'rekey') {
      const waitMs = this.#rekeys.waitMs(blog)
      return waitMs === 0
        ? accept(undefined)
        : refuseRate(`The key of ${blog} was changed ${rekeyBurst} times in a short time.`, waitMs)
    }
    const blogMs = this.#blogs.waitMs(blog)
    if (blogMs > 0) {
      const { blogBurst, blogHourly } = this.#limits
      return refuseRate(
        `${blog} has sent ${blogBurst} entries in a short time; from there on this server takes ${blogHourly} an hour.`,
        blogMs,
      )
    }
    const keyMs = this.#keys.waitMs(key)
    return keyMs === 0
      ? accept(undefined)
      : refuseRate(`The key ${key} has signed too many entries in a short time.`, keyMs)
  }

  /** An entry, or a fork kept as proof, was verified and written. */
  count({ blog, key, kind }: Pick<AtDoor, 'blog' | 'key' | 'kind'>): void {
    if (kind === 'rekey') {
      this.#rekeys.take(blog)
      return
    }
    this.#blogs.take(blog)
    this.#keys.take(key)
  }
}

const isUrgent = (kind: string) => kind === 'rekey' || kind === 'retract'
const megabytes = (bytes: number) => (bytes / 1_000_000).toFixed(bytes < 10_000_000 ? 1 : 0)
