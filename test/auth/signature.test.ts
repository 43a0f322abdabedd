import fc from 'fast-check'
import * as openpgp from 'openpgp'
import { createMessage, generateKey, type PrivateKey, readKey, sign, verify } from 'openpgp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readArmor, writeArmor } from '../../src/auth/armor.ts'
import { minimalKey, type PublicKey, readPublicKey } from '../../src/auth/public-key.ts'
import {
  type DetachedSignature,
  readSignature,
  splitClearsigned,
  verifyDetached,
} from '../../src/auth/signature.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import { GpgHome, type GpgMode } from '../support/gpg.ts'

const text = [
  'council-entry 1',
  'blog maria',
  'title ¿Qué es un consejo?',
  '',
  '- one',
  '-----BEGIN PGP SIGNATURE-----',
  'two 合议会',
].join('\n')
const bytes = Buffer.from(text)

function accepted<T>(verdict: Verdict<T>): T {
  if (!verdict.ok) throw new Error(`${verdict.code}: ${verdict.reason}`)
  return verdict.value
}

const codeOf = (verdict: Verdict<unknown>) => (verdict.ok ? 'good' : verdict.code)

async function makeSigner(type: 'ecc' | 'curve25519' | 'rsa' = 'ecc') {
  const { privateKey } = await generateKey({
    type,
    ...(type === 'rsa' ? { rsaBits: 2048 } : {}),
    userIDs: [{ name: 'Maria', email: 'maria@example.org' }],
    format: 'object',
  })
  const key = accepted(await readPublicKey(privateKey.toPublic().armor()))
  return { privateKey, key }
}

async function signWith(privateKey: PrivateKey, over: Uint8Array, date = new Date()) {
  const message = await createMessage({ binary: over })
  return sign({ message, signingKeys: privateKey, detached: true, date })
}

/** The armored block of changed packet bytes. */
function change(armored: string, how: (bytes: Buffer) => Uint8Array): string {
  return writeArmor('SIGNATURE', how(Buffer.from(accepted(readArmor(armored, 'SIGNATURE')))))
}

