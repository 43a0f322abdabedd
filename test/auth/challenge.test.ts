import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { decrypt, generateKey, type PrivateKey, readMessage } from 'openpgp'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Challenge, Challenges, challengeMs } from '../../src/auth/challenge.ts'
import { codeAlphabet, readCode } from '../../src/auth/login-text.ts'
import { peerSigner } from '../../src/auth/peer-signature.ts'
import { KeyRing, minimalKey, type PublicKey } from '../../src/auth/public-key.ts'
import { signToken } from '../../src/auth/session.ts'
import { decodeEntry } from '../../src/replication/log/entry.ts'
import { decodeText } from '../../src/replication/log/text.ts'

const host = 'b.spoke.blogs.localhost'
const council = `blogs.localhost/${'5f'.repeat(32)}`
const startMs = Date.UTC(2026, 10, 25, 12)

type Holder = { readonly secret: PrivateKey; readonly key: PublicKey }

async function makeHolder(more: object = {}): Promise<Holder> {
  const { privateKey } = await generateKey({
    ...{ type: 'ecc', userIDs: [{ name: 'Maria' }], format: 'object' },
    date: new Date(startMs - 60_000),
    ...more,
  } as Parameters<typeof generateKey>[0] & { format: 'object' })
  const minimal = await minimalKey(privateKey.toPublic().armor())
  const key = minimal.ok ? await new KeyRing().read(minimal.value) : minimal
  if (!key.ok) throw new Error(key.reason)
  return { secret: privateKey, key: key.value }
}

async function codeOf(challenge: Challenge, { secret }: Holder): Promise<string> {
  if (challenge.kind !== 'decrypt') throw new Error('this challenge is to be signed')
  const message = await readMessage({ armoredMessage: challenge.message })
  const { data } = await decrypt({ message, decryptionKeys: secret, date: new Date(startMs) })
  return /^code: (.*)$/m.exec(String(data))?.[1] ?? ''
}

