import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { type Clock, within } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { SealAnswer, SealOrder } from '../../replication/exchange/seals.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import { namesLog } from '../../replication/log/log.ts'
import { sameReplica } from '../../replication/log/peer-text.ts'
import type { EntryId } from '../../replication/log/text.ts'
import { maxActsAtOnce, maxSealsAtOnce } from '../../replication/protocol.ts'
import type { Decision } from '../../replication/registry/act.ts'
import type { Assignment } from '../../replication/registry/assignment.ts'
import type { NextDecision, WrittenAct } from '../../replication/registry/council-logs.ts'
import { signSeal } from '../../replication/registry/seal.ts'
import type { ComponentLog } from '../logger.ts'
import { type NextAct, type NextSet, planNextAct } from './next-act.ts'
import type { Survey } from './survey.ts'

/** How long a replica may take to answer a seal, ms. */
const sealMs = 3_000
/** A blog that too few replicas answered for is tried again after this time, ms. */
const retryMs = 5_000
/** The act that shall end, and what the next one shall say; kept before the first seal (REPLICATION 12). */
export type Change = NextSet & { readonly act: EntryId }
const intentKey = (blog: string) => `sealing/${blog}`
/** Acts of one blog that may be unknown to be active; all their sets must answer. */
type Line = readonly [Assignment, ...Assignment[]]

/** A blog that stays sealed, and why. */
export type Stuck = { readonly sinceMs: number; readonly code: string; readonly reason: string }

/**
 * Ends acts and writes the next ones. The intent is stored before the first seal, so that what was
 * sealed is finished after a crash of the authority at any step: until then the blog is read only.
 */
