import { spawnSync } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { describe, expect, it } from 'vitest'
import {
  type PeerName,
  parsePeerName,
  peerPem,
  peerSigner,
  verifyPeer,
} from '../../src/auth/peer-signature.ts'

const text = Buffer.from('council-receipt 1\nblog maria')
const signer = peerSigner(await generateKeyPair('Ed25519'))
const other = peerSigner(await generateKeyPair('Ed25519'))
const good = signer.sign(text)

describe('verifyPeer', () => {
  const flip = (bytes: Uint8Array, at: number) =>
    Buffer.from(bytes).fill((bytes[at] as number) ^ 1, at, at + 1)

  it.each<[string, string, Uint8Array, Uint8Array]>([
    ['a changed text', signer.peer, Buffer.from('council-receipt 1\nblog Maria'), good],
    ['a longer text', signer.peer, Buffer.concat([text, Buffer.from('\n')]), good],
    ['another peer', other.peer, text, good],
    ['a changed first half', signer.peer, text, flip(good, 0)],
    ['a changed second half', signer.peer, text, flip(good, 40)],
    ['63 bytes', signer.peer, text, good.subarray(0, 63)],
    ['65 bytes', signer.peer, text, Buffer.concat([good, Buffer.alloc(1)])],
    ['no signature', signer.peer, text, new Uint8Array()],
    ['zeros', signer.peer, text, new Uint8Array(64)],
    ['no peer', '', text, good],
    ['a peer that is none', '12D3KooWnonsense', text, good],
  ])('refuses %s', (_, peer, over, signature) => {
    expect(verifyPeer(peer as PeerName, over, signature)).toBe(false)
  })

  it('accepts 64 bytes by this peer over exactly this text', () => {
    expect(good.length).toBe(64)
    expect(verifyPeer(signer.peer, text, good)).toBe(true)
    expect(verifyPeer(other.peer, text, other.sign(text))).toBe(true)
  })

  it('agrees with libp2p', async () => {
    const privateKey = await generateKeyPair('Ed25519')
    const peer = peerSigner(privateKey)
    expect(await privateKey.publicKey.verify(text, peer.sign(text))).toBe(true)
    expect(verifyPeer(peer.peer, text, await privateKey.sign(text))).toBe(true)
    expect(peer.peer).toBe(peerIdFromPrivateKey(privateKey).toString())
  })

  it.skipIf(spawnSync('openssl', ['version']).status !== 0)(
    'accepts what openssl accepts with no more than the peer name',
    () => {
      const dir = mkdtempSync(join(tmpdir(), 'council-openssl-'))
      const file = (name: string, bytes: Uint8Array) => {
        writeFileSync(join(dir, name), bytes)
        return join(dir, name)
      }
      const id = peerIdFromString(signer.peer)
      const prefix = Buffer.from('302a300506032b6570032100', 'hex')
      const key = file('key.der', Buffer.concat([prefix, id.publicKey?.raw ?? new Uint8Array()]))
      const check = (over: Uint8Array) =>
        spawnSync(
          'openssl',
          ['pkeyutl', '-verify', '-rawin', '-pubin', '-keyform', 'DER'].concat(
            '-inkey',
            key,
            '-sigfile',
            file('sig', good),
            '-in',
            file('text', over),
          ),
        ).status
      try {
        expect(check(text)).toBe(0)
        expect(check(Buffer.from('council-receipt 2'))).not.toBe(0)
      } finally {
        rmSync(dir, { recursive: true })
      }
    },
  )
})

describe('parsePeerName', () => {
  it('takes the base58btc text of an Ed25519 peer and nothing else', async () => {
    expect(parsePeerName(signer.peer)).toBe(signer.peer)
    const rsa = peerIdFromPrivateKey(await generateKeyPair('RSA', 2048)).toString()
    const secp256k1 = peerIdFromPrivateKey(await generateKeyPair('secp256k1')).toString()
    const cid = peerIdFromString(signer.peer).toCID().toString()
    for (const bad of ['', 'maria', rsa, secp256k1, cid, `z${signer.peer}`, ` ${signer.peer}`]
      .concat(`${signer.peer}\n`, signer.peer.slice(0, -1), `${signer.peer}1`)
      .concat(signer.peer.toLowerCase(), `12D3KooW${'1'.repeat(44)}`)) {
      expect(parsePeerName(bad), bad).toBeNull()
    }
  })
})

describe('peerPem', () => {
  it('is the key with which others check what the peer signed', () => {
    const key = createPublicKey(peerPem(signer.peer))
    expect(verify(null, text, key, good)).toBe(true)
    expect(verify(null, text, createPublicKey(peerPem(other.peer)), good)).toBe(false)
  })
})

describe('peerSigner', () => {
  it('refuses a key that is not Ed25519', async () => {
    const rsa = await generateKeyPair('RSA', 2048)
    expect(() => peerSigner(rsa)).toThrow(expect.objectContaining({ code: 'PEER_KEY_NOT_ED25519' }))
  })
})
