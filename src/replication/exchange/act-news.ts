import type { PeerName } from '../../auth/peer-signature.ts'
import { type Clock, within } from '../clock.ts'
import { type LogName, namesLog, rosterLog } from '../log/log.ts'
import type { GossipVerdict, Network } from '../network.ts'
import type { Act } from '../registry/act.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { type ProofOfAct, proofRow } from '../registry/proof.ts'
import type { Alive } from './alive.ts'
import type { Gossip } from './gossip.ts'
import type { Losses } from './losses.ts'
import type { Neighbours } from './neighbours.ts'
import type { Pulls } from './pulls.ts'
import type { Push } from './push.ts'
import type { Replicas } from './replica.ts'
import type { Revocations } from './revocations.ts'
import type { Background } from './world.ts'

/** How long the authority waits for those that a new act of `@names` is sent to, ms. */
const tellMs = 1_000

type Parts = {
  readonly network: Pick<Network, 'connected'>
  readonly clock: Clock
  readonly self: PeerName
  readonly council: CouncilLogs
  readonly replicas: Pick<Replicas, 'get' | 'learn'>
  readonly neighbours: Pick<Neighbours, 'namesPeers'>
  readonly alive: Pick<Alive, 'carriesNames'>
  readonly gossip: Pick<Gossip, 'announceAct'>
  readonly push: Pick<Push, 'sendAct' | 'sendActs'>
  readonly pulls: Pick<Pulls, 'from'>
  readonly revocations: Pick<Revocations, 'take'>
  readonly losses: Pick<Losses, 'take'>
  readonly background: Background
}

/**
 * How a new act in force gets around: the authority sends it out, and whoever hears it takes what is
 * its own. A peer that carries `@names` takes all of them, and learns its assignments from there.
 */
export class ActNews {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Tells the council of a new act in force; for the authority. Resolves when the replicas that it
   * names, and of `@names` the peers that carry it, have it, or after a second: gossip and pull
   * bring it to the rest.
   */
  async tell(log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]): Promise<void> {
    const { clock, network, neighbours, gossip, push, self, background } = this.#parts
    background('announce', gossip.announceAct(log, proof))
    if (log !== namesLog) return
    const connected = new Set(network.connected())
    const told = [...new Set([...replicas, ...neighbours.namesPeers()])]
      .filter((peer) => peer !== self && connected.has(peer))
      .map((peer) => push.sendAct(peer, proof))
    await within(clock, tellMs, Promise.allSettled(told), [])
  }

  /** The same for assignments that were written together: each peer gets its own in one message. */
  tellAll(written: readonly { proof: ProofOfAct; replicas: readonly PeerName[] }[]): void {
    const { network, neighbours, gossip, push, self, background } = this.#parts
    for (const { proof } of written) background('announce', gossip.announceAct(namesLog, proof))
    const carriers = new Set(neighbours.namesPeers())
    for (const peer of network.connected()) {
      if (peer === self) continue
      const its = written.filter(({ replicas }) => carriers.has(peer) || replicas.includes(peer))
      const proofs = its.map(({ proof }) => proof)
      // Who does not take them now has them by gossip or with its next pull.
      if (proofs.length > 0) push.sendActs(peer, proofs).catch(() => undefined)
    }
  }

  /** An act that the authority gossiped, its form checked. */
  async heard(from: PeerName, log: LogName, proof: ProofOfAct): Promise<GossipVerdict> {
    const { alive, council, pulls, revocations, losses, replicas } = this.#parts
    if (log === rosterLog || alive.carriesNames()) {
      const outcome = await council.take(log, [proof], 'gossip')
      if (outcome.kind === 'held') return 'accept'
      if (outcome.kind === 'refused' && outcome.refusal.code !== 'ROSTER_BEHIND') return 'reject'
      pulls.from(from, log === rosterLog ? [rosterLog] : [rosterLog, namesLog])
      return 'ignore'
    }
    const act = council.checkProof(proof)
    if (!act.ok) {
      if (act.code !== 'ROSTER_BEHIND') return 'reject'
      pulls.from(from, [rosterLog])
      return 'ignore'
    }
    const { decision } = act.value
    if (decision.kind === 'revoke') {
      if (!(await revocations.take(proof)).ok) return 'reject'
    } else if (decision.kind === 'loss') {
      if (!(await losses.take(proof)).ok) return 'reject'
    } else if (this.#concerns(act.value)) await replicas.learn(proofRow(proof))
    return 'accept'
  }

  /** New acts stand in `@names` here: those about blogs that are, or were, kept here are learned. */
  named(acts: readonly Act[]): void {
    for (const act of acts)
      if (this.#concerns(act)) this.#parts.background('learn', this.#learnAt(act.seq))
  }

  /**
   * Learns what stands in `@names` here and was not learned when it came: the process ended between
   * the two writes, or the disk took only the first.
   */
  async learnNamed(): Promise<void> {
    const { council, replicas: held, self } = this.#parts
    for (const { blog, epoch, replicas, seq } of council.names()?.blogs.values() ?? []) {
      const known = held.get(blog)?.assignment.epoch ?? null
      const isOurs = known !== null || replicas.some((each) => each.peer === self)
      if (isOurs && (known ?? 0) < epoch) await this.#learnAt(seq)
    }
  }

  #concerns({ decision }: Act): boolean {
    if (decision.kind !== 'assign') return false
    const { self, replicas } = this.#parts
    return (
      decision.replicas.some(({ peer }) => peer === self) || replicas.get(decision.blog) !== null
    )
  }

  async #learnAt(seq: number): Promise<void> {
    const { council, replicas } = this.#parts
    const proof = await council.proof(namesLog, seq)
    if (proof !== null) await replicas.learn(proofRow(proof))
  }
}
