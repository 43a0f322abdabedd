// Makes revocations.json again with real gpg 2.2:
//
//   node_modules/.bin/node test/vectors/make-revocations.ts
//
// Run by hand, when a rule of PROTOCOL.md 4.3 gets a new case. Every run makes new keys.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readArmor, writeArmor } from '../../src/auth/armor.ts'
import { joinPackets, type Packet, splitPackets } from '../../src/auth/packet.ts'
import { readRevocation } from '../../src/auth/revocation.ts'
import { GpgHome } from '../support/gpg.ts'

using gpg = new GpgHome()
const vectors: object[] = []
const kind = 'PUBLIC KEY BLOCK'

const packetsOf = (armored: string): Packet[] => {
  const bytes = readArmor(armored, kind)
  if (!bytes.ok) throw new Error(bytes.reason)
  return [...(splitPackets(bytes.value) ?? [])]
}
const armor = (packets: readonly Packet[]) => writeArmor(kind, joinPackets(packets))
const octet = ({ tag, body }: Packet, at: number, value: number): Packet => {
  const changed = Buffer.from(body)
  changed[at] = value
  return { tag, body: changed }
}

async function valid(name: string, description: string, handed: string, key: string | null = null) {
  const read = await readRevocation(handed, key === null ? [] : [key])
  if (!read.ok) throw new Error(`${name}: ${read.reason}`)
  const { key: fingerprint, reason, isHard, dateMs, certificate } = read.value
  const date = new Date(dateMs).toISOString().replace('.000Z', 'Z')
  const says = { fingerprint, reason, hard: isHard, date, certificate }
  vectors.push({ name, description, handed, key, valid: true, ...says })
}

async function invalid(name: string, description: string, handed: string, code: string) {
  const read = await readRevocation(handed)
  if (read.ok || read.code !== code) throw new Error(`${name}: not ${code}`)
  vectors.push({ name, description, handed, key: null, valid: false, code })
}

function make(name: string, algorithm: string, reason: 'none' | 'compromised' | 'superseded' | 'retired') {
  const fingerprint = gpg.makeKey(`${name} <${name}@example.org>`, algorithm)
  const fresh = gpg.exportKey(fingerprint)
  const bare = gpg.makeRevocation(fingerprint, reason)
  gpg.importKey(bare)
  return { fingerprint, fresh, bare, revoked: gpg.exportKey(fingerprint) }
}

const reasons = ['none', 'superseded', 'compromised', 'retired'] as const
for (const algorithm of ['ed25519', 'rsa2048', 'nistp256']) {
  for (const reason of algorithm === 'ed25519' ? reasons : (['retired'] as const)) {
    const { fresh, bare, revoked } = make(`${algorithm}-${reason}`, algorithm, reason)
    const name = `${algorithm}-${reason}`
    await valid(name, `${algorithm}, ${reason}: gpg --export of the revoked key`, revoked)
    await valid(`${name}-bare`, `${algorithm}, ${reason}: gpg --gen-revoke`, bare, fresh)
  }
}

const lost = gpg.makeKey('Lost <lost@example.org>')
const file = readFileSync(join(gpg.dir, 'openpgp-revocs.d', `${lost}.rev`), 'utf8')
await valid('openpgp-revocs.d', 'the file that gpg puts beside a new key', file, gpg.exportKey(lost))

const one = make('one', 'ed25519', 'compromised')
const two = make('two', 'ed25519', 'retired')
const [key] = packetsOf(one.fresh) as [Packet]
const [signature] = packetsOf(one.bare) as [Packet]
await valid('two-blocks', 'the bare certificate and the key behind it', `${one.bare}\n${one.fresh}`)
await valid(
  'forged-first',
  'a revocation that does not hold before one that does',
  armor([key, octet(signature, 34, 1), signature]),
)
await invalid('not-revoked', 'a key without a revocation', two.fresh, 'REVOCATION_MISSING')
await invalid('bare', 'a bare certificate, its key not known', two.bare, 'REVOCATION_NEEDS_KEY')
await invalid(
  'other-key',
  'the certificate of one key behind another key',
  armor([packetsOf(two.fresh)[0] as Packet, signature]),
  'REVOCATION_OTHER_KEY',
)
const reasonAt = Buffer.from(signature.body).indexOf(Buffer.from([0x1d, 0x02])) + 1
await invalid(
  'reason-changed',
  'compromised changed to superseded',
  armor([key, octet(signature, reasonAt, 1)]),
  'REVOCATION_BAD',
)
await invalid(
  'subkey-revocation',
  'the type of a subkey revocation, 0x28',
  armor([key, octet(signature, 1, 0x28)]),
  'REVOCATION_MISSING',
)
const weak = gpg.makeKey('Weak <weak@example.org>', 'rsa2048')
const weakKey = gpg.exportKey(weak)
const weakBare = gpg.answer(
  ['--cert-digest-algo', 'SHA1', '--allow-weak-digest-algos', '--armor', '--gen-revoke', weak],
  ['y', '1', '', 'y'],
).stdout
await invalid('sha1', 'over SHA-1', `${weakBare}\n${weakKey}`, 'REVOCATION_WEAK_HASH')
const owner = gpg.makeKey('Owner <owner@example.org>')
const revoker = gpg.makeKey('Revoker <revoker@example.org>')
gpg.answer(['--edit-key', owner], ['addrevoker', revoker, 'y', 'save'])
await invalid(
  'designated-revoker',
  'by a designated revoker: gpg --desig-revoke',
  gpg.answer(['--armor', '--desig-revoke', owner], ['y', '1', '', 'y']).stdout,
  'REVOCATION_OTHER_KEY',
)
await invalid('two-keys', 'two keys', armor([...packetsOf(one.revoked), ...packetsOf(two.revoked)]), 'KEY_SEVERAL')
await invalid('secret', 'a secret key (of nobody)', gpg.exportSecretKey(owner), 'KEY_SECRET')

const url = new URL('revocations.json', import.meta.url)
writeFileSync(url, `${JSON.stringify(vectors, null, 2)}\n`)
console.log(`${vectors.length} revocations`)
