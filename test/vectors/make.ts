// Makes signatures.json and keys.json again with real gpg 2.2 and openpgp.js:
//
//   node_modules/.bin/node test/vectors/make.ts
//
// Run by hand, when a rule of PROTOCOL.md gets a new case. Every run makes new keys, so all vectors
// change; another implementation reads the JSON files only.
//
// signatures.json: { name, description, key, text, signature, valid, code?, paste? }. `text` is the
// signed text (UTF-8 when written out), `signature` what came in beside it; with `paste`, both are
// what the clear-signed paste must turn into. keys.json: { name, description, key, valid, code?,
// fingerprint? }. `code` is the refusal of this implementation; others need only refuse.

import { writeFileSync } from 'node:fs'
import {
  type AnySecretKeyPacket,
  config,
  createMessage,
  enums,
  generateKey,
  readPrivateKey,
  Signature,
  SignaturePacket,
  PacketList,
  sign,
} from 'openpgp'
import { splitClearsigned } from '../../src/auth/signature.ts'
import { GpgHome, type GpgMode } from '../support/gpg.ts'

const minimal = ['--export-options', 'export-minimal']

type Case = {
  readonly name: string
  readonly description: string
  readonly key: string
  readonly code?: string
}
type SignatureCase = Case & {
  readonly text: string
  readonly signature: string
  readonly paste?: string
}

using gpg = new GpgHome()
const signatures: object[] = []
const keys: object[] = []

const addSignature = ({ name, description, key, text, signature, code, paste }: SignatureCase) => {
  const verdict = code === undefined ? { valid: true } : { valid: false, code }
  const rest = paste === undefined ? verdict : { ...verdict, paste }
  signatures.push({ name, description, key, text, signature, ...rest })
}
const addKey = ({ name, description, key, code }: Case, fingerprint?: string) => {
  const verdict = code === undefined ? { valid: true, fingerprint } : { valid: false, code }
  keys.push({ name, description, key, ...verdict })
}
const exportKey = (fingerprint: string) => gpg.exportKey(fingerprint, minimal)

/** An entry as in DESIGN 3.1, with what clear-signing must escape. */
const entry = (fingerprint: string, slug = 'what-is-a-council') =>
  [
    'council-entry 1',
    `council blogs.example.org/${'5f0a'.repeat(16)}`,
    'blog maria',
    'seq 3',
    `prev ${'9c1e'.repeat(16)}`,
    'kind post',
    'date 2026-11-23T03:40:00Z',
    `key ${fingerprint}`,
    `slug ${slug}`,
    'lang es',
    'tags asamblea, plaza',
    'title ¿Qué es un consejo?',
    '',
    '- Un consejo es una reunión.',
    '-- También una red: \\',
    'sin centro. 合议会 🌻',
    '',
    'From now on.',
  ].join('\n')

// Three kinds of key, three ways to sign.
const kinds = { rsa3072: 'RSA-3072', ed25519: 'Ed25519', nistp256: 'NIST P-256' }
const modes: Record<GpgMode, string> = {
  detached: 'gpg --armor --detach-sign',
  text: 'gpg --textmode --armor --detach-sign',
  clear: 'gpg --clearsign, pasted',
}
const made = new Map<string, string>()
for (const [algorithm, kind] of Object.entries(kinds)) {
  const fingerprint = gpg.makeKey(`Maria <maria@example.org> (${kind})`, algorithm)
  const encryption = algorithm === 'ed25519' ? 'cv25519' : algorithm
  gpg.addSubkey(fingerprint, encryption, 'encr')
  made.set(algorithm, fingerprint)
  const key = exportKey(fingerprint)
  addKey({ name: `key-${algorithm}`, description: `${kind} by gpg, encryption subkey`, key }, fingerprint)
  for (const [mode, how] of Object.entries(modes)) {
    const text = entry(fingerprint)
    const name = `${algorithm}-${mode}`
    const out = gpg.sign(text, fingerprint, mode as GpgMode)
    if (mode === 'clear') {
      const split = await splitClearsigned(out)
      if (!split.ok) throw new Error(split.reason)
      const { signature } = split.value
      addSignature({ name, description: `${kind}, ${how}`, key, text, signature, paste: out })
    } else {
      addSignature({ name, description: `${kind}, ${how}`, key, text, signature: out })
    }
  }
}

