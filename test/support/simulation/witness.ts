import { decode } from 'cborg'
import type { PeerName } from '../../../src/auth/peer-signature.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import { type Replica, sameReplica } from '../../../src/replication/log/peer-text.ts'
import { decodeReceipt, type Receipt } from '../../../src/replication/log/receipt.ts'
import type { Write } from '../../../src/replication/log/store.ts'
import { type EntryId, idOf } from '../../../src/replication/log/text.ts'
import { decodeAct } from '../../../src/replication/registry/act.ts'
import { decodePromise } from '../../../src/replication/registry/seal.ts'
import type { Breach } from './breach.ts'
import type { VirtualDisk } from './disk.ts'
import { Ledger } from './ledger.ts'

const receiptLine = Buffer.from('council-receipt 1\n')
const promiseLine = Buffer.from('council-promise 1\n')

/** How long an entry may be on its way to a disk that nobody keeps busy, ms. */
const writtenMs = 100

/** What a disk held of one store's life. */
type Seen = {
  /** highest epoch of an act that was stored, and that the log followed, by blog */
  readonly acts: Map<string, number>
  readonly follows: Map<string, number>
  /** when the newest act of each blog was stored, ms */
  readonly learnedMs: Map<string, number>
  /** by blog, the promise that went out: up to which epoch, and the seq that it told */
  readonly promised: Map<string, { readonly epoch: number; readonly seq: number }>
}

/** Who is watched: a peer at its disk. There are two of one peer where its key is used twice at once. */
export type Seat = {
  readonly name: string
  readonly peer: PeerName
  readonly disk: VirtualDisk
  /** whether what it says and keeps need not be so */
  readonly lies: boolean
}

/** Sees every message that a peer lets out and every write of a disk, and holds both against the rules. */
export class Witness {
  readonly #disks: ReadonlyMap<PeerName, VirtualDisk>
  readonly #liars: ReadonlySet<PeerName>
  readonly #nowMs: () => number
  readonly #broken: Breach
  readonly ledger: Ledger
  /** receipts that were looked at, by their text and who let them out */
  readonly #seen = new Set<string>()
  /** `holder log seq` → id of the act it gave a receipt for */
  readonly #held = new Map<string, EntryId>()
  readonly #stores = new Map<string, Seen>()
  /** all entries that ever lay in a log, and the one before each */
  readonly #entries = new Map<EntryId, EntryId | null>()
  /** all that authors have signed */
  readonly #signed = new Set<EntryId>()
  readonly #ids = new WeakMap<Uint8Array, Row>()
  readonly #promises: ((from: PeerName) => void)[] = []
  /** receipts for blogs that were held against a disk */
  receipts = 0

  /** @param nowMs - virtual time */
  constructor(seats: readonly Seat[], nowMs: () => number, broken: Breach) {
    this.#nowMs = nowMs
    this.#disks = new Map(seats.map(({ peer, disk }) => [peer, disk]))
    this.#liars = new Set(seats.filter(({ lies }) => lies).map(({ peer }) => peer))
    this.#broken = broken
    this.ledger = new Ledger(broken)
  }

  /** Called whenever a replica lets out a promise. */
  onPromise(listener: (from: PeerName) => void): void {
    this.#promises.push(listener)
  }

  /** An author has signed this entry. */
  authored(id: EntryId): void {
    this.#signed.add(id)
  }

  /** A message that `from` lets out, in whatever form. */
  watch(from: Seat, message: unknown): void {
    if (!Array.isArray(message)) {
      if (typeof message !== 'object' || message === null || message instanceof Uint8Array) return
      for (const name in message) {
        const value = (message as Record<string, unknown>)[name]
        if (typeof value === 'object' && value !== null) this.watch(from, value)
      }
      return
    }
    const [text, signature] = message
    if (!(text instanceof Uint8Array) || !(signature instanceof Uint8Array)) {
      for (const value of message)
        if (typeof value === 'object' && value !== null) this.watch(from, value)
      return
    }
    if (startsWith(text, receiptLine)) this.#receipt(from, text, signature)
    else if (startsWith(text, promiseLine)) this.#promise(from, text, signature)
    else for (let at = 2; at < message.length; at++) this.watch(from, message[at])
  }

