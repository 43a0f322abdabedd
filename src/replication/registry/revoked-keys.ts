import type { Fingerprint } from '../../auth/public-key.ts'
import {
  checkCertificate,
  describeCertificate,
  type Revocation,
  type RevocationReason,
} from '../../auth/revocation.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Act, Decision } from './act.ts'

/** A key that the council knows to be revoked. */
export type RevokedKey = {
  readonly key: Fingerprint
  readonly reason: RevocationReason
  /** no reason or compromised: what the key ever signed is in doubt */
  readonly isHard: boolean
  /** the owner's words, one line, perhaps empty; never to be trusted */
  readonly text: string
  /** the certificate's date: the owner's word, ms */
  readonly dateMs: number
  /** date of the first act that revoked the key: since then the council knows, ms */
  readonly knownMs: number
  /** seq of the act in `@names` that counts */
  readonly seq: number
}

export type RevokeAct = Act & { readonly decision: Decision & { readonly kind: 'revoke' } }

export const isRevokeAct = (act: Act): act is RevokeAct => act.decision.kind === 'revoke'

/**
 * Whether the act's certificate revokes the key that the act names. A function of its bytes.
 * Codes: REVOCATION_KEY (another key), and those of `checkCertificate`.
 */
export async function checkRevokeAct({ decision }: RevokeAct): Promise<Verdict<Revocation>> {
  const revocation = await checkCertificate(decision.certificate)
  return revocation.ok && revocation.value.key !== decision.key
    ? refuse(
        'REVOCATION_KEY',
        `The act names ${decision.key}, its certificate revokes ${revocation.value.key}.`,
      )
    : revocation
}

/**
 * What acts `revoke` come down to, in whatever order they come: one key, one entry. A hard
 * revocation counts before a soft one, then the act that was written first.
 */
export class RevokedKeys {
  readonly #keys = new Map<string, RevokedKey>()
  /** of the acts `revoke`, as they came */
  readonly seqs: number[] = []

  of(key: string): RevokedKey | null {
    return this.#keys.get(key) ?? null
  }

  /**
   * Whether one more revocation of a key says anything new: a key is revoked once, and a hard
   * revocation may follow a soft one. Code REVOCATION_KNOWN.
   */
  check({ key, isHard }: Pick<Revocation, 'key' | 'isHard'>): Verdict<void> {
    const known = this.of(key)
    return known === null || (isHard && !known.isHard)
      ? accept(undefined)
      : refuse(
          'REVOCATION_KNOWN',
          `The key ${key} is revoked already: act ${known.seq} of @names. Nothing more needs to be done.`,
        )
  }

  /** Applies an act whose certificate was checked. */
  apply(act: RevokeAct): void {
    const revocation = describeCertificate(act.decision.certificate)
    if (revocation === null) return
    this.seqs.push(act.seq)
    const { key, reason, isHard, text, dateMs } = revocation
    const added = { key, reason, isHard, text, dateMs, knownMs: act.dateMs, seq: act.seq }
    this.#keys.set(key, strongest(this.of(key), added) as RevokedKey)
  }
}

/** What counts of two; null when there is none. */
export function strongest(one: RevokedKey | null, other: RevokedKey | null): RevokedKey | null {
  if (one === null || other === null) return one ?? other
  const isOther = other.isHard === one.isHard ? other.seq < one.seq : other.isHard
  return { ...(isOther ? other : one), knownMs: Math.min(one.knownMs, other.knownMs) }
}

const why = ['no reason given', 'superseded', 'compromised', 'retired'] as const

/** The reason in one or three words. */
export function reasonWord({ reason }: Pick<RevokedKey, 'reason'>): string {
  return why[reason]
}
