/**
 * The answer of every check on data from outside (STYLE 2.5): either the checked value, or a code
 * that never changes its meaning and one sentence for a person: what is wrong and what to do.
 */
export type Verdict<T, C extends string = string> =
  | { readonly ok: true; readonly value: T }
  | Refusal<C>

/** A refused input. Nothing was stored. */
export type Refusal<C extends string = string> = {
  readonly ok: false
  readonly code: C
  readonly reason: string
  /** after how many ms the same may be tried again, where that alone helps */
  readonly retryMs?: number
}

export function accept<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value }
}

export function refuse<C extends string>(
  code: C,
  reason: string,
  more: Pick<Refusal, 'retryMs'> = {},
): Refusal<C> {
  return { ok: false, code, reason, ...more }
}
