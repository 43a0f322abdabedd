import { encode } from 'cborg'
import { z } from 'zod'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Clock, within } from '../clock.ts'
import { decodeFrame } from '../frame.ts'
import type { BlogName } from '../log/entry.ts'
import { namesLog } from '../log/log.ts'
import { countReceipts, decodeReceipt, majority, type Receipt } from '../log/receipt.ts'
import type { LogStore } from '../log/store.ts'
import { proofShape, signedShape } from '../network.ts'
import { maxClockSkewMs, maxRecordAgeMs, maxRecordBytes, recordKey } from '../protocol.ts'
import { decodeAct } from './act.ts'
import { type Assignment, names, readAssignment, secondActKey, toAssignment } from './assignment.ts'
import type { CouncilLogs } from './council-logs.ts'
import { fromProofRow, fromSignedRow, proofRow, signedRow } from './proof.ts'
import type { Roster } from './roster.ts'

/** The slice of kad-dht that the registry needs. */
export type Dht = {
  /** @returns how many other peers stored it */
  readonly put: (key: string, value: Uint8Array) => Promise<number>
  /** the first value that the validator lets pass; null: nothing found */
  readonly get: (key: string) => Promise<Uint8Array | null>
}

const recordShape = z.object({ act: proofShape, receipts: z.array(signedShape).max(31) })

/** A blog's record in the DHT: proof of act, and young receipts of w of its replicas. */
export function encodeRecord(assignment: Assignment, receipts: readonly Receipt[]): Uint8Array {
  return encode({
    act: proofRow(assignment.proof),
    receipts: receipts.map((receipt) => signedRow(receipt.signed)),
  })
}

/**
 * The verdict on a record, by itself and `@roster`: form, size, act in force, key, receipts of w
 * of its replicas given at most 48 h ago.
 *
 * Codes: RECORD_SIZE, RECORD_FORM, RECORD_KEY, RECORD_RECEIPTS (too few, or too old), and those of
 * `readAssignment`.
 */
export function checkRecord(
  key: string,
  value: Uint8Array,
  roster: Roster | null,
  nowMs: number,
): Verdict<Assignment> {
  if (value.length > maxRecordBytes) {
    return refuse(
      'RECORD_SIZE',
      `The record has ${value.length} bytes; at most ${maxRecordBytes} are allowed.`,
    )
  }
  const record = readRecord(value)
  if (record === null)
    return refuse('RECORD_FORM', 'The record is no CBOR map of an act and receipts.')
  const read = readAssignment(fromProofRow(record.act), roster)
  if (!read.ok) return read
  const assignment = read.value
  if (roster === null || key !== recordKey(roster.councilId, assignment.blog)) {
    return refuse('RECORD_KEY', `The record is for ${assignment.blog}, not for the key ${key}.`)
  }
  const young: Receipt[] = []
  for (const row of record.receipts) {
    const receipt = decodeReceipt(fromSignedRow(row))
    if (
      !receipt.ok ||
      receipt.value.council !== roster.council ||
      receipt.value.log !== assignment.blog
    )
      continue
    const ageMs = nowMs - receipt.value.atMs
    if (ageMs <= maxRecordAgeMs && ageMs >= -maxClockSkewMs) young.push(receipt.value)
  }
  const given = countReceipts(young, assignment.id, assignment.replicas, assignment.head.seq)
  const needed = majority(assignment.replicas.length)
  return given >= needed
    ? accept(assignment)
    : refuse(
        'RECORD_RECEIPTS',
        `${given} replicas gave receipts in the last 48 hours; ${needed} are needed.`,
      )
}

function readRecord(value: Uint8Array): z.infer<typeof recordShape> | null {
  try {
    const read = recordShape.safeParse(decodeFrame(value))
    return read.success ? read.data : null
  } catch {
    return null
  }
}

const newestKey = (blog: string) => `newest/${blog}`
/** Assignments looked up lately, kept in memory: about 2 KB each. */
const maxCached = 10_000
/** The newest assignment of a blog that was seen in force. */
type Newest = {
  readonly assignment: Assignment
  readonly seenMs: number
  /** when it was looked up last; null: somebody has only put it here */
  readonly lookedMs: number | null
  /** whether a peer that carries `@names` has said what it knows */
  readonly isConfirmed: boolean
}
/** How long a peer that carries `@names` may take to confirm the DHT's first word on a blog, ms. */
const confirmMs = 1_000

/**
 * Where a blog is: what this peer knows itself, the DHT, and the peers that carry `@names`. Never
 * goes back to an older act, whoever says so.
 */
