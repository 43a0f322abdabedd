import { lookup } from 'node:dns/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { cutText } from '../auth/cut-text.ts'
import { isPublicAddress } from './public-address.ts'

/** How long a key server may take in all, ms, and how long its answer may be, bytes. */
const keyServerMs = 5_000
const maxAnswerBytes = 256 * 1024

/** What a key server answered: bytes, that it has no such key, or why it could not be asked. */
export type FetchedKey =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'absent' }
  | { readonly kind: 'failed'; readonly reason: string }

/** All addresses of a host name, as the system's resolver has them. */
export type Resolve = (host: string) => Promise<readonly string[]>

const systemResolve: Resolve = async (host) =>
  (await lookup(host, { all: true })).map(({ address }) => address)

const failed = (reason: string): FetchedKey => ({ kind: 'failed', reason })

/**
 * Gets a key from a server that the config names, so that nobody can turn it against a machine
 * nearby (facts/SECURITY 2): the name is resolved first, only a public address is taken, and the
 * connection goes to exactly that one, whatever DNS says a moment later. https only, no redirects,
 * no compression, 5 s, 256 KiB.
 *
 * @param allowPrivate - lets private addresses and plain http pass, for a server of one's own
 */
export async function fetchKey(
  url: URL,
  { allowPrivate, resolve = systemResolve }: { allowPrivate: boolean; resolve?: Resolve },
): Promise<FetchedKey> {
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:'))
    return failed('it is not asked by https')
  const signal = AbortSignal.timeout(keyServerMs)
  const late = new Promise<FetchedKey>((done) => {
    signal.addEventListener('abort', () =>
      done(failed(`no answer within ${keyServerMs / 1_000} s`)),
    )
  })
  const work = (async () => {
    const address = await chooseAddress(url, allowPrivate, resolve)
    return address.ok ? get(url, address.address, signal) : failed(address.reason)
  })()
  return Promise.race([work, late])
}

async function chooseAddress(url: URL, allowPrivate: boolean, resolve: Resolve) {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  let all: readonly string[]
  try {
    all = isIP(host) === 0 ? await resolve(host) : [host]
  } catch {
    return { ok: false, reason: 'its name has no address' } as const
  }
  const allowed = all.filter((address) => allowPrivate || isPublicAddress(address))
  // Not every machine has IPv6, and only one address is tried.
  const address = allowed.find((each) => isIP(each) === 4) ?? allowed[0]
  return address === undefined
    ? ({ ok: false, reason: 'its address is not a public one' } as const)
    : ({ ok: true, address } as const)
}

function get(url: URL, address: string, signal: AbortSignal): Promise<FetchedKey> {
  const pinned: LookupFunction = (_host, options, done) => {
    const family = isIP(address)
    if (options.all === true) done(null, [{ address, family }])
    else done(null, address, family)
  }
  const options = {
    ...{ signal, agent: false, lookup: pinned },
    headers: { accept: 'application/pgp-keys, */*;q=0.1', 'accept-encoding': 'identity' },
  }
  return new Promise((done) => {
    const fail = (error: Error) =>
      done(failed(`the connection failed (${cutText(error.message, 100)})`))
    const receive = (response: IncomingMessage) => void read(response).then(done, fail)
    const request =
      url.protocol === 'https:'
        ? httpsRequest(url, options, receive)
        : httpRequest(url, options, receive)
    request.on('error', fail)
    request.end()
  })
}

async function read(response: IncomingMessage): Promise<FetchedKey> {
  const { statusCode = 0, headers } = response
  const end = (answer: FetchedKey) => {
    response.destroy()
    return answer
  }
  if (statusCode === 404) return end({ kind: 'absent' })
  if (statusCode >= 300 && statusCode < 400) return end(failed('it sends elsewhere'))
  if (statusCode !== 200) return end(failed(`it answers with status ${statusCode}`))
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') return end(failed('its answer is compressed'))
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxAnswerBytes)
      return end(failed(`its answer is longer than ${maxAnswerBytes / 1024} KiB`))
    chunks.push(chunk)
  }
  return response.complete
    ? { kind: 'bytes', bytes: Buffer.concat(chunks) }
    : failed('its answer ends early')
}
