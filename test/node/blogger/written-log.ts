import { generateKeyPair } from '@libp2p/crypto/keys'
import { type PeerSigner, peerSigner } from '../../../src/auth/peer-signature.ts'
import { minimalKey } from '../../../src/auth/public-key.ts'
import type { Verdict } from '../../../src/auth/verdict.ts'
import type { LogProof } from '../../../src/replication/log/archive.ts'
import { rekeyText } from '../../../src/replication/log/author.ts'
import { type Draft, type Entry, encodeEntry } from '../../../src/replication/log/entry.ts'
import { type Head, namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import type { Replica, StoreId } from '../../../src/replication/log/peer-text.ts'
import { type Receipt, signReceipt } from '../../../src/replication/log/receipt.ts'
import { type EntryId, formatDate, type Signed } from '../../../src/replication/log/text.ts'
import type { Act, Decision } from '../../../src/replication/registry/act.ts'
import { signAct } from '../../../src/replication/registry/sign-act.ts'
import type { GpgHome } from '../../support/gpg.ts'

export const startMs = Date.parse('2026-11-23T03:40:00Z')

export function must<T>(verdict: Verdict<T>): T {
  if (verdict.ok) return verdict.value
  throw new Error(`${verdict.code}: ${verdict.reason}`)
}

type PostFields = { title?: string; slug?: string; body?: string; date?: string }

/** A blog's log, written with real gpg keys, that can serve as the source of an export. */
export class WrittenLog {
  readonly entries: { entry: Entry; signature: string }[] = []
  readonly proofs: { value: LogProof } = { value: { receipts: [], act: null, roster: [] } }
  readonly #gpg: GpgHome
  readonly #council: string
  #key: string

  private constructor(gpg: GpgHome, council: string, key: string) {
    this.#gpg = gpg
    this.#council = council
    this.#key = key
  }

  static async begin(gpg: GpgHome, key: string, council: string, recovery?: string) {
    const log = new WrittenLog(gpg, council, key)
    const blocks = [key, ...(recovery === undefined ? [] : [recovery])]
    const keys = await Promise.all(
      blocks.map(async (each) => must(await minimalKey(gpg.exportKey(each)))),
    )
    log.add({
      kind: 'genesis',
      ...log.next(),
      body: keys.join('\n\n'),
      ...(recovery === undefined ? {} : { recovery }),
    })
    return log
  }

  get head(): Head {
    const { entry } = this.entries.at(-1) as { entry: Entry }
    return { seq: entry.seq, id: entry.id }
  }

  /** The common fields of the entry that follows. */
  next(date?: string) {
    const before = this.entries.at(-1)?.entry
    return {
      council: this.#council,
      blog: 'maria',
      seq: before === undefined ? 0 : before.seq + 1,
      prev: before?.id ?? null,
      date: date ?? formatDate(startMs + this.entries.length * 60_000),
      key: this.#key,
    }
  }

  post({ title = 'Title', slug = 'title', body = 'Text', date }: PostFields = {}): this {
    this.add({ kind: 'post', ...this.next(date), title, slug, body })
    return this
  }

  /** A change of key; `signer` is the recovery key, or the key in force when left out. */
  async rekey(
    next: string,
    { signer, date }: { signer?: string; date?: string } = {},
  ): Promise<void> {
    const common = this.next(date)
    const block = must(await minimalKey(this.#gpg.exportKey(next)))
    const text = rekeyText(this.#key as never, {
      ...(common as unknown as Entry),
      log: 'maria' as never,
      next: next as never,
    })
    const possession = this.#gpg.sign(text, next).trimEnd()
    const body = `${block}\n\n${possession}`
    this.add(
      { kind: 'rekey', ...common, key: signer ?? this.#key, next, body },
      signer ?? this.#key,
    )
    if (signer === undefined) this.#key = next
  }

  /** From here on entries are signed with another key. */
  use(key: string): this {
    this.#key = key
    return this
  }

  add(draft: Draft, signer: string = this.#key): void {
    const entry = must(encodeEntry(draft))
    this.entries.push({ entry, signature: this.#gpg.sign(entry.text, signer) })
  }

  source() {
    return {
      blog: { head: { ...this.head, seq: this.entries.length - 1 } },
      entry: async (seq: number) => this.entries[seq] ?? null,
      keys: async () => [this.#gpg.exportKey(this.#key)],
      proof: async () => this.proofs.value,
    }
  }
}

const storeOf = (index: number) => String(index).repeat(32) as StoreId

/** A council of one authority and three spokes, as far as its signatures go. */
export class WrittenCouncil {
  readonly authority: PeerSigner
  readonly spokes: readonly PeerSigner[]
  readonly roster: Signed[] = []
  readonly council: string
  readonly #first: Act
  #rosterHead: Head

  private constructor(authority: PeerSigner, spokes: readonly PeerSigner[]) {
    this.authority = authority
    this.spokes = spokes
    const decision: Decision = {
      kind: 'council',
      edit: 'dotted',
      authority: authority.peer,
      wanted: 3,
      holder: { peer: authority.peer, store: storeOf(0) },
    }
    const first = must(signAct(authority, this.#at('blogs.localhost', rosterLog, null), decision))
    this.#first = first.act
    this.council = first.act.council
    this.roster.push(first.signed)
    this.#rosterHead = { seq: 0, id: first.act.id }
    for (const [index, spoke] of spokes.entries()) this.#admit(spoke, index + 1)
  }

  static async start(): Promise<WrittenCouncil> {
    const [authority, ...spokes] = await Promise.all(
      [0, 1, 2, 3].map(async () => peerSigner(await generateKeyPair('Ed25519'))),
    )
    return new WrittenCouncil(authority as PeerSigner, spokes)
  }

  get replicas(): Replica[] {
    return this.spokes.map(({ peer }, index) => ({ peer, store: storeOf(index + 1) }))
  }

  /** The proof of an assignment of `log` to the spokes, and receipts of some of them. */
  proof(
    log: WrittenLog,
    {
      receipts = [0, 1, 2],
      change = {},
      signer = this.authority,
    }: { receipts?: readonly number[]; change?: Partial<Receipt>; signer?: PeerSigner } = {},
  ): LogProof {
    const genesis = log.entries[0]?.entry as Entry
    const names = must(
      signAct(signer, this.#at(this.council, namesLog, null, this.#rosterHead), { kind: 'names' }),
    )
    const head = { seq: 0, id: names.act.id }
    const { act, signed } = must(
      signAct(signer, this.#at(this.council, namesLog, head, this.#rosterHead), {
        kind: 'assign',
        blog: genesis.log,
        genesis: genesis.id,
        key: genesis.key,
        epoch: 1,
        ends: null,
        replicas: this.replicas,
        primary: this.spokes[0]?.peer as Replica['peer'],
        head: { seq: 0, id: genesis.id },
        via: null,
        reason: 'claim',
        unmet: null,
        evidence: null,
      }),
    )
    const holder = this.#receipt(this.authority, {
      log: namesLog,
      head: { seq: act.seq, id: act.id },
      act: this.#first.id,
      replica: { peer: this.authority.peer, store: storeOf(0) },
    })
    return {
      roster: this.roster,
      act: { ...signed, receipts: [holder.signed] },
      receipts: receipts.map(
        (index) =>
          this.receiptOf(index, { log: genesis.log, head: log.head, act: act.id, ...change })
            .signed,
      ),
    }
  }

  receiptOf(
    index: number,
    fields: Pick<Receipt, 'log' | 'head' | 'act'> & Partial<Receipt>,
  ): Receipt {
    const replica = this.replicas[index] as Replica
    return this.#receipt(this.spokes[index] as PeerSigner, { replica, ...fields })
  }

  #receipt(
    signer: PeerSigner,
    fields: Pick<Receipt, 'log' | 'head' | 'act' | 'replica'> & Partial<Receipt>,
  ): Receipt {
    const times = { sinceMs: startMs, atMs: startMs }
    return signReceipt(signer, { council: this.council, epoch: 1, ...times, ...fields })
  }

  #admit(spoke: PeerSigner, index: number): void {
    const at = this.#at(this.council, rosterLog, this.#rosterHead, this.#rosterHead)
    const { act, signed } = must(
      signAct(this.authority, at, {
        kind: 'admit',
        policy: 'open',
        member: {
          peer: spoke.peer,
          name: 'abc'[index - 1] as string,
          store: storeOf(index),
          roles: ['spoke'],
          addresses: ['/ip4/127.0.0.1/tcp/4001'],
          web: [],
          dns: [],
          operator: 'test',
          network: null,
          country: null,
        },
      }),
    )
    this.roster.push(signed)
    this.#rosterHead = { seq: act.seq, id: act.id as EntryId }
  }

  #at(council: string, log: string, head: Head | null, roster: Head | null = null) {
    return { council, log, head, roster, dateMs: startMs }
  }
}

export async function collect(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const part of parts) all.push(part)
  return Buffer.concat(all)
}