describe('readSignature', () => {
  let good = ''

  beforeAll(async () => {
    good = await signWith((await makeSigner()).privateKey, bytes)
  })

  // Of openpgp.js: a new-format header, one octet of length for these short packets.
  const body = 2
  it.each<[string, (armored: string) => string, string]>([
    ['nothing', () => '', 'ARMOR_MISSING'],
    ['no block', () => 'hello', 'ARMOR_MISSING'],
    ['no END line', (it) => it.replace(/-----END.*/, ''), 'ARMOR_MALFORMED'],
    ['no empty line', (it) => it.replace('\n\n', '\n'), 'ARMOR_MALFORMED'],
    ['a prose line as header', (it) => it.replace('\n\n', '\nhello world\n\n'), 'ARMOR_MALFORMED'],
    ['a character that is not base64', (it) => it.replace(/\n\n./, '\n\n!'), 'ARMOR_MALFORMED'],
    ['base64 cut by one', (it) => it.replace(/\n\n./, '\n\n'), 'ARMOR_MALFORMED'],
    ['one changed byte under the old checksum', flipUnderChecksum, 'ARMOR_CHECKSUM'],
    ['text before it', (it) => `hello\n${it}`, 'ARMOR_TEXT_OUTSIDE'],
    ['text behind it', (it) => `${it}\nhello`, 'ARMOR_TEXT_OUTSIDE'],
    ['two blocks', (it) => `${it}\n${it}`, 'ARMOR_TWO_BLOCKS'],
    ['a key', (it) => it.replaceAll('SIGNATURE', 'PUBLIC KEY BLOCK'), 'ARMOR_OTHER_KIND'],
    ['an empty packet list', () => writeArmor('SIGNATURE', new Uint8Array()), 'ARMOR_MALFORMED'],
    ['random bytes', () => writeArmor('SIGNATURE', Buffer.alloc(80, 0x17)), 'SIGNATURE_MALFORMED'],
    [
      'a length beyond its end',
      (it) => change(it, (all) => all.subarray(0, -1)),
      'SIGNATURE_MALFORMED',
    ],
    [
      'two packets',
      (it) => change(it, (all) => Buffer.concat([all, all])),
      'SIGNATURE_TWO_PACKETS',
    ],
    ['a marker packet behind', (it) => change(it, withMarker), 'SIGNATURE_TWO_PACKETS'],
    ['a literal packet', (it) => change(it, set(0, 0xcb)), 'SIGNATURE_NOT_A_SIGNATURE'],
    ['version 3', (it) => change(it, set(body, 3)), 'SIGNATURE_VERSION'],
    ['version 6', (it) => change(it, set(body, 6)), 'SIGNATURE_VERSION'],
    ['a certification', (it) => change(it, set(body + 1, 0x13)), 'SIGNATURE_TYPE'],
    ['a timestamp', (it) => change(it, set(body + 1, 0x40)), 'SIGNATURE_TYPE'],
    ['MD5', (it) => change(it, set(body + 3, 1)), 'SIGNATURE_WEAK_HASH'],
    ['SHA-1', (it) => change(it, set(body + 3, 2)), 'SIGNATURE_WEAK_HASH'],
    ['RIPEMD-160', (it) => change(it, set(body + 3, 3)), 'SIGNATURE_WEAK_HASH'],
    ['SHA-224', (it) => change(it, set(body + 3, 11)), 'SIGNATURE_WEAK_HASH'],
    [
      'hashed subpackets beyond the end',
      (it) => change(it, set(body + 4, 0xff)),
      'SIGNATURE_MALFORMED',
    ],
    ['no time of creation', (it) => change(it, set(body + 7, 0x80 | 99)), 'SIGNATURE_MALFORMED'],
    ['an unknown algorithm', (it) => change(it, set(body + 2, 99)), 'SIGNATURE_MALFORMED'],
    [
      'a comment that makes 4 KiB',
      (it) => it.replace('\n\n', `\nComment: ${'x'.repeat(4096)}\n\n`),
      'SIGNATURE_TOO_LONG',
    ],
  ])('refuses %s', async (_, forge, code) => {
    const forged = forge(good)
    expect(forged).not.toBe(good)
    expect(codeOf(await readSignature(forged))).toBe(code)
  })

  it('answers any characters and any packet bytes with a verdict', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary' }),
        fc.uint8Array({ maxLength: 300 }),
        async (characters, packet) => {
          const framed = `-----BEGIN PGP SIGNATURE-----\n${characters}\n-----END PGP SIGNATURE-----`
          for (const each of [characters, framed, writeArmor('SIGNATURE', packet)]) {
            expect(codeOf(await readSignature(each))).not.toBe('good')
            expect(codeOf(await splitClearsigned(each))).not.toBe('good')
          }
        },
      ),
    )
  })

  it('refuses a signature that names two different issuers', async () => {
    // The unhashed area of openpgp.js is empty; here it gets a foreign issuer.
    const forged = change(good, (all) => {
      const hashedEnd = body + 6 + all.readUInt16BE(body + 4)
      const unhashed = Buffer.from([0, 10, 9, 16, 1, 2, 3, 4, 5, 6, 7, 8])
      const whole = Buffer.concat([
        all.subarray(body, hashedEnd),
        unhashed,
        all.subarray(hashedEnd + 2),
      ])
      return Buffer.concat([Buffer.from([0xc2, 0xff, 0, 0, 0, whole.length]), whole])
    })
    expect(codeOf(await readSignature(forged))).toBe('SIGNATURE_NO_ISSUER')
  })

  it('armors anew without headers, and the result reads to itself', async () => {
    const dressed = good
      .replace('\n\n', '\nVersion: GnuPG v2\nComment: at home\n\n')
      .replaceAll('\n', '\r\n')
    const { armored } = accepted(await readSignature(`\r\n${dressed}\r\n`))
    expect(armored).toMatch(
      /^-----BEGIN PGP SIGNATURE-----\n\n[^:]*\n=.{4}\n-----END PGP SIGNATURE-----$/,
    )
    expect(accepted(await readSignature(armored)).armored).toBe(armored)
  })

  it('accepts a block without checksum and adds it', async () => {
    const bare = good.replace(/\n=....\n/, '\n')
    expect(accepted(await readSignature(bare)).armored).toBe(
      accepted(await readSignature(good)).armored,
    )
  })

  it('drops unsigned additions and leading zeros that were put in on the way', async () => {
    const { armored, keyId } = accepted(await readSignature(good))
    const forged = change(good, (all) => {
      const hashedEnd = body + 6 + all.readUInt16BE(body + 4)
      const rest = all.subarray(hashedEnd + 2)
      // left 16 bits, then two numbers of Ed25519: the first one gets a leading zero octet
      const bits = rest.readUInt16BE(2)
      const octets = (bits + 7) >> 3
      const longer = Buffer.alloc(3)
      longer.writeUInt16BE(octets * 8 + 8)
      const whole = Buffer.concat([
        all.subarray(body, hashedEnd),
        Buffer.from([0, 4, 3, 100, 1, 2]),
        rest.subarray(0, 2),
        longer,
        rest.subarray(4),
      ])
      return Buffer.concat([Buffer.from([0xc2, 0xff, 0, 0, 0, whole.length]), whole])
    })
    expect(accepted(await readSignature(forged))).toMatchObject({ armored, keyId })
  })

  it('tells who signed and when', async () => {
    const { privateKey, key } = await makeSigner()
    const date = new Date('2036-11-23T03:40:00Z')
    const signature = accepted(await readSignature(await signWith(privateKey, bytes, date)))
    expect(signature.createdMs).toBe(date.getTime())
    expect(signature.issuer).toBe(key.fingerprint)
  })
})

