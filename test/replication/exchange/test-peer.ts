import type { PeerName } from '../../../src/auth/peer-signature.ts'
import { KeyRing } from '../../../src/auth/public-key.ts'
import { refuse } from '../../../src/auth/verdict.ts'
import { ReplicationError } from '../../../src/replication/errors.ts'
import { Claims, type NameInDns } from '../../../src/replication/exchange/claim.ts'
import { type DecideClaim, ToAuthority } from '../../../src/replication/exchange/decisions.ts'
import { Gossip } from '../../../src/replication/exchange/gossip.ts'
import { Holders } from '../../../src/replication/exchange/holders.ts'
import { Learners } from '../../../src/replication/exchange/learners.ts'
import { PrimaryDoor } from '../../../src/replication/exchange/primary-door.ts'
import { Push } from '../../../src/replication/exchange/push.ts'
import { type DoorLimits, defaultDoorLimits } from '../../../src/replication/exchange/rates.ts'
import { Replicas } from '../../../src/replication/exchange/replica.ts'
import { Revocations } from '../../../src/replication/exchange/revocations.ts'
import { Seals } from '../../../src/replication/exchange/seals.ts'
import { Submit } from '../../../src/replication/exchange/submit.ts'
import { Sync } from '../../../src/replication/exchange/sync.ts'
import type { BlogName } from '../../../src/replication/log/entry.ts'
import type { Ingest } from '../../../src/replication/log/ingest.ts'
import { namesLog, rosterLog } from '../../../src/replication/log/log.ts'
import type { LogRules } from '../../../src/replication/log/rules.ts'
import { blogRules } from '../../../src/replication/log/rules.ts'
import type { GossipVerdict, Handler, Network } from '../../../src/replication/network.ts'
import type { AssignFields } from '../../../src/replication/registry/act.ts'
import { CouncilLogs } from '../../../src/replication/registry/council-logs.ts'
import {
  type ProofOfAct,
  proofRow,
  type SignedRow,
} from '../../../src/replication/registry/proof.ts'
import { Registry } from '../../../src/replication/registry/registry.ts'
import { authorityOf } from '../../../src/replication/registry/roster.ts'
import { noFollow } from '../no-follow.ts'
import type { TestEntry, TestLog } from '../test-author.ts'
import {
  assignFields,
  councilIngest,
  must,
  peer,
  storeOf,
  TestClock,
  type TestCouncil,
  TestDisk,
  type Written,
} from '../test-council.ts'

export const maria = 'maria' as BlogName

/** What a remote peer answers; null: nothing, as one that cannot be reached. */
export type Remote = (protocol: string, body: never) => unknown

/**
 * One peer's replication, all parts real. The peers that it talks with are forged answers: they
 * stand for what is outside our code.
 */
export class TestPeer {
  readonly number: number
  readonly disk: TestDisk
  readonly clock = new TestClock()
  readonly keys = new KeyRing()
  readonly remotes = new Map<PeerName, Remote>()
  readonly handlers = new Map<string, Handler>()
  readonly topics = new Map<string, (from: PeerName, data: Uint8Array) => Promise<GossipVerdict>>()
  readonly published: [topic: string, data: Uint8Array][] = []
  /** requests sent: protocol and body */
  readonly sent: [peer: PeerName, protocol: string, body: unknown][] = []
  /** another one, and this peer's data folder is another store */
  storeNumber: number
  inDns: NameInDns = 'free'
  decideClaim: DecideClaim | null = null
  readonly ingest: Ingest
  readonly council: CouncilLogs
  readonly replicas: Replicas
  readonly sync: Sync
  readonly revocations: Revocations
  readonly push: Push
  readonly gossip: Gossip
  readonly submit: Submit
  readonly toAuthority: ToAuthority
  readonly claims: Claims