const maria = made.get('ed25519') as string
const rsa = made.get('rsa3072') as string
const mariaKey = exportKey(maria)
const text = entry(maria)
const good = gpg.sign(text, maria)
const invalid = (name: string, description: string, signature: string, code: string, key = mariaKey) =>
  addSignature({ name, description, key, text, signature, code })

addSignature({
  name: 'body-changed',
  description: 'one byte of the body changed after signing',
  key: mariaKey,
  text: text.replace('From now', 'Form now'),
  signature: good,
  code: 'SIGNATURE_BAD',
})
invalid('other-key', 'signed by another key', gpg.sign(text, rsa), 'SIGNATURE_OTHER_KEY')
invalid(
  'over-crlf',
  'the file that was signed has CRLF line ends',
  gpg.sign(text.replaceAll('\n', '\r\n'), maria),
  'SIGNATURE_OVER_CRLF',
)
invalid(
  'over-trailing-newline',
  'the file that was signed ends with LF',
  gpg.sign(`${text}\n`, maria),
  'SIGNATURE_OVER_TRAILING_NEWLINE',
)
invalid(
  'over-trailing-newline-text-mode',
  'the same in text mode',
  gpg.sign(`${text}\n`, maria, 'text'),
  'SIGNATURE_OVER_TRAILING_NEWLINE',
)
invalid(
  'two-packets',
  'one block with the signatures of two keys',
  gpg.sign(text, maria, 'detached', { options: ['-u', rsa] }),
  'SIGNATURE_TWO_PACKETS',
)
invalid(
  'bad-checksum',
  'the CRC-24 of the armor does not fit',
  good.replace(/\n=(.)/, (_, first: string) => `\n=${first === 'A' ? 'B' : 'A'}`),
  'ARMOR_CHECKSUM',
)
invalid(
  'large-notation',
  'notations of 27 KB',
  gpg.sign(text, maria, 'detached', {
    options: Array.from({ length: 30 }, (_, index) => [
      '--sig-notation',
      `large${index}@example.org=${'x'.repeat(900)}`,
    ]).flat(),
  }),
  'SIGNATURE_TOO_LONG',
)
addSignature({
  name: 'sha1',
  description: 'RSA over SHA-1, which gpg 2.2 calls good',
  key: exportKey(rsa),
  text,
  signature: gpg.sign(text, rsa, 'detached', {
    options: ['--digest-algo', 'SHA1', '--allow-weak-digest-algos'],
  }),
  code: 'SIGNATURE_WEAK_HASH',
})
invalid('text-outside', 'text before the block', `Hello\n${good}`, 'ARMOR_TEXT_OUTSIDE')
invalid(
  'critical-notation',
  'a critical notation that nobody knows',
  gpg.sign(text, maria, 'detached', { options: ['--sig-notation', '!strange@example.org=1'] }),
  'SIGNATURE_CRITICAL_PART',
)
invalid(
  'expiring',
  'a signature that expires after a day',
  gpg.sign(text, maria, 'detached', { options: ['--default-sig-expire', '1d'] }),
  'SIGNATURE_EXPIRES',
)
addSignature({
  name: 'armor-headers',
  description: 'Version and Comment headers, which are dropped',
  key: mariaKey,
  text,
  signature: gpg.sign(text, maria, 'detached', {
    options: ['--emit-version', '--comment', 'signed at home'],
  }),
})
addSignature({
  name: 'notation',
  description: 'a notation that is not critical',
  key: mariaKey,
  text,
  signature: gpg.sign(text, maria, 'detached', {
    options: ['--sig-notation', 'note@example.org=1'],
  }),
})

