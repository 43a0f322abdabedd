import type { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, wait } from '../clock.ts'
import { ReplicationError } from '../errors.ts'
import { ask, type Network } from '../network.ts'
import { SEARCH } from '../protocol.ts'

/**
 * Readers' questions to one peer that are under way at once. It works on a few more of one asker
 * (`maxAtOncePerPeer` in answers.ts): looks at its front page are asked beside them.
 */
export const maxAskedAtOnce = 4
/** How long a peer may take for an answer, ms. */
export const peerSearchMs = 1_000
/** After this time without one the next peer is asked beside it, if that has time, ms. */
export const besideMs = 250
/** How long a question waits for its turn at a peer, ms; then the reader is told to come back. */
export const turnMs = 4_000
/** Peers that are asked one question. */
export const maxPeersAsked = 3
/** How long a peer whose answer did not hold is asked last, ms. */
export const distrustMs = 600_000
/** How long a peer that was too slow, or silent, is asked after the others, ms. */
export const apartMs = 2_000
/** Pause before a busy peer is asked again that does not say how long it wants, ms. */
const busyMs = 200

/** Why a peer's answer is of no use. `new`: it has not gathered yet what it would answer from. */
export type NoUse = 'silent' | 'wrong' | 'new'

export type InnerAnswer<T> =
  | { readonly kind: 'answer'; readonly peer: PeerName; readonly value: T }
  /** there are peers that would answer, and none had the time */
  | { readonly kind: 'busy' }
  /** of each peer that was asked, why it did not answer */
  | { readonly kind: 'none'; readonly why: readonly NoUse[] }

export type InnerQuestion<T, R> = {
  readonly body: unknown
  readonly shape: z.ZodType<T>
  /** who is asked first if it is as good as the others; null: who has the least to do */
  readonly first: PeerName | null
  /** what an answer is good for; a sentence where it shows that the peer lies */
  readonly take: (peer: PeerName, answer: T) => Promise<{ readonly good: R } | 'new' | string>
}