const set = (at: number, value: number) => (all: Buffer) => {
  all[at] = value
  return all
}

function withMarker(all: Buffer): Uint8Array {
  return Buffer.concat([all, Buffer.from([0xca, 3, 0x50, 0x47, 0x50])])
}

function flipUnderChecksum(armored: string): string {
  return armored.replace(/\n\n(.{10})(.)/, (_, head: string, char: string) => {
    return `\n\n${head}${char === 'A' ? 'B' : 'A'}`
  })
}

describe('verifyDetached', () => {
  it('names what was signed instead of the text', async () => {
    const { privateKey, key } = await makeSigner()
    const cases: [string, string][] = [
      [`${text}\n`, 'SIGNATURE_OVER_TRAILING_NEWLINE'],
      [text.replaceAll('\n', '\r\n'), 'SIGNATURE_OVER_CRLF'],
      [`${text}\n`.replaceAll('\n', '\r\n'), 'SIGNATURE_OVER_CRLF'],
      [text.replace('two', 'TWO'), 'SIGNATURE_BAD'],
      ['', 'SIGNATURE_BAD'],
    ]
    for (const [signed, code] of cases) {
      const signature = accepted(
        await readSignature(await signWith(privateKey, Buffer.from(signed))),
      )
      expect(codeOf(await verifyDetached(bytes, signature, key))).toBe(code)
    }
    const blanks = Buffer.from(text.replace('- one', '- one  '))
    const signature = accepted(await readSignature(await signWith(privateKey, bytes)))
    expect(codeOf(await verifyDetached(blanks, signature, key))).toBe(
      'SIGNATURE_OVER_STRIPPED_BLANKS',
    )
  })

  it('refuses a signature by another key', async () => {
    const [maria, eve] = [await makeSigner(), await makeSigner()]
    const signature = accepted(await readSignature(await signWith(eve.privateKey, bytes)))
    const verdict = await verifyDetached(bytes, signature, maria.key)
    expect(codeOf(verdict)).toBe('SIGNATURE_OTHER_KEY')
    expect(!verdict.ok && verdict.reason).toContain(eve.key.fingerprint)
  })

  it('gives the same verdict in whatever order and how often it is asked', async () => {
    const { privateKey, key } = await makeSigner()
    const day = 24 * 3_600_000
    const early = accepted(
      await readSignature(await signWith(privateKey, bytes, new Date(Date.now() + day))),
    )
    const bad = Buffer.from('other')
    for (let round = 0; round < 2; round++) {
      expect(codeOf(await verifyDetached(bytes, early, key))).toBe('good')
      expect(codeOf(await verifyDetached(bad, early, key))).toBe('SIGNATURE_BAD')
    }
  })

  it.each(['ecc', 'curve25519', 'rsa'] as const)(
    'says of every changed octet of an %s signature what openpgp.js says',
    async (type) => {
      const { privateKey, key } = await makeSigner(type)
      const packet = Buffer.from(
        accepted(readArmor(await signWith(privateKey, bytes), 'SIGNATURE')),
      )
      let compared = 0
      for (let at = 0; at < packet.length; at++) {
        const changed = Buffer.from(packet)
        changed[at] = (changed[at] as number) ^ (1 << (at % 8))
        const signature = await readSignature(writeArmor('SIGNATURE', changed))
        if (!signature.ok) continue
        const ours = await verifyDetached(bytes, signature.value, key)
        expect(ours.ok, `octet ${at}`).toBe(await libraryAccepts(bytes, signature.value, key))
        compared += 1
      }
      expect(compared).toBeGreaterThan(60)
      const good = accepted(await readSignature(writeArmor('SIGNATURE', packet)))
      expect(good.plain).not.toBeNull()
      expect(await libraryAccepts(bytes, good, key)).toBe(true)
      expect(codeOf(await verifyDetached(bytes, good, key))).toBe('good')
    },
    120_000,
  )

  it('asks openpgp.js about what is not of the plain shape', async () => {
    const { privateKey, publicKey } = await generateKey({
      type: 'ecc',
      curve: 'nistP256',
      userIDs: [{ name: 'Maria' }],
      format: 'object',
    })
    const key = accepted(await readPublicKey(accepted(await minimalKey(publicKey.armor()))))
    const message = await createMessage({ binary: bytes })
    const armored = await sign({ message, signingKeys: privateKey, detached: true })
    const signature = accepted(await readSignature(armored))
    expect(codeOf(await verifyDetached(bytes, signature, key))).toBe('good')
    expect(codeOf(await verifyDetached(Buffer.from('no'), signature, key))).toBe('SIGNATURE_BAD')
    expect([...key.signers.values()].every((signer) => signer.plain === null)).toBe(true)
  })
})

