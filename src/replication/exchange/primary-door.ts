import { keyStateAt } from '../../auth/public-key.ts'
import { readSignature } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Clock } from '../clock.ts'
import type { Author } from '../log/author.ts'
import type { Entry } from '../log/entry.ts'
import type { Ingest } from '../log/ingest.ts'
import type { Signed } from '../log/text.ts'
import { maxClockSkewMs, publishWaitMs } from '../protocol.ts'
import type { RevokedKey } from '../registry/revoked-keys.ts'
import { Door, type DoorLimits } from './rates.ts'
import type { Kept, Replicas } from './replica.ts'
import { checkRevoked } from './revocations.ts'
import type { Submitted } from './submit.ts'

/** The primary's side of a submission: takes an entry, and says how many have it. */
export class PrimaryDoor {
  readonly #ingest: Ingest
  readonly #replicas: Replicas
  readonly #clock: Clock
  readonly #revoked: (key: string) => RevokedKey | null
  readonly #door: Door

  constructor(parts: {
    readonly ingest: Ingest
    readonly replicas: Replicas
    readonly clock: Clock
    /** what the council knows of a key */
    readonly revoked: (key: string) => RevokedKey | null
    readonly limits: DoorLimits
  }) {
    this.#ingest = parts.ingest
    this.#replicas = parts.replicas
    this.#clock = parts.clock
    this.#revoked = parts.revoked
    this.#door = new Door(parts.limits, parts.clock.now)
  }

  /**
   * Takes an entry into the log of a blog that is led here, and answers `published` for it. What only
   * the moment of taking can show is judged here, once (DESIGN 3.1). Codes: those of
   * `Door.check`, `Replicas.write`, `readSignature`, `checkRevoked` and `keyStateAt`, TEXT_NOT_NFC,
   * DATE_IN_FUTURE, SIGNATURE_IN_FUTURE, and those of the log's rules.
   */
  async take(kept: Kept, entry: Entry, offer: Signed): Promise<Verdict<Submitted>> {
    // Damaged here, and brought by its author, or by whoever has it: it is in its place again.
    if (this.#replicas.isDamaged(entry.log)) await this.#ingest.damage.restore(entry.log, [offer])
    if ((await this.#ingest.idAt(entry.log, entry.seq)) === entry.id) {
      // Its signature may have come damaged in a catch-up: then this one puts it right.
      if ((await this.#ingest.read(entry.log, entry.seq)) === null)
        await this.#ingest.signatures.heal(entry.log, offer)
      return this.published(kept, entry.seq)
    }
    const door = await this.#checkDoor(entry, offer)
    if (!door.ok) return door
    const written = await this.#replicas.write(kept, offer)
    if (!written.ok) return written
    const outcome = written.value
    // A fork is kept as proof: it costs room like any other.
    if (outcome.kind === 'fork' || (outcome.kind === 'held' && outcome.added.length > 0))
      this.#door.count({ blog: entry.log, key: entry.key, kind: entry.kind })
    if (outcome.kind === 'refused') return outcome.refusal
    if (outcome.kind === 'held') return this.published(kept, entry.seq)
    const record = await this.#ingest.record(entry.log)
    return accept({ kind: 'taken', head: record?.head ?? kept.assignment.head })
  }

  async #checkDoor(entry: Entry, offer: Signed): Promise<Verdict<void>> {
    const text = Buffer.from(entry.text).toString()
    if (text.normalize('NFC') !== text) {
      return refuse(
        'TEXT_NOT_NFC',
        'The text is not in Unicode normal form C. Normalise it and sign it again.',
      )
    }
    const room = this.#door.check({
      ...{ blog: entry.log, key: entry.key, kind: entry.kind },
      bytes: offer.text.length + offer.signature.length,
      heldBytes: (await this.#ingest.record(entry.log))?.bytes ?? 0,
    })
    if (!room.ok) return room
    const latest = this.#clock.now() + maxClockSkewMs
    const signature = await readSignature(Buffer.from(offer.signature).toString())
    if (!signature.ok) return signature
    if (entry.dateMs > latest) {
      return refuse(
        'DATE_IN_FUTURE',
        'The date lies in the future. Set the clock of your computer and sign again.',
      )
    }
    if (signature.value.createdMs > latest) {
      return refuse(
        'SIGNATURE_IN_FUTURE',
        'The signature is dated in the future. Set the clock of your computer and sign again.',
      )
    }
    const standing = checkRevoked(entry, this.#revoked)
    if (!standing.ok) return standing
    const author = (await this.#ingest.state(entry.log)) as Author | null
    // A rekey is how an expired key is extended: its own rules decide.
    if (author === null || entry.kind === 'rekey') return accept(undefined)
    return keyStateAt(author.current, new Date(this.#clock.now()))
  }

  /** Waits until the entry at `seq` is published, at most `publishWaitMs`, and says who has it. */
  async published(kept: Kept, seq: number): Promise<Verdict<Submitted>> {
    const { blog, replicas } = kept.assignment
    if (replicas.length > 1) {
      const isOver = (now: Kept) => now.role !== 'primary' || now.receipts.published() >= seq
      await this.#replicas.until(blog, isOver, publishWaitMs)
    }
    const now = this.#replicas.get(blog) ?? kept
    // The blog was moved meanwhile: who leads it now counts the copies.
    if (now.role !== 'primary') return moved
    const covering = now.receipts.all().filter((receipt) => receipt.head.seq >= seq)
    return accept({
      kind: 'held',
      published: now.receipts.published() >= seq,
      copies: now.receipts.copies(seq),
      wanted: now.assignment.replicas.length,
      receipts: covering.map((receipt) => receipt.signed),
    })
  }
}

const moved = refuse('NOT_PRIMARY', 'The blog has been moved to another server meanwhile.')
