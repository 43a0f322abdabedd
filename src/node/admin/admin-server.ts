import { lstat, unlink } from 'node:fs/promises'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'

/** Where a peer's operator talks to it: a Unix socket beside its key. */
export const adminSocketPath = (data: string) => join(data, 'admin.sock')

/** What the system takes as the path of a Unix socket, bytes; a longer one it would cut. */
export const maxSocketPathBytes = 107
/** How long a request may take to arrive whole, ms. */
const requestMs = 10_000

/** Codes: ADMIN_PATH_LONG. */
export function checkSocketPath(path: string): Verdict<string> {
  const bytes = Buffer.byteLength(path)
  return bytes <= maxSocketPathBytes
    ? accept(path)
    : refuse(
        'ADMIN_PATH_LONG',
        `The path ${path} has ${bytes} bytes, a Unix socket's may have ${maxSocketPathBytes}. Move the folder "data" to where its path is shorter.`,
      )
}

/**
 * HTTP on a Unix socket that only the user who runs the peer may open: whoever can write there
 * could read the peer's key as well.
 */
export class AdminServer {
  readonly #server: Server
  readonly path: string

  private constructor(server: Server, path: string) {
    this.#server = server
    this.path = path
  }

  /**
   * Listens when it resolves. What an earlier run left there is removed: the caller holds the lock
   * of the folder's store, so no other peer can be listening. Codes: ADMIN_PATH_LONG,
   * ADMIN_PATH_TAKEN, ADMIN_NO_SOCKET.
   */
  static async listen(
    fetch: (request: Request) => Response | Promise<Response>,
    path: string,
  ): Promise<Verdict<AdminServer>> {
    const checked = checkSocketPath(path)
    if (!checked.ok) return checked
    const before = await lstat(path).catch(() => null)
    if (before !== null && !before.isSocket()) {
      return refuse('ADMIN_PATH_TAKEN', `${path} is no socket of this program. Move it away.`)
    }
    if (before !== null) await unlink(path)
    const server = createAdaptorServer({
      fetch,
      serverOptions: { requestTimeout: requestMs, headersTimeout: requestMs },
    }) as Server
    try {
      await listenPrivately(server, path)
    } catch (error) {
      return refuse(
        'ADMIN_NO_SOCKET',
        `There can be no socket at ${path}: ${(error as Error).message}.`,
      )
    }
    return accept(new AdminServer(server, path))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#server.closeAllConnections()
    await closed
  }
}

/** The socket is made inside `listen`, with the rights that the umask leaves: 0600 from the first moment. */
function listenPrivately(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  const umask = process.umask(0o177)
  try {
    server.listen(path, resolve)
  } finally {
    process.umask(umask)
  }
  return promise
}
