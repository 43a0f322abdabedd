import { mkdir } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { realClock } from '../src/node/clock.ts'
import { parseConfig } from '../src/node/config.ts'
import { createLogger } from '../src/node/logger.ts'
import { Peer } from '../src/node/peer.ts'
import { type RunningPeer, startPeer } from '../src/node/spoke.ts'
import { type BlogName, decodeEntry, type Genesis } from '../src/replication/log/entry.ts'
import { namesLog } from '../src/replication/log/log.ts'
import type { Replica } from '../src/replication/log/peer-text.ts'
import { idOf, type Signed } from '../src/replication/log/text.ts'
import type { Decision } from '../src/replication/registry/act.ts'
import { type ProofRow, proofRow } from '../src/replication/registry/proof.ts'
import { findMember, type Member, type Roster } from '../src/replication/registry/roster.ts'
import { serveParent } from './child.ts'
import { pause } from './council.ts'
import { spentCpu } from './figures.ts'
import { must } from './signed-log.ts'

/** A real spoke, or one with the authority's section, in a process of its own. */
let spoke: RunningPeer | null = null
const running = (): RunningPeer => {
  if (spoke === null) throw new Error('not started')
  return spoke
}
const logger = createLogger('error')
/** The same clock in all processes of this machine. */
const now = () => process.hrtime.bigint()

/** A second libp2p host with the settings of the spoke's own, for messages that nobody judges. */
let plain: Peer | null = null
const topic = '/council-bench/plain'
let arrival = Promise.withResolvers<bigint>()

