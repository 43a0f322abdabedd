import { z } from 'zod'
import { type Act, decodeAct } from '../../replication/registry/act.ts'
import { AdminClient } from '../admin/admin-client.ts'
import { SpokeClient } from '../blogger/client.ts'
import type { DemoAnswer, ShownPeer } from './control.ts'
import { CouncilNames } from './names.ts'

const head = z.object({ seq: z.number(), id: z.string() })
const statusAnswer = z.object({
  logs: z.record(z.string(), head.nullable()),
  members: z.array(
    z.object({
      name: z.string(),
      peer: z.string(),
      away: z.boolean(),
      /** of the authority only */
      heard: z.boolean().optional(),
    }),
  ),
  blogs: z.array(
    z.object({
      blog: z.string(),
      role: z.enum(['primary', 'secondary', 'none']),
      epoch: z.number(),
      head: head.nullable(),
      active: z.boolean(),
      published: z.number(),
      replicas: z.number(),
    }),
  ),
  scrub: z.object({ damaged: z.number(), healed: z.number(), now: z.array(z.unknown()) }),
})
export type PeerStatus = z.infer<typeof statusAnswer>
/** What one spoke says of its copy of a blog. */
export type Copy = PeerStatus['blogs'][number] & { readonly spoke: ShownPeer }

/** How long one question may take, ms. */
const askMs = 2_000
const shortMs = 500

/** Sees a running demo as anybody could: by HTTP, DNS and, at the authority, its operator's socket. */
export class Observer {
  readonly #demo: DemoAnswer
  /** next act to look for, by log */
  readonly #next = { roster: 0, names: 0 }
  readonly #namesOf = new Map<string, string>()

  constructor(demo: DemoAnswer) {
    this.#demo = demo
  }

  /** Peer id → name in `@roster`; the id itself for one that is not known. */
  nameOf(peer: string): string {
    return this.#namesOf.get(peer) ?? peer
  }

  hostOf(name: string): string {
    return this.#demo.peers.find((peer) => peer.name === name)?.host ?? ''
  }

  /** Spokes that run and are connected with the others, but for the one named. */
  spokes(but: string | null = null): ShownPeer[] {
    return this.#demo.peers.filter(
      ({ isAuthority, state, name }) => !isAuthority && state === 'up' && name !== but,
    )
  }

  /** From now on `newActs` gives what is written later. */
  async begin(): Promise<void> {
    for (const spoke of this.spokes().toSorted((a, b) => Number(b.hasDns) - Number(a.hasDns))) {
      const status = await this.status(spoke)
      if (status === null) continue
      for (const { peer, name } of status.members) this.#namesOf.set(peer, name)
      this.#next.roster = (status.logs['@roster']?.seq ?? -1) + 1
      const names = status.logs['@names']
      this.#next.names = names === undefined || names === null ? 0 : names.seq + 1
      if (names !== null) break
    }
    // Where no spoke carries @names, its end is where nobody knows the next act.
    if (this.#next.names === 0) await this.newActs(null)
  }

  /** Acts written since the last call, as a spoke shows them on its public page. */
  async newActs(but: string | null): Promise<Act[]> {
    const acts: Act[] = []
    for (const log of ['roster', 'names'] as const) {
      for (;;) {
        const act = await this.#act(log, but)
        if (act === null) break
        this.#next[log] += 1
        acts.push(act)
      }
    }
    return acts
  }

  async #act(log: 'roster' | 'names', but: string | null): Promise<Act | null> {
    for (const spoke of this.spokes(but)) {
      const path = `/acts/${log}/${this.#next[log]}.txt`
      const answer = await this.#client(spoke, askMs)
        .ask({ path, host: this.#demo.zone })
        .catch(() => null)
      if (answer?.status !== 200) continue
      const act = decodeAct(new Uint8Array(answer.body))
      return act.ok ? act.value : null
    }
    return null
  }

  async status(spoke: ShownPeer): Promise<PeerStatus | null> {
    const client = this.#client(spoke, shortMs)
    try {
      return client.read(await client.ask({ path: '/_council/status' }), statusAnswer)
    } catch {
      return null
    }
  }

  /** Every copy that the spokes say they keep. */
  async copies(but: string | null = null): Promise<Copy[]> {
    const all = await Promise.all(
      this.spokes(but).map(async (spoke) => {
        const status = await this.status(spoke)
        return (status?.blogs ?? [])
          .filter(({ role }) => role !== 'none')
          .map((copy) => ({ ...copy, spoke }))
      }),
    )
    return all.flat()
  }

  /** What the authority says of itself and of whom it hears; null when it does not answer. */
  async authority(): Promise<PeerStatus | null> {
    const authority = this.#demo.peers.find(({ isAuthority }) => isAuthority)
    if (authority === undefined || authority.state === 'down') return null
    try {
      return await (await AdminClient.open(authority.config, {})).get('/status', statusAnswer)
    } catch {
      return null
    }
  }

  /** Peers that answer DNS, and are not cut off themselves. */
  dnsPeers(but: string | null): ShownPeer[] {
    return this.#demo.peers.filter(
      ({ hasDns, state, name }) => hasDns && state === 'up' && name !== but,
    )
  }

  /** What one DNS peer says of a name now. */
  async lookup(peer: ShownPeer, name: string): Promise<readonly string[]> {
    const names = new CouncilNames([`${peer.host}:${this.#demo.dnsPort}`], () => 0, {
      ...{ keepMs: 0, timeoutMs: shortMs },
    })
    const found = await names.lookup(name)
    return found.kind === 'found' ? found.addresses : []
  }

  /** The bytes that a spoke serves as an entry of a blog, by number or by id too; null for none. */
  async entry(spoke: ShownPeer, blog: string, seq: number, id: string | null) {
    const path = `/log/${seq}.txt${id === null ? '' : `?id=${id}`}`
    const host = `${blog}.${this.#demo.zone}`
    const answer = await this.#client(spoke, askMs)
      .ask({ path, host })
      .catch(() => null)
    return answer?.status === 200 ? new Uint8Array(answer.body) : null
  }

  /** A page of a blog as a spoke shows it; null for none. */
  async page(spoke: ShownPeer, blog: string, path: string): Promise<string | null> {
    const host = `${blog}.${this.#demo.zone}`
    const answer = await this.#client(spoke, askMs)
      .ask({ path, host })
      .catch(() => null)
    return answer?.status === 200 ? answer.body.toString() : null
  }

  /** What a spoke says of damage on its disk; null when it does not answer. */
  async scrub(spoke: ShownPeer): Promise<PeerStatus['scrub'] | null> {
    return (await this.status(spoke))?.scrub ?? null
  }

  #client({ host }: ShownPeer, timeoutMs: number): SpokeClient {
    return new SpokeClient(`http://${host}:${this.#demo.port}`, timeoutMs)
  }
}
