import type { PeerName } from '../../../src/auth/peer-signature.ts'
import type { Dht, Registry } from '../../../src/replication/registry/registry.ts'
import type { VirtualNetwork } from './network.ts'
import type { Life, VirtualClock } from './virtual-clock.ts'

type Rules = Pick<Registry, 'validateRecord' | 'selectRecord'>
type Node = {
  readonly life: Life
  readonly rules: Rules
  readonly records: Map<string, Uint8Array>
}

/** How long a look-up, or a put, waits for the others, ms. */
const lookUpMs = 3_000

/** An honest look-up cache: every peer that is reached keeps what its own validator lets pass. */
export class VirtualDht {
  readonly #clock: VirtualClock
  readonly #network: VirtualNetwork
  readonly #nodes = new Map<PeerName, Node>()

  constructor(clock: VirtualClock, network: VirtualNetwork) {
    this.#clock = clock
    this.#network = network
  }

  /** A peer comes up, with an empty cache. */
  arrive(peer: PeerName, life: Life, rules: Rules): void {
    this.#nodes.set(peer, { life, rules, records: new Map() })
  }

  leave(peer: PeerName): void {
    this.#nodes.delete(peer)
  }

  of(self: PeerName): Dht {
    return {
      put: async (key, value) => {
        const own = this.#nodes.get(self)
        if (own !== undefined) await store(own, key, value)
        let stored = 0
        const put = async (peer: PeerName, node: Node) => {
          if (await store(node, key, value)) this.#to(peer, self, () => stored++)
        }
        for (const [peer, node] of this.#nodes) {
          if (peer !== self) this.#to(self, peer, () => void put(peer, node))
        }
        await this.#clock.wait(lookUpMs)
        return stored
      },
      get: (key) => this.#get(self, key),
    }
  }

  #to(from: PeerName, to: PeerName, arrive: () => void): void {
    this.#clock.after(this.#network.delayMs(), () => {
      if (this.#network.reaches(from, to)) this.#nodes.get(to)?.life.reach(arrive)
    })
  }

  async #get(self: PeerName, key: string): Promise<Uint8Array | null> {
    const own = this.#nodes.get(self)
    const found: Uint8Array[] = []
    const note = (node: Node | undefined) => {
      const value = node?.records.get(key)
      if (value !== undefined) found.push(value)
    }
    note(own)
    for (const [peer, node] of this.#nodes) {
      if (peer !== self) this.#to(self, peer, () => this.#to(peer, self, () => note(node)))
    }
    await this.#clock.wait(lookUpMs)
    const good: Uint8Array[] = []
    for (const value of found) {
      const verdict = await own?.rules.validateRecord(key, value).catch(() => null)
      if (verdict?.ok) good.push(value)
    }
    return good[own?.rules.selectRecord(good) ?? 0] ?? null
  }
}

/** What the validator refuses, or a full disk lets it refuse, is not kept. */
async function store(node: Node, key: string, value: Uint8Array): Promise<boolean> {
  const verdict = await node.rules.validateRecord(key, value).catch(() => null)
  if (!verdict?.ok || node.life.isOver) return false
  node.records.set(key, value)
  return true
}
