import { frontVersion } from '../web/coverage.ts'
import type { Front } from '../web/spoke.ts'

/** The front page is made anew at most this often, ms. */
export const frontMs = 250
/** Who asks waits for a new one rather than see one that may have been out of date so long, ms. */
const staleMs = 1_000

/**
 * `mark` changes when something did that may stand on the front page; `atMs` is when what there is
 * now was gathered, null where that is not told.
 */
type Look = { readonly mark: string; readonly atMs: number | null }

type Parts = {
  /** what there is now; cheap */
  readonly look: () => Look
  readonly make: () => Promise<Omit<Front, 'version'>>
  readonly now: () => number
}

/**
 * The front page's posts in memory. They are made only when somebody asks and something changed,
 * so that a request costs the same however many posts arrive: while they change all the time,
 * readers get the ones from before until the new ones are there.
 */
export class PacedFront {
  readonly #parts: Parts
  #front: Front | null = null
  /** of the posts in `#front` */
  #mark: string | null = null
  #begunMs = Number.NEGATIVE_INFINITY
  /** when `#front` was right for the last time that is known */
  #rightMs = Number.NEGATIVE_INFINITY
  #making: Promise<Front> | null = null

  constructor(parts: Parts) {
    this.#parts = parts
  }

  get(): Front | Promise<Front> {
    const nowMs = this.#parts.now()
    const { mark, atMs } = this.#parts.look()
    const front = this.#front
    if (front !== null && mark === this.#mark) {
      this.#rightMs = nowMs
      this.#front = withTime(front, atMs)
      return this.#front
    }
    if (this.#making === null && (front === null || nowMs - this.#begunMs >= frontMs)) {
      this.#making = this.#make(mark, nowMs)
      // Who waits hears of a failure; perhaps nobody does.
      this.#making.catch(() => undefined)
    }
    if (front !== null && nowMs - this.#rightMs < staleMs) return front
    return this.#making ?? (front as Front)
  }

  async #make(mark: string, nowMs: number): Promise<Front> {
    this.#begunMs = nowMs
    try {
      const made = await this.#parts.make()
      const version = frontVersion(made.posts, made.coverage)
      // What changed may be nothing that is shown: then pages made before stay right.
      const { coverage } = made
      const front = this.#front
      this.#front =
        front?.version === version
          ? withTime(front, coverage.kind === 'council' ? coverage.atMs : null)
          : { ...made, version }
      this.#mark = mark
      this.#rightMs = nowMs
      return this.#front
    } finally {
      this.#making = null
    }
  }
}

/** The same posts, gathered anew. */
function withTime(front: Front, atMs: number | null): Front {
  const { coverage } = front
  if (coverage.kind !== 'council' || atMs === null || coverage.atMs === atMs) return front
  return { ...front, coverage: { ...coverage, atMs } }
}
