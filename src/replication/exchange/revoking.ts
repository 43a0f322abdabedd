import type { Fingerprint } from '../../auth/public-key.ts'
import { type Revocation, readRevocation, revokerOf } from '../../auth/revocation.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Clock, repeat } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { LogStore } from '../log/store.ts'
import { maxBareBytes } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { fromProofRow, type ProofRow } from '../registry/proof.ts'
import type { RevokedKey } from '../registry/revoked-keys.ts'
import { authorityOf } from '../registry/roster.ts'
import { type BlogKey, type HeldKeys, keysOfLog } from './blog-keys.ts'
import type { Revoke, ToAuthority } from './decisions.ts'
import type { Reader } from './read.ts'
import type { Revocations } from './revocations.ts'

/** What became of a revocation that somebody handed in. */
export type HandedIn =
  /** `acted`: there is an act now that says so; `known`: there was one before */
  | { readonly kind: 'acted' | 'known'; readonly revoked: RevokedKey }
  /** the authority cannot act on it now: it is kept here, and handed in again until it can */
  | { readonly kind: 'kept'; readonly revocation: Revocation }

/** `isKnown`: the key was seen in the log of a blog here */
type Row = Revoke & { readonly atMs: number; readonly isKnown: boolean }

const queueKey = (key: string) => `revoking/${key}`
/** Revocations that wait for the authority; strangers' ones make room for those of keys known here. */
const maxWaiting = 100
/** How often those that wait are handed in again, ms. */
const againMs = 30_000

/**
 * Revocations from whoever hands one in, without login: checked here, brought to the authority,
 * which writes the act (DESIGN 3.2). The certificate proves itself, so nobody is asked who he is.
 */
export class Revoking {
  readonly #store: LogStore
  readonly #council: Pick<CouncilLogs, 'roster'>
  readonly #revocations: Revocations
  readonly #held: HeldKeys
  readonly #reader: Pick<Reader, 'open'>
  readonly #toAuthority: Pick<ToAuthority, 'revoke'>
  readonly #clock: Clock
  readonly #waiting = new Map<string, Row>()
  #retrying: Promise<void> | null = null
  #keeping: Promise<unknown> = Promise.resolve()
  #stop = () => {}

  constructor(parts: {
    readonly store: LogStore
    readonly council: Pick<CouncilLogs, 'roster'>
    readonly revocations: Revocations
    readonly held: HeldKeys
    readonly reader: Pick<Reader, 'open'>
    readonly toAuthority: Pick<ToAuthority, 'revoke'>
    readonly clock: Clock
  }) {
    this.#store = parts.store
    this.#council = parts.council
    this.#revocations = parts.revocations
    this.#held = parts.held
    this.#reader = parts.reader
    this.#toAuthority = parts.toAuthority
    this.#clock = parts.clock
  }

