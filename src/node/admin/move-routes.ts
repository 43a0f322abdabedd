import type { Hono } from 'hono'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { Verdict } from '../../auth/verdict.ts'
import type { AskedDrain } from '../../replication/exchange/decisions.ts'
import type { Drain, MoveDesk } from '../authority/move-desk.ts'
import { drainRequest, promoteRequest, type ShownCopies, transferRequest } from './admin-answers.ts'
import { notTheAuthority, order, question } from './admin-route.ts'

/** What `copies`, `transfer`, `drain` and `promote` need of the running peer. */
export type Moving = {
  /** null at peers without the section `authority` */
  readonly moves: MoveDesk | null
  readonly self: PeerName
  readonly copiesOf: (blog: string) => Promise<Verdict<ShownCopies>>
  /** asks the authority elsewhere to empty this spoke */
  readonly drainSelf: (asked: AskedDrain) => Promise<Verdict<Drain>>
}

/** What is asked of the authority's moves; `copies`, and draining itself, any peer may be asked. */
export function moveRoutes(app: Hono, { moves, self, copiesOf, drainSelf }: Moving): void {
  const here = async <T extends object>(
    ask: (desk: MoveDesk) => Promise<Verdict<T>>,
  ): Promise<Verdict<T>> => (moves === null ? notTheAuthority : ask(moves))

  question(app, '/copies/:blog', ({ blog }) => copiesOf(blog as string))
  order(app, '/transfer', transferRequest, (asked) =>
    here((desk) => desk.transfer({ ...asked, evidence: null })),
  )
  order(app, '/promote', promoteRequest, (asked) => here((desk) => desk.promote(asked)))
  order(app, '/drain', drainRequest, async ({ spoke, ...asked }): Promise<Verdict<Drain>> => {
    if (moves !== null) return moves.drain({ ...asked, spoke: spoke ?? self })
    // Whoever runs a spoke may empty it; others' spokes are the authority's to move.
    if (spoke !== null && spoke !== self) return notTheAuthority
    return drainSelf(asked)
  })
}
