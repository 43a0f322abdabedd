import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Head } from '../log/log.ts'
import { type Replica, sameReplica } from '../log/peer-text.ts'
import { majority } from '../log/receipt.ts'
import type { EntryId } from '../log/text.ts'
import type { Act, AssignFields } from './act.ts'
import { checkProof, type ProofOfAct } from './proof.ts'
import type { Roster } from './roster.ts'

/** An act of kind `assign`, in force: which spokes keep a blog, and who takes its writes. */
export type Assignment = AssignFields & {
  /** id of the act: receipts, seals and later acts name it */
  readonly id: EntryId
  readonly council: string
  /** seq in `@names` */
  readonly seq: number
  readonly dateMs: number
  readonly proof: ProofOfAct
}

export function toAssignment(act: Act, proof: ProofOfAct): Assignment | null {
  const { decision } = act
  if (decision.kind !== 'assign') return null
  const { kind: _, ...fields } = decision
  return { ...fields, id: act.id, council: act.council, seq: act.seq, dateMs: act.dateMs, proof }
}

/** Checks a proof of act that should be an assignment. Codes: those of `checkProof`, ACT_NOT_ASSIGN. */
export function readAssignment(proof: ProofOfAct, roster: Roster | null): Verdict<Assignment> {
  const act = checkProof(proof, roster)
  if (!act.ok) return act
  const assignment = toAssignment(act.value, proof)
  return assignment === null
    ? refuse('ACT_NOT_ASSIGN', 'The act is no assignment.')
    : accept(assignment)
}

/** How many receipts make an entry published under this act; null while n = 1 (REPLICATION 4). */
export const publishedFrom = (assignment: AssignFields): number | null =>
  assignment.replicas.length === 1 ? null : majority(assignment.replicas.length)

/** Where a second act of one epoch is kept: the proof of a lying authority. */
export const secondActKey = ({ blog, epoch }: AssignFields) => `lying/${blog}/${epoch}`

/** Entries that every log of this blog holds once it reaches them: whatever a replica says. */
export const namedEntries = ({ genesis, head }: AssignFields): readonly Head[] => [
  { seq: 0, id: genesis },
  head,
]

export const names = (assignment: AssignFields, replica: Replica): boolean =>
  assignment.replicas.some((each) => sameReplica(each, replica))
