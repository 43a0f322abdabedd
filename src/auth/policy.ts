import { type Config, config, enums } from 'openpgp'

/**
 * What openpgp.js is told whenever it judges. The protocol fixes it (DESIGN 3.2), so that a changed
 * default, or an optional package that somebody has installed, never makes two spokes disagree.
 */
export const policy: Config = {
  ...config,
  v6Keys: false,
  enableParsingV5Entities: false,
  allowInsecureVerificationWithReformattedKeys: false,
  allowMissingKeyFlags: false,
  ignoreUnsupportedPackets: true,
  ignoreMalformedPackets: false,
  additionalAllowedPackets: [],
  knownNotations: [],
  maxUserIDLength: 5 * 1024,
  minRSABits: 2047,
  rejectHashAlgorithms: new Set([
    enums.hash.md5,
    enums.hash.sha1,
    enums.hash.ripemd,
    enums.hash.sha224,
  ]),
  rejectMessageHashAlgorithms: new Set([
    enums.hash.md5,
    enums.hash.sha1,
    enums.hash.ripemd,
    enums.hash.sha224,
  ]),
  rejectPublicKeyAlgorithms: new Set([
    enums.publicKey.elgamal,
    enums.publicKey.dsa,
    enums.publicKey.ed448,
  ]),
  rejectCurves: new Set([
    enums.curve.secp256k1,
    enums.curve.brainpoolP256r1,
    enums.curve.brainpoolP384r1,
    enums.curve.brainpoolP512r1,
  ]),
}

const names: Readonly<Record<number, string>> = {
  1: 'MD5',
  2: 'SHA-1',
  3: 'RIPEMD-160',
  8: 'SHA-256',
  9: 'SHA-384',
  10: 'SHA-512',
  11: 'SHA-224',
  12: 'SHA3-256',
  14: 'SHA3-512',
}

/**
 * SHA-256, -384 or -512, for messages and for a key's signatures about itself. Not SHA-3: whoever
 * checks a stored pair with gpg 2.2 could not.
 */
export function isStrongHash(hash: number): boolean {
  return [8, 9, 10].includes(hash)
}

export function hashName(hash: number): string {
  return names[hash] ?? `hash algorithm ${hash}`
}
