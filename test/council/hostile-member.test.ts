import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { decode, encode } from 'cborg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PeerSigner, peerSigner } from '../../src/auth/peer-signature.ts'
import { parseStoreId, type StoreId } from '../../src/replication/log/peer-text.ts'
import { JOIN, logTopic, PROTOCOLS, SUBMIT } from '../../src/replication/protocol.ts'
import type { MemberRecord } from '../../src/replication/registry/act.ts'
import { signJoin } from '../../src/replication/registry/join-request.ts'
import { signedRow } from '../../src/replication/registry/proof.ts'
import { genesis, makeSigner, post, type Signer } from '../support/author.ts'
import {
  json,
  soon,
  startCouncil,
  type TestBlog,
  type TestCouncil,
  type TestPeer,
} from '../support/council.ts'
import { type Host, startHost } from '../support/member.ts'

type Refused = { readonly error?: { readonly code: string }; readonly state?: string }

/** A peer of somebody's own making, which can sign and say what it likes. */
class Hostile {
  readonly host: Host
  readonly signer: PeerSigner

  private constructor(host: Host, signer: PeerSigner) {
    this.host = host
    this.signer = signer
  }

  static async start(stack: AsyncDisposableStack): Promise<Hostile> {
    const privateKey = await generateKeyPair('Ed25519')
    return new Hostile(await startHost(stack, privateKey), peerSigner(privateKey))
  }

  async stream(to: TestPeer, protocol: string) {
    // About a second after its admission the connection of a stranger is closed, once.
    return soon(async () => {
      const connection = await this.host.dial(multiaddr(to.line.addresses[0] as string))
      return connection.newStream(protocol, { signal: AbortSignal.timeout(10_000) })
    })
  }

  /** One frame there, one frame back. */
  async ask(to: TestPeer, protocol: string, body: unknown): Promise<Refused> {
    const stream = await this.stream(to, protocol)
    const frames = lpStream(stream)
    const signal = AbortSignal.timeout(10_000)
    await frames.write(encode(body), { signal })
    const answer = decode((await frames.read({ signal })).subarray())
    await stream.close()
    return answer
  }

  record(change: Partial<MemberRecord> = {}): MemberRecord {
    const [address = ''] = this.host.getMultiaddrs().map((each) => each.toString())
    return {
      peer: this.signer.peer,
      name: 'mallory',
      store: parseStoreId('0f'.repeat(16)) as StoreId,
      roles: ['spoke'],
      addresses: [address.slice(0, address.lastIndexOf('/p2p/'))],
      ...{ web: [], dns: [], operator: 'Mallory', network: null, country: null },
      ...change,
    }
  }

  request(
    council: string,
    { atMs = Date.now(), ...change }: Partial<MemberRecord> & { atMs?: number } = {},
  ) {
    return signedRow(
      signJoin(this.signer, { council, member: this.record(change), atMs, invite: null }),
    )
  }
}

let council: TestCouncil
let maria: Signer
let blog: TestBlog
const own = new AsyncDisposableStack()
let hostile: Hostile
let primary: TestPeer

beforeAll(async () => {
  council = await startCouncil({ spokes: 3 })
  primary = council.peer('b')
  maria = await makeSigner()
  blog = await council.claim('maria', maria, primary)
  await blog.publish('hello', primary)
  hostile = await Hostile.start(own)
  const request = hostile.request(council.id, { web: [primary.url] })
  expect(await hostile.ask(council.authority, JOIN, { t: 'join', request })).toEqual({
    state: 'admitted',
  })
  // As a member it gets answers where a stranger gets none.
  for (const spoke of council.spokes)
    await soon(async () => {
      const answer = await hostile.ask(spoke, SUBMIT, null)
      expect(answer.error?.code).toBe('REQUEST_MALFORMED')
    })
})
afterAll(async () => {
  await own.disposeAsync()
  await council?.[Symbol.asyncDispose]()
})

