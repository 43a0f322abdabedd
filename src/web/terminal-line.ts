import { decryptFirstLine } from '../auth/login-text.ts'
import type { Fingerprint } from '../auth/public-key.ts'

/**
 * One line for a terminal: fetches a text, shows it, and only after Enter lets gpg sign it and
 * sends the signature. Only checked names, numbers and origins go in, so that nobody's words ever
 * reach a shell.
 */
export function signingLine(parts: {
  readonly file: string
  readonly textUrl: string
  readonly answerUrl: string
  readonly key: Fingerprint
  readonly how: 'detached' | 'clear'
}): string {
  const { file, textUrl, answerUrl, key, how } = parts
  const sign = how === 'clear' ? '--clearsign' : '--armor --detach-sign'
  return [
    `curl -fsS '${textUrl}' -o ${file} && cat ${file}`,
    `printf '\\n\\nEnter signs this text, Ctrl-C does not. ' && read -r _`,
    `gpg -u ${key} ${sign} < ${file} | curl -sS --data-binary @- '${answerUrl}'`,
  ].join(' && ')
}

/**
 * One line for a terminal: fetches a login's text, lets gpg decrypt it, and sends the code in it, if
 * it is a login at this host. A server that hands out somebody's mail instead, or the login of
 * another host, gets nothing (facts/SECURITY 1.2, rules 3 and 4).
 */
export function decryptingLine(parts: {
  readonly textUrl: string
  readonly answerUrl: string
  readonly host: string
}): string {
  const { textUrl, answerUrl, host } = parts
  const pattern = (text: string) => `/^${text.replace(/[./]/g, '\\$&')}$/`
  const code = [
    `1{${pattern(decryptFirstLine)}!q;}`,
    `/^host /{${pattern(`host ${host}`)}!q;}`,
    's/^code: //p',
  ].join(';')
  return `curl -fsS '${textUrl}' | gpg -qd | sed -n '${code}' | curl -sS --data-binary @- '${answerUrl}'`
}
