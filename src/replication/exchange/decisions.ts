import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type BlogName, decodeEntry, type Entry } from '../log/entry.ts'
import type { Signed } from '../log/text.ts'
import { ask, asRefusal, type Network, proofShape, refusalAnswer, signedShape } from '../network.ts'
import { maxBareBytes, maxSealsAtOnce, SUBMIT } from '../protocol.ts'
import { fromSignedRow, type ProofRow, signedRow } from '../registry/proof.ts'
import { type DecideOrder, type OrderedMove, orderShape, sendOrder } from './orders.ts'
import { type DecideReport, reportShape, toHanded } from './reports.ts'

/** What goes to the authority over the protocol SUBMIT. */
export const askedShapes = [
  z.object({ t: z.literal('claim'), entry: signedShape }),
  z.object({
    t: z.literal('revoke'),
    certificate: z.string().max(maxBareBytes),
    blog: z.string().max(40).nullable(),
  }),
  z.object({ t: z.literal('sealed'), blogs: z.array(z.string().max(40)).max(maxSealsAtOnce) }),
  z.object({ t: z.literal('short'), blogs: z.array(z.string().max(40)).max(maxSealsAtOnce) }),
  reportShape,
  orderShape,
  z.object({
    t: z.literal('drain'),
    undo: z.boolean(),
    reason: z.string().max(300),
    dryRun: z.boolean(),
  }),
] as const
type Asked = z.infer<(typeof askedShapes)[number]>
const actAnswer = z.object({ proof: proofShape })
const drainAnswer = z.object({
  spoke: z.string().max(60),
  isDraining: z.boolean(),
  copies: z.number().int().min(0),
  leads: z.number().int().min(0),
})

/** What a spoke asks of the authority about its own copies, and how far that has come. */
export type AskedDrain = {
  readonly undo: boolean
  readonly reason: string
  readonly dryRun: boolean
}
export type Drained = z.infer<typeof drainAnswer>
/** The authority's answer to a spoke that wants to be emptied, or to keep copies again. */
export type DecideDrain = (
  asked: AskedDrain & { readonly spoke: PeerName },
) => Promise<Verdict<Drained>>

/**
 * What a replica tells the authority of blogs: `sealed`, its act is ended there and no next one is
 * known, or names a head that its primary does not get; `short`, as their primary it lacks receipts of w replicas for what they end with.
 */
export type Trouble = 'sealed' | 'short'
export type HearTrouble = (from: PeerName, what: Trouble, blogs: readonly string[]) => void

/** The authority's answer to a claim: the assignment that gives the name. */
export type DecideClaim = (genesis: Entry, offer: Signed, via: string) => Promise<Verdict<ProofRow>>

/** A revocation on its way to the authority. */
export type Revoke = {
  /** as it is kept, or gpg's bare certificate when its key is not known here */
  readonly certificate: string
  /** a blog that is or was written with the key, where that is known */
  readonly blog: string | null
}
/** The authority's answer: the act `revoke`, new or written before. */
export type DecideRevoke = (asked: Revoke) => Promise<Verdict<ProofRow>>

/** The authority's decisions; a peer without the section `authority` has none. */
export type Decisions = {
  readonly decideClaim: DecideClaim
  readonly decideRevoke: DecideRevoke
  readonly decideReport?: DecideReport
  readonly decideDrain: DecideDrain
  readonly decideOrder?: DecideOrder
  readonly hearTrouble: HearTrouble
}

const notHere = refuse('NOT_THE_AUTHORITY', 'This peer does not decide for the council.')

