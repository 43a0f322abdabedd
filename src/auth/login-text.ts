import type { Fingerprint } from './public-key.ts'

/**
 * What a login is about. Both texts of it name host and key, so that a person can see for whom she
 * answers, and neither parses as anything else that is signed in a council (DESIGN 6).
 */
export type LoginWords = {
  /** `zone/council id` */
  readonly council: string
  /** host that asks, without port */
  readonly host: string
  readonly key: Fingerprint
  /** 32 lower-case hex digits */
  readonly id: string
  readonly expiresMs: number
}

export const decryptFirstLine = 'council-login/1'
export const signFirstLine = 'council-login-sign/1'

/** Thirty characters that nobody mixes up when copying by hand: no 0, 1, I, L, O, U. */
export const codeAlphabet = 'ABCDEFGHJKMNPQRSTVWXYZ23456789'
/** Characters of a code, about 137 bits, in groups of seven. */
export const codeCharacters = 28

const wordLines = ({ council, host, key, id, expiresMs }: LoginWords) => [
  `council ${council}`,
  `host ${host}`,
  `key ${key}`,
  `id ${id}`,
  `expires ${new Date(expiresMs).toISOString().replace(/\.\d{3}Z$/, 'Z')}`,
]

/** The text that is encrypted to the key. Its last line holds the code, and only that is answered. */
export function decryptText(words: LoginWords, code: string): string {
  return [decryptFirstLine, ...wordLines(words), `code: ${showCode(code)}`].join('\n')
}

/** The text that a key without encryption subkey signs instead. No final line end, as every text. */
export function signText(words: LoginWords): string {
  return [signFirstLine, ...wordLines(words)].join('\n')
}

function showCode(code: string): string {
  return code.replace(/.{7}(?=.)/g, '$&-')
}

/**
 * The code in an answer: the code alone, its whole line, or the whole decrypted text. Blanks, hyphens
 * and small letters are let through. Null for anything else: a spoke that took more would be a
 * machine that reads people's decrypted mail.
 */
export function readCode(answer: string): string | null {
  if (answer.length > 2_000) return null
  const lines = answer.trim().split(/\r?\n/)
  if (lines.length > 1 && (lines[0] !== decryptFirstLine || lines.length !== 7)) return null
  const last = (lines.at(-1) ?? '').replace(/^code:/i, '')
  const code = last.replace(/[\s-]/g, '').toUpperCase()
  return code.length === codeCharacters && [...code].every((each) => codeAlphabet.includes(each))
    ? code
    : null
}
