/** PEER_KEY_NOT_ED25519: a peer's own private key is of a kind that cannot sign for the council. */
export type AuthErrorCode = 'PEER_KEY_NOT_ED25519'

/** A failure of this folder that a caller can react to; bad data from outside is a `Verdict`. */
export class AuthError extends Error {
  readonly code: AuthErrorCode

  constructor(code: AuthErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AuthError'
    this.code = code
  }
}
