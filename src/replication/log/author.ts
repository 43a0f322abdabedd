import type { Fingerprint, KeyRing, PublicKey } from '../../auth/public-key.ts'
import { type DetachedSignature, readSignature, verifyDetached } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { recoveryDelayMs } from '../protocol.ts'
import type { Entry, Genesis, Rekey } from './entry.ts'
import { encodeText } from './text.ts'

/**
 * Whose key may sign a blog's next entry: the state that genesis and rekey entries leave behind.
 * A function of the log's bytes alone, so that all spokes always agree (DESIGN 3.1).
 */
export type Author = {
  readonly current: PublicKey
  /** may sign one kind of entry only: a rekey */
  readonly recovery: PublicKey | null
  /** a rekey by the recovery key that the current key has not refused yet */
  readonly pending: {
    readonly next: PublicKey
    readonly seq: number
    readonly dateMs: number
  } | null
  /** seq of the entry whose body holds `current` */
  readonly currentSeq: number
}

/** An entry's signer, and the state after it, provided that the signature holds. */
export type Step = { readonly signer: PublicKey; readonly author: Author }

const blockEnd = '-----END PGP PUBLIC KEY BLOCK-----'

/** The first armored key block of a genesis' or rekey's body, and what stands behind it. */
export function splitKeyBlock(body: string): { readonly block: string; readonly rest: string } {
  const cut = body.indexOf(blockEnd) + blockEnd.length
  return { block: body.slice(0, cut), rest: body.slice(cut) }
}

/** Reads the keys of a genesis entry. It is signed by the first key of its body. */
export async function startAuthor(genesis: Genesis, keys: KeyRing): Promise<Verdict<Step>> {
  const { block, rest } = splitKeyBlock(genesis.body)
  const first = await keys.read(block)
  if (!first.ok) return first
  const current = first.value
  if (current.fingerprint !== genesis.key) {
    return refuse(
      'GENESIS_KEY',
      `The header "key" names ${genesis.key}, but the key in the body is ${current.fingerprint}.`,
    )
  }
  if (genesis.recovery === null) {
    return rest === ''
      ? accept({
          signer: current,
          author: { current, recovery: null, pending: null, currentSeq: 0 },
        })
      : refuse(
          'GENESIS_BODY',
          'Behind the public key stands something else. The body is the key block alone.',
        )
  }
  if (!rest.startsWith('\n\n')) {
    return refuse(
      'GENESIS_BODY',
      'The header "recovery" needs that key in the body, behind the first and an empty line.',
    )
  }
  const second = await keys.read(rest.slice(2))
  if (!second.ok) return second
  if (second.value.fingerprint !== genesis.recovery || genesis.recovery === genesis.key) {
    return refuse(
      'GENESIS_RECOVERY',
      'The second key of the body is not the one that "recovery" names, or equals the first.',
    )
  }
  return accept({
    signer: current,
    author: { current, recovery: second.value, pending: null, currentSeq: 0 },
  })
}

/**
 * Decides whose key must sign `entry`, the next one of the log, and the state after it. The caller
 * verifies the signature with `signer`.
 */
export async function nextAuthor(
  before: Author,
  entry: Entry,
  keys: KeyRing,
): Promise<Verdict<Step>> {
  const author = settlePending(before, entry)
  if (!author.ok) return author
  if (entry.kind === 'rekey') return rekey(author.value, entry, keys)
  const { current } = author.value
  if (entry.key !== current.fingerprint) {
    return refuse(
      'ENTRY_OTHER_KEY',
      `The header "key" names ${entry.key}, but this blog's entries are signed by ${current.fingerprint}.`,
    )
  }
  return accept({ signer: current, author: author.value })
}

/** A waiting rekey takes effect when its key signs after the delay, and is refused by the old key's next entry. */
function settlePending(author: Author, entry: Entry): Verdict<Author> {
  const { pending } = author
  if (pending === null) return accept(author)
  if (entry.key === pending.next.fingerprint && entry.key !== author.current.fingerprint) {
    return entry.dateMs >= pending.dateMs + recoveryDelayMs
      ? accept({ ...author, current: pending.next, currentSeq: pending.seq, pending: null })
      : refuse(
          'REKEY_TOO_EARLY',
          'The new key may write 72 hours after the rekey that the recovery key signed.',
        )
  }
  return accept(entry.key === author.current.fingerprint ? { ...author, pending: null } : author)
}

async function rekey(author: Author, entry: Rekey, keys: KeyRing): Promise<Verdict<Step>> {
  const { block, rest } = splitKeyBlock(entry.body)
  const read = await keys.read(block)
  if (!read.ok) return read
  const next = read.value
  if (next.fingerprint !== entry.next) {
    return refuse(
      'REKEY_KEY',
      `The header "next" names ${entry.next}, but the key in the body is ${next.fingerprint}.`,
    )
  }
  if (!rest.startsWith('\n\n')) {
    return refuse(
      'REKEY_BODY',
      'Behind the next key and an empty line stands the signature by that key.',
    )
  }
  const possession = await readSignature(rest.slice(2))
  if (!possession.ok) return possession
  const held = await verifyDetached(
    rekeyText(author.current.fingerprint, entry),
    possession.value,
    next,
  )
  if (!held.ok) {
    return refuse('REKEY_POSSESSION', `The next key did not sign the rekey: ${held.reason}`)
  }
  if (entry.key === author.current.fingerprint) {
    // The same primary key with a later expiry signs for itself: else an expired key could never be extended.
    const signer = next.fingerprint === author.current.fingerprint ? next : author.current
    return accept({
      signer,
      author: { ...author, current: next, currentSeq: entry.seq, pending: null },
    })
  }
  if (author.recovery !== null && entry.key === author.recovery.fingerprint) {
    // It could never take effect, and every later entry would have two keys to be checked by.
    if (next.fingerprint === author.current.fingerprint) {
      return refuse(
        'REKEY_SAME_KEY',
        'The recovery key hands over to another key. To extend the key in force, sign with it.',
      )
    }
    const pending = { next, seq: entry.seq, dateMs: entry.dateMs }
    return accept({ signer: author.recovery, author: { ...author, pending } })
  }
  return refuse(
    'ENTRY_OTHER_KEY',
    'A rekey is signed by the key in force or by the recovery key that the genesis names.',
  )
}

/** What the next key signs in a rekey: that it is held by someone who wants exactly this change. */
export function rekeyText(
  old: Fingerprint,
  entry: Pick<Rekey, 'council' | 'log' | 'seq' | 'prev' | 'next'>,
): Uint8Array {
  return encodeText({
    first: 'council-rekey 1',
    headers: [
      ['council', entry.council],
      ['blog', entry.log],
      ['seq', String(entry.seq)],
      ['prev', entry.prev as string],
      ['old', old],
      ['next', entry.next],
    ],
    body: null,
  })
}

/** Verifies an entry's signature by its signer. */
export async function verifyEntry(
  entry: Entry,
  armored: string,
  signer: PublicKey,
): Promise<Verdict<DetachedSignature>> {
  const signature = await readSignature(armored)
  if (!signature.ok) return signature
  const good = await verifyDetached(entry.text, signature.value, signer)
  return good.ok ? signature : good
}