serveParent(
  {
    /** @returns who this peer is, once it is a member */
    start: async ({ config, folder }: { config: object; folder: string }) => {
      const checked = parseConfig(config)
      if (!checked.ok) throw new Error(checked.reason)
      spoke = await startPeer({ ...checked.value, data: join(folder, 'data') }, logger)
      const { ingest } = spoke.exchange
      ingest.onAdded(({ log, head }) => {
        // Readable is what the log's own door gives out again, not what it has only heard of.
        void ingest.read(log, head.seq).then((stored) => stored !== null && arrival.resolve(now()))
      })
      await spoke.whenAdmitted
      return { peer: spoke.peerId, council: spoke.council(), bootstrap: spoke.bootstrap() }
    },

    /** Claims the genesis' name at this spoke, which becomes the primary. */
    claim: async (genesis: Signed) => {
      const entry = must(decodeEntry(genesis.text)) as Genesis
      return must(await running().exchange.claims.claim(entry, genesis)).id
    },

    claimed: async (id: string) => (await running().exchange.claims.record(id))?.state === 'ready',

    /** @returns how many replicas a blog has whose act is active, 0: it takes no writes now */
    copies: async (blog: BlogName) => {
      const { replicas } = running().exchange
      const kept = replicas.get(blog)
      if (kept === null || !kept.receipts.isActive()) return 0
      return replicas.isSealed(kept.assignment) ? 0 : kept.assignment.replicas.length
    },

    /** Gives names without the claims, whose rates would take months. @returns the acts' proofs */
    assign: async (given: { genesis: Signed[]; replicas: string[] }): Promise<ProofRow[]> => {
      const { council } = running().exchange
      const roster = council.roster() as Roster
      const replicas = given.replicas.map((name) => {
        const { peer, store } = findMember(roster, name) as Member
        return { peer, store }
      })
      const primary = (replicas[0] as Replica).peer
      const decisions = given.genesis.map(({ text }): Decision => {
        const { log: blog, id, key } = must(decodeEntry(text)) as Genesis
        return {
          kind: 'assign',
          ...{ blog, genesis: id, key, epoch: 1, ends: null, replicas, primary },
          ...{ head: { seq: 0, id }, via: primary, reason: 'claimed', unmet: null, evidence: null },
        }
      })
      const written = must(await council.writeAll(namesLog, roster.council, () => decisions))
      return written.map(({ proof }) => proofRow(proof))
    },

    /** Leads blogs, as the spoke where they were claimed does. */
    lead: async (given: { genesis: Signed; proof: ProofRow }[]) => {
      const { replicas } = running().exchange
      for (const { genesis, proof } of given) {
        const kept = must(await replicas.learn(proof))
        const head = { seq: 0, id: idOf(genesis.text) }
        await replicas.take(kept, [genesis], { way: 'submit', head })
        await replicas.lead(kept)
      }
    },

    /** Learns of blogs that it keeps for others: it pulls them. */
    keep: async (proofs: ProofRow[]) => {
      for (const proof of proofs) must(await running().exchange.replicas.learn(proof))
    },

    /** @returns how many blogs this spoke leads that take writes */
    led: async () =>
      running()
        .exchange.replicas.all()
        .filter(({ role, receipts }) => role === 'primary' && receipts.isActive()).length,

    /** Whether `@roster` has a member out of DNS, by its name. */
    isAway: async (name: string) => {
      const roster = running().exchange.council.roster() as Roster
      return findMember(roster, name)?.away === true
    },

    /** An operator's order, as the command gives it. */
    transfer: async (asked: { blog: string; spoke: string }) => {
      const { admin } = running()
      if (!admin.ok) throw new Error(admin.reason)
      const body = JSON.stringify({ ...asked, reason: 'a benchmark', dryRun: false })
      const answer = Promise.withResolvers<number | undefined>()
      const headers = { host: 'council', 'content-type': 'application/json' }
      const sent = request(
        { socketPath: admin.value, method: 'POST', path: '/transfer', headers },
        (response) => response.resume().on('end', () => answer.resolve(response.statusCode)),
      )
      sent.on('error', answer.reject)
      sent.end(body)
      if ((await answer.promise) !== 200) throw new Error('the transfer was refused')
    },

    /** Submits an entry at this spoke, whoever leads its blog. @returns ms until it was published */
    publish: async (offer: Signed) => {
      const entry = must(decodeEntry(offer.text))
      const start = performance.now()
      for (;;) {
        const done = await running().exchange.submit.submit(entry, offer)
        if (done.ok && done.value.kind === 'held' && done.value.published)
          return performance.now() - start
        await pause(10)
      }
    },

    /** Puts entries into the primary's log, 100 an offer, as if they had all been written here. */
    fill: async ({ blog, entries }: { blog: BlogName; entries: Signed[] }) => {
      const { replicas, ingest } = running().exchange
      const kept = replicas.get(blog)
      const before = await ingest.record(blog)
      if (kept === null || before === null) throw new Error(`${blog} is not kept here`)
      let { seq } = before.head
      for (let at = 0; at < entries.length; at += 100) {
        const part = entries.slice(at, at + 100)
        seq += part.length
        const head = { seq, id: idOf((part.at(-1) as Signed).text) }
        const outcome = await replicas.take(kept, part, { way: 'submit', head })
        if (outcome.kind !== 'held') throw new Error(`not taken: ${JSON.stringify(outcome)}`)
      }
    },

    /**
     * Takes entries one by one, each verified and synced, so many a second.
     * @returns how many a second it came to
     */
    ingest: async (given: { blog: BlogName; entries: Signed[]; perSecond: number }) => {
      const { replicas } = running().exchange
      const kept = replicas.get(given.blog)
      if (kept === null) throw new Error(`${given.blog} is not kept here`)
      const start = performance.now()
      for (const [index, entry] of given.entries.entries()) {
        const waitMs = start + (1_000 * index) / given.perSecond - performance.now()
        if (waitMs > 0) await pause(waitMs)
        const { seq, id } = must(decodeEntry(entry.text))
        const outcome = await replicas.take(kept, [entry], { way: 'push', head: { seq, id } })
        if (outcome.kind !== 'held') throw new Error(`not taken: ${JSON.stringify(outcome)}`)
      }
      return (1_000 * given.entries.length) / (performance.now() - start)
    },

    httpPort: async () => running().http?.port,

    /** Reads a blog's list once, as a reader would. */
    visit: async (host: string) => {
      const answer = Promise.withResolvers<number | undefined>()
      const asked = request({ port: running().http?.port, headers: { host } }, (response) => {
        response.resume().on('end', () => answer.resolve(response.statusCode))
      })
      asked.on('error', answer.reject)
      asked.end()
      if ((await answer.promise) !== 200) throw new Error(`${host} was not shown`)
    },

    residentBytes: async () => process.memoryUsage.rss(),

    /** Pulls a blog from a peer, as every spoke does on connect and on every hint. */
    pull: async ({ peer, blog }: { peer: RunningPeer['peerId']; blog: BlogName }) => {
      const { sync, ingest } = running().exchange
      await sync.pull(peer, [blog])
      return (await ingest.record(blog))?.head.seq ?? -1
    },

    /** @returns where a blog's log ends here, -1: nothing is held */
    head: async (blog: BlogName) => (await running().exchange.ingest.record(blog))?.head.seq ?? -1,

    /**
     * Submits an entry at this spoke, the primary.
     * @returns when that began
     */
    submit: async (offer: Signed) => {
      const entry = must(decodeEntry(offer.text))
      const start = now()
      const { kind } = must(await running().exchange.submit.submit(entry, offer))
      if (kind !== 'held') throw new Error(`the entry is ${kind}`)
      return start
    },

    /** Forgets what arrived; `arrived` answers for what comes from now on. */
    watch: async () => {
      arrival = Promise.withResolvers()
    },

    /** @returns when the next entry could be read here, or the next plain message was here */
    arrived: () => arrival.promise,

    plainStart: async (folder: string) => {
      await mkdir(folder)
      plain = await Peer.start({
        privateKey: await generateKeyPair('Ed25519'),
        folder,
        listen: ['/ip4/127.0.0.1/tcp/0'],
        announce: [],
        isMember: () => true,
        records: { validate: async () => undefined, select: () => 0 },
        clock: realClock,
        logger,
      })
      plain.pubsub().subscribe(topic, async () => {
        arrival.resolve(now())
        return 'accept'
      })
      return plain.addresses()[0]
    },

    plainDial: async (address: string) => plain?.dial(address),

    plainPublish: async (message: Uint8Array) => {
      const start = now()
      await plain?.pubsub().publish(topic, message)
      return start
    },

    cpu: async () => spentCpu(),
  },
  async () => {
    await plain?.[Symbol.asyncDispose]()
    await spoke?.[Symbol.asyncDispose]()
  },
)
