import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Signed } from '../log/text.ts'
import { ask, asRefusal, type Network, signedShape } from '../network.ts'
import { maxReplicas, SUBMIT } from '../protocol.ts'
import { signedRow } from '../registry/proof.ts'

export const orderShape = z.object({ t: z.literal('order'), order: signedShape })

/** What an order changes, in names of spokes. */
export type OrderedMove = {
  readonly blog: string
  /** the epoch in force when it was taken */
  readonly epoch: number
  readonly from: string
  /** null: of those that answer, who holds the most */
  readonly to: string | null
  /** who keeps the blog then, and who copies it before */
  readonly replicas: readonly string[]
  readonly learners: readonly string[]
  /** whether it is so already */
  readonly isDone: boolean
}

const spoke = z.string().max(60)
const moveShape: z.ZodType<OrderedMove> = z.object({
  blog: z.string().max(40),
  epoch: z.number().int().min(1),
  from: spoke,
  to: spoke.nullable(),
  replicas: z.array(spoke).max(maxReplicas),
  learners: z.array(spoke).max(maxReplicas),
  isDone: z.boolean(),
})

/** The authority's answer to a blogger's order. */
export type DecideOrder = (order: Signed) => Promise<Verdict<OrderedMove>>

/** How long the authority may take: it may have to fetch the blog's log first, ms. */
const orderWaitMs = 20_000

/** Hands a signed order to the authority. Codes: AUTHORITY_UNREACHABLE, and those of `OrderDesk.take`. */
export async function sendOrder(
  network: Network,
  authority: PeerName,
  order: Signed,
): Promise<Verdict<OrderedMove>> {
  const body = { t: 'order', order: signedRow(order) }
  try {
    return accept(await ask(network, authority, SUBMIT, body, moveShape, orderWaitMs))
  } catch (error) {
    const silent =
      'The authority of the zone does not answer. Nothing was moved; keep the signed order and send it again in a minute, to any server.'
    return asRefusal(error) ?? refuse('AUTHORITY_UNREACHABLE', silent)
  }
}