  constructor(
    number: number,
    { councilId, council }: { councilId: string; council: string },
    disk = new TestDisk(),
    limits: Partial<DoorLimits> = {},
  ) {
    this.disk = disk
    this.number = number
    const { store } = this.disk
    const { clock, keys } = this
    const signer = peer(number)
    this.storeNumber = number
    const storeId = () => storeOf(this.storeNumber)
    const roster = () => this.council.roster()
    const rules = blogRules(() => council, keys) as LogRules<unknown>
    const ingest = councilIngest(store, roster, () => councilId, rules, clock.now)
    const network: Network = {
      self: signer.peer,
      connected: () => [...this.remotes.keys()],
      ...noFollow,
      handle: (protocol, handler) => this.handlers.set(protocol, handler),
      request: async (to, protocol, body) => {
        this.sent.push([to, protocol, body])
        const answer = await this.remotes.get(to)?.(protocol, body as never)
        if (answer === undefined || answer === null)
          throw new ReplicationError('PEER_UNREACHABLE', 'no answer')
        return answer
      },
    }
    this.ingest = ingest
    this.council = new CouncilLogs({
      ...{ store, ingest, signer, storeId, clock },
      askHolder: async () => [],
    })
    if (number === 0) this.council.begin({ count: 1, id: '0'.repeat(32) })
    this.replicas = new Replicas({ signer, storeId, store, ingest, roster, clock })
    const { replicas } = this
    this.sync = new Sync({ network, store, ingest, replicas, council: this.council })
    const { sync } = this
    this.revocations = new Revocations({
      ...{ network, store, council: this.council },
      pullRoster: (peer) => sync.pull(peer, [rosterLog]),
    })
    const { revocations } = this
    const revoked = revocations.of
    const parts = { network, store, ingest, replicas, council: this.council, sync, clock }
    const seals = new Seals({ network, council: this.council, replicas })
    const holders = new Holders({ network, council: this.council, sync })
    const learners = new Learners({ network, council: this.council, ingest, sync, clock })
    this.push = new Push({ ...parts, revocations, seals, learners, holders, enabled: true })
    const registry = new Registry({
      ...{ council: this.council, store, clock, dht: null },
      held: (blog) => replicas.get(blog)?.assignment ?? null,
      askNames: async () => 'unreachable',
      isAuthority: false,
    })
    const decideClaim: DecideClaim = async (...given) => {
      if (this.decideClaim === null) throw new Error('this peer is no authority')
      return this.decideClaim(...given)
    }
    const none = async () => refuse('NOT_THE_AUTHORITY', 'This peer decides about claims only.')
    const door = new PrimaryDoor({
      ...{ ingest, replicas, clock, revoked, limits: { ...defaultDoorLimits, ...limits } },
    })
    this.submit = new Submit({
      ...{ network, replicas, registry, clock, door },
      takeGenesis: (...given) => this.claims.handedOver(...given),
      decisions: { decideClaim, decideRevoke: none, decideDrain: none, hearTrouble: () => {} },
    })
    this.toAuthority = new ToAuthority({
      network,
      authority: () => {
        const known = this.council.roster()
        return known === null ? null : authorityOf(known)
      },
    })
    this.gossip = new Gossip({
      ...{ ...parts, self: signer.peer, councilId: () => councilId, enabled: true },
      pubsub: {
        publish: async (topic, data) => {
          this.published.push([topic, data])
        },
        subscribe: (topic, judge) => this.topics.set(topic, judge),
        unsubscribe: (topic) => this.topics.delete(topic),
      },
      onAct: async (_from, log, proof) => {
        const outcome = await this.council.take(log, [proof], 'gossip')
        return outcome.kind === 'held' ? 'accept' : 'ignore'
      },
    })
    this.claims = new Claims({
      ...{
        store,
        ingest,
        council: this.council,
        replicas,
        push: this.push,
        submit: this.submit,
        toAuthority: this.toAuthority,
        keys,
        clock,
      },
      ...{ askDns: async () => this.inDns, revoked },
    })
  }

  static async start(
    number: number,
    council: TestCouncil,
    disk?: TestDisk,
    limits?: Partial<DoorLimits>,
  ): Promise<TestPeer> {
    const { councilId } = council.roster
    const started = new TestPeer(number, { councilId, council: council.council }, disk, limits)
    await started.council.start()
    await started.revocations.start()
    await started.council.take(rosterLog, council.rosterProofs, 'pull')
    await started.council.take(namesLog, council.namesProofs, 'pull')
    await started.replicas.start({
      assigned: () => undefined,
      grown: () => undefined,
      given: () => undefined,
      received: () => undefined,
    })
    started.sync.start()
    started.push.start()
    started.submit.start()
    return started
  }

  async learn(proof: ProofOfAct) {
    const kept = must(await this.replicas.learn(proofRow(proof)))
    this.gossip.follow()
    return kept
  }

  /** What this peer answers to a remote one. */
  answer(from: number, protocol: string, body: unknown): Promise<unknown> {
    return (this.handlers.get(protocol) as Handler)(peer(from).peer, body)
  }

  async head(blog = 'maria'): Promise<number> {
    return (await this.ingest.record(blog))?.head.seq ?? -1
  }
}

/** An assignment of a log's blog, as the council writes it. */
export function assign(
  council: TestCouncil,
  log: TestLog,
  change: Partial<AssignFields> = {},
): Written {
  const { id, key } = log.genesis
  return council.draft(assignFields({ genesis: id, key, ...change }))
}

export const rowOf = ({ offer }: TestEntry): SignedRow => [offer.text, offer.signature]
export const codeIn = (answer: unknown) =>
  (answer as { error?: { code: string } }).error?.code ?? 'answered'