  /** Goes on with what waited when the process ended. */
  async start(): Promise<void> {
    for (const [key, row] of await this.#store.values('revoking/'))
      this.#waiting.set(key.slice('revoking/'.length), row as Row)
    this.#stop = repeat(this.#clock, againMs, () => this.retry().catch(() => undefined))
  }

  stop(): void {
    this.#stop()
  }

  /** Keys whose revocation waits for the authority. */
  waiting(): readonly string[] {
    return [...this.#waiting.keys()]
  }

  /**
   * Takes a revocation in any form that `readRevocation` reads.
   *
   * Codes: those of `readRevocation`, REVOCATION_KEY_UNKNOWN (no blog is known to be written with
   * the key), NOT_READY, AUTHORITY_UNREACHABLE and the authority's other reasons to wait (only when
   * it cannot be kept here: too many are), and those by which it refuses.
   *
   * @param blog - a blog that is or was written with the key, if the sender named one
   */
  async handIn(handed: string, blog: BlogName | null): Promise<Verdict<HandedIn>> {
    const revoker = revokerOf(handed)
    const found = revoker === null ? null : await this.#findKey(revoker.keyId ?? '', blog)
    const read = await readRevocation(handed, found === null ? [] : [found.block])
    if (!read.ok) {
      return read.code === 'REVOCATION_NEEDS_KEY' && handed.length <= maxBareBytes
        ? this.#handOn({ certificate: handed, blog: found?.blog ?? blog }, read)
        : read
    }
    const revocation = read.value
    const known = this.#revocations.of(revocation.key)
    if (known !== null && (known.isHard || !revocation.isHard))
      return accept({ kind: 'known', revoked: known })
    const held = found ?? (await this.#held.find(revocation.key))
    const asked = { certificate: revocation.certificate, blog: held?.blog ?? blog }
    const done = await this.#act(asked)
    if (done.ok) return accept({ kind: 'acted', revoked: done.value })
    if (!isTransient(done.code)) return done
    const isKnown = held !== null || (await this.#isOf(revocation.key, blog))
    return (await this.#keep(revocation.key, asked, isKnown))
      ? accept({ kind: 'kept', revocation })
      : refuse(
          done.code,
          `The authority does not answer, and too many revocations wait here already. Hand it in at another spoke, or again later.`,
        )
  }

  /** Whether a key is one of a blog's; of a blog that this peer does not keep it is fetched. */
  async #isOf(key: Fingerprint, blog: BlogName | null): Promise<boolean> {
    return blog !== null && (await this.#keysOf(blog)).some((each) => each.fingerprint === key)
  }

  async #keysOf(blog: BlogName): Promise<readonly BlogKey[]> {
    const visit = await this.#reader.open(blog)
    return typeof visit === 'string' ? [] : keysOfLog(blog, visit)
  }

  async #findKey(id: string, blog: BlogName | null) {
    if (id === '') return null
    const held = await this.#held.find(id)
    if (held !== null || blog === null) return held
    const key = (await this.#keysOf(blog)).find(({ fingerprint }) => fingerprint.endsWith(id))
    return key === undefined ? null : { ...key, blog }
  }

  /** A bare certificate of a key that is not known here: the authority may know it. */
  async #handOn(asked: Revoke, needsKey: Refusal): Promise<Verdict<HandedIn>> {
    const done = await this.#act(asked)
    if (done.ok) return accept({ kind: 'acted', revoked: done.value })
    return done.code === 'REVOCATION_KEY_UNKNOWN' ? needsKey : done
  }

  async #act(asked: Revoke): Promise<Verdict<RevokedKey>> {
    const roster = this.#council.roster()
    if (roster === null)
      return refuse(
        'NOT_READY',
        'This spoke has not joined its council yet; try again in a minute.',
      )
    const authority = authorityOf(roster)
    const given: Verdict<ProofRow> = await this.#toAuthority.revoke(asked)
    return given.ok ? this.#revocations.takeFrom(authority, fromProofRow(given.value)) : given
  }

  /** Keeps a revocation until the authority answers. @returns false when there is no room */
  #keep(key: Fingerprint, asked: Revoke, isKnown: boolean): Promise<boolean> {
    // One after the other: many at once must not find the same free place.
    const run = this.#keeping.then(() => this.#keepNext(key, asked, isKnown))
    this.#keeping = run.catch(() => undefined)
    return run
  }

  async #keepNext(key: Fingerprint, asked: Revoke, isKnown: boolean): Promise<boolean> {
    const isFull = this.#waiting.size >= maxWaiting && !this.#waiting.has(key)
    const stranger = isFull ? [...this.#waiting].find(([, row]) => !row.isKnown)?.[0] : undefined
    if (isFull && (!isKnown || stranger === undefined)) return false
    const row = { ...asked, isKnown, atMs: this.#clock.now() }
    const room = stranger === undefined ? [] : [this.#store.deleteValue(queueKey(stranger))]
    await this.#store.write([...room, this.#store.putValue(queueKey(key), row)])
    // Only what is on disk is promised.
    if (stranger !== undefined) this.#waiting.delete(stranger)
    this.#waiting.set(key, row)
    return true
  }

  /**
   * Hands in again what waits, one run at a time; ends at the first sign that the authority does
   * not answer. Called when it did, and every 30 s.
   */
  retry(): Promise<void> {
    this.#retrying ??= this.#retry().finally(() => {
      this.#retrying = null
    })
    return this.#retrying
  }

  async #retry(): Promise<void> {
    for (const [key, row] of [...this.#waiting]) {
      const done = await this.#act({ certificate: row.certificate, blog: row.blog })
      if (!done.ok && isTransient(done.code)) return
      if (this.#waiting.get(key) !== row) continue
      this.#waiting.delete(key)
      await this.#store.write([this.#store.deleteValue(queueKey(key))])
    }
  }
}

const isTransient = (code: string) =>
  [
    'AUTHORITY_UNREACHABLE',
    'NOT_READY',
    'ACT_NOT_IN_FORCE',
    'NOT_A_MEMBER',
    'NOT_THE_AUTHORITY',
    'ROSTER_BEHIND',
    'BLOG_UNREACHABLE',
  ].includes(code)
