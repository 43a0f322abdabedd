import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request as requestHttp } from 'node:http'
import { Agent, request as requestHttps } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { soon } from './council.ts'

const caddyfile = new URL('../../docs/Caddyfile', import.meta.url).pathname

export type ProxyAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}
export type ProxyAsk = {
  readonly host: string
  readonly path: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** the loopback address from which the client comes */
  readonly from?: string
}

/** Debian's Caddy with the Caddyfile of the documentation, its own CA, and free ports. */
export class Caddy {
  readonly #folder: string
  readonly #ports: { readonly http: number; readonly https: number }
  readonly #end: () => Promise<void>
  readonly #agents = new Map<string, Agent>()
  #root: Buffer | null = null

  private constructor(
    folder: string,
    ports: { readonly http: number; readonly https: number },
    end: () => Promise<void>,
  ) {
    this.#folder = folder
    this.#ports = ports
    this.#end = end
  }

  /** @param spoke - host:port */
  static async start(
    spoke: string,
    ports: { readonly http: number; readonly https: number },
  ): Promise<Caddy> {
    const folder = await mkdtemp(join(tmpdir(), 'council-caddy-'))
    const options = [
      ...['local_certs', 'skip_install_trust', 'admin off', 'default_bind 127.0.0.1'],
      ...[`http_port ${ports.http}`, `https_port ${ports.https}`, `storage file_system ${folder}`],
    ]
    const child = spawn('caddy', ['run', '--adapter', 'caddyfile', '--config', caddyfile], {
      env: {
        ...{ PATH: process.env.PATH, HOME: folder, SPOKE: spoke, ADDRESS: '127.0.0.1' },
        OPTIONS: options.join('\n'),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let words = ''
    child.stderr.on('data', (part) => {
      words = `${words}${part}`.slice(-8_000)
    })
    const caddy = new Caddy(folder, ports, async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      await rm(folder, { recursive: true, force: true })
    })
    try {
      await soon(() => expect(words).toContain('serving initial configuration'))
    } catch (error) {
      await caddy[Symbol.asyncDispose]()
      throw new Error(`Caddy did not start:\n${words}`, { cause: error })
    }
    return caddy
  }

  /** The certificate of its CA, which made it when it started. */
  async root(): Promise<Buffer> {
    this.#root ??= await readFile(join(this.#folder, 'pki/authorities/local/root.crt'))
    return this.#root
  }

  /** Asks by https, and fails when the certificate is not for that host or not by that CA. */
  async ask(ask: ProxyAsk): Promise<ProxyAnswer> {
    const ca = await this.root()
    const agent =
      this.#agents.get(ask.from ?? '') ?? new Agent({ keepAlive: true, ca, maxSockets: 8 })
    this.#agents.set(ask.from ?? '', agent)
    return send(requestHttps, this.#ports.https, ask, { agent, ca })
  }

  askPlain(ask: ProxyAsk): Promise<ProxyAnswer> {
    return send(requestHttp, this.#ports.http, ask, {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents.values()) agent.destroy()
    await this.#end()
  }
}

function send(
  request: typeof requestHttps | typeof requestHttp,
  port: number,
  { host, path, method = 'GET', headers = {}, body, from }: ProxyAsk,
  more: object,
): Promise<ProxyAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ProxyAnswer>()
  const isAddress = /^[0-9.]+$/.test(host)
  const asked = request(
    {
      ...{ hostname: '127.0.0.1', port, path, method },
      headers: { host: `${host}:${port}`, ...headers },
      ...(isAddress ? {} : { servername: host }),
      ...(from === undefined ? {} : { localAddress: from }),
      ...more,
    },
    async (answer) => {
      const parts: Buffer[] = []
      for await (const part of answer) parts.push(part as Buffer)
      const text = Buffer.concat(parts).toString()
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text })
    },
  )
  asked.on('error', reject)
  asked.end(body)
  return promise
}