/** After any attack: all spokes go on, with one and the same log, and a post is published. */
async function allIsWell(slug: string) {
  await blog.publish(slug, council.peer('c'))
  for (const spoke of council.spokes) {
    await soon(async () => {
      const { blogs } = await spoke.status()
      expect(blogs).toContainEqual(
        expect.objectContaining({ blog: 'maria', head: { seq: blog.head.seq, id: blog.head.id } }),
      )
    })
    await blog.whenWhole(spoke)
  }
}

describe('a member that sends what nobody can read', () => {
  const half = Buffer.concat([Buffer.from([0xe8, 0x07]), Buffer.alloc(10, 1)])
  const huge = Buffer.concat([Buffer.from([0x80, 0x96, 0xb1, 0x02]), Buffer.alloc(5_000_000)])
  const nested = Buffer.concat([Buffer.from([0xa0, 0x8d, 0x06]), Buffer.alloc(100_000, 0x81)])
  /** As long as a push may be. */
  const filled = (head: number, byte: number) => {
    const bytes = Buffer.alloc(2_000_000, byte)
    bytes.set(head === 0x9a ? [head, 0x00, 0x1e, 0x84, 0x7b] : [head])
    return bytes
  }
  const framed = (body: Uint8Array) => {
    const length: number[] = []
    for (let left = body.length; ; left >>>= 7) {
      length.push(left < 128 ? left : (left & 0x7f) | 0x80)
      if (left < 128) return Buffer.concat([Buffer.from(length), body])
    }
  }
  const raw: [string, () => Uint8Array][] = [
    ['random bytes', () => randomBytes(3_000)],
    ['half a frame', () => half],
    ['a frame of 5 MB', () => huge],
    ['100,000 lists in one another', () => nested],
    ['a length without an end', () => Buffer.alloc(40, 0xff)],
    ['a frame of 2 GiB', () => Buffer.from([0x80, 0x80, 0x80, 0x80, 0x08])],
    ['a list without a length', () => framed(filled(0x9f, 0x00))],
    ['two million items', () => framed(filled(0x9a, 0x80))],
    ['maps in one another', () => framed(filled(0xa1, 0xa1))],
    ['a text of 4 GiB', () => framed(Buffer.from('7affffffff', 'hex'))],
  ]

  it.each(raw)('harms nobody: %s, on every protocol', async (what, bytes) => {
    for (const protocol of PROTOCOLS) {
      for (const spoke of council.spokes) {
        const stream = await hostile.stream(spoke, protocol)
        try {
          stream.send(bytes())
          await stream.close({ signal: AbortSignal.timeout(500) })
        } catch {
          // The other side may end the stream while this one still writes.
        }
        stream.abort(new Error('enough'))
      }
    }
    await allIsWell(what.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'))
  })

  it('is told what is wrong where the frame is CBOR and the form is not', async () => {
    for (const protocol of PROTOCOLS)
      for (const body of [null, 'x', [1, 2], { t: 'nothing' }, { t: 'range', log: {}, from: -1 }])
        expect((await hostile.ask(primary, protocol, body)).error?.code).toBe('REQUEST_MALFORMED')
  })
})

describe('a member that gossips on the topic of a primary', () => {
  it('is rejected: nothing of it is stored, whether random, foreign, or even well signed', async () => {
    const topic = logTopic(council.id.split('/')[1] as string, primary.line.peerId)
    const { pubsub } = hostile.host.services
    await soon(() => expect(pubsub.getSubscribers(topic).length).toBeGreaterThan(1))
    const eva = await makeSigner('Eva')
    const of = { council: council.id, blog: 'maria', head: blog.head, slug: 'forged' }
    for (const signer of [eva, maria]) {
      const { entry, signature } = await post(signer, of)
      const message = { log: 'maria', text: entry.text, signature: Buffer.from(signature) }
      await pubsub.publish(topic, encode(message))
    }
    for (let n = 0; n < 20; n++) await pubsub.publish(topic, randomBytes(2_000))
    await allIsWell('after-gossip')
  })
})

describe('a request to join', () => {
  const join = (by: Hostile, at: TestPeer, request: unknown) =>
    by.ask(at, JOIN, { t: 'join', request })
  const webOf = async (name: string) =>
    (await primary.status()).members.find((each) => each.name === name)?.web

  it("lists no address at which another peer's hello answers", async () => {
    await soon(async () => expect(await webOf('mallory')).toEqual([]))
  })

  it('is refused for somebody else, when it is old, and with a name that is taken', async () => {
    await using stranger = new AsyncDisposableStack()
    const other = await Hostile.start(stranger)
    const inAnothersName = hostile.request(council.id)
    expect(await join(other, council.authority, inAnothersName)).toMatchObject({
      error: { code: 'JOIN_OTHER_PEER' },
    })
    const forged = [inAnothersName[0], other.request(council.id)[1]]
    expect(await join(hostile, primary, forged)).toMatchObject({
      error: { code: 'PEER_SIGNATURE' },
    })
    for (const [change, code] of [
      [{ atMs: Date.now() - 3_600_000 }, 'JOIN_DATE'],
      [{ name: 'b' }, 'JOIN_NAME'],
      [{ name: 'mallory-2' }, 'JOIN_RENAME'],
      [{ roles: ['spoke', 'authority'] as const }, 'JOIN_ROLE'],
      [{ web: new Array(100).fill('http://127.0.0.1:9') }, 'JOIN_ADDRESSES'],
    ] as const)
      expect(await join(hostile, primary, hostile.request(council.id, change))).toMatchObject({
        error: { code },
      })
  })

  it('that is older than the newest handled changes nothing back', async () => {
    const atMs = Date.now()
    const old = hostile.request(council.id, { atMs, operator: 'Before' })
    const now = hostile.request(council.id, { atMs: atMs + 2_000, operator: 'After' })
    expect(await join(hostile, primary, now)).toEqual({ state: 'admitted' })
    expect(await join(hostile, primary, old)).toMatchObject({ error: { code: 'JOIN_OLD' } })
  })
})

describe('a member that hands in a claim', () => {
  it('gets no name for a genesis that another key signed, and the name stays free', async () => {
    const [ana, eva] = await Promise.all(['Ana', 'Eva'].map((name) => makeSigner(name)))
    const of = { council: council.id, blog: 'plaza' }
    const { entry } = await genesis(ana as Signer, of)
    const signature = Buffer.from(await (eva as Signer).sign(entry.text))
    const claim = { t: 'claim', entry: [entry.text, signature] }
    expect(await hostile.ask(council.authority, SUBMIT, claim)).toMatchObject({
      error: { code: expect.stringContaining('SIGNATURE') },
    })
    expect((await hostile.ask(primary, SUBMIT, claim)).error?.code).toBe('NOT_THE_AUTHORITY')
    await council.claim('plaza', ana as Signer, primary)
  })
})

describe('an author who signs two entries for one seq', () => {
  it('and hands them in at two spokes at once has one published, and is told so of the other', async () => {
    await allIsWell('before-two')
    const both = await Promise.all(['one', 'two'].map((slug) => blog.next(slug)))
    const answers = await Promise.all(
      both.map(({ submission }, index) => (council.spokes[index + 1] as TestPeer).post(submission)),
    )
    const first = answers.findIndex(({ status }) => status !== 409)
    const winner = both[first] as (typeof both)[number]
    // Taken, and on a busy machine published a moment later.
    expect([201, 202]).toContain(answers[first]?.status)
    expect(answers[1 - first]?.status).toBe(409)
    expect(json(answers[1 - first] as (typeof answers)[number])).toMatchObject({
      head: { seq: winner.entry.seq, id: winner.entry.id },
    })
    blog.entries.push(winner)
    await allIsWell('after-two')
  })
})
