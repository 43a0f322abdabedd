import { type PeerName, type PeerSigner, parsePeerName, verifyPeer } from './peer-signature.ts'
import { type Fingerprint, parseFingerprint } from './public-key.ts'
import { accept, type Refusal, refuse, type Verdict } from './verdict.ts'

/** How long a session may last, ms. */
export const maxSessionMs = 12 * 3_600_000
/** How long a pass from one host to another counts, ms. */
export const passMs = 60_000
/** How far the clocks of two spokes may lie apart, ms. */
const maxSkewMs = 60_000
/** Characters of one token; longer ones are not looked at. */
const maxTokenCharacters = 2_000

/** `session`: what a login left in the browser. `enter`: a pass to another host, used once. */
export type TokenKind = 'session' | 'enter'

/**
 * A spoke's signed word that a browser proved to hold a key, for one host (DESIGN 6). Every spoke of
 * the roster accepts it, so it survives a fail-over. It lets its holder preview and look; it never
 * publishes anything.
 */
export type Token = {
  /** `zone/council id` */
  readonly council: string
  /** the spoke that checked the login */
  readonly peer: PeerName
  readonly key: Fingerprint
  /** host for which it counts, without port */
  readonly host: string
  /** 32 lower-case hex digits */
  readonly id: string
  readonly issuedMs: number
  readonly expiresMs: number
}

const fields = ['council', 'peer', 'key', 'host', 'id', 'issued', 'expires'] as const
const lifeMs: Readonly<Record<TokenKind, number>> = { session: maxSessionMs, enter: passMs }

/** The token as it stands in a cookie or address: text and signature, base64url, joined by a dot. */
export function signToken(signer: PeerSigner, kind: TokenKind, token: Omit<Token, 'peer'>): string {
  const text = Buffer.from(textOf(kind, { ...token, peer: signer.peer }))
  return `${text.toString('base64url')}.${Buffer.from(signer.sign(text)).toString('base64url')}`
}

/**
 * Reads a token. Codes: SESSION_MALFORMED, SESSION_OTHER (of another host or council),
 * SESSION_EXPIRED, SESSION_SIGNER (who signed it is no member now, or did not sign it).
 *
 * @param isMember - whether a peer is in `@roster` and not cut off
 */
export function readToken(
  kind: TokenKind,
  value: string,
  at: {
    readonly council: string
    readonly host: string
    readonly nowMs: number
    readonly isMember: (peer: PeerName) => boolean
  },
): Verdict<Token> {
  const parts = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})$/.exec(value)
  if (value.length > maxTokenCharacters || parts === null) return malformed()
  const text = Buffer.from(parts[1] as string, 'base64url')
  const token = parse(kind, text.toString('utf8'))
  // One text, one token: whatever reads in another way than it is written is not ours.
  if (token === null || textOf(kind, token) !== text.toString('utf8')) {
    return malformed()
  }
  if (token.council !== at.council || token.host !== at.host) {
    return refuse('SESSION_OTHER', 'You are logged in at another address. Log in here as well.')
  }
  const life = token.expiresMs - token.issuedMs
  const isNow = token.issuedMs <= at.nowMs + maxSkewMs && at.nowMs < token.expiresMs
  if (!isNow || life <= 0 || life > lifeMs[kind]) {
    return refuse('SESSION_EXPIRED', 'Your login is over. Log in again; what you wrote stays here.')
  }
  const signature = Buffer.from(parts[2] as string, 'base64url')
  return at.isMember(token.peer) && verifyPeer(token.peer, text, signature)
    ? accept(token)
    : refuse('SESSION_SIGNER', 'The server that let you in is no longer one of us. Log in again.')
}

function malformed(): Refusal {
  return refuse('SESSION_MALFORMED', 'You are not logged in.')
}

function textOf(kind: TokenKind, token: Token): string {
  const { council, peer, key, host, id, issuedMs, expiresMs } = token
  const values = [council, peer, key, host, id, String(issuedMs), String(expiresMs)]
  return [`council-${kind} 1`, ...fields.map((name, index) => `${name} ${values[index]}`)].join(
    '\n',
  )
}

function parse(kind: TokenKind, text: string): Token | null {
  const [first, ...lines] = text.split('\n')
  if (first !== `council-${kind} 1` || lines.length !== fields.length) return null
  const [council = '', peer = '', key = '', host = '', id = '', issued = '', expires = ''] =
    lines.map((line, index) => line.slice((fields[index] as string).length + 1))
  const named = parsePeerName(peer)
  const fingerprint = parseFingerprint(key)
  const isTime = (value: string) => /^[1-9][0-9]{12}$/.test(value)
  return named !== null &&
    fingerprint !== null &&
    /^[0-9a-f]{32}$/.test(id) &&
    isTime(issued) &&
    isTime(expires)
    ? {
        ...{ council, peer: named, key: fingerprint, host, id },
        ...{ issuedMs: Number(issued), expiresMs: Number(expires) },
      }
    : null
}

/** Ids kept of one kind; beyond it the oldest are forgotten. */
const maxUsedIds = 10_000

/** Ids that were used or ended here, until they expire by themselves. */
export class UsedIds {
  readonly #ids = new Map<string, number>()
  readonly #max: number

  constructor(max = maxUsedIds) {
    this.#max = max
  }

  /** @returns whether it was new */
  add({ id, expiresMs }: Pick<Token, 'id' | 'expiresMs'>, nowMs: number): boolean {
    for (const [old, endMs] of this.#ids) {
      if (endMs > nowMs && this.#ids.size < this.#max) break
      this.#ids.delete(old)
    }
    if (this.#ids.has(id)) return false
    this.#ids.set(id, expiresMs)
    return true
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }
}
