import { ReplicationError } from '../errors.ts'

/** What an honest source, which checks all that it offers, would never have sent. */
export class SourceLie extends Error {
  readonly code: string

  constructor(code: string, reason: string) {
    super(reason)
    this.code = code
  }
}

/** Whether a failure shows that the source lies; a frame or page that is none of either counts too. */
export const isLie = (error: unknown): error is SourceLie | ReplicationError =>
  error instanceof SourceLie ||
  (error instanceof ReplicationError && error.code === 'PEER_ANSWER_MALFORMED')

/** Whether a source was not there, or did not want to answer: it is followed again. */
export const isAway = (error: unknown): boolean =>
  error instanceof ReplicationError &&
  (error.code === 'PEER_UNREACHABLE' || error.code === 'PEER_REFUSED')
