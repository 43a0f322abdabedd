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

/** The authority's word on a request. A pending peer asks again. */
export type Admission = 'admitted' | 'pending'
export type Decide = (request: JoinRequest) => Promise<Verdict<Admission>>

const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('roster'), from: z.number().int().min(0) }),
  z.object({ t: z.literal('join'), request: signedShape }),
])
const joinAnswer = z.object({ state: z.enum(['admitted', 'pending']) })

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
      answer(request, async (from, body) => {
        if (body.t === 'roster') return readPage(this.#store, rosterLog, body.from)
        const state = await this.#passOn(from, fromSignedRow(body.request))
        return state.ok ? { state: state.value } : refusalAnswer(state)
      }),
    )
  }

  /** The authority decides; any other member passes the request on to it. */
  async #passOn(from: PeerName, signed: Signed): Promise<Verdict<Admission>> {
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
    if (this.#decide !== null && authorityOf(roster) === this.#network.self)
      return this.#decide(join.value)
    return this.ask(authorityOf(roster), signed)
  }

  /** Sends a request to a peer. Codes: AUTHORITY_UNREACHABLE and those of the authority. */
  async ask(peer: PeerName, signed: Signed): Promise<Verdict<Admission>> {
    try {
      const { state } = await ask(
        this.#network,
        peer,
        JOIN,
        { t: 'join', request: signedRow(signed) },
        joinAnswer,
        30_000,
      )
      return accept(state)
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
