import { describeCertificate } from '../../auth/revocation.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { BlogName } from '../log/entry.ts'
import type { Head } from '../log/log.ts'
import type { EntryId } from '../log/text.ts'
import type { Act, AssignFields } from './act.ts'
import { isLossAct, KnownLosses } from './loss.ts'
import { isRevokeAct, RevokedKeys } from './revoked-keys.ts'

/** What the fold of `@names` keeps of an assignment; its proof stays in the store, under `seq`. */
export type NamedBlog = AssignFields & {
  readonly id: EntryId
  readonly seq: number
  readonly dateMs: number
  /** seqs of all its assignments, in order of epoch, this one last */
  readonly acts: readonly number[]
}

/**
 * What `@names` says, up to its head: every blog's newest assignment, and the keys revoked. Grows in place, since a
 * council may have 100,000 names.
 */
export class Names {
  head: Head
  dateMs: number
  readonly blogs = new Map<BlogName, NamedBlog>()
  /** fingerprint → names given to it, for the quota */
  readonly byKey = new Map<string, BlogName[]>()
  /** genesis id → its blog, for claims */
  readonly byGenesis = new Map<EntryId, BlogName>()
  /** fingerprint of each key that an assignment ever named → a blog written with it */
  readonly writtenWith = new Map<string, BlogName>()
  readonly revoked = new RevokedKeys()
  readonly losses = new KnownLosses()

  constructor(first: Act) {
    this.head = { seq: 0, id: first.id }
    this.dateMs = first.dateMs
  }

  /**
   * The verdict on the next act, already placed, signed and in force; of a revocation the
   * certificate has been checked.
   * Codes: NAME_TAKEN (another genesis has it, or epoch 1 is over), NAME_EPOCH (not the next one),
   * REVOCATION_KNOWN, REVOCATION_FORM.
   */
  check(act: Act): Verdict<void> {
    const { decision } = act
    if (decision.kind === 'names')
      return refuse('NAME_EPOCH', 'Only entry 0 of @names is of kind "names".')
    if (decision.kind === 'revoke') {
      const revocation = describeCertificate(decision.certificate)
      return revocation === null
        ? refuse('REVOCATION_FORM', 'The act holds no certificate in the form that is kept.')
        : this.revoked.check(revocation)
    }
    if (decision.kind !== 'assign') return accept(undefined)
    const before = this.blogs.get(decision.blog)
    if (before === undefined) {
      return decision.epoch === 1
        ? accept(undefined)
        : refuse('NAME_EPOCH', `${decision.blog} has no assignment yet; its first epoch is 1.`)
    }
    if (before.genesis !== decision.genesis) {
      return refuse(
        'NAME_TAKEN',
        `${decision.blog} belongs to the genesis ${before.genesis} for ever.`,
      )
    }
    return decision.epoch === before.epoch + 1 && decision.ends === before.id
      ? accept(undefined)
      : refuse(
          'NAME_EPOCH',
          `The next epoch of ${decision.blog} is ${before.epoch + 1} and ends ${before.id}.`,
        )
  }

  /** Applies an act that `check` accepted. */
  apply(act: Act): void {
    const { decision } = act
    if (decision.kind === 'assign') {
      const { kind: _, ...fields } = decision
      if (decision.epoch === 1) {
        this.byKey.set(decision.key, [...(this.byKey.get(decision.key) ?? []), decision.blog])
        this.byGenesis.set(decision.genesis, decision.blog)
      }
      this.writtenWith.set(decision.key, decision.blog)
      const { id, seq, dateMs } = act
      const acts = [...(this.blogs.get(decision.blog)?.acts ?? []), seq]
      this.blogs.set(decision.blog, { ...fields, id, seq, dateMs, acts })
    }
    if (isRevokeAct(act)) this.revoked.apply(act)
    if (isLossAct(act)) this.losses.apply(act)
    this.head = { seq: act.seq, id: act.id }
    this.dateMs = act.dateMs
  }
}
