import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../clock.ts'
import type { BlogName, Entry } from '../log/entry.ts'
import type { LogName } from '../log/log.ts'
import type { Receipt } from '../log/receipt.ts'
import type { Network } from '../network.ts'
import type { Gossip } from './gossip.ts'
import type { Pulls } from './pulls.ts'
import type { Push } from './push.ts'
import type { Records } from './records.ts'
import type { Kept, Replicas } from './replica.ts'
import type { Sync } from './sync.ts'
import type { Tails } from './tails.ts'
import type { Background, Report } from './world.ts'

/** Peers beside the act's replicas that a new primary asks for the head. */
const maxHeadAsked = 20
/** How long receipts gather before the primary passes them on to its secondaries, ms. */
const spreadMs = 200

type Parts = {
  readonly network: Pick<Network, 'connected'>
  readonly clock: Clock
  readonly self: PeerName
  readonly replicas: Replicas
  readonly sync: Pick<Sync, 'pullRange'>
  readonly push: Push
  readonly gossip: Gossip
  readonly records: Records
  readonly tails: Pick<Tails, 'note'>
  readonly pulls: Pick<Pulls, 'from'>
  readonly background: Background
  readonly report: Report
}

/**
 * What follows where this peer is a blog's primary or secondary: a primary takes the head that its
 * act names, sends its log and receipts to the others, and puts its record; a secondary pulls.
 */
export class Leading {
  readonly #parts: Parts
  readonly #spreading = new Set<BlogName>()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** An act names this peer for a blog, or names it no more. */
  assigned(kept: Kept): void {
    const { gossip, tails, pulls, background, report } = this.#parts
    const { blog, primary, epoch, replicas } = kept.assignment
    report('assignment', { blog, epoch, role: kept.role, n: replicas.length })
    gossip.follow()
    if (epoch > 1) tails.note(blog)
    if (kept.role === 'primary') background('lead', this.#lead(kept))
    else if (kept.role === 'secondary') pulls.from(primary, [blog])
  }

  /** Entries are in the log of a blog that is led here. */
  async grown(kept: Kept, items: readonly Entry[]): Promise<void> {
    const { gossip, push } = this.#parts
    await gossip.announce(kept, items)
    push.afterGossip(kept, gossip.enabled)
  }

  /** This peer has given a receipt: its primary counts it. */
  given(kept: Kept, receipt: Receipt): void {
    this.#parts.push.sendReceipts(kept.assignment.primary, [receipt])
  }

  /** Another replica's receipt has come: the secondaries hear of it, and the record may be due. */
  received(kept: Kept): void {
    const { clock, replicas, push, records, background } = this.#parts
    const { blog } = kept.assignment
    if (kept.role !== 'primary') return
    if (records.want(kept)) background('put', records.putDue())
    if (this.#spreading.has(blog)) return
    this.#spreading.add(blog)
    clock.after(spreadMs, () => {
      this.#spreading.delete(blog)
      const now = replicas.get(blog)
      if (now?.role !== 'primary') return
      for (const { peer } of now.assignment.replicas) push.sendReceipts(peer, now.receipts.all())
    })
  }

  /** A damaged replica was silent about the blog: it has something to say again. */
  healed(log: LogName): void {
    const { replicas, background } = this.#parts
    const kept = replicas.get(log as BlogName)
    if (kept?.role === 'primary') background('lead', this.#lead(kept))
    else if (kept?.role === 'secondary') background('give', replicas.give(kept))
  }

  /** A member has connected: it gets what it keeps of the blogs that are led here. */
  connected(peer: PeerName): void {
    const { replicas, push } = this.#parts
    for (const kept of replicas.all()) {
      if (kept.role === 'primary' && kept.assignment.replicas.some((each) => each.peer === peer))
        push.to(peer, kept)
    }
  }

  /** The regular round: whatever was lost on its way goes out again. */
  round(): void {
    const { replicas, background } = this.#parts
    for (const kept of replicas.all()) {
      if (kept.role === 'primary') background('lead', this.#lead(kept))
    }
  }

  async #lead(kept: Kept): Promise<void> {
    const { replicas, push, records } = this.#parts
    if ((await replicas.lead(kept)) === null && !(await this.#fetchHead(kept))) return
    push.toAll(kept)
    records.want(kept)
    await records.putDue()
  }

  /** A new primary takes the head that the act names from whoever has it: it is signed. */
  async #fetchHead(kept: Kept): Promise<boolean> {
    const { network, self, sync, replicas: held } = this.#parts
    const { head, replicas, epoch } = kept.assignment
    // The genesis comes with the claim.
    if (epoch === 1) return false
    const named = replicas.map(({ peer }) => peer)
    // A replica that the act leaves out may be the one that has it.
    const others = network.connected().filter((peer) => !named.includes(peer))
    for (const peer of [...named, ...others.slice(0, maxHeadAsked)]) {
      if (peer === self) continue
      await sync.pullRange(peer, kept, head).catch(() => undefined)
      if ((await held.lead(kept)) !== null) return true
    }
    return false
  }
}
