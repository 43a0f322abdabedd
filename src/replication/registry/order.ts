import type { PeerName } from '../../auth/peer-signature.ts'
import type { Fingerprint, PublicKey } from '../../auth/public-key.ts'
import { type DetachedSignature, readSignature, verifyDetached } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, blogNameRule, parseBlogName } from '../log/entry.ts'
import { isPeer } from '../log/peer-text.ts'
import {
  dateMs,
  decodeText,
  type EntryId,
  encodeText,
  type Field,
  formatDate,
  idOf,
  isCouncil,
  isCount,
  isDate,
  isFingerprint,
  isId,
  readHeaders,
  type Signed,
} from '../log/text.ts'
import { isLabel } from './act.ts'

export const orderFirstLine = 'council-order 1'

/** A blogger's word that another spoke shall take what she writes; she signs it as she signs a post. */
export type MoveOrder = {
  readonly kind: 'order'
  readonly id: EntryId
  readonly text: Uint8Array
  /** `zone/council id` */
  readonly council: string
  readonly blog: BlogName
  /** the assignment in force that it ends: what is ordered once counts for one move, ever */
  readonly act: EntryId
  readonly epoch: number
  /** who shall take the writes, and its name in `@roster`, which a person can read */
  readonly primary: PeerName
  readonly spoke: string
  readonly date: string
  readonly dateMs: number
  readonly key: Fingerprint
}

const fields: readonly Field[] = [
  { name: 'council', times: 'once', wrong: isCouncil },
  {
    name: 'blog',
    times: 'once',
    wrong: (value) => (parseBlogName(value) === null ? blogNameRule : null),
  },
  { name: 'act', times: 'once', wrong: isId },
  { name: 'epoch', times: 'once', wrong: isCount },
  { name: 'primary', times: 'once', wrong: isPeer },
  { name: 'spoke', times: 'once', wrong: isLabel },
  { name: 'date', times: 'once', wrong: isDate },
  { name: 'key', times: 'once', wrong: isFingerprint },
]

/** Makes the text of an order. Codes: those of `decodeOrder`. */
export function encodeOrder(
  order: Omit<MoveOrder, 'kind' | 'id' | 'text' | 'date'>,
): Verdict<MoveOrder> {
  const headers = [
    ['council', order.council],
    ['blog', order.blog],
    ['act', order.act],
    ['epoch', String(order.epoch)],
    ['primary', order.primary],
    ['spoke', order.spoke],
    ['date', formatDate(order.dateMs)],
    ['key', order.key],
  ] as const
  return decodeOrder(encodeText({ first: orderFirstLine, headers, body: null }))
}

/**
 * Decodes an order and checks what its bytes alone can show.
 * Codes: those of `decodeText` and `readHeaders`, ORDER_FIRST_LINE, ORDER_BODY.
 */
export function decodeOrder(bytes: Uint8Array): Verdict<MoveOrder> {
  const text = decodeText(bytes)
  if (!text.ok) return text
  if (text.value.first !== orderFirstLine) {
    return refuse(
      'ORDER_FIRST_LINE',
      `The first line is not "${orderFirstLine}": this is no order.`,
    )
  }
  if (text.value.body !== null)
    return refuse('ORDER_BODY', 'An order has no body. Remove what stands behind its headers.')
  const read = readHeaders(text.value, fields)
  if (!read.ok) return read
  const { one } = read.value
  return accept({
    kind: 'order',
    id: idOf(bytes),
    text: bytes,
    council: one('council'),
    blog: one('blog') as BlogName,
    act: one('act') as EntryId,
    epoch: Number(one('epoch')),
    primary: one('primary') as PeerName,
    spoke: one('spoke'),
    date: one('date'),
    dateMs: dateMs(one('date')) as number,
    key: one('key') as Fingerprint,
  })
}

/**
 * Verifies that an order is signed by the key it names, which is this one.
 * Codes: ORDER_OTHER_KEY, and those of `readSignature` and `verifyDetached`.
 *
 * @param key - the key that the blog is written with
 * @returns the signature, in the form in which it is kept
 */
export async function verifyOrder(
  order: MoveOrder,
  armored: string,
  key: PublicKey,
): Promise<Verdict<DetachedSignature>> {
  if (order.key !== key.fingerprint) {
    return refuse(
      'ORDER_OTHER_KEY',
      `The order names the key ${order.key}, but ${order.blog} is written with ${key.fingerprint}. Sign it with that key.`,
    )
  }
  const signature = await readSignature(armored)
  if (!signature.ok) return signature
  const good = await verifyDetached(order.text, signature.value, key)
  return good.ok ? signature : good
}

const signatureLine = '\n-----BEGIN PGP SIGNATURE-----\n'

/** An order as it stands in the act that carries it out: the text, one LF, the armored signature. */
export const orderEvidence = ({ text }: Pick<MoveOrder, 'text'>, armored: string): string =>
  `${Buffer.from(text).toString()}\n${armored.trimEnd()}`

/** The order in the body of an act `assign`; null: the act follows from no order. */
export function orderIn(
  evidence: string | null,
): { readonly order: MoveOrder; readonly signed: Signed } | null {
  if (evidence?.startsWith(`${orderFirstLine}\n`) !== true) return null
  const cut = evidence.indexOf(signatureLine)
  const text = Buffer.from(evidence.slice(0, cut))
  const order = cut < 0 ? null : decodeOrder(text)
  if (!order?.ok) return null
  const signature = Buffer.from(`${evidence.slice(cut + 1)}\n`)
  return { order: order.value, signed: { text, signature } }
}
