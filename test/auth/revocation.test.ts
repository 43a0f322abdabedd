import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { config, enums, generateKey, type PrivateKey, readKey, SignaturePacket } from 'openpgp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readArmor, writeArmor } from '../../src/auth/armor.ts'
import { joinPackets, type Packet, splitPackets } from '../../src/auth/packet.ts'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import {
  checkCertificate,
  describeCertificate,
  readRevocation,
  revocationOf,
  revokerOf,
} from '../../src/auth/revocation.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import { has } from '../support/debian.ts'
import { GpgHome } from '../support/gpg.ts'

function accepted<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`)
  return verdict.value
}
const codeOf = (verdict: Verdict<unknown>) => (verdict.ok ? 'accepted' : verdict.code)
const kind = 'PUBLIC KEY BLOCK'
const packetsOf = (armored: string): Packet[] => [
  ...(splitPackets(accepted(readArmor(armored, kind))) ?? []),
]
const armor = (packets: readonly Packet[]) => writeArmor(kind, joinPackets(packets))
const isRevocation = ({ tag, body }: Packet) => tag === 2 && body[1] === 0x20

const ownKey = async () => {
  const userIDs = [{ name: 'Short' }]
  return (await generateKey({ type: 'ecc', userIDs, format: 'object' })).privateKey
}

/** A revocation that gpg would not make. */
async function revoke(key: PrivateKey, how: object): Promise<Uint8Array> {
  const signature = Object.assign(new SignaturePacket(), {
    signatureType: enums.signature.keyRevocation,
    hashAlgorithm: enums.hash.sha512,
    publicKeyAlgorithm: key.keyPacket.algorithm,
    signatureNeverExpires: false,
    ...how,
  }) as unknown as {
    sign(key: object, data: object, date: Date, detached: boolean, how: object): Promise<void>
    write(): Uint8Array
  }
  await signature.sign(key.keyPacket, { key: key.keyPacket }, new Date(), false, config)
  return signature.write()
}

describe.skipIf(!has('gpg'))('revocations made by gpg', () => {
  let gpg: GpgHome
  /** a key, its public key before the revocation, its bare certificate, the key that carries it */
  type Case = { key: string; fresh: string; bare: string; revoked: string }
  const cases = new Map<string, Case>()
  const of = (name: string) => cases.get(name) as Case
  const kinds = ['ed25519', 'rsa2048', 'nistp256']
  const reasons = ['none', 'superseded', 'compromised', 'retired'] as const

  function make(name: string, algorithm: string, reason: (typeof reasons)[number]): Case {
    const key = gpg.makeKey(`${name} <${name}@example.org>`, algorithm)
    const fresh = gpg.exportKey(key)
    const bare = gpg.makeRevocation(key, reason)
    gpg.importKey(bare)
    const made = { key, fresh, bare, revoked: gpg.exportKey(key) }
    cases.set(name, made)
    return made
  }

  beforeAll(() => {
    gpg = new GpgHome()
    for (const reason of reasons) make(reason, 'ed25519', reason)
    for (const algorithm of kinds) make(algorithm, algorithm, 'retired')
  })
  afterAll(() => gpg[Symbol.dispose]())

  // The forged inputs, each made of the good certificate of `compromised`.
  const changeReason = (value: number) => (packet: Packet) => {
    const body = Buffer.from(packet.body)
    const at = body.indexOf(Buffer.from([0x1d, 0x02])) + 1
    body[at] = value
    return { ...packet, body }
  }
  const octet = (index: number, value: number) => (packet: Packet) => {
    const body = Buffer.from(packet.body)
    body[index] = value
    return { ...packet, body }
  }
  const revocation = (name: string, change = (packet: Packet) => packet) =>
    change(packetsOf(of(name).bare)[0] as Packet)
  const primary = (name: string) => packetsOf(of(name).fresh)[0] as Packet
  const pair = (change: (packet: Packet) => Packet) =>
    armor([primary('compromised'), revocation('compromised', change)])

  it.each<[string, () => string, string]>([
    ['nothing', () => '', 'ARMOR_MISSING'],
    ['words', () => 'please revoke my key', 'ARMOR_MISSING'],
    ['a signature block', () => gpg.sign('text', gpg.makeKey('Other')), 'ARMOR_OTHER_KIND'],
    ['a key that is not revoked', () => of('ed25519').fresh, 'REVOCATION_MISSING'],
    ['a bare certificate, its key not known', () => of('none').bare, 'REVOCATION_NEEDS_KEY'],
    [
      'the certificate of another key',
      () => armor([primary('retired'), revocation('compromised')]),
      'REVOCATION_OTHER_KEY',
    ],
    ['compromised made superseded', () => pair(changeReason(1)), 'REVOCATION_BAD'],
    ['a later date', () => pair(octet(34, 0xff)), 'REVOCATION_BAD'],
    ['another algorithm', () => pair(octet(2, 1)), 'REVOCATION_BAD'],
    [
      'an altered number',
      () => {
        const last = revocation('compromised').body.at(-1) as number
        return pair(octet(revocation('compromised').body.length - 1, last ^ 1))
      },
      'REVOCATION_BAD',
    ],
    ['the type of a subkey revocation', () => pair(octet(1, 0x28)), 'REVOCATION_MISSING'],
    ['the type of a user id revocation', () => pair(octet(1, 0x30)), 'REVOCATION_MISSING'],
    ['version 3', () => pair(octet(0, 3)), 'REVOCATION_MISSING'],
    ['SHA-1 by its name', () => pair(octet(3, 2)), 'REVOCATION_WEAK_HASH'],
    [
      'a key of version 3',
      () => armor([octet(0, 3)(primary('retired')), revocation('retired')]),
      'KEY_VERSION',
    ],
    [
      'a DSA key',
      () => armor([octet(5, 17)(primary('retired')), revocation('retired')]),
      'KEY_ALGORITHM',
    ],
    [
      'two keys',
      () => armor([...packetsOf(of('retired').revoked), ...packetsOf(of('none').revoked)]),
      'KEY_SEVERAL',
    ],
    ['three blocks', () => [1, 2, 3].map(() => of('retired').bare).join('\n'), 'ARMOR_TWO_BLOCKS'],
    ['a secret key', () => gpg.exportSecretKey(gpg.makeKey('Secret')), 'KEY_SECRET'],
    [
      'a secret key in disguise',
      () => gpg.exportSecretKey(gpg.makeKey('Disguised')).replaceAll('PRIVATE', 'PUBLIC'),
      'KEY_SECRET',
    ],
    [
      'packets that end early',
      () => writeArmor(kind, joinPackets(packetsOf(of('none').bare)).subarray(0, -3)),
      'KEY_MALFORMED',
    ],
    [
      'a wrong checksum',
      () => of('none').revoked.replace(/\n=./, (it) => (it === '\n=A' ? '\n=B' : '\n=A')),
      'ARMOR_CHECKSUM',
    ],
    [
      'more than 256 KiB',
      () => `${of('none').revoked}${' '.repeat(262_144)}`,
      'REVOCATION_TOO_LONG',
    ],
  ])('refuses %s', async (_, forge, code) => {
    const verdict = await readRevocation(forge())
    expect(codeOf(verdict)).toBe(code)
    expect(!verdict.ok && verdict.reason).toMatch(/^[A-Z].{20,}/)
  })

  it('refuses the revocation of a subkey and of a user id, as gpg makes them', async () => {
    const key = gpg.makeKey('Parts <parts@example.org>')
    gpg.addSubkey(key, 'ed25519', 'sign')
    gpg.run(['--quick-add-uid', key, 'Other <other@example.org>'])
    gpg.run(['--quick-revoke-uid', key, 'Other <other@example.org>'])
    gpg.answer(['--edit-key', key], ['key 1', 'revkey', 'y', '1', '', 'y', 'save'])
    const types = packetsOf(gpg.exportKey(key)).flatMap(({ tag, body }) =>
      tag === 2 ? [body[1]] : [],
    )
    expect(types).toContain(0x28)
    expect(types).toContain(0x30)
    expect(codeOf(await readRevocation(gpg.exportKey(key)))).toBe('REVOCATION_MISSING')
  })

  it('refuses the revocation by a designated revoker', async () => {
    const key = gpg.makeKey('Owner <owner@example.org>')
    const revoker = gpg.makeKey('Revoker <revoker@example.org>')
    gpg.answer(['--edit-key', key], ['addrevoker', revoker, 'y', 'save'])
    const bare = gpg.answer(['--armor', '--desig-revoke', key], ['y', '1', '', 'y']).stdout
    gpg.importKey(bare)
    const exported = gpg.exportKey(key)
    expect(packetsOf(exported).some(isRevocation)).toBe(true)
    expect(codeOf(await readRevocation(exported))).toBe('REVOCATION_OTHER_KEY')
    expect(codeOf(await readRevocation(bare))).toBe('REVOCATION_OTHER_KEY')
  })

  it('refuses one over SHA-1, and one that expires', async () => {
    const key = gpg.makeKey('Weak <weak@example.org>', 'rsa2048')
    const fresh = gpg.exportKey(key)
    const weak = gpg.answer(
      ['--cert-digest-algo', 'SHA1', '--allow-weak-digest-algos', '--armor', '--gen-revoke', key],
      ['y', '1', '', 'y'],
    ).stdout
    expect(codeOf(await readRevocation(weak, [fresh]))).toBe('REVOCATION_WEAK_HASH')
    const privateKey = await ownKey()
    const signature = await revoke(privateKey, { signatureExpirationTime: 60 })
    const packets = [
      packetsOf(privateKey.toPublic().armor())[0] as Packet,
      { tag: 2, body: signature },
    ]
    expect(codeOf(await readRevocation(armor(packets)))).toBe('REVOCATION_EXPIRES')
  })

  it.each(reasons)(
    'reads the reason %s, from the key and from the bare certificate',
    async (name) => {
      const { key, fresh, bare, revoked } = of(name)
      const found = accepted(await readRevocation(revoked))
      const code = { none: 0, superseded: 1, compromised: 2, retired: 3 }[name]
      expect(found).toMatchObject({ key, reason: code, isHard: code === 0 || code === 2, text: '' })
      expect(Math.abs(found.dateMs - Date.now())).toBeLessThan(3_600_000)
      expect(accepted(await readRevocation(bare, [of('rsa2048').fresh, fresh]))).toEqual(found)
      expect(accepted(await readRevocation(`${bare}\n${fresh}`))).toEqual(found)
      expect(revokerOf(bare)).toMatchObject({ fingerprint: key, keyId: key.slice(-16) })
      expect(revokerOf(revoked)).toBeNull()
    },
  )

  it.each(kinds)('keeps one form of a revocation by %s, which gpg imports', async (name) => {
    const { key, fresh, revoked } = of(name)
    const { certificate } = accepted(await readRevocation(revoked))
    expect(packetsOf(certificate).map(({ tag }) => tag)).toEqual([6, 2])
    expect(accepted(await checkCertificate(certificate))).toEqual(describeCertificate(certificate))
    using other = new GpgHome()
    other.importKey(fresh)
    other.importKey(certificate)
    expect(other.run(['--with-colons', '--list-keys', key]).stdout).toMatch(/^pub:r:/m)
  })

  it('reads the file that gpg puts beside each new key, with its words and its colon', async () => {
    const key = gpg.makeKey('Lost <lost@example.org>')
    const folder = join(gpg.dir, 'openpgp-revocs.d')
    const file = readdirSync(folder).find((name) => name === `${key}.rev`) as string
    const handed = readFileSync(join(folder, file), 'utf8')
    expect(handed).toContain('\n:-----BEGIN PGP')
    const fresh = gpg.exportKey(key)
    const found = accepted(await readRevocation(handed, [fresh]))
    expect(found).toMatchObject({ key, reason: 0, isHard: true })
    const crlf = handed.replace('\n:-----', '\n-----').replaceAll('\n', '\r\n')
    expect(accepted(await readRevocation(crlf, [fresh]))).toEqual(found)
  })

  it('finds the same in a key flooded with certifications and forged revocations', async () => {
    const { revoked, fresh } = of('compromised')
    const good = accepted(await readRevocation(revoked))
    const others = packetsOf(fresh).filter(({ tag }) => tag === 2)
    const forged = Array.from({ length: 20 }, (_, n) => revocation('compromised', octet(34, n)))
    const flooded = [
      primary('compromised'),
      ...forged,
      ...Array(500).fill(others[0]),
      revocation('compromised'),
    ]
    expect(accepted(await readRevocation(armor(flooded)))).toEqual(good)
  })

  it('drops what anybody can add to the unsigned part', async () => {
    const { bare, fresh } = of('retired')
    const { body } = revocation('retired')
    const hashed = 6 + Buffer.from(body).readUInt16BE(4)
    const unhashed = Buffer.from(body).readUInt16BE(hashed)
    // A second reason, "compromised", where nobody signs.
    const added = Buffer.concat([
      body.subarray(0, hashed),
      Buffer.from([0, unhashed + 3]),
      body.subarray(hashed + 2, hashed + 2 + unhashed),
      Buffer.from([2, 0x1d, 2]),
      body.subarray(hashed + 2 + unhashed),
    ])
    const changed = armor([primary('retired'), { tag: 2, body: added }])
    expect(accepted(await readRevocation(changed))).toEqual(
      accepted(await readRevocation(bare, [fresh])),
    )
    expect(codeOf(await checkCertificate(changed))).toBe('REVOCATION_FORM')
  })

  it('lets a hard revocation count before a soft one', async () => {
    const key = gpg.makeKey('Both <both@example.org>')
    const [fresh] = packetsOf(gpg.exportKey(key))
    const [soft] = packetsOf(gpg.makeRevocation(key, 'retired'))
    const [hard] = packetsOf(gpg.makeRevocation(key, 'compromised'))
    const both = armor([fresh, soft, hard] as Packet[])
    expect(accepted(await readRevocation(both))).toMatchObject({ reason: 2, isHard: true })
  })

  it('shows the owner’s words as one harmless line', async () => {
    const key = gpg.makeKey('Words <words@example.org>')
    const words = ['stolen <b>laptop</b> \u202e evil', 'x'.repeat(300)]
    const bare = gpg.answer(['--armor', '--gen-revoke', key], ['y', '1', ...words, '', 'y']).stdout
    const { text } = accepted(await readRevocation(bare, [gpg.exportKey(key)]))
    expect(text).toMatch(/^stolen <b>laptop<\/b> evil x+$/)
    expect([...text]).toHaveLength(200)
  })

  it('answers every changed octet of a kept certificate with a refusal', async () => {
    const { certificate } = accepted(await readRevocation(of('retired').revoked))
    const bytes = accepted(readArmor(certificate, kind))
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] as number) ^ (1 << (at % 8))
      expect(codeOf(await checkCertificate(writeArmor(kind, changed)))).not.toBe('accepted')
    }
  })

  it.each<[string, (certificate: string) => string]>([
    ['armor headers', (it) => it.replace('\n\n', '\nComment: hello\n\n')],
    ['CRLF', (it) => it.replaceAll('\n', '\r\n')],
    ['a final line end', (it) => `${it}\n`],
    ['a whole key', () => of('retired').revoked],
    ['a bare certificate', () => of('retired').bare],
    ['nothing', () => ''],
  ])('keeps no certificate with %s', async (_, change) => {
    const { certificate } = accepted(await readRevocation(of('retired').revoked))
    expect(codeOf(await checkCertificate(change(certificate)))).toBe('REVOCATION_FORM')
  })

  describe('revocationOf', () => {
    const ask = (key: string, answer: string | Uint8Array) =>
      revocationOf(key as Fingerprint, Buffer.from(answer as string))

    it('tells a revoked key from one that is not, armored and in packets', async () => {
      const { key, fresh, revoked } = of('none')
      expect(accepted(await ask(key, fresh))).toBeNull()
      expect(accepted(await ask(key, revoked))).toMatchObject({ key, reason: 0 })
      expect(accepted(await ask(key, joinPackets(packetsOf(revoked))))).toMatchObject({ key })
    })

    it('does not need a user id, which some servers leave out', async () => {
      const { key, revoked } = of('none')
      const bare = packetsOf(revoked).slice(0, 2)
      expect(accepted(await ask(key, armor(bare)))).toMatchObject({ key, reason: 0 })
    })

    it('does not take a revocation from the key beside it, or a forged one', async () => {
      const { key, fresh } = of('retired')
      const ring = joinPackets([...packetsOf(fresh), ...packetsOf(of('none').revoked)])
      expect(accepted(await ask(key, ring))).toBeNull()
      const forged = armor([primary('retired'), revocation('none')])
      expect(accepted(await ask(key, forged))).toBeNull()
    })

    it.each<[string, () => string | Uint8Array]>([
      ['another key', () => of('none').revoked],
      ['nothing', () => ''],
      ['a page', () => '<html>-----BEGIN PGP PUBLIC KEY BLOCK-----</html>'],
      ['random bytes', () => Buffer.from('99ff00ff', 'hex')],
      ['a bare certificate of that very key', () => of('retired').bare],
    ])('refuses %s', async (_, answer) => {
      expect(codeOf(await ask(of('retired').key, answer()))).toBe('KEY_NOT_IN_ANSWER')
    })
  })

  it('judges as openpgp.js judges a whole key', async () => {
    for (const { revoked, fresh } of cases.values()) {
      const isRevoked = async (armoredKey: string) => (await readKey({ armoredKey })).isRevoked()
      expect(await isRevoked(revoked)).toBe((await readRevocation(revoked)).ok)
      expect(await isRevoked(fresh)).toBe((await readRevocation(fresh)).ok)
    }
  })
})
