import type { PeerSigner } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import type { Clock } from '../clock.ts'
import type { BlogName } from '../log/entry.ts'
import type { StoreId } from '../log/peer-text.ts'
import type { Disk } from '../log/store.ts'
import type { Network, Pubsub } from '../network.ts'
import type { Dht } from '../registry/registry.ts'
import type { FetchHello, Vitals } from './alive.ts'
import type { NameInDns } from './claim.ts'

/** What replication needs of the world; src/node makes it real, tests make it lossy. */
export type World = {
  readonly network: Network
  readonly pubsub: Pubsub
  /** null where no DHT runs */
  readonly dht: Dht | null
  readonly disk: Disk
  /** an empty store in memory, for a blog that a reader visits */
  readonly memoryDisk: () => Disk
  readonly clock: Clock
  readonly signer: PeerSigner
  readonly keys: KeyRing
  /** a new random store id */
  readonly newStoreId: () => StoreId
  readonly vitals: () => Promise<Vitals>
  readonly fetchHello: FetchHello
  /** 64 random hex digits, for surprise questions; left out: none are asked */
  readonly newNonce?: () => string
  readonly askDns: (blog: BlogName) => Promise<NameInDns>
  /** event name and fields, for the operator's log */
  readonly report: Report
}

export type Report = (event: string, fields: Readonly<Record<string, unknown>>) => void

/** Work that nobody waits for: its failure is told, and what failed comes again by itself. */
export type Background = (what: string, work: Promise<unknown>) => void