/** The whole of openpgp.js on freshly read inputs, at the signature's own time. */
async function libraryAccepts(
  over: Uint8Array,
  { armored, createdMs }: DetachedSignature,
  key: PublicKey,
): Promise<boolean> {
  try {
    const { signatures } = await verify({
      message: await createMessage({ binary: over }),
      signature: await openpgp.readSignature({ armoredSignature: armored }),
      verificationKeys: await readKey({ armoredKey: key.armored }),
      date: new Date(createdMs),
      format: 'binary',
    })
    return (await signatures[0]?.verified) === true
  } catch {
    return false
  }
}

describe('splitClearsigned', () => {
  const block = (lines: readonly string[], signature: string) =>
    ['-----BEGIN PGP SIGNED MESSAGE-----', 'Hash: SHA512', '', ...lines, signature].join('\n')
  let signature = ''

  beforeAll(async () => {
    signature = (await signWith((await makeSigner()).privateKey, bytes)).trimEnd()
  })

  it.each<[string, (signature: string) => string, string]>([
    ['no block', () => 'hello', 'CLEARSIGNED_MISSING'],
    ['a detached signature alone', (it) => it, 'CLEARSIGNED_MISSING'],
    ['no signature', () => block(['one'], ''), 'CLEARSIGNED_MISSING'],
    [
      'a cut signature',
      (it) => block(['one'], it.replace(/-----END.*/, '')),
      'CLEARSIGNED_MISSING',
    ],
    [
      'two blocks',
      (it) => `${block(['one'], it)}\n${block(['two'], it)}`,
      'CLEARSIGNED_TWO_BLOCKS',
    ],
    [
      'a hidden header',
      (it) => block(['x'], it).replace('\n\n', '\nhello: you\n\n'),
      'CLEARSIGNED_MALFORMED',
    ],
    [
      'NotDashEscaped',
      (it) => block(['x'], it).replace('\n\n', '\nNotDashEscaped: y\n\n'),
      'CLEARSIGNED_MALFORMED',
    ],
    ['no empty line', (it) => block(['x'], it).replace('\n\n', '\n'), 'CLEARSIGNED_MALFORMED'],
    ['a bare dash', (it) => block(['-x'], it), 'CLEARSIGNED_MALFORMED'],
    ['a bad signature block', (it) => block(['x'], flipUnderChecksum(it)), 'ARMOR_CHECKSUM'],
    ['300 KB', (it) => block(['x'.repeat(300_000)], it), 'CLEARSIGNED_TOO_LONG'],
  ])('refuses %s', async (_, forge, code) => {
    expect(codeOf(await splitClearsigned(forge(signature)))).toBe(code)
  })

  it('undoes dash-escapes, cuts trailing blanks and drops what stands outside', async () => {
    const paste = `Hello,\n\n${block(['- - one \t', 'two\u00a0', '', '- -----'], signature)}\nbye`
    for (const each of [paste, paste.replaceAll('\n', '\r\n')]) {
      const split = accepted(await splitClearsigned(each))
      expect(Buffer.from(split.text).toString()).toBe('- one\ntwo\u00a0\n\n-----')
      expect(split.signature).toBe(accepted(await readSignature(signature)).armored)
    }
  })
})