  #receipt(from: Seat, text: Uint8Array, signature: Uint8Array): void {
    // Who lets it out first has given it: of two with one key the other one may pass it on.
    const key = from.peer + latin1(text)
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const receipt = decodeReceipt({ text, signature })
    if (!receipt.ok || receipt.value.replica.peer !== from.peer) return
    if (receipt.value.log.startsWith('@')) this.#holds(from, receipt.value)
    else this.#leaves(from, receipt.value)
  }

  /** A holder's receipt for an act: one act per seq, ever, and synced (REPLICATION 14). */
  #holds({ name, disk, lies }: Seat, { log, head, replica }: Receipt): void {
    if (lies) return
    const key = `${name} ${replica.store} ${log} ${head.seq}`
    const known = this.#held.get(key)
    if (known !== undefined && known !== head.id)
      this.#broken('holder', `${replica.peer} gave receipts for two acts as ${log} ${head.seq}`)
    this.#held.set(key, head.id)
    if (known !== undefined) return
    const row = disk.durable(`held/${log}/${head.seq}`)
    if (row === undefined || (decode(row) as { id: string }).id !== head.id)
      this.#broken(
        'receipt',
        `a receipt of ${replica.peer} for ${log} ${head.seq}, which is not synced`,
      )
  }

  #leaves(from: Seat, receipt: Receipt): void {
    const { log, act, epoch, head, replica } = receipt
    this.receipts++
    if (from.lies) {
      // It counts, as any: that is what w - 1 liars must not do harm by.
      const named = this.ledger.replicasOf(act).some((each) => sameReplica(each, replica))
      if (named) this.ledger.given(act, replica, this.#chainTo(head))
      return
    }
    const promised = this.#storeOf(from.name).promised.get(log)
    if (promised !== undefined && epoch <= promised.epoch && head.seq > promised.seq)
      this.#broken(
        'promise',
        `${replica.peer} gave a receipt for ${log} ${head.seq} in epoch ${epoch}, which it had ended at ${promised.seq}`,
      )
    const chain = this.durableChain(receipt)
    if (chain !== null) this.ledger.given(act, replica, chain)
  }

  #promise(from: Seat, text: Uint8Array, signature: Uint8Array): void {
    const promise = decodePromise({ text, signature })
    if (!promise.ok || promise.value.replica.peer !== from.peer) return
    const { log, epoch, head } = promise.value
    const promised = this.#storeOf(from.name).promised
    const before = promised.get(log)
    if (before === undefined || before.epoch < epoch)
      promised.set(log, { epoch, seq: head?.seq ?? -1 })
    for (const listener of this.#promises) listener(from.peer)
  }

  /**
   * Ids of the entries that a receipt covers, as they lie on its giver's disk and would after a power
   * loss. Null, and a broken rule, when that is not what the receipt says (REPLICATION 1 and 2).
   */
  durableChain({ log, head, replica }: Receipt): EntryId[] | null {
    const disk = this.#disks.get(replica.peer)
    const ids: EntryId[] = []
    for (let seq = 0; seq <= head.seq; seq++) {
      const row = disk?.durable(entryKey(log, seq))
      if (row === undefined) {
        this.#broken(
          'receipt',
          `a receipt of ${replica.peer} for ${log} ${head.seq} without ${seq} synced`,
        )
        return null
      }
      ids.push(this.#rowOf(row).id)
    }
    if (ids.at(-1) === head.id) return ids
    this.#broken(
      'receipt',
      `a receipt of ${replica.peer} for another ${log} ${head.seq} than it holds`,
    )
    return null
  }

  /** Ids of an entry and all before it, as far as any log ever had them. */
  #chainTo(head: Head): EntryId[] {
    const ids: EntryId[] = []
    let id: EntryId | null = head.id
    while (id !== null) {
      ids.unshift(id)
      id = this.#entries.get(id) ?? null
    }
    return ids.length === head.seq + 1 ? ids : []
  }

  /** A receipt that a replica keeps of itself must still be true, whatever has become of its act. */
  checkKept(receipt: Receipt): void {
    const { log, head, replica } = receipt
    if (this.#liars.has(replica.peer)) return
    const held = this.idsOf(replica.peer, log)[head.seq]
    const aside = ['tail', 'aside'].some((kind) =>
      this.#disks
        .get(replica.peer)
        ?.rows(`${kind}/${log}/`)
        .some(([key]) => key.endsWith(`/${head.id}`)),
    )
    if (held !== head.id && !aside)
      this.#broken('end', `${replica.peer} lost ${log} ${head.seq}, which its own receipt covers`)
  }

  // Disks.

  #storeOf(seat: string): Seen {
    const known = this.#stores.get(seat)
    if (known !== undefined) return known
    const seen = {
      ...{ acts: new Map(), follows: new Map(), promised: new Map(), learnedMs: new Map() },
    }
    this.#stores.set(seat, seen)
    return seen
  }

  /** A machine lost its disk: what was seen of it says nothing of the new one. */
  lost(seat: Seat): void {
    this.#stores.delete(seat.name)
  }

  /** A machine's folder was used twice: what one of the two gave receipts for the other does not know. */
  doubled(seat: Seat): void {
    this.lost(seat)
    for (const key of this.#held.keys()) if (key.startsWith(`${seat.name} `)) this.#held.delete(key)
  }

  /** A batch that a disk has written. */
  wrote(seat: Seat, operations: readonly Write[]): void {
    if (seat.lies) {
      this.#takenByLiar(operations)
      return
    }
    for (const operation of operations) {
      if (operation.type !== 'put') {
        if (operation.key.startsWith('entry/')) this.#left(seat, operation.key)
        continue
      }
      const { key, value } = operation
      if (key.startsWith('entry/')) this.#entered(seat, key, value)
      else if (key.startsWith('receipt/')) this.watch(seat, decode(value))
      else if (key.startsWith('assign/')) this.#learned(seat, key, value)
      else if (key.startsWith('log/')) this.#followed(seat, key, value)
      else if (key.startsWith('tail/') || key.startsWith('aside/')) this.#isSigned(seat, key, value)
    }
  }

  /** What a liar that leads has taken: its receipt for that counts, whoever has it later. */
  #takenByLiar(operations: readonly Write[]): void {
    for (const operation of operations) {
      if (operation.type !== 'put' || !operation.key.startsWith('entry/')) continue
      const { id, prev } = this.#rowOf(operation.value)
      if (!this.#entries.has(id)) this.#entries.set(id, prev)
    }
  }

  /** A batch that a disk has not taken. A receipt in it is given all the same: its giver counts it. */
  refused(seat: Seat, operations: readonly Write[]): void {
    if (seat.lies) return
    for (const operation of operations)
      if (operation.type === 'put' && operation.key.startsWith('receipt/'))
        this.watch(seat, decode(operation.value))
  }

  #entered(seat: Seat, key: string, value: Uint8Array): void {
    const { name, disk } = seat
    const [, log = '', digits] = key.split('/')
    const seq = Number(digits)
    const row = this.#rowOf(value)
    const before = seq === 0 ? undefined : disk.read(entryKey(log, seq - 1))
    const prev = before === undefined ? null : this.#rowOf(before).id
    if (row.prev !== prev)
      this.#broken('chain', `${log} ${seq} at ${name} does not follow what lies before it`)
    if (log.startsWith('@')) {
      const act = decodeAct(row.text)
      if (act.ok) this.ledger.inForce(act.value)
      return
    }
    this.#isSigned(seat, key, value)
    if (this.#entries.has(row.id)) return
    this.#entries.set(row.id, row.prev)
    if (seq > 0) this.#fresh(seat, log, seq)
  }

  /** What is published by its receipt too never leaves a replica's log: no later primary is without it (REPLICATION 10). */
  #left({ name, peer, disk }: Seat, key: string): void {
    const [, log = '', digits] = key.split('/')
    const seq = Number(digits)
    const store = disk.read('store')
    const replica = { peer, store: store === undefined ? '' : decode(store) } as Replica
    const published = this.ledger.publishedBy(replica, log, seq)
    const now = disk.read(key)
    if (published === null || (now !== undefined && this.#rowOf(now).id === published)) return
    // Where a liar has had a say in who leads, nothing is promised.
    if (this.#liars.size > 0 && (this.ledger.newest(log)?.epoch ?? 1) > 1) return
    this.#broken('published', `${log} ${seq}, which is published, left the log of ${name}`)
  }

  /** Whatever a store keeps of a blog is what its author signed, byte for byte. */
  #isSigned({ name }: Seat, key: string, value: Uint8Array): void {
    if (!key.includes('/@') && !this.#signed.has(this.#rowOf(value).id))
      this.#broken('bytes', `${name} keeps as ${key} what no author has signed`)
  }

  /**
   * An entry that no log had before was taken from its author: by a primary whose act is active, and
   * that knew of no later one when it began to write.
   */
  #fresh({ name, peer, disk }: Seat, blog: string, seq: number): void {
    // What a liar takes nobody sees before another one has it.
    const leader = this.ledger.newest(blog)?.primary
    if (leader !== undefined && this.#liars.has(leader)) return
    const record = disk.read(`log/${blog}`)
    const epoch = record === undefined ? 0 : (decode(record) as { follows: number }).follows
    const act = this.ledger.actOf(blog, epoch)
    const { acts, learnedMs } = this.#storeOf(name)
    const isNewest = (acts.get(blog) ?? 0) <= epoch
    const isBegun = this.#nowMs() - (learnedMs.get(blog) ?? 0) <= writtenMs + disk.busyMs
    const isOpen = act?.primary === peer && this.ledger.isActive(act.id) && (isNewest || isBegun)
    if (!isOpen)
      this.#broken('door', `${peer} took ${blog} ${seq} without an active act that it leads`)
  }

  #learned(seat: Seat, key: string, value: Uint8Array): void {
    const act = decodeAct((decode(value) as [Uint8Array])[0])
    if (!act.ok || act.value.decision.kind !== 'assign') return
    const { acts, learnedMs } = this.#storeOf(seat.name)
    const blog = key.slice('assign/'.length)
    if (act.value.decision.epoch > (acts.get(blog) ?? 0)) learnedMs.set(blog, this.#nowMs())
    this.#rises(seat, acts, blog, act.value.decision)
  }

  #followed(seat: Seat, key: string, value: Uint8Array): void {
    const { follows } = decode(value) as { follows: number }
    const known = this.#storeOf(seat.name).follows
    const blog = key.slice('log/'.length)
    const isNew = follows > (known.get(blog) ?? 0)
    this.#rises(seat, known, blog, { epoch: follows })
    if (isNew && !blog.startsWith('@')) this.#isWhole(seat, blog, follows)
  }

  /** A log is of an epoch once it holds the head that the act names: by less it would outdo longer logs (REPLICATION 8). */
  #isWhole({ name, disk }: Seat, blog: string, epoch: number): void {
    const head = this.ledger.actOf(blog, epoch)?.head
    if (head === undefined) return
    const row = disk.read(entryKey(blog, head.seq))
    if (row === undefined || this.#rowOf(row).id !== head.id)
      this.#broken(
        'epoch',
        `${name} follows epoch ${epoch} of ${blog} without its head, ${head.seq}`,
      )
  }

  #rises(
    { name }: Seat,
    known: Map<string, number>,
    blog: string,
    { epoch }: { readonly epoch: number },
  ): void {
    const before = known.get(blog) ?? 0
    if (epoch < before)
      this.#broken('epoch', `${name} goes back from epoch ${before} of ${blog} to ${epoch}`)
    known.set(blog, epoch)
  }

  #rowOf(value: Uint8Array): Row {
    const known = this.#ids.get(value)
    if (known !== undefined) return known
    const [text] = decode(value) as [Uint8Array]
    const head = latin1(text.subarray(0, 512))
    const prev = (/\nprev ([0-9a-f]{64})\n/.exec(head)?.[1] ?? null) as EntryId | null
    const row = { text, id: idOf(text), prev }
    this.#ids.set(value, row)
    return row
  }

  /** Ids of a log's entries as they lie on a peer's disk. */
  idsOf(peer: PeerName, log: string): EntryId[] {
    const rows = this.#disks.get(peer)?.rows(`entry/${log}/`) ?? []
    return rows.map(([, value]) => this.#rowOf(value).id)
  }
}

type Row = { readonly text: Uint8Array; readonly id: EntryId; readonly prev: EntryId | null }

const entryKey = (log: string, seq: number) => `entry/${log}/${String(seq).padStart(16, '0')}`

const latin1 = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')

const startsWith = (text: Uint8Array, line: Uint8Array) =>
  text.length > line.length && Buffer.compare(text.subarray(0, line.length), line) === 0