/** The answer to what a peer asks of the authority, also where this peer is not it. */
export async function decide(
  decisions: Decisions | null,
  from: PeerName,
  asked: Asked,
): Promise<unknown> {
  if (decisions === null) return refusalAnswer(notHere)
  switch (asked.t) {
    case 'claim': {
      const offer = fromSignedRow(asked.entry)
      const entry = decodeEntry(offer.text)
      if (!entry.ok) return refusalAnswer(entry)
      const given = await decisions.decideClaim(entry.value, offer, from)
      return given.ok ? { proof: given.value } : refusalAnswer(given)
    }
    case 'revoke': {
      const given = await decisions.decideRevoke(asked)
      return given.ok ? { proof: given.value } : refusalAnswer(given)
    }
    case 'sealed':
    case 'short':
      decisions.hearTrouble(from, asked.t, asked.blogs)
      return { ok: true }
    case 'report': {
      const taken = (await decisions.decideReport?.(from, toHanded(asked))) ?? notHere
      return taken.ok ? { ok: true } : refusalAnswer(taken)
    }
    case 'drain': {
      const { undo, reason, dryRun } = asked
      const drained = await decisions.decideDrain({ undo, reason, dryRun, spoke: from })
      return drained.ok ? drained.value : refusalAnswer(drained)
    }
    case 'order': {
      const moved = (await decisions.decideOrder?.(fromSignedRow(asked.order))) ?? notHere
      return moved.ok ? moved.value : refusalAnswer(moved)
    }
  }
}

/** Asks the authority for what only it decides. */
export class ToAuthority {
  readonly #network: Network
  readonly #authority: () => PeerName | null

  constructor(parts: {
    readonly network: Network
    /** who decides; null while this peer has no `@roster` */
    readonly authority: () => PeerName | null
  }) {
    this.#network = parts.network
    this.#authority = parts.authority
  }

  /** Hands a genesis in. Codes: AUTHORITY_UNREACHABLE, and the authority's. */
  claim(offer: Signed): Promise<Verdict<ProofRow>> {
    const body = { t: 'claim', entry: signedRow(offer) }
    return this.#decision(body, 'The claim goes on by itself when it does.')
  }

  /** Hands a revocation in. Codes: AUTHORITY_UNREACHABLE, and the authority's. */
  revoke(asked: Revoke): Promise<Verdict<ProofRow>> {
    return this.#decision({ t: 'revoke', ...asked }, 'Try again in a minute.')
  }

  /**
   * Asks the authority to move everything away from this spoke. Codes: NOT_READY,
   * AUTHORITY_UNREACHABLE, and the authority's.
   */
  async drain(asked: AskedDrain): Promise<Verdict<Drained>> {
    const authority = this.#authority()
    if (authority === null) return refuse('NOT_READY', 'This peer has not joined its council yet.')
    try {
      const body = { t: 'drain', ...asked }
      return accept(await ask(this.#network, authority, SUBMIT, body, drainAnswer, 20_000))
    } catch (error) {
      const silent = 'The authority of the zone does not answer. Try again in a minute.'
      return asRefusal(error) ?? refuse('AUTHORITY_UNREACHABLE', silent)
    }
  }

  /** Hands a blogger's signed order to the authority. Codes: NOT_READY, and those of `sendOrder`. */
  async order(order: Signed): Promise<Verdict<OrderedMove>> {
    const authority = this.#authority()
    return authority === null
      ? refuse('NOT_READY', 'This server has not joined its council yet. Try again in a minute.')
      : sendOrder(this.#network, authority, order)
  }

  /** Tells the authority of blogs that do not go on here by themselves. Throws as `ask` does. */
  async tellTrouble(what: Trouble, blogs: readonly BlogName[]): Promise<void> {
    const authority = this.#authority()
    if (authority === null || blogs.length === 0) return
    const body = { t: what, blogs: blogs.slice(0, maxSealsAtOnce) }
    await ask(this.#network, authority, SUBMIT, body, z.object({ ok: z.literal(true) }))
  }

  async #decision(body: object, later: string): Promise<Verdict<ProofRow>> {
    const authority = this.#authority()
    if (authority === null)
      return refuse('AUTHORITY_UNREACHABLE', `This spoke has no @roster yet. ${later}`)
    try {
      return accept((await ask(this.#network, authority, SUBMIT, body, actAnswer, 20_000)).proof)
    } catch (error) {
      return (
        asRefusal(error) ??
        refuse('AUTHORITY_UNREACHABLE', `The authority of the zone does not answer. ${later}`)
      )
    }
  }
}
