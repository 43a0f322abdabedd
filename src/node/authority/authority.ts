import type { PeerName } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Alive } from '../../replication/exchange/alive.ts'
import { checkGenesis } from '../../replication/exchange/check-genesis.ts'
import { checkRevoked } from '../../replication/exchange/revocations.ts'
import type { BlogName, Entry } from '../../replication/log/entry.ts'
import { type LogName, namesLog, rosterLog } from '../../replication/log/log.ts'
import type { Replica } from '../../replication/log/peer-text.ts'
import type { Signed } from '../../replication/log/text.ts'
import type { Decision, EditForm } from '../../replication/registry/act.ts'
import type { CouncilLogs } from '../../replication/registry/council-logs.ts'
import { type ProofOfAct, type ProofRow, proofRow } from '../../replication/registry/proof.ts'
import { isMember, type Member, type Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import { decideClaim, skeletonOf } from './claims.ts'
import { Copies } from './copies.ts'
import { candidatesOf, placeClaim } from './placement.ts'
import { noNames } from './refusals.ts'

/**
 * The peer that writes `@roster` and `@names`: founds the council and gives out names. Whom it
 * admits: `Admissions`.
 * What it decides is decided in pure functions beside it; here it asks, writes and tells.
 */
export class Authority {
  readonly #council: CouncilLogs
  readonly #alive: Alive
  readonly #keys: KeyRing
  readonly #clock: Clock
  readonly #log: ComponentLog
  readonly #self: PeerName
  readonly #tell: (log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]) => Promise<void>
  readonly #copies = new Copies()
  readonly #skeletons = new Map<string, BlogName>()
  #skeletonsUpTo = -1

  constructor(parts: {
    readonly council: CouncilLogs
    readonly alive: Alive
    readonly keys: KeyRing
    readonly clock: Clock
    readonly log: ComponentLog
    readonly self: PeerName
    /** announces an act in force; `replicas` are the peers that an assignment names; resolves soon */
    readonly tell: (log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]) => Promise<void>
  }) {
    this.#council = parts.council
    this.#alive = parts.alive
    this.#keys = parts.keys
    this.#clock = parts.clock
    this.#log = parts.log
    this.#self = parts.self
    this.#tell = parts.tell
  }

  /** Writes entry 0 of both logs, if this council does not exist yet. Throws when that fails. */
  async found(founding: {
    zone: string
    edit: EditForm
    replicas: number
    holder: Replica
  }): Promise<void> {
    const { zone, edit, replicas, holder } = founding
    const decision: Decision = {
      kind: 'council',
      edit,
      authority: this.#self,
      wanted: replicas,
      holder,
    }
    const roster = this.#council.roster()
    if (roster === null) {
      await this.#must(rosterLog, zone, () => decision)
      this.#log.info('council_founded', { council: this.#council.roster()?.council })
    }
    const council = (this.#council.roster() as Roster).council
    if (this.#council.names() === null)
      await this.#must(namesLog, council, () => ({ kind: 'names' }))
  }

  async #must(log: LogName, council: string, decide: () => Decision): Promise<void> {
    const written = await this.#council.write(log, council, decide)
    if (!written.ok) throw new Error(`cannot write ${log}: ${written.reason}`)
  }

  /**
   * Gives a name, or says why not; the same genesis again gets its assignment again.
   * Codes: those of `checkGenesis` and `decideClaim`, CLAIM_NOT_GENESIS, CLAIM_NOT_A_SPOKE,
   * KEY_REVOKED, ACT_NOT_IN_FORCE, NOT_READY.
   */
  async decideClaim(entry: Entry, offer: Signed, via: PeerName): Promise<Verdict<ProofRow>> {
    const roster = this.#council.roster()
    if (roster === null) return refuse('NOT_READY', 'The authority has no @roster yet.')
    if (entry.kind !== 'genesis')
      return refuse('CLAIM_NOT_GENESIS', 'A claim is a signed genesis entry.')
    const spoke = roster.members.get(via)
    if (!isMember(roster, via) || spoke?.roles.includes('spoke') !== true) {
      return refuse('CLAIM_NOT_A_SPOKE', 'Claims are handed in by admitted spokes.')
    }
    const checked = await checkGenesis(entry, offer, {
      council: roster.council,
      keys: this.#keys,
      nowMs: this.#clock.now(),
    })
    if (!checked.ok) return checked
    const known = await this.#given(entry)
    if (known !== null) return accept(known)
    const standing = checkRevoked(entry, (key) => this.#council.names()?.revoked.of(key) ?? null)
    if (!standing.ok) return standing
    let refusal: Refusal | null = null
    const written = await this.#council.write(namesLog, roster.council, () => {
      const names = this.#council.names()
      if (names === null || names.byGenesis.has(entry.id)) return null
      const decided = decideClaim(entry, via, {
        names,
        namesBySkeleton: this.#names(),
        nowMs: this.#clock.now(),
      })
      if (!decided.ok) refusal = decided
      else if (this.#mayHaveMore(roster)) refusal = justStarted
      else {
        const decision = this.#assign(entry, via)
        if (decision !== null) return decision
        refusal = noRoom
      }
      return null
    })
    if (refusal !== null) return refusal
    if (!written.ok) return written
    if (written.value === null) {
      const given = await this.#given(entry)
      return given === null ? noNames : accept(given)
    }
    const { act, proof } = written.value
    if (act.decision.kind === 'assign') {
      const { blog, replicas, epoch } = act.decision
      this.#log.info('assign', { blog, epoch, via, replicas: replicas.map((each) => each.peer) })
      // So that a name is in DNS at every DNS peer that is up when its claim is answered.
      await this.#tell(
        namesLog,
        proof,
        replicas.map((each) => each.peer).filter((peer) => peer !== via),
      )
    }
    return accept(proofRow(proof))
  }

  async #given(genesis: Entry): Promise<ProofRow | null> {
    const names = this.#council.names()
    const blog = names?.byGenesis.get(genesis.id)
    const named = blog === undefined ? undefined : names?.blogs.get(blog)
    const proof = named === undefined ? null : await this.#council.proof(namesLog, named.seq)
    return proof === null ? null : proofRow(proof)
  }

  /** Right after its start it has heard few: a blog placed now would have fewer copies for ever. */
  #mayHaveMore(roster: Roster): boolean {
    if (this.#alive.isSettled()) return false
    const all = candidatesOf(roster.members.values(), () => true)
    const live = all.filter(({ peer }) => this.#alive.isLive(peer))
    return live.length < Math.min(roster.wanted, all.length)
  }

  /** The first act of a blog; null when no spoke has room for it. */
  #assign(genesis: Entry, via: PeerName): Decision | null {
    const roster = this.#council.roster() as Roster
    const placed = placeClaim({
      via: roster.members.get(via) as Member,
      live: candidatesOf(roster.members.values(), (each) => this.#alive.isLiveAs(each)),
      mark: (peer) => this.#alive.mark(peer),
      n: roster.wanted,
      copies: this.#copies.follow(this.#council.names()),
    })
    if (placed === null) return null
    const { replicas, unmet } = placed
    const primary = (replicas[0] as Member).peer
    return {
      kind: 'assign',
      blog: genesis.log,
      genesis: genesis.id,
      key: genesis.key,
      epoch: 1,
      ends: null,
      replicas: replicas.map(({ peer, store }) => ({ peer, store })),
      primary,
      head: { seq: 0, id: genesis.id },
      via,
      reason: primary === via ? 'claimed' : 'claimed where there is no room for new blogs',
      unmet,
      evidence: null,
    }
  }

  /** Skeleton → name, brought up to date with `@names`. */
  #names(): ReadonlyMap<string, BlogName> {
    const names = this.#council.names()
    if (names !== null && names.head.seq > this.#skeletonsUpTo) {
      for (const blog of names.blogs.keys()) this.#skeletons.set(skeletonOf(blog), blog)
      this.#skeletonsUpTo = names.head.seq
    }
    return this.#skeletons
  }
}

const justStarted = refuse(
  'NOT_READY',
  'The authority has just started and does not know yet which spokes are alive.',
)
const noRoom = refuse(
  'NO_ROOM',
  'No spoke of this council has room for a new blog: the disk of each is over its mark. The claim goes on by itself when one has room.',
)