// Subkeys: one that may sign, one that may only authenticate.
const offline = gpg.makeKey('Offline <offline@example.org>', 'ed25519', { usage: 'cert' })
gpg.addSubkey(offline, 'ed25519', 'sign')
gpg.addSubkey(offline, 'ed25519', 'auth')
gpg.addSubkey(offline, 'rsa2048', 'encr')
const offlineKey = exportKey(offline)
const offlineText = entry(offline)
addSignature({
  name: 'signing-subkey',
  description: 'primary key only certifies; signed by its signing subkey',
  key: offlineKey,
  text: offlineText,
  signature: gpg.sign(offlineText, offline),
})
addKey(
  { name: 'key-signing-subkey', description: 'certifying primary key, signing subkey', key: offlineKey },
  offline,
)

/** A signature that gpg would not make: by this very key packet, whatever its flags say. */
const forceSign = async (packet: AnySecretKeyPacket, over: string) => {
  const literal = (await createMessage({ binary: Buffer.from(over) })).packets[0]
  const signature = new SignaturePacket()
  signature.signatureType = enums.signature.binary
  signature.hashAlgorithm = enums.hash.sha512
  signature.publicKeyAlgorithm = packet.algorithm
  const signer = signature as unknown as {
    sign(key: object, data: object | undefined, date: Date, detached: boolean, how: object): Promise<void>
  }
  await signer.sign(packet, literal, new Date(), true, config)
  const list = new PacketList<SignaturePacket>()
  list.push(signature)
  return new Signature(list).armor()
}
const offlineSecret = await readPrivateKey({ armoredKey: gpg.exportSecretKey(offline) })
const [, authOnly, encryptOnly] = offlineSecret.subkeys
for (const [name, description, packet, code] of [
  ['primary-may-not-sign', 'by a primary key that only certifies', offlineSecret.keyPacket, 'SIGNATURE_KEY_MAY_NOT_SIGN'],
  ['auth-subkey', 'by a subkey for authentication only', authOnly?.keyPacket, 'SIGNATURE_SUBKEY_MAY_NOT_SIGN'],
  ['encryption-subkey', 'by an RSA subkey for encryption only', encryptOnly?.keyPacket, 'SIGNATURE_SUBKEY_MAY_NOT_SIGN'],
] as const) {
  const signature = await forceSign(packet as AnySecretKeyPacket, offlineText)
  addSignature({ name, description, key: offlineKey, text: offlineText, signature, code })
}

// Expiry and revocation count at the signature's own time.
const expiring = gpg.makeKey('Expiring <expiring@example.org>', 'ed25519', { at: '20200101T000000' })
const expiringText = entry(expiring)
const early = gpg.sign(expiringText, expiring, 'detached', { at: '20200601T000000' })
const late = gpg.sign(expiringText, expiring, 'detached', { at: '20220601T000000' })
gpg.run(['--faked-system-time', '20200102T000000!', '--quick-set-expire', expiring, '1y'])
const expiringKey = exportKey(expiring)
addKey({ name: 'key-expired', description: 'expired since 2021; still reads', key: expiringKey }, expiring)
addSignature({
  name: 'before-expiry',
  description: 'signed in 2020, the key expired in 2021',
  key: expiringKey,
  text: expiringText,
  signature: early,
})
addSignature({
  name: 'after-expiry',
  description: 'signed in 2022, the key expired in 2021',
  key: expiringKey,
  text: expiringText,
  signature: late,
  code: 'SIGNATURE_KEY_EXPIRED',
})
for (const reason of ['superseded', 'compromised'] as const) {
  const fingerprint = gpg.makeKey(`${reason} <revoked@example.org>`, 'ed25519', { at: '20250101T000000' })
  const signed = entry(fingerprint)
  const before = gpg.sign(signed, fingerprint, 'detached', { at: '20250301T000000' })
  const after = gpg.sign(signed, fingerprint, 'detached', { at: '20250901T000000' })
  gpg.importKey(gpg.makeRevocation(fingerprint, reason, { at: '20250601T000000' }))
  const key = exportKey(fingerprint)
  const isHard = reason === 'compromised'
  addKey({ name: `key-${reason}`, description: `revoked in June 2025: ${reason}; still reads`, key }, fingerprint)
  addSignature({
    name: `before-${reason}`,
    description: `signed in March 2025, revoked in June: ${reason}`,
    key,
    text: signed,
    signature: before,
    ...(isHard ? { code: 'SIGNATURE_KEY_REVOKED' } : {}),
  })
  addSignature({
    name: `after-${reason}`,
    description: `signed in September 2025, revoked in June: ${reason}`,
    key,
    text: signed,
    signature: after,
    code: 'SIGNATURE_KEY_REVOKED',
  })
}