export class Sealing {
  readonly #exchange: Pick<Exchange, 'alive' | 'council' | 'seals' | 'store' | 'tell' | 'tellAll'>
  readonly #survey: Survey
  readonly #signer: PeerSigner
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #running = new Map<BlogName, Promise<void>>()
  /** when a blog that waits for its replicas was tried last */
  readonly #triedMs = new Map<BlogName, number>()
  readonly #stuck = new Map<BlogName, Stuck>()
  #round = 0

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'alive' | 'council' | 'seals' | 'store' | 'tell' | 'tellAll'>
    readonly survey: Survey
    readonly signer: PeerSigner
    readonly clock: Clock
    readonly log: ComponentLog
  }) {
    this.#exchange = parts.exchange
    this.#survey = parts.survey
    this.#signer = parts.signer
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /** Blogs that were to be sealed and have no next act yet. */
  async unfinished(): Promise<Map<BlogName, Change>> {
    const { council, store } = this.#exchange
    const open = new Map<BlogName, Change>()
    for (const [key, value] of await store.values(intentKey(''))) {
      const blog = key.slice(intentKey('').length) as BlogName
      const change = value as Change
      // The next act was written, and the crash came before this was forgotten.
      if (council.names()?.blogs.get(blog)?.id !== change.act)
        await store.write([{ type: 'del', key }])
      else open.set(blog, change)
    }
    return open
  }

  /** Why a blog has been sealed for a while without a next act; null: it is not, or only just. */
  stuck(blog: BlogName): Stuck | null {
    return this.#stuck.get(blog) ?? null
  }

  /**
   * Ends the acts in force of these blogs and writes the next. Those that too few replicas answer
   * for stay sealed, and are tried again with a later call.
   *
   * @param isNow - also those that were tried a moment ago, and once more those that are under way
   */
  async change(wanted: ReadonlyMap<BlogName, Change>, { isNow = false } = {}): Promise<void> {
    const underWay = () => [...wanted.keys()].flatMap((blog) => this.#running.get(blog) ?? [])
    if (isNow) while (underWay().length > 0) await Promise.allSettled(underWay())
    const nowMs = this.#clock.steady()
    const fresh = [...wanted.keys()].filter(
      (blog) =>
        !this.#running.has(blog) &&
        (isNow || nowMs - (this.#triedMs.get(blog) ?? -Infinity) >= retryMs),
    )
    const work = this.#endAll(fresh, wanted)
    for (const blog of fresh) {
      this.#running.set(blog, work)
      this.#triedMs.set(blog, nowMs)
    }
    try {
      await work
    } finally {
      for (const blog of fresh) this.#running.delete(blog)
    }
  }

  async #endAll(blogs: readonly BlogName[], wanted: ReadonlyMap<BlogName, Change>): Promise<void> {
    for (let at = 0; at < blogs.length; at += maxSealsAtOnce)
      await this.#endSome(blogs.slice(at, at + maxSealsAtOnce), wanted)
  }

  async #endSome(blogs: readonly BlogName[], wanted: ReadonlyMap<BlogName, Change>): Promise<void> {
    const { council, store } = this.#exchange
    const lines: Line[] = []
    for (const blog of blogs) {
      const named = council.names()?.blogs.get(blog)
      // Decided for an act that has ended meanwhile: decided anew at the next look.
      const isOld = named === undefined || named.id !== wanted.get(blog)?.act
      const line = isOld ? null : await this.#survey.line(named)
      if (line === null) this.#triedMs.delete(blog)
      else lines.push(line)
    }
    await store.write(
      lines.map(([{ blog }]) => store.putValue(intentKey(blog), wanted.get(blog) as Change)),
    )
    // A round is asked once, also after a restart or when the clock was set back.
    this.#round = Math.max(this.#round + 1, this.#clock.now())
    const answers = await this.#askAll(lines, (given) =>
      lines.every(([{ blog }], at) => {
        const line = lines[at] as Line
        // What is to be given up is asked for as long as anything is.
        const next = { ...(wanted.get(blog) as Change), acceptsLoss: false }
        return planNextAct(line, given.get(blog) ?? new Map(), next, this.#nameOf).ok
      }),
    )
    await this.#writeNext(lines, answers, wanted)
  }

  /**
   * Asks every replica of every line. Those that are heard are waited for, since what only they hold
   * should not be lost; the others only where too few have answered.
   */
  async #askAll(
    lines: readonly Line[],
    isEnough: (answers: ReadonlyMap<BlogName, Map<PeerName, SealAnswer>>) => boolean,
  ): Promise<ReadonlyMap<BlogName, Map<PeerName, SealAnswer>>> {
    const { alive, seals } = this.#exchange
    const byPeer = new Map<PeerName, SealOrder[]>()
    for (const line of lines) {
      const [{ proof }] = line
      const order = { proof, seal: this.#seal(line[0]) }
      const peers = new Set(line.flatMap(({ replicas }) => replicas.map(({ peer }) => peer)))
      for (const peer of peers) byPeer.set(peer, [...(byPeer.get(peer) ?? []), order])
    }
    const acts = new Map(lines.map(([act]) => [act.blog, act]))
    const answers = new Map<BlogName, Map<PeerName, SealAnswer>>()
    const round = this.#round
    const asked = [...byPeer].map(async ([peer, orders]) => {
      const given = await seals.ask(peer, orders, sealMs).catch(() => null)
      for (const [blog, answer] of given ?? []) {
        const { promise } = answer
        // Answers count for the round that asked.
        if (promise.round !== round || promise.act !== acts.get(blog)?.id) continue
        if (promise.epoch !== acts.get(blog)?.epoch) continue
        answers.set(blog, (answers.get(blog) ?? new Map()).set(peer, answer))
      }
    })
    const peers = [...byPeer.keys()]
    await Promise.all(asked.filter((_, at) => alive.isLive(peers[at] as PeerName)))
    if (!isEnough(answers)) await within(this.#clock, sealMs, Promise.all(asked), null)
    return answers
  }

  #seal({ blog, id, epoch, council }: Assignment) {
    const atMs = this.#clock.now()
    return signSeal(this.#signer, {
      ...{ council, log: blog, act: id, epoch, round: this.#round, atMs },
    })
  }

  async #writeNext(
    lines: readonly Line[],
    answers: ReadonlyMap<BlogName, Map<PeerName, SealAnswer>>,
    wanted: ReadonlyMap<BlogName, Change>,
  ): Promise<void> {
    const { council, store } = this.#exchange
    const decisions: NextAct[] = []
    for (const line of lines) {
      const [act] = line
      const given = answers.get(act.blog) ?? new Map()
      for (const { receipts } of given.values()) await this.#survey.note(act, receipts)
      // The answers may show that the act was active: then the sets before it have no say.
      const counted = this.#survey.isActive(act) ? ([act] as const) : line
      const next = planNextAct(counted, given, wanted.get(act.blog) as Change, this.#nameOf)
      if (next.ok) decisions.push(next.value)
      else this.#waits(act.blog, next.code, next.reason)
    }
    const roster = council.roster()
    if (roster === null) return
    // A loss is a second act about its blog.
    const atOnce = decisions.some(({ isLoss }) => isLoss)
      ? Math.floor(maxActsAtOnce / 2)
      : maxActsAtOnce
    for (let at = 0; at < decisions.length; at += atOnce) {
      const some = decisions.slice(at, at + atOnce)
      let over: readonly NextAct[] = []
      const written = await council.writeAll(namesLog, roster.council, () => {
        over = some.filter(({ assign }) => this.#hasChanged(assign))
        return some
          .filter((each) => !over.includes(each))
          .filter(({ assign }) => council.names()?.blogs.get(assign.blog)?.id === assign.ends)
          .flatMap(({ assign, isLoss }) => (isLoss ? withLoss(assign) : [assign]))
      })
      if (!written.ok) {
        for (const { assign } of some) this.#waits(assign.blog, written.code, written.reason)
        continue
      }
      // The next look decides anew, of those that are sealed first.
      for (const { assign } of over) this.#triedMs.delete(assign.blog)
      const done = some.filter((each) => !over.includes(each))
      await store.write(done.map(({ assign }) => ({ type: 'del', key: intentKey(assign.blog) })))
      for (const { assign } of done) {
        this.#triedMs.delete(assign.blog)
        this.#stuck.delete(assign.blog)
      }
      this.#announce(written.value)
    }
  }

  /**
   * Whether a replica that an act would add has become another store while the blog was sealed: under
   * that act the one that it was would give no receipt, and answer no seal.
   */
  #hasChanged({ blog, replicas }: NextAct['assign']): boolean {
    const { alive, council } = this.#exchange
    const members = council.roster()?.members
    const before = council.names()?.blogs.get(blog)?.replicas ?? []
    return replicas.some(
      (each) =>
        !before.some((other) => sameReplica(each, other)) &&
        (members?.get(each.peer)?.store !== each.store || alive.hasOtherStore(each)),
    )
  }

  readonly #nameOf = (peer: PeerName): string =>
    this.#exchange.council.roster()?.members.get(peer)?.name ?? peer

  #waits(blog: BlogName, code: string, reason: string): void {
    const { sinceMs = this.#clock.now() } = this.#stuck.get(blog) ?? {}
    this.#stuck.set(blog, { sinceMs, code, reason })
    this.#log.warn('seal_waits', { blog, code, reason })
  }

  /** Not waited for: a dead replica must not hold up the blogs behind this one. */
  #announce(written: readonly WrittenAct[]): void {
    const told = written.flatMap(({ act, proof }) => {
      if (act.decision.kind !== 'assign') {
        void this.#exchange.tell(namesLog, proof, []).catch(() => undefined)
        return []
      }
      const { blog, epoch, primary, replicas, reason } = act.decision
      const peers = replicas.map(({ peer }) => peer)
      this.#log.info('assign', { blog, epoch, primary, replicas: peers, reason })
      return [{ proof, replicas: peers }]
    })
    this.#exchange.tellAll(told)
  }
}

/**
 * The assignment, and what was given up for it in an act of its own, which says which assignment gave
 * it up. Both are written at once: a loss that is accepted is never left unsaid.
 */
function withLoss(decision: Decision & { readonly kind: 'assign' }): NextDecision[] {
  const { blog, reason, evidence } = decision
  if (evidence === null) return [decision]
  return [decision, (assign) => ({ kind: 'loss', blog, assign, reason, evidence })]
}
