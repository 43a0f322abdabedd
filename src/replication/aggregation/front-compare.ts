import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, repeat } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import { frontCycleMs } from './front-evidence.ts'
import type { FrontPost } from './front-page.ts'
import { findUnlisted, freshFrontMs } from './front-rules.ts'
import { frontLookMs } from './front-watch.ts'
import type { Fronts, ShownFront } from './fronts.ts'

/** Two peers may have seen a post first at times that differ by so much, ms. */
const seenLeewayMs = 60_000

/** One page has a post that another one, which covers as much, should have and has not. */
type Difference = { readonly lacks: PeerName; readonly has: PeerName; readonly post: FrontPost }

/**
 * Compares the front pages of the inner circle with each other at spokes that keep nothing of what
 * they differ in. Where one page lacks for a whole cycle what another one has, the blog's own
 * replicas say which of the two is wrong; it is not shown for a while where the other one is.
 */
export class FrontCompare {
  readonly #parts: Parts
  /** since when they differ, ms */
  readonly #sinceMs = new Map<string, number>()
  #isLooking = false
  #stop = () => {}

  constructor(parts: Parts) {
    this.#parts = parts
  }

  start(): void {
    this.#stop = repeat(this.#parts.clock, frontLookMs, () => this.look())
  }

  stop(): void {
    this.#stop()
  }

  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      await this.#look()
    } finally {
      this.#isLooking = false
    }
  }

  async #look(): Promise<void> {
    const { fronts, clock } = this.#parts
    const nowMs = clock.now()
    const differences = differencesOf(fronts.complete(), nowMs)
    const keys = new Set(differences.map(keyOf))
    for (const key of this.#sinceMs.keys()) if (!keys.has(key)) this.#sinceMs.delete(key)
    for (const difference of differences) {
      const sinceMs = this.#sinceMs.get(keyOf(difference)) ?? nowMs
      this.#sinceMs.set(keyOf(difference), sinceMs)
      if (nowMs - sinceMs >= frontCycleMs) await this.#decide(difference)
    }
  }

  async #decide({ lacks, has, post }: Difference): Promise<void> {
    const { fronts, isShown, report } = this.#parts
    if (fronts.isDoubted(lacks) || fronts.isDoubted(has)) return
    const { blog, seq } = post
    const shown = await isShown(blog, seq)
    if (shown === 'unreachable') return
    const [peer, what] = shown
      ? ([lacks, `entry ${seq} of ${blog} is not on its front page`] as const)
      : ([has, `entry ${seq} of ${blog} is on its front page and not in its blog`] as const)
    report('front_lie', { peer, what })
    fronts.doubt(peer)
  }
}

/** Where pages of now that cover all spokes differ. Pure. */
export function differencesOf(
  pages: readonly Pick<ShownFront, 'peer' | 'page' | 'receivedMs' | 'posts'>[],
  nowMs: number,
): Difference[] {
  const whole = pages.filter(
    ({ page, receivedMs }) => page.covered === page.of && nowMs - receivedMs < freshFrontMs,
  )
  return whole.flatMap((one) =>
    whole
      .filter((other) => other !== one)
      .flatMap((other) =>
        findUnlisted(one.page, other.posts, ({ seenMs }) => {
          // Each page goes by its maker's clock.
          return seenMs + aheadMs(one) - aheadMs(other) - seenLeewayMs
        }).map((post) => ({ lacks: one.peer, has: other.peer, post })),
      ),
  )
}

/** How far the clock of a page's maker is ahead of the one here, less the way that it took. */
const aheadMs = ({ page, receivedMs }: Pick<ShownFront, 'page' | 'receivedMs'>) =>
  page.atMs - receivedMs

const keyOf = ({ lacks, has, post }: Difference) => `${lacks} ${has} ${post.id}`

type Parts = {
  readonly clock: Clock
  readonly fronts: Pick<Fronts, 'complete' | 'doubt' | 'isDoubted'>
  /** whether the blog's own replicas show this entry as the newest version of its post */
  readonly isShown: (blog: BlogName, seq: number) => Promise<boolean | 'unreachable'>
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}
