import { createHash, timingSafeEqual } from 'node:crypto'
import { createMessage, encrypt } from 'openpgp'
import {
  codeAlphabet,
  codeCharacters,
  decryptText,
  type LoginWords,
  readCode,
  signText,
} from './login-text.ts'
import { policy } from './policy.ts'
import type { Fingerprint, PublicKey } from './public-key.ts'
import { readSignature, splitClearsigned, verifyDetached } from './signature.ts'
import { accept, type Refusal, refuse, type Verdict } from './verdict.ts'

/** How long a challenge can be answered, ms. */
export const challengeMs = 5 * 60_000
/** Wrong answers to one challenge. */
const maxTries = 5
/** Open challenges of one key, and in all. Beyond it who has most of them makes room. */
const maxPerKey = 20
const maxOpen = 10_000

/** A challenge as its page shows it. */
export type Challenge = {
  /** names it in the waiting browser's own requests */
  readonly id: string
  /** names it in the one-line pipe, which has no cookie */
  readonly pipe: string
  readonly expiresMs: number
  /** four digits that tab and terminal both show, so that a person sees which tab she lets in */
  readonly number: string
  readonly key: Fingerprint
  readonly host: string
} & (
  | { readonly kind: 'decrypt'; readonly message: string }
  /** `why`: what is wrong with the key's encryption, or null when it was never meant for it */
  | { readonly kind: 'sign'; readonly text: string; readonly why: string | null }
)

/** Who proved to hold a key. */
export type Proved = { readonly key: PublicKey }

type Open = {
  readonly challenge: Challenge
  readonly publicKey: PublicKey
  /** SHA-256 of the cookie that the browser had when it asked */
  readonly browser: string
  readonly client: string
  /** SHA-256 of code, host, key and browser; null when a text is to be signed */
  readonly answer: Buffer | null
  tries: number
  /** an answer is being judged: of two sent at once one counts */
  isJudged: boolean
  /** answered through the pipe: its browser may come in */
  isAnswered: boolean
}

/**
 * Login challenges of one spoke (facts/SECURITY 1.2): single use, five minutes, five tries, bound
 * to host, key and browser. Only hashes of the codes are kept. Nothing that somebody sends is ever
 * decrypted, and no answer repeats a text.
 */
export class Challenges {
  readonly #now: () => number
  readonly #randomBytes: (count: number) => Uint8Array
  readonly #open = new Map<string, Open>()
  readonly #byPipe = new Map<string, string>()

  constructor(parts: {
    readonly now: () => number
    readonly randomBytes: (count: number) => Uint8Array
  }) {
    this.#now = parts.now
    this.#randomBytes = parts.randomBytes
  }

  /**
   * Opens a challenge for a key that is good now (`keyStateAt`). Keys that can be encrypted to
   * decrypt; all others sign.
   *
   * @param at - `browser`: the pre-login cookie's value; `client`: from which network it is asked
   */
  async open(
    key: PublicKey,
    at: {
      readonly council: string
      readonly host: string
      readonly browser: string
      readonly client: string
    },
  ): Promise<Challenge> {
    this.#forget()
    const nowMs = this.#now()
    const id = Buffer.from(this.#randomBytes(16)).toString('hex')
    const shared = {
      id,
      pipe: Buffer.from(this.#randomBytes(16)).toString('hex'),
      expiresMs: nowMs + challengeMs,
      number: String(
        new DataView(this.#randomBytes(4).slice().buffer).getUint32(0) % 10_000,
      ).padStart(4, '0'),
      key: key.fingerprint,
      host: at.host,
    }
    const words: LoginWords = { ...shared, council: at.council }
    const code = this.#newCode()
    const encrypted = await encryptTo(key, decryptText(words, code), nowMs)
    const challenge: Challenge = encrypted.ok
      ? { ...shared, kind: 'decrypt', message: encrypted.value }
      : { ...shared, kind: 'sign', text: signText(words), why: encrypted.reason }
    const browser = sha256(at.browser)
    const answer = encrypted.ok ? answerHash(code, at.host, key.fingerprint, browser) : null
    this.#open.set(id, {
      ...{ challenge, publicKey: key, browser, client: at.client, answer },
      ...{ tries: 0, isJudged: false, isAnswered: false },
    })
    this.#byPipe.set(shared.pipe, id)
    this.#makeRoom(key.fingerprint)
    return challenge
  }

  /** The open challenge of this browser; null when there is none, or it is another browser's. */
  find(id: string, browser: string): Challenge | null {
    const open = this.#live(id)
    return open !== null && isSame(open.browser, sha256(browser)) ? open.challenge : null
  }

  /** What the pipe fetches: the encrypted message, or the text to be signed. */
  byPipe(pipe: string): Challenge | null {
    return this.#live(this.#byPipe.get(pipe) ?? '')?.challenge ?? null
  }

  /**
   * The browser's own answer: a code, or a signature by the key over the text.
   * Codes: LOGIN_EXPIRED, LOGIN_WRONG_CODE, LOGIN_WRONG_SIGNATURE, LOGIN_TOO_MANY_TRIES. The same
   * answer for another browser's challenge as for none.
   */
  async answer(id: string, answer: string, browser: string): Promise<Verdict<Proved>> {
    const open = this.#live(id)
    if (open === null || !isSame(open.browser, sha256(browser))) return expired()
    const proved = await this.#judge(open, answer)
    if (proved.ok) this.#close(open)
    return proved
  }

  /** The pipe's answer: the code, or the signature. Same codes. */
  async answerPipe(pipe: string, answer: string): Promise<Verdict<Challenge>> {
    const open = this.#live(this.#byPipe.get(pipe) ?? '')
    if (open === null) return expired()
    const proved = await this.#judge(open, answer)
    if (!proved.ok) return proved
    // The proof is for the browser that waits: it stays until that one has fetched it.
    open.isAnswered = true
    return accept(open.challenge)
  }

  /** What the pipe proved for the browser that waits, once; null as long as it has not. */
  collect(id: string, browser: string): Proved | null {
    const open = this.#live(id)
    if (open === null || !open.isAnswered || !isSame(open.browser, sha256(browser))) return null
    this.#close(open)
    return { key: open.publicKey }
  }

  async #judge(open: Open, answer: string): Promise<Verdict<Proved>> {
    // It stays where it is meanwhile: the page that waits for the pipe looks for it.
    if (open.isJudged) return expired()
    open.isJudged = true
    const wrong = await this.#wrong(open, answer)
    if (wrong === null) return accept({ key: open.publicKey })
    open.isJudged = false
    open.tries += 1
    if (open.tries >= maxTries) {
      this.#close(open)
      return refuse(
        'LOGIN_TOO_MANY_TRIES',
        'That was wrong too often. Begin again: the next page shows a new text.',
      )
    }
    return wrong
  }

