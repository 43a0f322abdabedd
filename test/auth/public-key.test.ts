import { enums, generateKey, type Key, readKey, readPrivateKey, revokeKey } from 'openpgp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readArmor, writeArmor } from '../../src/auth/armor.ts'
import { joinPackets, type Packet, splitPackets } from '../../src/auth/packet.ts'
import {
  KeyRing,
  keyStateAt,
  minimalKey,
  parseFingerprint,
  readPublicKey,
} from '../../src/auth/public-key.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import { GpgHome } from '../support/gpg.ts'

function accepted<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`)
  return verdict.value
}

const codeOf = (verdict: Verdict<unknown>) => (verdict.ok ? 'good' : verdict.code)

const at = (date: string) => new Date(`${date}T00:00:00Z`)

async function makeKey(options: { date?: Date; keyExpirationTime?: number } = {}) {
  return generateKey({
    type: 'ecc',
    userIDs: [{ name: 'Maria', email: 'maria@example.org' }],
    format: 'object',
    ...options,
  })
}

/** The armored key with its packets changed. */
function change(armored: string, how: (packets: Packet[]) => readonly Packet[]): string {
  const packets = splitPackets(accepted(readArmor(armored, 'PUBLIC KEY BLOCK')))
  return writeArmor('PUBLIC KEY BLOCK', joinPackets(how([...(packets ?? [])])))
}

/** The same with one octet of one packet set. */
const set = (index: number, octet: number, value: number) => (armored: string) =>
  change(armored, (packets) =>
    packets.map((packet, each) => {
      if (each !== index) return packet
      const body = Buffer.from(packet.body)
      body[octet] = value
      return { ...packet, body }
    }),
  )

describe('readPublicKey', () => {
  let good = ''
  let secret = ''

  beforeAll(async () => {
    const { privateKey, publicKey } = await makeKey()
    good = publicKey.armor()
    secret = privateKey.armor()
  })

  // Packets of `good`: 0 key, 1 user id, 2 self-signature, 3 subkey, 4 its binding.
  it.each<[string, (armored: string) => string, string]>([
    ['nothing', () => '', 'ARMOR_MISSING'],
    [
      'a wrong checksum',
      (it) => it.replace(/\n=./, (found) => (found === '\n=A' ? '\n=B' : '\n=A')),
      'ARMOR_CHECKSUM',
    ],
    ['text behind it', (it) => `${it}\nhello`, 'ARMOR_TEXT_OUTSIDE'],
    [
      'more than 256 KiB',
      (it) => it.replace('\n\n', `\nComment: ${'x'.repeat(262_144)}\n\n`),
      'KEY_TOO_LARGE',
    ],
    ['a secret key', () => secret, 'KEY_SECRET'],
    ['a secret key in disguise', () => secret.replaceAll('PRIVATE', 'PUBLIC'), 'KEY_SECRET'],
    ['two keys', (it) => change(it, (all) => [...all, ...all]), 'KEY_SEVERAL'],
    ['packets that end early', (it) => cutLastByte(it), 'KEY_MALFORMED'],
    ['a user id first', (it) => change(it, ([, ...rest]) => rest), 'KEY_MALFORMED'],
    [
      'a literal packet inside',
      (it) => change(it, (all) => [...all, { tag: 11, body: Buffer.alloc(9) }]),
      'KEY_MALFORMED',
    ],
    ['a broken self-signature packet', set(2, 4, 0xff), 'KEY_MALFORMED'],
    [
      'the same subkey twice',
      (it) => change(it, (all) => [...all, ...all.slice(3)]),
      'KEY_MALFORMED',
    ],
    ['a version 3 key', set(0, 0, 3), 'KEY_VERSION'],
    ['a version 6 subkey', set(3, 0, 6), 'KEY_VERSION'],
    ['an ElGamal primary key', set(0, 5, 16), 'KEY_ALGORITHM'],
    ['a DSA primary key', set(0, 5, 17), 'KEY_ALGORITHM'],
    ['an unknown algorithm', set(0, 5, 77), 'KEY_ALGORITHM'],
    ['an unknown curve', set(0, 8, 0), 'KEY_CURVE'],
    ['Ed25519 as ECDSA', set(0, 5, 19), 'KEY_CURVE'],
    [
      'a point cut short',
      (it) => change(it, ([key, ...rest]) => [cut(key as Packet), ...rest]),
      'KEY_MALFORMED',
    ],
    ['a SHA-1 self-signature', set(2, 3, 2), 'KEY_WEAK_SELF_SIGNATURE'],
    ['a SHA-1 binding', set(4, 3, 2), 'KEY_WEAK_SELF_SIGNATURE'],
    [
      'no user id',
      (it) => change(it, ([key, , , ...rest]) => [key as Packet, ...rest]),
      'KEY_NO_USER_ID',
    ],
    ['no self-signature', (it) => change(it, (all) => all.slice(0, 2)), 'KEY_CANNOT_SIGN'],
    ['a self-signature that does not fit', set(1, 0, 0x4e), 'KEY_NO_SELF_SIGNATURE'],
    ['another time of creation', set(0, 4, 0), 'KEY_THIRD_PARTY_CERTIFICATIONS'],
    [
      '300 parts',
      (it) => change(it, (all) => [...all, ...Array(300).fill(all[4])]),
      'KEY_TOO_MANY_PACKETS',
    ],
  ])('refuses %s', async (_, forge, code) => {
    expect(codeOf(await readPublicKey(forge(good)))).toBe(code)
  })

  it('answers every changed octet with a verdict, and never names another key', async () => {
    const { fingerprint } = accepted(await readPublicKey(good))
    const bytes = accepted(readArmor(good, 'PUBLIC KEY BLOCK'))
    const codes = new Set<string>()
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] as number) ^ (1 << (at % 8))
      const verdict = await readPublicKey(writeArmor('PUBLIC KEY BLOCK', changed))
      codes.add(codeOf(verdict))
      if (verdict.ok) expect(verdict.value.fingerprint).toBe(fingerprint)
    }
    expect(codes.size).toBeGreaterThan(5)
  })

  it('gives every refusal a sentence that ends and does not repeat the code', async () => {
    const verdict = await readPublicKey('hello')
    expect(!verdict.ok && verdict.reason).toMatch(/^[A-Z].{20,}[.)]$/)
  })

  it('keeps the text as read and names the key', async () => {
    const key = accepted(await readPublicKey(good))
    expect(key.armored).toBe(good)
    expect(key.fingerprint).toBe(parseFingerprint(key.key.getFingerprint().toUpperCase()))
  })

  it('reads a key that is long expired or not yet made', async () => {
    for (const date of [at('2001-01-01'), at('2090-01-01')]) {
      const { publicKey } = await makeKey({ date, keyExpirationTime: 60 })
      expect(codeOf(await readPublicKey(publicKey.armor()))).toBe('good')
    }
  })
})

function cutLastByte(armored: string): string {
  const bytes = accepted(readArmor(armored, 'PUBLIC KEY BLOCK'))
  return writeArmor('PUBLIC KEY BLOCK', bytes.subarray(0, -1))
}

function cut({ tag, body }: Packet): Packet {
  return { tag, body: body.subarray(0, -1) }
}

describe('parseFingerprint', () => {
  it('takes 40 upper-case hex digits only', () => {
    const good = '0123456789ABCDEF0123456789ABCDEF01234567'
    expect(parseFingerprint(good)).toBe(good)
    for (const bad of [
      '',
      good.toLowerCase(),
      good.slice(1),
      `${good}0`,
      `${good}\n`,
      `0x${good}`,
    ]) {
      expect(parseFingerprint(bad)).toBeNull()
    }
  })
})

describe('keyStateAt', () => {
  const day = 24 * 3_600

  it('knows an expiry to the second', async () => {
    const made = at('2024-01-01')
    const { publicKey } = await makeKey({ date: made, keyExpirationTime: 31 * day })
    const key = accepted(await readPublicKey(publicKey.armor()))
    const end = at('2024-02-01').getTime()
    const states: [number, string][] = [
      [made.getTime() - 1_000, 'KEY_NOT_YET_VALID'],
      [made.getTime(), 'good'],
      [end - 1, 'good'],
      [end, 'KEY_EXPIRED'],
      [at('2090-01-01').getTime(), 'KEY_EXPIRED'],
    ]
    for (const [ms, code] of [...states, ...states.reverse()]) {
      expect(codeOf(await keyStateAt(key, new Date(ms)))).toBe(code)
    }
    const verdict = await keyStateAt(key, new Date(end))
    expect(!verdict.ok && verdict.reason).toContain(`gpg --quick-set-expire ${key.fingerprint} 2y`)
  })

  it.each([
    [enums.reasonForRevocation.noReason, 'KEY_REVOKED'],
    [enums.reasonForRevocation.keySuperseded, 'good'],
    [enums.reasonForRevocation.keyCompromised, 'KEY_REVOKED'],
    [enums.reasonForRevocation.keyRetired, 'good'],
  ])('a revocation for reason %i makes the time before it %s', async (flag, before) => {
    const { privateKey } = await makeKey({ date: at('2024-01-01') })
    const { publicKey } = await revokeKey({
      key: privateKey,
      reasonForRevocation: { flag },
      date: at('2024-06-01'),
      format: 'object',
    })
    const key = accepted(await readPublicKey(publicKey.armor()))
    // Twice: a later instant that was asked for first must not change the answer.
    for (let round = 0; round < 2; round++) {
      expect(codeOf(await keyStateAt(key, at('2024-05-31')))).toBe(before)
      expect(codeOf(await keyStateAt(key, at('2024-06-01')))).toBe('KEY_REVOKED')
    }
  })
})

describe.skipIf(!GpgHome.isInstalled)('KeyTimeline', () => {
  it('answers in any order what a freshly read key answers', async () => {
    using gpg = new GpgHome()
    const fingerprint = gpg.makeKey('Maria <maria@example.org>', 'ed25519', {
      at: '20200101T000000',
      usage: 'cert',
    })
    gpg.addSubkey(fingerprint, 'ed25519', 'sign', { at: '20200201T000000', expire: '1y' })
    gpg.addSubkey(fingerprint, 'ed25519', 'sign', { at: '20200301T000000' })
    gpg.addSubkey(fingerprint, 'ed25519', 'auth', { at: '20200301T000000' })
    gpg.run(['--faked-system-time', '20200401T000000!', '--quick-set-expire', fingerprint, '3y'])
    // The second signing subkey is superseded in 2022: openpgp.js keeps such a finding.
    gpg.answer(
      ['--faked-system-time', '20220101T000000!', '--edit-key', fingerprint],
      ['key 2', 'revkey', 'y', '2', '', 'y', 'save'],
    )
    const armored = gpg.exportKey(fingerprint)
    const key = accepted(await readPublicKey(armored))
    const dates = ['2019-12-31', '2020-01-15', '2020-02-15', '2020-03-15', '2020-12-31']
      .concat('2021-01-31', '2021-02-01', '2021-12-31', '2022-01-01', '2023-03-30')
      .concat('2023-04-01', '2030-01-01')
    const counts = { good: 0, other: 0 }
    for (const date of [...dates, ...dates.toReversed()].map(at)) {
      for (const keyId of key.signers.keys()) {
        const state = await key.timeline.signerAt(keyId, date.getTime())
        const fresh = await freshlyMaySign(armored, keyId, date)
        expect(state === 'good', `${keyId} at ${date.toISOString()}: ${state}`).toBe(fresh)
        counts[fresh ? 'good' : 'other'] += 1
      }
    }
    // Both answers were seen often enough for the comparison to mean something.
    expect(counts.good).toBeGreaterThan(5)
    expect(counts.other).toBeGreaterThan(5)
    const [, first = '', second = ''] = [...key.signers.keys()]
    expect(await key.timeline.signerAt(first, at('2021-06-01').getTime())).toBe('expired')
    expect(await key.timeline.signerAt(second, at('2021-06-01').getTime())).toBe('good')
    expect(await key.timeline.signerAt(second, at('2022-06-01').getTime())).toBe('revoked')
    expect(await key.timeline.signerAt(second, at('2024-06-01').getTime())).toBe('expired')
  })
})

async function freshlyMaySign(armoredKey: string, keyId: string, date: Date): Promise<boolean> {
  const key = await readKey({ armoredKey })
  const signer = key.getKeys().find((each) => each.getKeyID().toHex().toUpperCase() === keyId)
  try {
    await key.getSigningKey((signer as Key).getKeyID(), date)
    return true
  } catch {
    return false
  }
}

describe('minimalKey', () => {
  it('drops headers, CRLF and lines around the block', async () => {
    const armored = (await makeKey()).publicKey.armor()
    const minimal = accepted(await minimalKey(armored))
    expect(minimal).toMatch(
      /^-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n[^:\r]*\n=.{4}\n-----END PGP PUBLIC KEY BLOCK-----$/,
    )
    const dressed = `\n${armored.replace('\n\n', '\nVersion: 1\n\n')}\n`.replaceAll('\n', '\r\n')
    expect(accepted(await minimalKey(dressed))).toBe(minimal)
    expect(accepted(await minimalKey(minimal))).toBe(minimal)
    expect(accepted(await readPublicKey(minimal)).armored).toBe(minimal)
  })

  it('refuses 6 MB of certifications by their size, with a way out', async () => {
    const flooded = `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${'A'.repeat(6_000_000)}`
    const verdict = await minimalKey(flooded)
    expect(codeOf(verdict)).toBe('KEY_TOO_LARGE')
    expect(!verdict.ok && verdict.reason).toContain('export-minimal')
  })
})

describe.skipIf(!GpgHome.isInstalled)('minimalKey with real gpg', () => {
  let gpg: GpgHome
  beforeAll(() => {
    gpg = new GpgHome()
  })
  afterAll(() => gpg[Symbol.dispose]())

  it('strips certifications by others and nothing else', async () => {
    const [maria, eve] = [gpg.makeKey('Maria <m@example.org>'), gpg.makeKey('Eve <e@example.org>')]
    gpg.addSubkey(maria, 'cv25519', 'encr')
    const alone = accepted(await minimalKey(gpg.exportKey(maria)))
    gpg.run(['-u', eve, '--quick-sign-key', maria])
    const certified = gpg.exportKey(maria)
    expect(codeOf(await readPublicKey(certified))).toBe('KEY_THIRD_PARTY_CERTIFICATIONS')
    expect(accepted(await minimalKey(certified))).toBe(alone)
    const shown = gpg.run(['--show-keys', '--with-colons', gpg.file(alone)]).stdout
    expect(shown).toContain(`fpr:::::::::${maria}:`)
    expect(shown).toContain('Maria <m@example.org>')
  })

  it('keeps a revocation by the key itself', async () => {
    const fingerprint = gpg.makeKey('Ana <a@example.org>', 'ed25519', { at: '20240101T000000' })
    gpg.importKey(gpg.makeRevocation(fingerprint, 'compromised', { at: '20240601T000000' }))
    const minimal = accepted(await minimalKey(gpg.exportKey(fingerprint)))
    const key = accepted(await readPublicKey(minimal))
    expect(codeOf(await keyStateAt(key, at('2024-07-01')))).toBe('KEY_REVOKED')
  })

  it('refuses a DSA signing subkey under a good key', async () => {
    const fingerprint = gpg.makeKey('Old <o@example.org>')
    gpg.addSubkey(fingerprint, 'dsa2048', 'sign')
    const verdict = await minimalKey(gpg.exportKey(fingerprint))
    expect(codeOf(verdict)).toBe('KEY_ALGORITHM')
    expect(!verdict.ok && verdict.reason).toContain('signing subkey uses DSA')
  })

  it('accepts encryption subkeys of any kind', async () => {
    const fingerprint = gpg.makeKey('Mixed <x@example.org>')
    gpg.addSubkey(fingerprint, 'elg2048', 'encr')
    gpg.addSubkey(fingerprint, 'brainpoolP256r1', 'encr')
    expect(codeOf(await minimalKey(gpg.exportKey(fingerprint)))).toBe('good')
  })

  it('says of secret keys what to send instead', async () => {
    const fingerprint = gpg.makeKey('Careless <c@example.org>')
    const secret = gpg.exportSecretKey(fingerprint)
    await readPrivateKey({ armoredKey: secret })
    const verdict = await minimalKey(secret)
    expect(codeOf(verdict)).toBe('KEY_SECRET')
    expect(!verdict.ok && verdict.reason).toContain('gpg --armor --export')
  })
})

describe('KeyRing', () => {
  it('reads a key once and forgets the one used longest ago', async () => {
    const [a, b, c] = await Promise.all(
      [1, 2, 3].map(async () => (await makeKey()).publicKey.armor()),
    )
    const ring = new KeyRing(2)
    const read = async (armored = '') => accepted(await ring.read(armored))
    const [first, second] = [await read(a), await read(b)]
    expect(await read(a)).toBe(first)
    await read(c)
    expect(await read(a)).toBe(first)
    expect(await read(b)).not.toBe(second)
  })

  it('is bounded by bytes too', async () => {
    const [a, b] = [(await makeKey()).publicKey.armor(), (await makeKey()).publicKey.armor()]
    const ring = new KeyRing(100, a.length + 10)
    const first = accepted(await ring.read(a))
    accepted(await ring.read(b))
    expect(accepted(await ring.read(a))).not.toBe(first)
  })

  it('refuses what readPublicKey refuses', async () => {
    expect(codeOf(await new KeyRing().read('hello'))).toBe('ARMOR_MISSING')
    expect(codeOf(await new KeyRing().read('x'.repeat(300_000)))).toBe('KEY_TOO_LARGE')
  })
})
