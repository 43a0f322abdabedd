import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { answerNo, question } from './admin-route.ts'
import { AdminServer, adminSocketPath } from './admin-server.ts'
import { type Admitting, admissionRoutes } from './admission-routes.ts'
import { type CuttingOff, cutOffRoutes } from './cutoff-routes.ts'
import { type Moving, moveRoutes } from './move-routes.ts'
import { type Searching, searchRoutes } from './search-routes.ts'

/** Bytes of one request. */
const maxRequestBytes = 64 * 1024

/** What an operator may ask of a running peer; each group of commands names its own slice. */
export type Administered = Admitting &
  CuttingOff &
  Moving &
  Searching & {
    /** what `/_council/status` says */
    readonly status: () => Promise<object>
    /** who is silent while the authority suspects itself; null at other peers */
    readonly suspected: (() => readonly string[]) | null
  }

/**
 * The routes of the admin socket: JSON in, JSON out. Who may open the socket may do everything.
 *
 * @param report - hears of every failure, for the log
 */
export function createAdminApp(
  peer: Administered,
  report: (error: unknown) => void,
): Pick<Hono, 'fetch'> {
  const app = new Hono()
  app.use(bodyLimit({ maxSize: maxRequestBytes, onError: (c) => answerNo(c, tooLong) }))
  question(app, '/status', async () => {
    const { admissions } = peer
    const status = await peer.status()
    return accept(
      admissions === null
        ? status
        : {
            ...status,
            authority: {
              ...{ ...admissions.counts(), reports: peer.reports?.counts() ?? [] },
              suspected: peer.suspected?.() ?? [],
            },
          },
    )
  })
  admissionRoutes(app, peer)
  moveRoutes(app, peer)
  cutOffRoutes(app, peer)
  searchRoutes(app, peer)
  app.notFound((c) => answerNo(c, unknown))
  app.onError((error, c) => {
    report(error)
    return answerNo(c, refuse('ADMIN_FAILED', `The peer failed: ${error.message}.`))
  })
  return app
}

/** Serves the commands for the peer whose data folder this is. Codes as of `AdminServer.listen`. */
export function serveAdmin(
  data: string,
  peer: Administered,
  report: (error: unknown) => void,
): Promise<Verdict<AdminServer>> {
  const app = createAdminApp(peer, report)
  return AdminServer.listen((request) => app.fetch(request), adminSocketPath(data))
}

const tooLong = refuse('ADMIN_TOO_LONG', 'A request has at most 64 KiB.')
const unknown = refuse(
  'ADMIN_NOT_FOUND',
  'The running peer does not know this command: it was started by another version. Start it anew.',
)
