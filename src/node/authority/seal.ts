import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import type { SealAnswer, SealOrder } from '../../replication/exchange/seals.ts'
import type { BlogName } from '../../replication/log/entry.ts'
import { namesLog } from '../../replication/log/log.ts'
import type { EntryId } from '../../replication/log/text.ts'
import { maxSealsAtOnce } from '../../replication/protocol.ts'
import type { NamedBlog } from '../../replication/registry/names.ts'
import type { ProofOfAct } from '../../replication/registry/proof.ts'
import { signSeal } from '../../replication/registry/seal.ts'
import type { ComponentLog } from '../logger.ts'
import { planFailover } from './failover.ts'

/** How long a replica may take to answer a seal, ms. */
const sealMs = 3_000
/** A blog that too few replicas answered for is tried again after this time, ms. */
const retryMs = 5_000
/** What the authority wants with an act, kept before the first seal (REPLICATION 12). */
type Intent = { readonly reason: string; readonly evidence: string | null }
type IntentRow = Intent & { readonly act: EntryId }
const intentKey = (blog: string) => `sealing/${blog}`

/**
 * Ends acts and writes the next ones. The intent is stored before the first seal, so that what was
 * sealed is finished after a crash of the authority at any step: until then the blog is read only.
 */
export class Sealing {
  readonly #exchange: Pick<Exchange, 'council' | 'seals' | 'store' | 'tell'>
  readonly #signer: PeerSigner
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #running = new Set<BlogName>()
  /** when a blog that waits for its replicas was tried last */
  readonly #triedMs = new Map<BlogName, number>()
  #round = 0

  constructor(parts: {
    readonly exchange: Pick<Exchange, 'council' | 'seals' | 'store' | 'tell'>
    readonly signer: PeerSigner
    readonly clock: Clock
    readonly log: ComponentLog
  }) {
    this.#exchange = parts.exchange
    this.#signer = parts.signer
    this.#clock = parts.clock
    this.#log = parts.log
  }

  /** Blogs that were to be sealed and have no next act yet. */
  async unfinished(): Promise<Map<BlogName, Intent>> {
    const { council, store } = this.#exchange
    const open = new Map<BlogName, Intent>()
    for (const [key, value] of await store.values(intentKey(''))) {
      const blog = key.slice(intentKey('').length) as BlogName
      const { act, reason, evidence } = value as IntentRow
      // The next act was written, and the crash came before this was forgotten.
      if (council.names()?.blogs.get(blog)?.id !== act) await store.write([{ type: 'del', key }])
      else open.set(blog, { reason, evidence })
    }
    return open
  }

  /**
   * Ends the acts in force of these blogs and writes the next: the same replicas, led by one that
   * answers. Those that too few replicas answer for stay sealed, and are tried again with a later call.
   */
  async failOver(intents: ReadonlyMap<BlogName, Intent>): Promise<void> {
    const nowMs = this.#clock.now()
    const fresh = [...intents.keys()].filter(
      (blog) =>
        !this.#running.has(blog) && nowMs - (this.#triedMs.get(blog) ?? -Infinity) >= retryMs,
    )
    for (const blog of fresh) {
      this.#running.add(blog)
      this.#triedMs.set(blog, nowMs)
    }
    try {
      for (let at = 0; at < fresh.length; at += maxSealsAtOnce)
        await this.#endSome(fresh.slice(at, at + maxSealsAtOnce), intents)
    } finally {
      for (const blog of fresh) this.#running.delete(blog)
    }
  }

  async #endSome(
    blogs: readonly BlogName[],
    intents: ReadonlyMap<BlogName, Intent>,
  ): Promise<void> {
    const { council, store } = this.#exchange
    const named = blogs.flatMap((blog) => council.names()?.blogs.get(blog) ?? [])
    await store.write(
      named.map(({ blog, id }) =>
        store.putValue(intentKey(blog), { ...intents.get(blog), act: id }),
      ),
    )
    const orders = new Map<BlogName, SealOrder>()
    // A round is asked once, also after a restart or when the clock was set back.
    this.#round = Math.max(this.#round + 1, this.#clock.now())
    for (const each of named) {
      const proof = await council.proof(namesLog, each.seq)
      if (proof !== null) orders.set(each.blog, { proof, seal: this.#seal(each) })
    }
    const answers = await this.#askAll(named, orders)
    for (const each of named) {
      const intent = intents.get(each.blog) as Intent
      await this.#next(each, answers.get(each.blog) ?? new Map(), intent)
    }
  }

  #seal({ blog, id, epoch }: NamedBlog) {
    const { council } = this.#exchange.council.roster() ?? { council: '' }
    const atMs = this.#clock.now()
    return signSeal(this.#signer, {
      ...{ council, log: blog, act: id, epoch, round: this.#round, atMs },
    })
  }

  async #askAll(
    named: readonly NamedBlog[],
    orders: ReadonlyMap<BlogName, SealOrder>,
  ): Promise<Map<BlogName, Map<PeerName, SealAnswer>>> {
    const byPeer = new Map<PeerName, SealOrder[]>()
    for (const { blog, replicas } of named) {
      const order = orders.get(blog)
      if (order === undefined) continue
      for (const { peer } of replicas) byPeer.set(peer, [...(byPeer.get(peer) ?? []), order])
    }
    const answers = new Map<BlogName, Map<PeerName, SealAnswer>>()
    await Promise.all(
      [...byPeer].map(async ([peer, wanted]) => {
        const given = await this.#exchange.seals.ask(peer, wanted, sealMs).catch(() => null)
        for (const [blog, answer] of given ?? []) {
          const { promise } = answer
          const asked = named.find((each) => each.blog === blog)
          // Answers count for the round that asked.
          if (promise.round !== this.#round || promise.act !== asked?.id) continue
          if (promise.epoch !== asked.epoch) continue
          answers.set(blog, (answers.get(blog) ?? new Map()).set(peer, answer))
        }
      }),
    )
    return answers
  }

  async #next(
    before: NamedBlog,
    answers: ReadonlyMap<PeerName, SealAnswer>,
    intent: Intent,
  ): Promise<void> {
    const { council, store } = this.#exchange
    const { blog } = before
    const planned = planFailover(before, answers, intent)
    if (!planned.ok) {
      this.#log.warn('seal_waits', { blog, code: planned.code, reason: planned.reason })
      return
    }
    const roster = council.roster()
    if (roster === null) return
    const written = await council.write(namesLog, roster.council, () =>
      council.names()?.blogs.get(blog)?.id === before.id ? planned.value : null,
    )
    if (!written.ok) {
      this.#log.warn('seal_waits', { blog, code: written.code, reason: written.reason })
      return
    }
    await store.write([{ type: 'del', key: intentKey(blog) }])
    this.#triedMs.delete(blog)
    if (written.value === null) return
    const { epoch, primary, replicas } = planned.value
    this.#log.info('fail_over', { blog, epoch, primary })
    this.#tell(
      written.value.proof,
      replicas.map(({ peer }) => peer),
    )
  }

  /** Not waited for: a dead replica must not hold up the blogs behind this one. */
  #tell(proof: ProofOfAct, replicas: readonly PeerName[]): void {
    void this.#exchange.tell(namesLog, proof, replicas).catch(() => undefined)
  }
}
