import { randomBytes } from 'node:crypto'
import type { PeerSigner } from '../auth/peer-signature.ts'
import type { Fingerprint } from '../auth/public-key.ts'
import {
  maxSessionMs,
  passMs,
  readToken,
  signToken,
  type Token,
  type TokenKind,
} from '../auth/session.ts'
import { refuse, type Verdict } from '../auth/verdict.ts'
import type { CouncilLogs } from '../replication/registry/council-logs.ts'

type Parts = {
  readonly signer: PeerSigner
  readonly council: CouncilLogs
  readonly now: () => number
}

/** Sessions and passes: this spoke signs them while it is a member, and reads those of all members. */
export class WebTokens {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  #council(): string | null {
    return this.#parts.council.roster()?.council ?? null
  }

  /** null: this spoke is no member now */
  sign(
    kind: TokenKind,
    of: { readonly key: Fingerprint; readonly host: string; readonly id: string | null },
  ): string | null {
    const council = this.#council()
    const { signer } = this.#parts
    if (council === null || !this.#parts.council.isMember(signer.peer)) return null
    const issuedMs = this.#parts.now()
    const expiresMs = issuedMs + (kind === 'session' ? maxSessionMs : passMs)
    const id = of.id ?? randomBytes(16).toString('hex')
    return signToken(signer, kind, { council, ...of, id, issuedMs, expiresMs })
  }

  read(kind: TokenKind, value: string, host: string): Verdict<Token> {
    const council = this.#council()
    if (council === null) return refuse('NOT_READY', 'This server has not joined its council yet.')
    return readToken(kind, value, {
      ...{ council, host, nowMs: this.#parts.now() },
      isMember: (peer) => this.#parts.council.isMember(peer),
    })
  }
}
