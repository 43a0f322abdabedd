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