  async #wrong(open: Open, answer: string): Promise<Refusal | null> {
    const { challenge, publicKey } = open
    if (challenge.kind === 'sign') return wrongSignature(challenge.text, answer, publicKey)
    const code = readCode(answer)
    const given =
      code === null ? null : answerHash(code, challenge.host, challenge.key, open.browser)
    if (given !== null && open.answer !== null && timingSafeEqual(given, open.answer)) return null
    return refuse(
      'LOGIN_WRONG_CODE',
      'That is not the code. Decrypt the text of this page, and paste what stands behind “code:”, nothing else.',
    )
  }

  #newCode(): string {
    let code = ''
    while (code.length < codeCharacters) {
      for (const byte of this.#randomBytes(codeCharacters)) {
        // 240 is the largest multiple of 30: beyond it some characters would come more often.
        if (byte < 240 && code.length < codeCharacters) code += codeAlphabet[byte % 30]
      }
    }
    return code
  }

  #live(id: string): Open | null {
    const open = this.#open.get(id)
    if (open === undefined) return null
    if (open.challenge.expiresMs > this.#now()) return open
    this.#close(open)
    return null
  }

  #close({ challenge }: Open): void {
    this.#open.delete(challenge.id)
    this.#byPipe.delete(challenge.pipe)
  }

  #forget(): void {
    const nowMs = this.#now()
    for (const open of this.#open.values()) {
      if (open.challenge.expiresMs > nowMs) break
      this.#close(open)
    }
  }

  #makeRoom(key: Fingerprint): void {
    const all = [...this.#open.values()]
    const ofKey = all.filter((open) => open.challenge.key === key)
    for (const over of [beyond(ofKey, maxPerKey), beyond(all, maxOpen)]) {
      if (over !== null) this.#close(over)
    }
  }
}

/**
 * Which challenge makes room when there is one too many: the oldest of the client that has most, so
 * that nobody ends an author's login by asking for others with her key, which everybody knows.
 */
function beyond(open: readonly Open[], most: number): Open | null {
  if (open.length <= most) return null
  const counts = new Map<string, number>()
  for (const { client } of open) counts.set(client, (counts.get(client) ?? 0) + 1)
  const greatest = Math.max(...counts.values())
  return open.find(({ client }) => counts.get(client) === greatest) ?? null
}

function expired(): Refusal {
  return refuse(
    'LOGIN_EXPIRED',
    'This login is over: five minutes have passed, it was used, or another browser asked for it. Begin again.',
  )
}

/** Encrypts so that gpg 2.2 reads it. The refusal's reason is the second half of a sentence. */
async function encryptTo(key: PublicKey, text: string, nowMs: number): Promise<Verdict<string>> {
  const state = await key.timeline.encryptsAt(nowMs)
  if (state !== 'good') {
    const why =
      state === 'none' ? 'it has no encryption subkey' : `its encryption subkey is ${state}`
    return refuse('LOGIN_NOT_ENCRYPTABLE', why)
  }
  const armored = await encrypt({
    message: await createMessage({ text }),
    encryptionKeys: key.key,
    config: policy,
    date: new Date(nowMs),
  })
  return accept(String(armored))
}

async function wrongSignature(
  text: string,
  answer: string,
  key: PublicKey,
): Promise<Refusal | null> {
  const isClear = answer.includes('-----BEGIN PGP SIGNED MESSAGE-----')
  const signed = isClear
    ? await splitClearsigned(answer)
    : accept({ text: Buffer.from(text), signature: answer })
  if (!signed.ok) return signed
  const signature = await readSignature(signed.value.signature)
  if (!signature.ok) return signature
  const good = await verifyDetached(Buffer.from(text), signature.value, key)
  if (!good.ok) return good
  return Buffer.from(signed.value.text).toString() === text
    ? null
    : refuse('LOGIN_WRONG_SIGNATURE', 'Another text was signed. Sign the text of this page.')
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

function answerHash(code: string, host: string, key: Fingerprint, browser: string): Buffer {
  return createHash('sha256').update([code, host, key, browser].join('|')).digest()
}

function isSame(one: string, other: string): boolean {
  return timingSafeEqual(Buffer.from(one), Buffer.from(other))
}
