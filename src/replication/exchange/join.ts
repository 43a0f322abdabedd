import { isIP } from 'node:net'
import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { rosterLog } from '../log/log.ts'
import type { LogStore } from '../log/store.ts'
import type { Signed } from '../log/text.ts'
import { answer, ask, type Network, refusalAnswer, signedShape } from '../network.ts'
import { JOIN } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { decodeJoin, type JoinRequest } from '../registry/join-request.ts'
import { fromSignedRow, signedRow } from '../registry/proof.ts'
import { authorityOf } from '../registry/roster.ts'
import { pageShape, readPage, toOffer } from './sync.ts'

/** The authority's word on a request. A pending peer asks again; `reason` says what it waits for. */
export type Admission =
  | { readonly state: 'admitted' }
  | { readonly state: 'pending'; readonly reason: string }
/** Where a request came from. */
export type Origin = {
  /** the newcomer's IP address, as the peer saw it that the newcomer is connected with */
  readonly host: string | null
  /** the member that passed the request on; null when the newcomer itself asked */
  readonly via: PeerName | null
}
export type Decide = (
  request: JoinRequest,
  signed: Signed,
  origin: Origin,
) => Promise<Verdict<Admission>>

const host = z.string().refine((value) => isIP(value) !== 0, 'want an IP address')
const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('roster'), from: z.number().int().min(0) }),
  z.object({ t: z.literal('join'), request: signedShape, host: host.optional() }),
])
const joinAnswer = z.object({
  state: z.enum(['admitted', 'pending']),
  reason: z.string().max(2_000).optional(),
})

/** How a newcomer becomes a member: the one protocol that strangers may speak (DESIGN 5, Joining). */
export class Join {
  readonly #network: Network
  readonly #store: LogStore
  readonly #council: CouncilLogs
  readonly #decide: Decide | null

  constructor(parts: {
    readonly network: Network
    readonly store: LogStore
    readonly council: CouncilLogs
    /** null at peers without the section `authority` */
    readonly decide: Decide | null
  }) {
    this.#network = parts.network
    this.#store = parts.store
    this.#council = parts.council
    this.#decide = parts.decide
  }

  start(): void {
    this.#network.handle(
      JOIN,
      answer(request, async (from, body, seen) => {
        if (body.t === 'roster') return readPage(this.#store, rosterLog, body.from)
        const said = body.host ?? null
        const admission = await this.#passOn(from, fromSignedRow(body.request), {
          seen: seen ?? null,
          said,
        })
        return admission.ok ? admission.value : refusalAnswer(admission)
      }),
    )
  }

  /**
   * The authority decides; any other member passes the request on to it.
   *
   * @param hosts - where the request came from as seen here, and as a member says that passes it on
   */
  async #passOn(
    from: PeerName,
    signed: Signed,
    hosts: { readonly seen: string | null; readonly said: string | null },
  ): Promise<Verdict<Admission>> {
    const join = decodeJoin(signed)
    if (!join.ok) return join
    const roster = this.#council.roster()
    if (roster === null)
      return refuse('NOT_READY', 'This peer has no @roster yet; ask again in a minute.')
    if (join.value.council !== roster.council) {
      return refuse(
        'JOIN_COUNCIL',
        `The request is for the council ${join.value.council}; this is ${roster.council}.`,
      )
    }
    if (from !== join.value.member.peer && !this.#council.isMember(from)) {
      return refuse('JOIN_OTHER_PEER', 'A stranger can only ask for itself.')
    }
    const origin: Origin =
      from === join.value.member.peer
        ? { host: hosts.seen, via: null }
        : { host: hosts.said, via: from }
    if (this.#decide !== null && authorityOf(roster) === this.#network.self)
      return this.#decide(join.value, signed, origin)
    return this.ask(authorityOf(roster), signed, origin.host)
  }

  /**
   * Sends a request to a peer. Codes: AUTHORITY_UNREACHABLE and those of the authority.
   *
   * @param from - the newcomer's IP address, by whoever passes its request on
   */
  async ask(
    peer: PeerName,
    signed: Signed,
    from: string | null = null,
  ): Promise<Verdict<Admission>> {
    try {
      const { state, reason } = await ask(
        this.#network,
        peer,
        JOIN,
        { t: 'join', request: signedRow(signed), ...(from === null ? {} : { host: from }) },
        joinAnswer,
        30_000,
      )
      return accept(
        state === 'admitted'
          ? { state }
          : { state, reason: reason ?? "The authority's operator has to approve this peer." },
      )
    } catch (error) {
      const code = (error as { refusal?: string | null }).refusal ?? 'AUTHORITY_UNREACHABLE'
      return refuse(code, `The request to ${peer} was not accepted: ${(error as Error).message}`)
    }
  }

  /**
   * Pulls `@roster` from a peer that need not know us, from where we are to its end.
   * Codes: COUNCIL_ID when it is another council's, PAGE when it does not hold.
   */
  async pullRoster(peer: PeerName): Promise<Verdict<void>> {
    for (;;) {
      const from = (this.#council.head(rosterLog)?.seq ?? -1) + 1
      const page = await ask(this.#network, peer, JOIN, { t: 'roster', from }, pageShape)
      if (page.entries.length === 0) return accept(undefined)
      const proofs = page.entries
        .map(toOffer)
        .map((offer) => ({ ...offer, receipts: offer.receipts ?? [] }))
      const outcome = await this.#council.take(rosterLog, proofs, 'pull')
      if (outcome.kind === 'refused') return outcome.refusal
      if (outcome.kind !== 'held')
        return refuse('PAGE', `${peer} sent a page of @roster that does not fit: ${outcome.kind}.`)
    }
  }
}
