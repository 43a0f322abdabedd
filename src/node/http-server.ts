import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'

/** How long a request may take to arrive whole, and its headers, ms. */
const requestMs = 30_000
const headersMs = 10_000

/** A spoke's HTTP server: listens when `listen` resolves, ends open connections when disposed. */
export class HttpServer {
  readonly #server: Server
  readonly host: string
  readonly port: number

  private constructor(server: Server, { address, port }: AddressInfo) {
    this.#server = server
    this.host = address
    this.port = port
  }

  /** Throws the system's error when the address is taken or not this machine's. */
  static listen(
    fetch: (request: Request) => Response | Promise<Response>,
    at: { readonly host: string; readonly port: number },
  ): Promise<HttpServer> {
    return new Promise((resolve, reject) => {
      const server = serve(
        {
          fetch,
          hostname: at.host,
          port: at.port,
          serverOptions: { requestTimeout: requestMs, headersTimeout: headersMs },
        },
        (address) => resolve(new HttpServer(server as Server, address)),
      )
      server.once('error', reject)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    this.#server.closeAllConnections()
    await closed
  }
}
