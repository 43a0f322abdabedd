import type { Hono } from 'hono'
import { z } from 'zod'
import { accept, refuse } from '../../auth/verdict.ts'
import { order } from './admin-route.ts'

/** What `reindex` needs of the running peer. */
export type Searching = {
  /** null: this peer keeps no index */
  readonly indexer: {
    /** begins it; what is there again can be found at once */
    readonly reindex: () => Promise<void>
    /** blogs that are still to be looked at */
    readonly behind: number
  } | null
}

/** `reindex`. Code NO_INDEX at a peer without one. */
export function searchRoutes(app: Hono, peer: Searching): void {
  order(app, '/reindex', z.strictObject({}), async () => {
    if (peer.indexer === null) return noIndex
    await peer.indexer.reindex()
    return accept({ blogs: peer.indexer.behind })
  })
}

const noIndex = refuse(
  'NO_INDEX',
  'This peer keeps no index of words: it has neither the section "spoke" nor "aggregator".',
)
