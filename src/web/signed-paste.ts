import { splitClearsigned } from '../auth/signature.ts'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'

/**
 * The armored detached signature in what an author pastes: a detached one, or a clear-signed
 * message over exactly the text that the page showed. Whether it holds, the door says.
 * Codes: SUBMIT_NO_SIGNATURE, SIGNED_OTHER_TEXT, and those of `splitClearsigned`.
 */
export async function signatureIn(pasted: string, text: Uint8Array): Promise<Verdict<string>> {
  if (pasted.includes('-----BEGIN PGP SIGNED MESSAGE-----')) {
    const split = await splitClearsigned(pasted)
    if (!split.ok) return split
    return Buffer.compare(split.value.text, text) === 0
      ? accept(split.value.signature)
      : refuse(
          'SIGNED_OTHER_TEXT',
          'Another text was signed than the one on this page. Copy the text of this page anew, all of it, and sign that.',
        )
  }
  const begin = pasted.indexOf('-----BEGIN PGP SIGNATURE-----')
  return begin < 0
    ? refuse(
        'SUBMIT_NO_SIGNATURE',
        'There is no signature in what you pasted. Paste everything from -----BEGIN PGP to the END line.',
      )
    : accept(pasted.slice(begin))
}