describe.skipIf(!GpgHome.isInstalled)('with real gpg', () => {
  let gpg: GpgHome
  beforeAll(() => {
    gpg = new GpgHome()
  })
  afterAll(() => gpg[Symbol.dispose]())

  it.each(['rsa3072', 'ed25519', 'nistp256'])(
    'a text signed with %s in each mode is good, also for gpg and gpgv after we armored it anew',
    async (algorithm) => {
      const fingerprint = gpg.makeKey(`${algorithm} <maria@example.org>`, algorithm)
      const armoredKey = accepted(await minimalKey(gpg.exportKey(fingerprint)))
      const key = accepted(await readPublicKey(armoredKey))
      for (const mode of ['detached', 'text', 'clear'] satisfies GpgMode[]) {
        const out = gpg.sign(text, fingerprint, mode)
        const split = mode === 'clear' ? accepted(await splitClearsigned(out)) : null
        if (split !== null) expect(Buffer.from(split.text).toString()).toBe(text)
        const signature = accepted(await readSignature(split?.signature ?? out))
        expect(codeOf(await verifyDetached(bytes, signature, key))).toBe('good')
        const valid = `VALIDSIG ${fingerprint}`
        expect(gpg.verify(text, signature.armored).stdout).toContain(valid)
        expect(gpg.gpgv(text, signature.armored, armoredKey).stdout).toContain(valid)
        const altered = Buffer.from(text.replace('two', 'owt'))
        expect(codeOf(await verifyDetached(altered, signature, key))).toBe('SIGNATURE_BAD')
      }
    },
  )

  it("keys and signatures made by openpgp.js type 'ecc' are good for gpg and gpgv", async () => {
    const { privateKey, key } = await makeSigner('ecc')
    const { armored } = accepted(await readSignature(await signWith(privateKey, bytes)))
    gpg.importKey(key.armored)
    const valid = `VALIDSIG ${key.fingerprint}`
    expect(gpg.verify(text, armored).stdout).toContain(valid)
    expect(gpg.gpgv(text, armored, accepted(await minimalKey(key.armored))).stdout).toContain(valid)
  })
})
