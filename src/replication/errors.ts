/** Failures that a caller can react to; the codes never change their meaning (STYLE 2.5). */
export type ReplicationErrorCode =
  /** the disk took no write: what was asked is not stored */
  | 'STORE_WRITE_FAILED'
  /** the disk is full: what was asked is not stored; what it says is for the author */
  | 'DISK_FULL'
  /** what stands on the disk does not decode, or is not what was written */
  | 'STORE_DAMAGED'
  /** another peer did not answer in time, or could not be dialled */
  | 'PEER_UNREACHABLE'
  /** another peer answered with a refusal; `refusal` holds its code and sentence */
  | 'PEER_REFUSED'
  /** another peer's answer does not have the form of the protocol */
  | 'PEER_ANSWER_MALFORMED'
  /** this peer has no `@roster` yet, or does not carry the log asked for */
  | 'NOT_READY'

export class ReplicationError extends Error {
  readonly code: ReplicationErrorCode
  /** the other peer's code, with PEER_REFUSED */
  readonly refusal: string | null
  /** when the other peer would take the same again, ms; null: it did not say */
  readonly retryMs: number | null

  constructor(
    code: ReplicationErrorCode,
    message: string,
    options: { cause?: unknown; refusal?: string; retryMs?: number | undefined } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : {})
    this.name = 'ReplicationError'
    this.code = code
    this.refusal = options.refusal ?? null
    this.retryMs = options.retryMs ?? null
  }
}
