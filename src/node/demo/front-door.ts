import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { type AddressInfo, connect, isIP, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { CommandIo } from '../blogger/io.ts'
import { answerBroken } from '../broken-requests.ts'
import { readOn } from '../http-server.ts'
import { CouncilNames, type NameAnswer } from './names.ts'

export type FrontDoorComponents = {
  readonly names: { lookup(name: string): Promise<NameAnswer> }
}
export type FrontDoorInit = {
  readonly host: string
  /** also the port of every address that DNS names; 0 takes a free one, for tests */
  readonly port: number
  /** the port to go on to, where it is not the own one */
  readonly targetPort?: number
  /** after so much silence the next address is tried, ms */
  readonly silenceMs?: number
}

/** How long a request that changes something may take, ms: it cannot be sent to a second address. */
const writeMs = 30_000

/**
 * Stands in for the DNS set-up that a real council has, in the demo only: browsers send every
 * `*.localhost` name to 127.0.0.1, so this proxy looks the name up in the council's DNS and passes
 * the request on to the address it finds there, Host unchanged. It knows nothing else.
 */
export class FrontDoor {
  readonly #components: FrontDoorComponents
  readonly #init: Required<FrontDoorInit>
  readonly #server: Server

  constructor(components: FrontDoorComponents, init: FrontDoorInit) {
    this.#components = components
    this.#init = { silenceMs: 3_000, targetPort: init.port, ...init }
    this.#server = createServer((incoming, outgoing) => {
      this.#pass(incoming, outgoing).catch((error: unknown) => {
        // One reader's broken connection is no reason to stop serving the others.
        outgoing.destroy(error as Error)
      })
    })
    this.#server.on('clientError', answerBroken)
  }

  /** Throws the system's error when host and port cannot be had. */
  async start(): Promise<{ readonly port: number }> {
    this.#server.listen(this.#init.port, this.#init.host)
    await once(this.#server, 'listening')
    return { port: (this.#server.address() as AddressInfo).port }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const name = nameOf(incoming.headers.host)
    if (name === null) {
      return say(outgoing, 421, [
        'This door finds pages by name, and this address has none.',
        'Open the address that the demo printed, like http://blogs.localhost:8380.',
      ])
    }
    const found = await this.#components.names.lookup(name)
    if (found.kind !== 'found') return say(outgoing, ...whyNot(name, found))
    if (!isRepeatable(incoming)) readOn(incoming, outgoing)
    const failures: string[] = []
    for (const address of found.addresses) {
      const answer = await this.#ask(address, incoming)
      if (typeof answer !== 'string') {
        outgoing.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers))
        return await pipeline(answer, outgoing)
      }
      failures.push(`${address}: ${answer}`)
      if (!isRepeatable(incoming) && incoming.readableDidRead) break
    }
    say(outgoing, 502, [
      `DNS names ${found.addresses.join(', ')} for ${name}, but no answer came from there.`,
      ...failures,
      'The demo restarts nothing: what was stopped stays down until it is started again.',
    ])
  }

  /** The head of one spoke's answer, or why there is none. */
  async #ask(address: string, incoming: IncomingMessage): Promise<IncomingMessage | string> {
    const socket = await this.#connect(address)
    if (typeof socket === 'string') return socket
    const { promise, resolve } = Promise.withResolvers<IncomingMessage | string>()
    const limitMs = isRepeatable(incoming) ? this.#init.silenceMs : writeMs
    const onward = request(
      {
        createConnection: () => socket,
        method: incoming.method,
        path: incoming.url,
        headers: endToEnd(incoming.headers),
      },
      (answer) => {
        socket.setTimeout(0)
        // It has answered what it has not read whole: nobody sends it the rest.
        answer.once('end', () => {
          if (!incoming.complete) onward.destroy()
        })
        resolve(answer)
      },
    )
    socket.setTimeout(limitMs, () => onward.destroy(new Error(`silent for ${limitMs / 1000} s`)))
    onward.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    incoming.on('close', () => {
      if (!incoming.complete) onward.destroy()
    })
    if (isRepeatable(incoming)) onward.end()
    else incoming.pipe(onward)
    return promise
  }

  async #connect(address: string): Promise<Socket | string> {
    const { promise, resolve } = Promise.withResolvers<Socket | string>()
    const socket = connect(this.#init.targetPort, address)
    socket.setTimeout(this.#init.silenceMs, () => {
      socket.destroy()
      resolve(`silent for ${this.#init.silenceMs / 1000} s`)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('connect', () => resolve(socket))
    return promise
  }
}

/** `demo-front-door`: the front door as its own process, until `stop` resolves. */
export async function runFrontDoor(
  options: { readonly host: string; readonly port: number; readonly dns: readonly string[] },
  io: CommandIo,
  stop: Promise<void>,
): Promise<void> {
  const names = new CouncilNames(options.dns, io.now)
  await using door = new FrontDoor({ names }, options)
  const { port } = await door.start()
  io.data(JSON.stringify({ host: options.host, port }))
  await stop
}

/** Whether another address may be asked the same again: there is no body, and nothing changes. */
function isRepeatable({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** The host name of a Host header, null for none and for an IP address. */
function nameOf(header: string | undefined): string | null {
  const name = /^([a-z0-9.-]{1,253}?)\.?(:\d{1,5})?$/.exec((header ?? '').toLowerCase())?.[1]
  return name === undefined || isIP(name) !== 0 ? null : name
}

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** Headers that go on to the next hop (RFC 9110, 7.6.1). */
function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = (headers.connection ?? '').split(',').map((each) => each.trim().toLowerCase())
  const dropped = new Set([...hopByHop, ...named])
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.has(name)))
}

function whyNot(
  name: string,
  answer: Exclude<NameAnswer, { kind: 'found' }>,
): [status: number, lines: string[]] {
  const silent = answer.silent.join(' and ')
  if (answer.kind === 'none') return [404, [`DNS says that there is no ${name} in this council.`]]
  if (answer.kind === 'foreign') {
    return [421, [`DNS says that ${name} is no name of this council.`]]
  }
  return [
    502,
    [
      `The DNS servers ${silent} do not answer, so nobody can say where ${name} is.`,
      'The spokes may well be up: this door, like a browser, finds them by DNS only.',
    ],
  ]
}

/** A page of its own, which says who is speaking: not a spoke. */
function say(outgoing: ServerResponse, status: number, lines: readonly string[]): void {
  const escaped = (text: string) =>
    text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)
  const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Front door of the demo</title></head>
<body>
<h1>Front door of the demo</h1>
${lines.map((line) => `<p>${escaped(line)}</p>`).join('\n')}
<p><small>This page is made by the demo's front door, not by a spoke. A real council has none: DNS leads readers to its spokes.</small></p>
</body>
</html>
`
  outgoing.writeHead(status, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(page),
    'Cache-Control': 'no-store',
    // A body that was not read to its end would stand in the way of the next request.
    Connection: 'close',
  })
  outgoing.end(outgoing.req.method === 'HEAD' ? undefined : page)
}
