import { Resolver } from 'node:dns/promises'

/** What the council's DNS says of a name, and which of its servers did not say anything. */
export type NameAnswer =
  | {
      readonly kind: 'found'
      readonly addresses: readonly string[]
      readonly silent: readonly string[]
    }
  /** none: there is no such name, or it has no IPv4 address. foreign: not in this zone. */
  | { readonly kind: 'none' | 'foreign' | 'silent'; readonly silent: readonly string[] }

/** Codes of node:dns by which a server has answered, though without addresses. */
const none = new Set(['ENOTFOUND', 'ENODATA'])
const foreign = new Set(['EREFUSED'])

/**
 * Looks names up at the council's DNS servers by UDP, one after the other: first the one that
 * answered last time, so that a server that is down costs its timeout once.
 */
export class CouncilNames {
  readonly #servers: { readonly address: string; readonly resolver: Resolver }[]
  readonly #cached = new Map<string, { readonly answer: NameAnswer; readonly endMs: number }>()
  readonly #now: () => number
  readonly #keepMs: number

  /**
   * @param servers - `ip:port`
   * @param keepMs - how long an answer is used again; the council's own time to live is longer
   * @param timeoutMs - for one server's answer
   */
  constructor(
    servers: readonly string[],
    now: () => number,
    { keepMs = 1_000, timeoutMs = 1_000 } = {},
  ) {
    this.#now = now
    this.#keepMs = keepMs
    this.#servers = servers.map((address) => {
      const resolver = new Resolver({ timeout: timeoutMs, tries: 1 })
      resolver.setServers([address])
      return { address, resolver }
    })
  }

  async lookup(name: string): Promise<NameAnswer> {
    const cached = this.#cached.get(name)
    if (cached !== undefined && this.#now() < cached.endMs) return cached.answer
    const answer = await this.#ask(name)
    if (answer.kind === 'found') {
      for (const [old, { endMs }] of this.#cached) {
        if (endMs <= this.#now()) this.#cached.delete(old)
      }
      this.#cached.set(name, { answer, endMs: this.#now() + this.#keepMs })
    }
    return answer
  }

  async #ask(name: string): Promise<NameAnswer> {
    const silent: string[] = []
    for (const server of [...this.#servers]) {
      try {
        return { kind: 'found', addresses: await server.resolver.resolve4(name), silent }
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException
        if (none.has(code)) return { kind: 'none', silent }
        if (foreign.has(code)) return { kind: 'foreign', silent }
        silent.push(server.address)
        this.#servers.push(...this.#servers.splice(this.#servers.indexOf(server), 1))
      }
    }
    return { kind: 'silent', silent }
  }
}
