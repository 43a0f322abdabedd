import { readFileSync } from 'node:fs'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { describe, expect, it } from 'vitest'
import { type PeerName, peerSigner, verifyPeer } from '../../src/auth/peer-signature.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import { decodeFrontPage } from '../../src/replication/aggregation/front-page.ts'
import { decodeEntry } from '../../src/replication/log/entry.ts'
import { decodeReceipt } from '../../src/replication/log/receipt.ts'
import { idOf, type Signed } from '../../src/replication/log/text.ts'
import { type Act, decodeAct } from '../../src/replication/registry/act.ts'
import { decodeAnswer } from '../../src/replication/registry/audit-answer.ts'
import { formatBootstrap, parseBootstrap } from '../../src/replication/registry/bootstrap.ts'
import { decodeDial } from '../../src/replication/registry/dial.ts'
import { decodeHeartbeat } from '../../src/replication/registry/heartbeat.ts'
import { checkHello } from '../../src/replication/registry/hello.ts'
import { decodeJoin } from '../../src/replication/registry/join-request.ts'
import { checkProof } from '../../src/replication/registry/proof.ts'
import { decodeReport } from '../../src/replication/registry/report.ts'
import { foldRoster, type Roster, voteText } from '../../src/replication/registry/roster.ts'
import { decodePromise, decodeSeal } from '../../src/replication/registry/seal.ts'
import { blogIngest } from './test-author.ts'
import { codeOf, must, TestDisk } from './test-council.ts'

type Text = { readonly text?: string; readonly textBase64?: string }
type Expected = { readonly name: string; readonly valid: boolean; readonly code?: string }
type Row = Text & { readonly signature: string }
type Proof = Row & { readonly receipts: readonly Row[] }

const read = <T>(file: string): T =>
  JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), 'utf8'))
const bytesOf = ({ text, textBase64 = '' }: Text): Uint8Array =>
  text === undefined ? Buffer.from(textBase64, 'base64') : Buffer.from(text)
const signedOf = (row: Row): Signed => ({
  text: bytesOf(row),
  signature: Buffer.from(row.signature, 'base64'),
})
const proofOf = (row: Proof) => ({ ...signedOf(row), receipts: row.receipts.map(signedOf) })
const want = ({ valid, code }: Expected) => (valid ? 'accepted' : code)

describe('entries.json', () => {
  type Log = {
    readonly name: string
    readonly council: string
    readonly entries: readonly { text: string; signature: string; id: string }[]
    readonly outcome: string
  }
  const vectors = read<{ entries: readonly (Expected & Text)[]; logs: readonly Log[] }>(
    'entries.json',
  )

  it.each(vectors.entries)('entry: $name', (vector) => {
    expect(codeOf(decodeEntry(bytesOf(vector)))).toBe(want(vector))
  })

  it.each(vectors.logs)('log: $name', async ({ council, entries, outcome }) => {
    const disk = new TestDisk()
    const offers = entries.map(({ text, signature, id }) => {
      expect(idOf(Buffer.from(text))).toBe(id)
      return { text: Buffer.from(text), signature: Buffer.from(signature) }
    })
    const last = must(decodeEntry(Buffer.from(entries.at(-1)?.text ?? '')))
    const following = { epoch: 1, head: { seq: last.seq, id: last.id } }
    const given = await blogIngest(disk.store, council).offer('maria', offers, {
      way: 'pull',
      following,
    })
    expect(given.kind === 'refused' ? given.refusal.code : given.kind).toBe(outcome)
  })
})

describe('acts.json', () => {
  type ActVector = Expected & Row & { readonly signer: string; readonly id?: string }
  type ProofVector = Expected & { readonly roster: readonly Proof[]; readonly act: Proof }
  const vectors = read<{
    peers: readonly { peer: string; seed: string }[]
    acts: readonly ActVector[]
    proofs: readonly ProofVector[]
  }>('acts.json')

  it.each(vectors.peers)('peer $peer comes from its seed', async ({ peer, seed }) => {
    const key = await generateKeyPairFromSeed('Ed25519', Buffer.from(seed, 'hex'))
    expect(peerSigner(key).peer).toBe(peer)
  })

  it.each(vectors.acts)('act: $name', (vector) => {
    const { text, signature } = signedOf(vector)
    const act = decodeAct(text)
    const isSigned = verifyPeer(vector.signer as PeerName, text, signature)
    expect(act.ok && !isSigned ? 'ACT_SIGNATURE' : codeOf(act)).toBe(want(vector))
    if (act.ok && isSigned) expect(act.value.id).toBe(vector.id)
  })

  it('has a valid act of each kind', () => {
    const kinds = vectors.acts
      .filter(({ valid }) => valid)
      .map((vector) => must<Act>(decodeAct(bytesOf(vector))).decision.kind)
    expect(new Set(kinds)).toEqual(
      new Set(
        'council admit change away back cutoff reinstate holders authority names assign revoke loss'.split(
          ' ',
        ),
      ),
    )
  })

  it.each(vectors.proofs)('proof of act: $name', (vector) => {
    let roster: Roster | null = null
    for (const row of vector.roster)
      roster = must(foldRoster(roster, must(decodeAct(bytesOf(row)))))
    expect(codeOf(checkProof(proofOf(vector.act), roster))).toBe(want(vector))
  })
})

describe('peer-texts.json', () => {
  type Vector = Expected & Row & { readonly form: string; readonly peer: PeerName }
  const vectors = read<readonly Vector[]>('peer-texts.json')
  const decode: Record<string, (signed: Signed, peer: PeerName) => Verdict<unknown>> = {
    receipt: decodeReceipt,
    seal: decodeSeal,
    promise: decodePromise,
    heartbeat: decodeHeartbeat,
    dial: decodeDial,
    answer: decodeAnswer,
    report: decodeReport,
    front: decodeFrontPage,
    join: decodeJoin,
    hello: (signed, peer) => {
      const [, council = ''] = /\ncouncil (.*)/.exec(Buffer.from(signed.text).toString()) ?? []
      return checkHello(signed, { council, peer, nonce: 'AbCdEf0123456789' })
    },
  }

  it.each(vectors.filter(({ form }) => form !== 'vote'))('$form: $name', (vector) => {
    expect(
      codeOf((decode[vector.form] as never as typeof decodeSeal)(signedOf(vector), vector.peer)),
    ).toBe(want(vector))
  })

  it.each(vectors.filter(({ form }) => form === 'vote'))('vote: $name', (vector) => {
    const { text, signature } = signedOf(vector)
    const header = (name: string) =>
      new RegExp(`\n${name} (.*)`).exec(Buffer.from(text).toString())?.[1]
    const at = { prev: header('prev'), authority: header('authority'), voter: vector.peer }
    const again = voteText(header('council') ?? '', { seq: Number(header('seq')), ...at } as never)
    expect(Buffer.compare(text, again)).toBe(0)
    expect(verifyPeer(vector.peer, text, signature)).toBe(vector.valid)
  })
})

describe('bootstrap.json', () => {
  type Vector = Expected & {
    address: string
    council: string
    peers: string[]
    invite: string | null
  }

  it.each(read<readonly Vector[]>('bootstrap.json'))('$name', (vector) => {
    const parsed = parseBootstrap(vector.address)
    expect(codeOf(parsed)).toBe(want(vector))
    if (!parsed.ok) return
    const { council, peers, invite } = vector
    expect(parsed.value).toEqual({ council, peers, invite })
    expect(formatBootstrap(parsed.value)).toBe(vector.address)
  })
})
