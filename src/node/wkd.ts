import { createHash } from 'node:crypto'
import { domainToASCII } from 'node:url'

const alphabet = 'ybndrfg8ejkmcpqxot1uwisza345h769'

/** z-base-32 of whole groups of five bytes. */
function encodeZbase32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{5}/g) ?? []).map((five) => alphabet[Number.parseInt(five, 2)]).join('')
}

/**
 * Where a Web Key Directory has the key of an e-mail address (draft-koch-openpgp-webkey-service):
 * the advanced way first, then the direct one. Empty when there is no address in `gpgId`.
 */
export function wkdUrls(gpgId: string): readonly URL[] {
  const [, local = '', name = ''] =
    /([^\s<>@"]{1,64})@([^\s<>@"/:?#[\]\\]{1,253})/.exec(gpgId) ?? []
  const domain = domainToASCII(name).toLowerCase()
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*$/.test(domain)) return []
  const hash = encodeZbase32(createHash('sha1').update(local.toLowerCase()).digest())
  const query = `${hash}?l=${encodeURIComponent(local)}`
  return [
    new URL(`https://openpgpkey.${domain}/.well-known/openpgpkey/${domain}/hu/${query}`),
    new URL(`https://${domain}/.well-known/openpgpkey/hu/${query}`),
  ]
}
