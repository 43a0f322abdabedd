import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { PeerName } from '../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../auth/verdict.ts'
import { checkHello } from '../replication/registry/hello.ts'
import { readHello } from './fetch-hello.ts'

/** How long one answer may take, ms, and how long it may be, bytes: a page of a post of 64 KiB. */
const visitMs = 5_000
const maxVisitBytes = 1024 * 1024

/** What a spoke answered to a reader. */
export type Served = { readonly status: number; readonly body: Uint8Array }

/**
 * Reads files of a blog at a spoke, as a reader would: at a web address that `@roster` has, with the
 * blog's host. First it must say hello on the same connection, signed, so that nothing else in this
 * machine's network is ever asked for anything, whatever `@roster` says of its address. No redirects,
 * no compression; https certificates are not judged here, since every byte is.
 *
 * Codes: VISIT_UNREACHABLE, VISIT_OTHER (another machine answers there), those of `checkHello`.
 */
export async function visitSpoke(
  web: string,
  wanted: { readonly council: string; readonly peer: PeerName; readonly nonce: string },
  host: string,
  paths: readonly string[],
): Promise<Verdict<ReadonlyMap<string, Served>>> {
  const isTls = web.startsWith('https:')
  const options = { keepAlive: true, maxSockets: 1, timeout: visitMs }
  const agent = isTls
    ? new HttpsAgent({
        ...options,
        rejectUnauthorized: false,
        servername: host.split(':')[0] ?? '',
      })
    : new HttpAgent(options)
  const get = (path: string, headers: Record<string, string>) => fetchOne(web, path, headers, agent)
  try {
    const hello = await get(`/_council/hello?n=${wanted.nonce}`, {})
    const said = readHello(web, Buffer.from(hello.served.body).toString())
    const checked = said.ok ? checkHello(said.value, wanted) : said
    if (!checked.ok) return checked
    const answers = new Map<string, Served>()
    for (const path of paths) {
      const { served, isSame } = await get(path, { host })
      if (!isSame) return refuse('VISIT_OTHER', `${web} closed the connection that said hello.`)
      answers.set(path, served)
    }
    return accept(answers)
  } catch (error) {
    return refuse('VISIT_UNREACHABLE', `${web} did not answer: ${(error as Error).message}.`)
  } finally {
    agent.destroy()
  }
}

function fetchOne(
  web: string,
  path: string,
  headers: Record<string, string>,
  agent: HttpAgent | HttpsAgent,
): Promise<{ served: Served; isSame: boolean }> {
  return new Promise((resolve, reject) => {
    const options = {
      ...{ agent, path, headers: { ...headers, 'accept-encoding': 'identity' } },
      signal: AbortSignal.timeout(visitMs),
    }
    const receive = (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxVisitBytes) response.destroy(new Error(`more than ${maxVisitBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        const served = { status: response.statusCode ?? 0, body: Buffer.concat(chunks) }
        resolve({ served, isSame: request.reusedSocket })
      })
    }
    const target = new URL(web)
    const request = web.startsWith('https:')
      ? httpsRequest(target, options, receive)
      : httpRequest(target, options, receive)
    request.on('error', reject)
    request.end()
  })
}