export class Registry {
  readonly #council: CouncilLogs
  readonly #store: LogStore
  readonly #clock: Clock
  readonly #dht: Dht | null
  readonly #held: (blog: BlogName) => Assignment | null
  readonly #askNames: (blog: BlogName) => Promise<Assignment | 'free' | 'unreachable'>
  readonly #isAuthority: boolean
  readonly #newest = new Map<BlogName, Newest>()

  constructor(parts: {
    readonly council: CouncilLogs
    readonly store: LogStore
    readonly clock: Clock
    readonly dht: Dht | null
    /** the assignment of a blog of which this peer is a replica */
    readonly held: (blog: BlogName) => Assignment | null
    /** asks peers that carry `@names`; 'free' when one of them knows no such name */
    readonly askNames: (blog: BlogName) => Promise<Assignment | 'free' | 'unreachable'>
    /** whether this peer writes `@names`: nobody knows more of it */
    readonly isAuthority: boolean
  }) {
    this.#council = parts.council
    this.#store = parts.store
    this.#clock = parts.clock
    this.#dht = parts.dht
    this.#held = parts.held
    this.#askNames = parts.askNames
    this.#isAuthority = parts.isAuthority
  }

  /**
   * Looks up a blog's assignment. A DHT that finds nothing, or only old records, means "ask the
   * peers that carry `@names`", never "free" (DESIGN 5). Nor does a `@names` that does not name the
   * blog, but for the authority's: a holder's may lack the newest acts, and the authority be down.
   *
   * @param maxAgeMs - how old an answer out of memory may be; 0 after the primary it names refused
   */
  async lookUp(
    blog: BlogName,
    { maxAgeMs = 60_000 }: { maxAgeMs?: number } = {},
  ): Promise<Assignment | 'free' | 'unreachable'> {
    const own = await this.own(blog)
    if (own !== null && maxAgeMs > 0) return own
    if (this.#isAuthority && this.#council.names() !== null) return own ?? 'free'
    const cached = this.#newest.get(blog)
    const lookedMs = cached?.lookedMs ?? Number.NEGATIVE_INFINITY
    if (cached !== undefined && this.#clock.steady() - lookedMs < maxAgeMs) return cached.assignment
    if (maxAgeMs > 0) {
      const found = await this.#fromDht(blog)
      if (found !== null) return this.#confirm(found)
    }
    const asked = await this.#askNames(blog)
    // The primary that the DHT named may be one of before: it has the last word no more.
    const last = maxAgeMs === 0 && asked === 'unreachable' ? await this.#fromDht(blog) : null
    if (last !== null) return last
    if (typeof asked === 'string') {
      const found = own ?? (asked === 'free' ? null : cached?.assignment)
      return found ?? (this.#council.names() === null ? asked : 'free')
    }
    const noted = await this.note(asked)
    this.#looked(blog, true)
    // Who answers with an older act than this peer has seen is as good as silent.
    return noted.ok ? noted.value : (own ?? cached?.assignment ?? 'unreachable')
  }

  /**
   * What the DHT says first has nothing to be held against but what somebody put here, and all who
   * keep the record may have kept an old one together: a peer that carries `@names` is asked too, if
   * it answers soon.
   */
  async #confirm(found: Assignment): Promise<Assignment> {
    if (this.#newest.get(found.blog)?.isConfirmed === true) {
      this.#looked(found.blog, true)
      return found
    }
    const asked = await within(
      this.#clock,
      confirmMs,
      this.#askNames(found.blog),
      'unreachable' as const,
    )
    const noted = typeof asked === 'string' ? null : await this.note(asked)
    this.#looked(found.blog, noted !== null)
    return noted?.ok ? noted.value : found
  }

  #looked(blog: BlogName, isConfirmed: boolean): void {
    const newest = this.#newest.get(blog)
    if (newest !== undefined)
      this.#newest.set(blog, { ...newest, lookedMs: this.#clock.steady(), isConfirmed })
  }

  async #fromDht(blog: BlogName): Promise<Assignment | null> {
    const roster = this.#council.roster()
    if (roster === null || this.#dht === null) return null
    const key = recordKey(roster.councilId, blog)
    const startMs = this.#clock.steady()
    const value = await this.#dht.get(key).catch(() => null)
    const record = value === null ? null : await this.validateRecord(key, value)
    if (record?.ok) return record.value
    // The library throws when one stale holder takes no correction, after the validator saw the
    // good record (facts, pitfall 6).
    const seen = this.#newest.get(blog)
    return seen !== undefined && seen.seenMs >= startMs ? seen.assignment : null
  }

  /** What this peer knows without asking: `@names`, or the blogs it keeps. */
  async own(blog: BlogName): Promise<Assignment | null> {
    const held = this.#held(blog)
    const named = this.#council.names()?.blogs.get(blog)
    if (named === undefined || (held !== null && held.epoch >= named.epoch)) return held
    const proof = await this.#council.proof(namesLog, named.seq)
    const act = proof === null ? null : decodeAct(proof.text)
    return proof !== null && act?.ok ? toAssignment(act.value, proof) : held
  }

  /**
   * Remembers an assignment that was seen in force, as the newest of its blog. Returns the newest
   * known. Code RECORD_OLD: a later epoch is known; ACT_SAME_EPOCH: two acts of one epoch, kept as
   * proof against the authority.
   */
  async note(assignment: Assignment): Promise<Verdict<Assignment>> {
    const { blog, epoch } = assignment
    const known = await this.#highest(blog)
    if (known !== null && known.epoch > epoch) {
      return refuse(
        'RECORD_OLD',
        `Epoch ${epoch} of ${blog} is over; this peer knows epoch ${known.epoch}.`,
      )
    }
    if (known !== null && known.epoch === epoch && known.id !== assignment.id) {
      await this.#store.write([
        this.#store.putValue(secondActKey(assignment), proofRow(assignment.proof)),
      ])
      return refuse(
        'ACT_SAME_EPOCH',
        `Two assignments of ${blog} have epoch ${epoch}; both are kept as proof.`,
      )
    }
    if (known === null || known.epoch < epoch) {
      // Remembered on disk: a restart must not let an old record in again.
      await this.#store.write([this.#store.putValue(newestKey(blog), { epoch, id: assignment.id })])
    }
    const { lookedMs = null, isConfirmed = false } = this.#newest.get(blog) ?? {}
    this.#newest.delete(blog)
    this.#newest.set(blog, { assignment, seenMs: this.#clock.steady(), lookedMs, isConfirmed })
    for (const oldest of this.#newest.keys()) {
      if (this.#newest.size <= maxCached) break
      this.#newest.delete(oldest)
    }
    return accept(assignment)
  }