describe('Challenges', () => {
  let maria: Holder
  beforeAll(async () => {
    maria = await makeHolder()
  })

  function desk() {
    const clock = { nowMs: startMs }
    const challenges = new Challenges({ now: () => clock.nowMs, randomBytes })
    const open = (browser = 'firefox', at = host, key = maria.key, client = '10.0.0.1') =>
      challenges.open(key, { council, host: at, browser, client })
    return { clock, challenges, open }
  }

  it('lets the holder in who answers with the code', async () => {
    const { challenges, open } = desk()
    const challenge = await open()
    const proved = await challenges.answer(challenge.id, await codeOf(challenge, maria), 'firefox')
    expect(proved).toMatchObject({
      ok: true,
      value: { key: { fingerprint: maria.key.fingerprint } },
    })
  })

  it('takes the code also with its word, in small letters and with other blanks', async () => {
    const { challenges, open } = desk()
    const challenge = await open()
    const typed = `code: ${(await codeOf(challenge, maria)).toLowerCase().replaceAll('-', ' ')}\n`
    expect(await challenges.answer(challenge.id, typed, 'firefox')).toMatchObject({ ok: true })
  })

  describe('refuses', () => {
    type Attack = (
      from: ReturnType<typeof desk>,
      challenge: Challenge,
      code: string,
    ) => ReturnType<Challenges['answer']>
    const attacks: readonly [name: string, code: string, attack: Attack][] = [
      [
        'a code that was used before',
        'LOGIN_EXPIRED',
        async ({ challenges }, { id }, code) => {
          await challenges.answer(id, code, 'firefox')
          return challenges.answer(id, code, 'firefox')
        },
      ],
      [
        'the right code of another browser',
        'LOGIN_EXPIRED',
        ({ challenges }, { id }, code) => challenges.answer(id, code, 'chrome'),
      ],
      [
        'the right code when five minutes have passed',
        'LOGIN_EXPIRED',
        ({ challenges, clock }, { id }, code) => {
          clock.nowMs += challengeMs
          return challenges.answer(id, code, 'firefox')
        },
      ],
      [
        'a code of another challenge of the same key',
        'LOGIN_WRONG_CODE',
        async ({ challenges, open }, { id }) => {
          const other = await open()
          return challenges.answer(id, await codeOf(other, maria), 'firefox')
        },
      ],
      [
        'a code for another host',
        'LOGIN_WRONG_CODE',
        async ({ challenges, open }, { id }) => {
          const other = await open('firefox', 'c.spoke.blogs.localhost')
          return challenges.answer(id, await codeOf(other, maria), 'firefox')
        },
      ],
      [
        'an unknown challenge',
        'LOGIN_EXPIRED',
        ({ challenges }, _, code) => challenges.answer('0'.repeat(32), code, 'firefox'),
      ],
      [
        'a code with one character changed',
        'LOGIN_WRONG_CODE',
        ({ challenges }, { id }, code) =>
          challenges.answer(
            id,
            code.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
            'firefox',
          ),
      ],
      [
        'nothing',
        'LOGIN_WRONG_CODE',
        ({ challenges }, { id }) => challenges.answer(id, '', 'firefox'),
      ],
      [
        'a whole text with the right code below another first line',
        'LOGIN_WRONG_CODE',
        ({ challenges }, { id }, code) =>
          challenges.answer(id, `Dear Maria,\nsecret news\ncode: ${code}`, 'firefox'),
      ],
      [
        'ten megabytes',
        'LOGIN_WRONG_CODE',
        ({ challenges }, { id }) => challenges.answer(id, 'A'.repeat(10_000_000), 'firefox'),
      ],
    ]
    it.each(attacks)('%s', async (_, code, attack) => {
      const from = desk()
      const challenge = await from.open()
      const refused = await attack(from, challenge, await codeOf(challenge, maria))
      expect(refused).toMatchObject({ ok: false, code })
    })

    it('a sixth answer, also the right one', async () => {
      const { challenges, open } = desk()
      const challenge = await open()
      const code = await codeOf(challenge, maria)
      const answers: unknown[] = []
      for (let tries = 0; tries < 5; tries++) {
        answers.push(await challenges.answer(challenge.id, 'A'.repeat(28), 'firefox'))
      }
      expect(answers.map((each) => (each as { code: string }).code)).toEqual([
        ...Array(4).fill('LOGIN_WRONG_CODE'),
        'LOGIN_TOO_MANY_TRIES',
      ])
      expect(await challenges.answer(challenge.id, code, 'firefox')).toMatchObject({
        code: 'LOGIN_EXPIRED',
      })
    })

    it('all but one of two answers sent at once', async () => {
      const { challenges, open } = desk()
      const challenge = await open()
      const code = await codeOf(challenge, maria)
      const both = await Promise.all(
        [code, code].map((each) => challenges.answer(challenge.id, each, 'firefox')),
      )
      expect(both.filter(({ ok }) => ok).length).toBe(1)
    })
  })

  it('is found by the page that waits also while an answer to it is judged', async () => {
    const { challenges, open } = desk()
    const challenge = await open()
    const judged = challenges.answerPipe(challenge.pipe, await codeOf(challenge, maria))
    expect(challenges.find(challenge.id, 'firefox')).not.toBeNull()
    expect(challenges.collect(challenge.id, 'firefox')).toBeNull()
    await judged
    expect(challenges.collect(challenge.id, 'firefox')).not.toBeNull()
  })

  it('lets nobody end an author’s login by asking for many with her key', async () => {
    const { challenges, open } = desk()
    const first = await open()
    const codes = await codeOf(first, maria)
    for (let count = 0; count < 40; count++) {
      await open(`browser ${count}`, host, maria.key, `10.6.6.${count % 3}`)
    }
    expect(await challenges.answer(first.id, codes, 'firefox')).toMatchObject({ ok: true })
  })

  it('keeps twenty open challenges of a key: further ones end the oldest', async () => {
    const { challenges, open } = desk()
    const first = await open()
    for (let count = 0; count < 20; count++) await open(`browser ${count}`)
    expect(challenges.find(first.id, 'firefox')).toBeNull()
  })

  it.each([
    ['no encryption subkey', { subkeys: [{ sign: true }] }, null],
    [
      'an expired one',
      { subkeys: [{ keyExpirationTime: 30 }] },
      'its encryption subkey is expired',
    ],
  ])('asks a key with %s to sign', async (_, more, why) => {
    const { open } = desk()
    const challenge = await open('firefox', host, (await makeHolder(more)).key)
    expect(challenge).toMatchObject({
      kind: 'sign',
      why: why ?? 'it has no encryption subkey',
    })
  })

  describe('by the one-line pipe', () => {
    const textOf = async (challenge: Challenge, holder: Holder) => {
      if (challenge.kind !== 'decrypt') throw new Error('to be signed')
      const message = await readMessage({ armoredMessage: challenge.message })
      const { data } = await decrypt({
        message,
        decryptionKeys: holder.secret,
        date: new Date(startMs),
      })
      return String(data)
    }

    it('lets the browser in that waits, once, and nobody else', async () => {
      const { challenges, open } = desk()
      const challenge = await open()
      expect(challenges.collect(challenge.id, 'firefox')).toBeNull()
      const answered = await challenges.answerPipe(challenge.pipe, await textOf(challenge, maria))
      expect(answered).toMatchObject({ ok: true, value: { number: challenge.number } })
      expect(challenges.collect(challenge.id, 'chrome')).toBeNull()
      expect(challenges.collect(challenge.id, 'firefox')).not.toBeNull()
      expect(challenges.collect(challenge.id, 'firefox')).toBeNull()
    })

    it('refuses a text whose first line, host or length is another', async () => {
      const { challenges, open } = desk()
      const challenge = await open()
      const text = await textOf(challenge, maria)
      for (const changed of [
        text.replace('council-login/1', 'council-login/2'),
        `${text}\nmore`,
        text.replace(/code: .*/, ''),
      ]) {
        expect(await challenges.answerPipe(challenge.pipe, changed)).toMatchObject({ ok: false })
      }
    })

    it('takes no second answer', async () => {
      const { challenges, open } = desk()
      const challenge = await open()
      const text = await textOf(challenge, maria)
      await challenges.answerPipe(challenge.pipe, text)
      expect(await challenges.answerPipe(challenge.pipe, text)).toMatchObject({
        code: 'LOGIN_EXPIRED',
      })
    })
  })

  it('shows texts that nothing else in a council reads, and reads nothing else', async () => {
    const { challenges, open } = desk()
    const sign = await open('firefox', host, (await makeHolder({ subkeys: [{ sign: true }] })).key)
    const text = Buffer.from(sign.kind === 'sign' ? sign.text : '')
    expect(decodeEntry(text).ok).toBe(false)
    expect(decodeText(text)).toMatchObject({ ok: true, value: { first: 'council-login-sign/1' } })
    const session = signToken(peerSigner(await generateKeyPair('Ed25519')), 'session', {
      ...{ council, key: maria.key.fingerprint, host, id: '0'.repeat(32) },
      ...{ issuedMs: startMs, expiresMs: startMs + 1 },
    })
    expect(await challenges.answer(sign.id, session, 'firefox')).toMatchObject({ ok: false })
  })
})

describe('readCode', () => {
  it('has an alphabet of thirty characters, none of which is mixed up with another', () => {
    expect(new Set(codeAlphabet).size).toBe(30)
    expect(codeAlphabet).not.toMatch(/[01ILOU]/)
  })

  it.each([
    ['too short', 'A'.repeat(27)],
    ['too long', 'A'.repeat(29)],
    ['a character that no code has', `${'A'.repeat(27)}O`],
    ['two lines', `${'A'.repeat(28)}\n${'A'.repeat(28)}`],
  ])('reads nothing from %s', (_, answer) => {
    expect(readCode(answer)).toBeNull()
  })
})
