import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PeerName, peerSigner } from '../../src/auth/peer-signature.ts'
import type { Fingerprint } from '../../src/auth/public-key.ts'
import { maxSessionMs, passMs, signToken, type TokenKind } from '../../src/auth/session.ts'
import { openPeerKey } from '../../src/node/peer-key.ts'
import { rosterLog } from '../../src/replication/log/log.ts'
import { asBrowser } from '../support/as-browser.ts'
import { makeSigner, type Signer } from '../support/author.ts'
import { soon, startCouncil, type TestCouncil, type TestPeer, zone } from '../support/council.ts'

describe('a session that another spoke signed', () => {
  let council: TestCouncil
  let signer: Signer
  const host = `edit.maria.${zone}`
  beforeAll(async () => {
    council = await startCouncil({ spokes: 3 })
    signer = await makeSigner()
    const blog = await council.claim('maria', signer, council.peer('b'))
    for (const spoke of council.spokes) await blog.whenWhole(spoke)
  })
  afterAll(() => council?.[Symbol.asyncDispose]())

  const keyOf = async (peer: TestPeer) =>
    peerSigner((await openPeerKey(join(peer.folder, 'data'))).key)
  /** As that spoke writes it into a cookie, or into the way to the edit host. */
  const token = (kind: TokenKind, by: ReturnType<typeof peerSigner>) => {
    const issuedMs = Date.now()
    return signToken(by, kind, {
      ...{ council: council.id, key: signer.fingerprint as Fingerprint, host, issuedMs },
      id: randomBytes(16).toString('hex'),
      expiresMs: issuedMs + (kind === 'session' ? maxSessionMs : passMs),
    })
  }
  const ask = async (at: TestPeer, path: string, cookie = '') => {
    const { status, headers } = await asBrowser(at, { path, host, cookie })
    const { location } = headers
    return location === undefined
      ? String(status)
      : `to ${new URL(location, `http://${host}`).pathname}`
  }
  const write = (at: TestPeer, session: string) => ask(at, '/write', `__Host-council=${session}`)
  const enter = (at: TestPeer, pass: string) => ask(at, `/enter?t=${pass}`)

  it('lets her go on at any other spoke while that one is down, until it is cut off', async () => {
    const [a, b, c] = council.spokes as [TestPeer, TestPeer, TestPeer]
    const [byB, byC] = await Promise.all([keyOf(b), keyOf(c)])
    const stranger = peerSigner(await generateKeyPair('Ed25519'))
    await c.stop()
    const sessions = { b: token('session', byB), c: token('session', byC) }
    for (const at of [a, b]) {
      expect(await write(at, sessions.b)).toBe('200')
      expect(await write(at, sessions.c)).toBe('200')
      expect(await enter(at, token('enter', byC))).toBe('to /')
      // Only members can.
      expect(await write(at, token('session', stranger))).toBe('to /enter')
      expect(await enter(at, token('enter', stranger))).toBe('403')
    }

    const { exchange } = council.authority
    const written = await exchange.council.write(rosterLog, council.id, () => ({
      ...{ kind: 'cutoff', peer: c.line.peerId as PeerName },
      ...{ reason: 'It let strangers in.', evidence: null },
    }))
    if (!written.ok || written.value === null) throw new Error('the act was not written')
    await exchange.tell(rosterLog, written.value.proof, [])
    for (const at of [a, b]) {
      await soon(async () => expect(await write(at, sessions.c)).toBe('to /enter'))
      expect(await enter(at, token('enter', byC))).toBe('403')
      expect(await write(at, sessions.b), 'another one’s session is as before').toBe('200')
    }
  })
})