  async #highest(blog: BlogName): Promise<{ epoch: number; id: string } | null> {
    const own = await this.own(blog)
    const noted = (await this.#store.value(newestKey(blog))) as
      | { epoch: number; id: string }
      | undefined
    if (own === null) return noted ?? null
    return noted !== undefined && noted.epoch > own.epoch ? noted : own
  }

  /**
   * The validator of the DHT's namespace: what it refuses is neither stored nor believed. It
   * remembers the highest epoch, since a PUT never runs the selector (facts: js-libp2p 3377).
   */
  async validateRecord(key: string, value: Uint8Array): Promise<Verdict<Assignment>> {
    const checked = checkRecord(key, value, this.#council.roster(), this.#clock.now())
    return checked.ok ? this.note(checked.value) : checked
  }

  /** Which of several records for one key is best: the highest epoch, then the youngest receipts. */
  selectRecord(records: readonly Uint8Array[]): number {
    let best = 0
    for (let index = 1; index < records.length; index++) {
      if (compareRecords(records[index] as Uint8Array, records[best] as Uint8Array) > 0)
        best = index
    }
    return best
  }

  /**
   * Puts the record of a blog of which this peer is primary, if w young receipts are at hand.
   * @returns whether another peer has it now
   */
  async put(assignment: Assignment, receipts: readonly Receipt[]): Promise<boolean> {
    const roster = this.#council.roster()
    // w are enough, and the record must stay small: the youngest, so that it lasts longest.
    const youngest = receipts
      .filter(
        (receipt) => names(assignment, receipt.replica) && receipt.head.seq >= assignment.head.seq,
      )
      .sort((a, b) => b.atMs - a.atMs)
      .slice(0, majority(assignment.replicas.length))
    if (this.#dht === null || roster === null) return false
    const key = recordKey(roster.councilId, assignment.blog)
    const value = encodeRecord(assignment, youngest)
    // The library stores before it asks: check, and remember our own epoch, first.
    const checked = await this.validateRecord(key, value)
    if (!checked.ok) return false
    return (await this.#dht.put(key, value)) > 0
  }
}

function compareRecords(a: Uint8Array, b: Uint8Array): number {
  const [first, second] = [rank(a), rank(b)]
  return first.epoch - second.epoch || first.atMs - second.atMs
}

function rank(value: Uint8Array): { epoch: number; atMs: number } {
  const record = readRecord(value)
  const act = record === null ? null : decodeAct(record.act[0])
  if (record === null || !act?.ok || act.value.decision.kind !== 'assign')
    return { epoch: -1, atMs: 0 }
  const times = record.receipts.map((row) => {
    const receipt = decodeReceipt(fromSignedRow(row))
    return receipt.ok ? receipt.value.atMs : 0
  })
  return { epoch: act.value.decision.epoch, atMs: Math.min(...times) }
}