// Keys made by openpgp.js.
for (const [type, description] of [
  ['ecc', "openpgp.js type 'ecc' (version 4, algorithm 22), as pages make them"],
  ['curve25519', "openpgp.js type 'curve25519' (version 4, algorithm 27); gpg 2.2 cannot read it"],
] as const) {
  const { privateKey, publicKey } = await generateKey({
    type,
    userIDs: [{ name: 'Page', email: 'page@example.org' }],
    format: 'object',
  })
  const fingerprint = publicKey.getFingerprint().toUpperCase()
  const signed = entry(fingerprint)
  const message = await createMessage({ binary: Buffer.from(signed) })
  const signature = await sign({ message, signingKeys: privateKey, detached: true })
  addKey({ name: `key-openpgpjs-${type}`, description, key: publicKey.armor() }, fingerprint)
  addSignature({ name: `openpgpjs-${type}`, description, key: publicKey.armor(), text: signed, signature })
}
const six = await generateKey({
  type: 'curve25519',
  userIDs: [{ name: 'Six', email: 'six@example.org' }],
  format: 'object',
  config: { v6Keys: true },
})
addKey({
  name: 'key-v6',
  description: 'version 6, by openpgp.js',
  key: six.publicKey.armor(),
  code: 'KEY_VERSION',
})
const sixMessage = await createMessage({ binary: Buffer.from(text) })
invalid(
  'v6-signature',
  'a version 6 signature',
  await sign({ message: sixMessage, signingKeys: six.privateKey, detached: true }),
  'SIGNATURE_VERSION',
)

// Keys that are refused.
for (const [algorithm, code] of [
  ['rsa1024', 'KEY_RSA_TOO_SHORT'],
  ['dsa2048', 'KEY_ALGORITHM'],
  ['brainpoolP256r1', 'KEY_CURVE'],
  ['secp256k1', 'KEY_CURVE'],
] as const) {
  const fingerprint = gpg.makeKey(`${algorithm} <weak@example.org>`, algorithm)
  addKey({ name: `key-${algorithm}`, description: `${algorithm} by gpg`, key: exportKey(fingerprint), code })
}
const oldHash = gpg.run([
  '--cert-digest-algo', 'SHA1', '--allow-weak-digest-algos', '--status-fd', '1',
  '--quick-generate-key', 'Old <old@example.org>', 'rsa2048', 'cert,sign', 'never',
])
addKey({
  name: 'key-sha1-self-signature',
  description: 'RSA-2048 whose self-signature uses SHA-1',
  key: exportKey(/KEY_CREATED \S+ (\S+)/.exec(oldHash.stdout)?.[1] as string),
  code: 'KEY_WEAK_SELF_SIGNATURE',
})
addKey({
  name: 'key-secret',
  description: 'a secret key (of nobody)',
  key: gpg.exportSecretKey(offline),
  code: 'KEY_SECRET',
})
addKey({
  name: 'key-several',
  description: 'two keys in one block',
  key: gpg.run([...minimal, '--armor', '--export', maria, rsa]).stdout,
  code: 'KEY_SEVERAL',
})
gpg.run(['-u', rsa, '--quick-sign-key', maria])
addKey({
  name: 'key-certified',
  description: 'certified by another key',
  key: gpg.exportKey(maria),
  code: 'KEY_THIRD_PARTY_CERTIFICATIONS',
})
addKey({
  name: 'key-bad-checksum',
  description: 'the CRC-24 of the armor does not fit',
  key: mariaKey.replace(/\n=(.)/, (_, first: string) => `\n=${first === 'A' ? 'B' : 'A'}`),
  code: 'ARMOR_CHECKSUM',
})

const write = (file: string, vectors: readonly object[]) =>
  writeFileSync(new URL(file, import.meta.url), `${JSON.stringify(vectors, null, 2)}\n`)
write('signatures.json', signatures)
write('keys.json', keys)
console.log(`${signatures.length} signatures, ${keys.length} keys`)