type Parts = {
  readonly network: Network
  readonly clock: Clock
  /** who has everything */
  readonly inner: () => readonly PeerName[]
  readonly report: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** `slow`: it answers others, or says that it is busy; `late`: its turn did not come. */
type Outcome<R> = { readonly good: R } | NoUse | 'slow' | 'late'
type Turn = 'go' | 'late' | 'silent'
type Queue = { atWork: number; readonly waiting: Set<(turn: Turn) => void> }

/**
 * Asks the peers of the inner circle what readers of this spoke want to know. Each peer gets a few
 * questions at once, the others wait for their turn or go to a peer that has less to do: what one
 * spoke's readers ask at the same moment must not look to it as if nobody answered. One that says
 * nothing, as a process that stands still, costs readers a quarter of a second while another one
 * answers, and little more than a second where none does.
 */
export class InnerAsking {
  readonly #parts: Parts
  readonly #queues = new Map<PeerName, Queue>()
  readonly #distrusted = new Map<PeerName, number>()
  readonly #apart = new Map<PeerName, number>()
  readonly #answeredMs = new Map<PeerName, number>()
  /** when a peer was found silent last, ms; until it answers */
  readonly #silentMs = new Map<PeerName, number>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * The first answer that is of use. Ends after `besideMs` for each of `maxPeersAsked` and the time of
   * one answer; after `turnMs` more where peers that answer are busy with this spoke's questions.
   */
  ask<T, R>(question: InnerQuestion<T, R>): Promise<InnerAnswer<R>> {
    const { network, clock, inner } = this.#parts
    const beganMs = clock.now()
    const endMs = beganMs + turnMs
    const left = new Set(inner().filter((peer) => peer !== network.self))
    const why: NoUse[] = []
    let isBusy = false
    let isOver = false
    let asked = 0
    let atWork = 0
    return new Promise((resolve, reject) => {
      const end = (answer: InnerAnswer<R>) => {
        isOver = true
        resolve(answer)
      }
      /** @returns whether it is put to one more; with `haveTime` only to one who can begin at once */
      const askNext = (haveTime = false): boolean => {
        const those = [...left].filter((each) => !haveTime || this.#hasTime(each))
        if (isOver || those.length === 0 || asked === maxPeersAsked) return false
        const peer = this.#next(those, question.first)
        left.delete(peer)
        asked += 1
        // Others have found so while this question waited elsewhere.
        if ((this.#silentMs.get(peer) ?? Number.NEGATIVE_INFINITY) > beganMs) {
          why.push('silent')
          return askNext(haveTime)
        }
        atWork += 1
        void askOne(peer).catch((error: unknown) => {
          isOver = true
          reject(error)
        })
        return true
      }
      const askOne = async (peer: PeerName) => {
        let cancel = () => {}
        let isNextAsked = false
        const goOn = (haveTime: boolean) => {
          if (!isNextAsked) isNextAsked = askNext(haveTime)
        }
        let outcome: Outcome<R>
        try {
          outcome = await this.#inTurn(peer, endMs, async () => {
            // Another one has answered while this one was busy.
            if (isOver) return 'late'
            cancel = clock.after(besideMs, () => {
              this.#apart.set(peer, clock.now() + apartMs)
              goOn(true)
            })
            return this.#put(peer, {
              ...question,
              // What this spoke needs to check an answer is no time that the peer took.
              take: async (by, answer) => {
                cancel()
                return isOver ? 'new' : question.take(by, answer)
              },
            })
          })
        } finally {
          cancel()
          atWork -= 1
        }
        if (isOver) return
        if (typeof outcome === 'object') {
          end({ kind: 'answer', peer, value: outcome.good })
          return
        }
        if (outcome === 'late' || outcome === 'slow') isBusy = true
        else why.push(outcome)
        goOn(false)
        if (atWork === 0) end(isBusy ? { kind: 'busy' } : { kind: 'none', why })
      }
      askNext()
      if (atWork === 0) end({ kind: 'none', why })
    })
  }

  /** Whether it could begin with a question at once. */
  #hasTime(peer: PeerName): boolean {
    return this.#load(peer) < maxAskedAtOnce
  }

  /** Who was found lying comes last, before it who did not answer just now. */
  #next(peers: Iterable<PeerName>, first: PeerName | null): PeerName {
    const nowMs = this.#parts.clock.now()
    const rank = (peer: PeerName) => [
      Number((this.#distrusted.get(peer) ?? 0) > nowMs),
      Number((this.#apart.get(peer) ?? 0) > nowMs),
      Number(peer !== first),
      this.#load(peer),
    ]
    const ranked = [...peers].map((peer) => ({ peer, rank: rank(peer) }))
    ranked.sort((a, b) => {
      const at = a.rank.findIndex((each, index) => each !== b.rank[index])
      return at === -1 ? 0 : (a.rank[at] as number) - (b.rank[at] as number)
    })
    return (ranked[0] as { peer: PeerName }).peer
  }

  #load(peer: PeerName): number {
    const queue = this.#queues.get(peer)
    return queue === undefined ? 0 : queue.atWork + queue.waiting.size
  }

  async #inTurn<R>(
    peer: PeerName,
    endMs: number,
    work: () => Promise<Outcome<R>>,
  ): Promise<Outcome<R>> {
    const queue = this.#queues.get(peer) ?? { atWork: 0, waiting: new Set() }
    this.#queues.set(peer, queue)
    const turn = await this.#turn(queue, endMs)
    if (turn !== 'go') return turn
    try {
      const outcome = await work()
      // Who waits for a peer that says nothing would be told to come back for no reason.
      if (outcome === 'silent') for (const tell of [...queue.waiting]) tell('silent')
      return outcome
    } finally {
      queue.atWork -= 1
      const [next] = queue.waiting
      if (next !== undefined) {
        queue.atWork += 1
        next('go')
      } else if (queue.atWork === 0) this.#queues.delete(peer)
    }
  }

  #turn(queue: Queue, endMs: number): Promise<Turn> {
    if (queue.atWork < maxAskedAtOnce) {
      queue.atWork += 1
      return Promise.resolve('go')
    }
    const { clock } = this.#parts
    return new Promise((resolve) => {
      const tell = (turn: Turn) => {
        cancel()
        queue.waiting.delete(tell)
        resolve(turn)
      }
      const cancel = clock.after(Math.max(0, endMs - clock.now()), () => tell('late'))
      queue.waiting.add(tell)
    })
  }

  /** Puts a question, again while the peer is busy and has had no longer than for an answer. */
  async #put<T, R>(
    peer: PeerName,
    { body, shape, take }: InnerQuestion<T, R>,
  ): Promise<Outcome<R>> {
    const { network, clock } = this.#parts
    const putMs = clock.now()
    const endMs = putMs + peerSearchMs
    for (;;) {
      let answer: T
      try {
        answer = await ask(network, peer, SEARCH, body, shape, peerSearchMs)
      } catch (error) {
        const retryMs = this.#retryMs(peer, error)
        if (retryMs !== null && clock.now() + retryMs < endMs) {
          await wait(clock, retryMs)
          continue
        }
        return this.#failed(peer, error, putMs)
      }
      this.#answeredMs.set(peer, clock.now())
      this.#silentMs.delete(peer)
      this.#apart.delete(peer)
      const taken = await take(peer, answer)
      if (typeof taken === 'object' || taken === 'new') return taken
      this.#parts.report('search_lie', { peer, what: taken })
      this.#distrusted.set(peer, clock.now() + distrustMs)
      return 'wrong'
    }
  }

  /** After what time a peer that was busy is asked again, ms; null: it was not. */
  #retryMs(peer: PeerName, error: unknown): number | null {
    if (!(error instanceof ReplicationError) || !busyCodes.has(error.refusal ?? '')) return null
    this.#answeredMs.set(peer, this.#parts.clock.now())
    return Math.max(error.retryMs ?? busyMs, 1)
  }

  #failed(peer: PeerName, error: unknown, putMs: number): NoUse | 'slow' {
    const { clock, report } = this.#parts
    const { message: reason, code, refusal = null } = error as Partial<ReplicationError>
    report('search_unanswered', { peer, reason })
    this.#apart.set(peer, clock.now() + apartMs)
    if (code === 'PEER_ANSWER_MALFORMED') return 'wrong'
    if (busyCodes.has(refusal ?? '')) return 'slow'
    if (refusal !== null) return startingCodes.has(refusal) ? 'new' : 'wrong'
    // Who has answered something meanwhile has much to do; who has not says nothing to anybody.
    if ((this.#answeredMs.get(peer) ?? Number.NEGATIVE_INFINITY) > putMs) return 'slow'
    this.#silentMs.set(peer, clock.now())
    return 'silent'
  }
}

const busyCodes: ReadonlySet<string> = new Set(['RATE_LIMITED', 'SEARCH_BUSY'])
const startingCodes: ReadonlySet<string> = new Set(['NO_INDEX', 'SEARCH_UNAVAILABLE'])

/**
 * Why readers see this spoke's own blogs only: goes on after "because". Pure.
 *
 * @param why - of each peer that was asked
 * @param inner - how many the inner circle has
 */
export function whyOwn(why: readonly NoUse[], inner: number): string {
  const those = 'the servers that gather the posts of all'
  if (inner === 0) return 'nobody in this council gathers the posts of all'
  if (why.length === 0) return 'this server has only just begun to gather the posts of all'
  if (why.includes('wrong')) return `what ${those} answered does not hold`
  return why.includes('new')
    ? `${those} have only just begun to`
    : `none of ${those} has answered in time`
}
