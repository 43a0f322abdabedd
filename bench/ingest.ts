import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { KeyRing } from '../src/auth/public-key.ts'
import { Ingest } from '../src/replication/log/ingest.ts'
import { blogRules } from '../src/replication/log/rules.ts'
import { LogStore } from '../src/replication/log/store.ts'
import { idOf, type Signed } from '../src/replication/log/text.ts'
import { addCosts, type Cost, costOf, formatRate, formatSpread, type Result } from './figures.ts'
import { SignedLog } from './signed-log.ts'

const rounds = 12
/** Rounds at the start that count for nothing: the code is still being compiled. */
const warmUp = 2
const offersPerRound = 5
/** Entries of one offer, as a push brings them. */
const offerEntries = 100

/**
 * Ingest of foreign entries, each verified, placed and in a synced batch, against node:crypto's
 * Ed25519 verification of the same texts.
 */
export async function benchIngest(): Promise<Result> {
  const council = `bench.example/${'0'.repeat(64)}`
  const log = await SignedLog.open(council, 'maria')
  const entries = await log.next(1 + rounds * offersPerRound * offerEntries)
  const folder = await mkdtemp(join(tmpdir(), 'council-bench-'))
  const disk = new Level<string, Uint8Array>(folder, { valueEncoding: 'view' })
  const rules = blogRules(() => council, new KeyRing())
  const store = new LogStore(disk)
  const ingest = new Ingest({ store, rulesOf: () => rules, now: Date.now })
  try {
    await offer(ingest, entries.slice(0, 1))
    const raw: Cost[] = []
    const ours: Cost[] = []
    for (let round = 0; round < rounds; round++) {
      const size = offersPerRound * offerEntries
      const part = entries.slice(1 + round * size, 1 + (round + 1) * size)
      raw.push(await verifyRaw(part))
      ours.push(
        await costOf(async () => {
          for (let at = 0; at < part.length; at += offerEntries)
            await offer(ingest, part.slice(at, at + offerEntries))
        }),
      )
    }
    return summarize(raw.slice(warmUp), ours.slice(warmUp))
  } finally {
    await disk.close()
    await rm(folder, { recursive: true })
  }
}

function summarize(raw: readonly Cost[], ours: readonly Cost[]): Result {
  const count = ours.length * offersPerRound * offerEntries
  const [allRaw, allOurs] = [addCosts(raw), addCosts(ours)]
  const each = ours.map(({ cpu }, round) => (raw[round] as Cost).cpu / cpu)
  return {
    name: `ingest: ${count} foreign entries of 1 KB, ${offerEntries} an offer, each verified, synced`,
    lines: [
      `ours              ${formatRate(count, allOurs)}`,
      `node:crypto alone ${formatRate(count, allRaw)}`,
      `ratio by CPU in single rounds ${formatSpread(each)}`,
    ],
    ratio: allRaw.cpu / allOurs.cpu,
    wanted: 'least',
    target: 0.5,
  }
}

async function offer(ingest: Ingest, offers: readonly Signed[]): Promise<void> {
  const last = offers.at(-1) as Signed
  const record = await ingest.record('maria')
  const head = { seq: (record?.head.seq ?? -1) + offers.length, id: idOf(last.text) }
  const outcome = await ingest.offer('maria', offers, {
    way: 'push',
    following: { epoch: 1, head },
    checkAll: true,
  })
  if (outcome.kind !== 'held' || outcome.added.length !== offers.length)
    throw new Error(`an offer was not taken: ${JSON.stringify(outcome)}`)
}

/** The same texts under plain Ed25519 signatures, which are made before the clock starts. */
async function verifyRaw(entries: readonly Signed[]): Promise<Cost> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const signed = entries.map(({ text }) => ({ text, signature: sign(null, text, privateKey) }))
  return costOf(async () => {
    for (const { text, signature } of signed) {
      if (!verify(null, text, publicKey, signature)) throw new Error('node:crypto says no')
    }
  })
}
