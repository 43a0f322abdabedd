import type { KeyRing, PublicKey } from '../../auth/public-key.ts'
import { maxSignatureBytes } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Author, nextAuthor, splitKeyBlock, startAuthor, verifyEntry } from './author.ts'
import { decodeEntry, type Entry } from './entry.ts'
import type { Item } from './log.ts'
import type { Signed } from './text.ts'

/** A signed item on its way in; acts carry the holders' receipts that put them in force. */
export type Offer = Signed & {
  readonly receipts?: readonly Signed[]
  /** when it was seen first, for a copy that takes others' word for it, ms; left out: now */
  readonly firstMs?: number
}

/** Text of an item of the log at hand, null when it is not held. */
export type ReadText = (seq: number) => Promise<Uint8Array | null>

/**
 * What `ingest` must know of one kind of log: how to decode an item, and the verdict on it, a
 * function of its bytes and the log before it. `S` is what the log before it comes down to.
 */
export type LogRules<S> = {
  decode(text: Uint8Array): Verdict<Item>
  /**
   * The verdict on the next item. With `checkSignature` false the signature may be left for later
   * where a later one covers the item through `prev`; genesis and rekeys are always checked.
   * @returns the state after it, the signature as it is to be stored, whether it was checked
   */
  next(
    before: S | null,
    item: Item,
    offer: Offer,
    checkSignature: boolean,
  ): Promise<Verdict<{ state: S; signature: Uint8Array; checked: boolean }>>
  /**
   * The verdict on one item's own signature by the keys that the log held before it, wherever it
   * stands: for entries of a catch-up, and for forks.
   * @param keySeqs - seqs below the item's that hold keys
   * @returns the signature as it is to be stored
   */
  checkAlone(
    item: Item,
    offer: Offer,
    keySeqs: readonly number[],
    read: ReadText,
  ): Promise<Verdict<Uint8Array>>
  /** whether the item holds keys that later ones are checked by */
  holdsKeys(item: Item): boolean
  save(state: S): unknown
  load(saved: unknown, read: ReadText): Promise<S | null>
}

/** Rules of a blog's log; `council` is `zone/council id`. */
export function blogRules(council: () => string | null, keys: KeyRing): LogRules<Author> {
  return {
    decode: (text) => {
      const entry = decodeEntry(text)
      if (!entry.ok) return entry
      const own = council()
      return own === null || entry.value.council === own
        ? entry
        : refuse(
            'ENTRY_COUNCIL',
            `The entry is for the council ${entry.value.council}; this is ${own}.`,
          )
    },
    next: async (before, item, offer, checkSignature) => {
      const entry = item as Entry
      const step =
        before === null
          ? entry.kind === 'genesis'
            ? await startAuthor(entry, keys)
            : refuse('ENTRY_NO_GENESIS', 'A log begins with an entry of kind "genesis".')
          : await nextAuthor(before, entry, keys)
      if (!step.ok) return step
      const { author, signer } = step.value
      if (!checkSignature && entry.kind !== 'genesis' && entry.kind !== 'rekey') {
        if (offer.signature.length > maxSignatureBytes) {
          return refuse(
            'SIGNATURE_TOO_LONG',
            `The signature is longer than ${maxSignatureBytes} bytes. Sign without notations and comments.`,
          )
        }
        return accept({ state: author, signature: offer.signature, checked: false })
      }
      const signature = await verifyEntry(entry, Buffer.from(offer.signature).toString(), signer)
      if (!signature.ok) return signature
      return accept({
        state: author,
        signature: Buffer.from(signature.value.armored),
        checked: true,
      })
    },
    checkAlone: async (item, offer, keySeqs, read) => {
      const entry = item as Entry
      const signer = await findSigner(entry, keySeqs, read, keys)
      if (!signer.ok) return signer
      const signature = await verifyEntry(
        entry,
        Buffer.from(offer.signature).toString(),
        signer.value,
      )
      return signature.ok ? accept(Buffer.from(signature.value.armored)) : signature
    },
    holdsKeys: (item) => (item as Entry).kind === 'genesis' || (item as Entry).kind === 'rekey',
    save: ({ currentSeq, pending }) => ({ currentSeq, pending: pending?.seq ?? null }),
    load: (saved, read) =>
      loadAuthor(saved as { currentSeq: number; pending: number | null }, read, keys),
  }
}

async function readKeys(
  seq: number,
  read: ReadText,
  keys: KeyRing,
): Promise<{ entry: Entry; key: PublicKey; more: string } | null> {
  const text = await read(seq)
  const entry = text === null ? null : decodeEntry(text)
  if (!entry?.ok) return null
  const { block, rest } = splitKeyBlock(entry.value.body)
  const key = await keys.read(block)
  return key.ok ? { entry: entry.value, key: key.value, more: rest.slice(2) } : null
}

async function loadAuthor(
  saved: { currentSeq: number; pending: number | null },
  read: ReadText,
  keys: KeyRing,
): Promise<Author | null> {
  const first = await readKeys(0, read, keys)
  if (first?.entry.kind !== 'genesis') return null
  const recovery = first.entry.recovery === null ? null : await keys.read(first.more)
  const current = saved.currentSeq === 0 ? first : await readKeys(saved.currentSeq, read, keys)
  const pending = saved.pending === null ? null : await readKeys(saved.pending, read, keys)
  if (current === null || recovery?.ok === false) return null
  return {
    current: current.key,
    currentSeq: saved.currentSeq,
    recovery: recovery?.value ?? null,
    pending:
      pending === null
        ? null
        : { next: pending.key, seq: pending.entry.seq, dateMs: pending.entry.dateMs },
  }
}

/** The newest key of the log before `entry` with the fingerprint that the entry names. */
async function findSigner(
  entry: Entry,
  keySeqs: readonly number[],
  read: ReadText,
  keys: KeyRing,
): Promise<Verdict<PublicKey>> {
  const otherKey = refuse(
    'ENTRY_OTHER_KEY',
    `The header "key" names ${entry.key}, which is no key of this blog.`,
  )
  if (entry.kind === 'genesis') {
    const start = await startAuthor(entry, keys)
    if (!start.ok) return start
    // Anybody can sign a genesis for this name: only this blog's own key makes a second one a fork.
    const first = await readKeys(0, read, keys)
    return first === null || first.key.fingerprint === entry.key
      ? accept(start.value.signer)
      : otherKey
  }
  for (const seq of keySeqs.toReversed()) {
    const held = await readKeys(seq, read, keys)
    if (held === null) continue
    if (held.key.fingerprint === entry.key) {
      if (entry.kind !== 'rekey' || entry.next !== entry.key) return accept(held.key)
      const extended = await keys.read(splitKeyBlock(entry.body).block)
      return extended.ok && extended.value.fingerprint !== entry.key ? otherKey : extended
    }
    if (held.entry.kind !== 'genesis' || held.entry.recovery !== entry.key) continue
    return entry.kind === 'rekey' ? keys.read(held.more) : otherKey
  }
  return otherKey
}
