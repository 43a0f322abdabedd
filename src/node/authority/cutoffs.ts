import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { type LogName, rosterLog } from '../../replication/log/log.ts'
import type { Decision } from '../../replication/registry/act.ts'
import type { CouncilLogs } from '../../replication/registry/council-logs.ts'
import type { Names } from '../../replication/registry/names.ts'
import type { ProofOfAct } from '../../replication/registry/proof.ts'
import {
  authorityOf,
  findMember,
  type Member,
  type Roster,
} from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'
import { unknownMember } from './refusals.ts'

/** What a cut-off or its end comes to. */
export type CutOff = {
  readonly member: Pick<Member, 'name' | 'peer' | 'operator'>
  /** seq of the act in `@roster`; null when nothing was written */
  readonly seq: number | null
  /** blogs that it leads, that it keeps for others, and that nobody else has a copy of */
  readonly blogs: { readonly led: number; readonly kept: number; readonly only: readonly string[] }
}

/**
 * Decides whether a member may be cut off, or come back. Pure.
 * Codes: CUTOFF_AUTHORITY, CUTOFF_ALREADY, REINSTATE_NOT_CUT_OFF.
 */
export function decideCutOff(
  roster: Roster,
  member: Member,
  asked: {
    readonly kind: 'cutoff' | 'reinstate'
    readonly reason: string
    readonly evidence: string | null
  },
): Verdict<Decision> {
  const { kind, reason, evidence } = asked
  if (kind === 'cutoff' && member.peer === authorityOf(roster)) {
    return refuse(
      'CUTOFF_AUTHORITY',
      `${member.name} is the council's authority: it cannot cut itself off.`,
    )
  }
  if ((kind === 'cutoff') === member.cutOff) {
    return kind === 'cutoff'
      ? refuse('CUTOFF_ALREADY', `${member.name} is cut off already.`)
      : refuse('REINSTATE_NOT_CUT_OFF', `${member.name} is not cut off.`)
  }
  return accept({ kind, peer: member.peer, reason, evidence })
}

/** Cuts spokes off by an act with its reason and evidence, and takes them back (DESIGN 8). */
export class CutOffs {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Codes: MEMBER_UNKNOWN, those of `decideCutOff`, ACT_NOT_IN_FORCE, and those of a text when the
   * evidence cannot stand in an act.
   *
   * @param which - its name or its peer id
   * @param isDry - only looks what it would come to
   */
  async decide(
    which: string,
    asked: Parameters<typeof decideCutOff>[2],
    isDry: boolean,
  ): Promise<Verdict<CutOff>> {
    const { council, log, tell } = this.#parts
    const roster = council.roster()
    const found = roster === null ? null : findMember(roster, which)
    if (roster === null || found === null) {
      return unknownMember(which)
    }
    const { peer } = found
    const evidence =
      asked.evidence ?? (asked.kind === 'cutoff' ? this.#parts.evidenceOf(peer) : null)
    const outcome = { member: found, seq: null, blogs: blogsOf(council.names(), peer) }
    const judged = decideCutOff(roster, found, { ...asked, evidence })
    if (!judged.ok || isDry) return judged.ok ? accept(outcome) : judged
    let refusal: Refusal | null = null
    const written = await council.write(rosterLog, roster.council, () => {
      const now = council.roster() as Roster
      const decision = decideCutOff(now, now.members.get(peer) as Member, {
        ...asked,
        evidence,
      })
      if (decision.ok) return decision.value
      refusal = decision
      return null
    })
    if (refusal !== null) return refusal
    if (!written.ok) return written
    if (written.value === null) return accept(outcome)
    const { act, proof } = written.value
    log.info('roster', { kind: asked.kind, peer, name: found.name, reason: asked.reason })
    await tell(rosterLog, proof, [])
    return accept({ ...outcome, seq: act.seq })
  }
}

function blogsOf(names: Names | null, peer: PeerName): CutOff['blogs'] {
  const kept = [...(names?.blogs.values() ?? [])].filter(({ replicas }) =>
    replicas.some((replica) => replica.peer === peer),
  )
  const led = kept.filter(({ primary }) => primary === peer)
  const only = kept.filter(({ replicas }) => replicas.length === 1)
  return { led: led.length, kept: kept.length - led.length, only: only.map(({ blog }) => blog) }
}

type Parts = {
  readonly council: CouncilLogs
  /** what was reported about a peer, where its operator gives nothing else */
  readonly evidenceOf: (peer: PeerName) => string | null
  readonly log: ComponentLog
  /** announces an act in force; resolves soon */
  readonly tell: (log: LogName, proof: ProofOfAct, replicas: readonly PeerName[]) => Promise<void>
}
