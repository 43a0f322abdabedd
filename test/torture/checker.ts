import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { KeyRing } from '../../src/auth/public-key.ts'
import { SpokeClient } from '../../src/node/blogger/client.ts'
import { openArchive, verifyArchive } from '../../src/node/blogger/verify-archive.ts'
import { entryFile, maxArchiveBytes } from '../../src/replication/log/archive.ts'
import type { EntryId } from '../../src/replication/log/text.ts'
import { type Act, decodeAct } from '../../src/replication/registry/act.ts'
import { answered } from '../../src/replication/registry/dial.ts'
import type { Writer } from './writer.ts'

const head = z.object({ seq: z.number(), id: z.string() })
/** `/_council/status`, as far as a run looks at it. */
const statusAnswer = z.object({
  logs: z.record(z.string(), head.nullable()),
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
})
export type SpokeStatus = z.infer<typeof statusAnswer>

export type Place = { readonly name: string; readonly url: string }

export async function statusOf({ url }: Place, timeoutMs = 2_000): Promise<SpokeStatus> {
  const client = new SpokeClient(url, timeoutMs)
  return client.read(await client.ask({ path: '/_council/status' }), statusAnswer)
}

/** Where a blog is kept now, by what the spokes that answer say. */
export async function replicasOf(blog: string, places: readonly Place[]) {
  const found = await Promise.all(
    places.map(async (place) => {
      const status = await statusOf(place, 1_000).catch(() => null)
      const kept = status?.blogs.find((each) => each.blog === blog && each.role !== 'none')
      return kept === undefined ? [] : [{ place, ...kept }]
    }),
  )
  return found.flat()
}

/**
 * What is still in the way of rest: after everything was healed each blog has one active primary,
 * all its replicas have one head, and that head is published. Null: nothing is.
 */
export async function unrest(
  writers: readonly Writer[],
  places: readonly Place[],
): Promise<string | null> {
  for (const { name } of writers) {
    const replicas = await replicasOf(name, places)
    const said = replicas.map(
      (each) =>
        `${each.place.name} ${each.role} epoch ${each.epoch}, head ${each.head?.seq}, published ${each.published}${each.active ? '' : ', not active'}`,
    )
    const primaries = replicas.filter(({ role }) => role === 'primary')
    const [first] = replicas
    const isWhole =
      primaries.length === 1 &&
      replicas.length === first?.replicas &&
      replicas.every(
        (each) =>
          each.active &&
          each.epoch === first.epoch &&
          each.head?.id === first.head?.id &&
          each.published === each.head?.seq,
      )
    if (!isWhole) return `${name}: ${said.join('; ') || 'no spoke keeps it'}`
  }
  return null
}

export type Found = {
  readonly lost: readonly string[]
  readonly invented: readonly string[]
  readonly forked: readonly string[]
  /** a chain, signature or proof that does not hold; what a spoke said and may not say */
  readonly broken: readonly string[]
  /** replicas looked at, and entries compared */
  readonly replicas: number
  readonly entries: number
}

/**
 * Compares what each writer was told is published with what every replica of her blog gives out,
 * byte for byte, and verifies each replica's export: chain, author's signatures, receipts, acts.
 */
export async function check(
  writers: readonly Writer[],
  places: readonly Place[],
  at: { readonly zone: string; readonly folder: string; readonly silenceMs: number },
): Promise<Found> {
  const { zone, folder, silenceMs } = at
  const lost: string[] = []
  const invented: string[] = []
  const forked: string[] = []
  const broken: string[] = []
  let copies = 0
  let entries = 0
  await mkdir(folder, { recursive: true })
  for (const writer of writers) {
    broken.push(...writer.lies.map((lie) => `${writer.name}: ${lie}`))
    const toldAt = new Map<number, EntryId>()
    for (const { seq, id } of writer.published) {
      if ((toldAt.get(seq) ?? id) !== id)
        forked.push(`${writer.name} ${seq}: two texts were called published`)
      toldAt.set(seq, id)
    }
    const seen = new Map<number, string>()
    for (const { place } of await replicasOf(writer.name, places)) {
      copies += 1
      const where = `${writer.name} at ${place.name}`
      const read = await readCopy(place, `${writer.name}.${zone}`, join(folder, place.name))
      if (typeof read === 'string') {
        broken.push(`${where}: ${read}`)
        continue
      }
      entries += read.ids.length
      for (const [seq, id] of read.ids.entries()) {
        const own = writer.signed.get(id)
        const isSame =
          own !== undefined && Buffer.from(own.entry.text).equals(read.texts[seq] as Uint8Array)
        if (!isSame) invented.push(`${where}: entry ${seq}, ${id}`)
        if ((seen.get(seq) ?? id) !== id) forked.push(`${where}: entry ${seq} differs`)
        seen.set(seq, id)
      }
      for (const [seq, id] of toldAt) {
        if (read.ids[seq] !== id) lost.push(`${where}: entry ${seq}, ${id}`)
      }
    }
  }
  for (const place of places) {
    const wrong = await checkActs(place, { zone, silenceMs })
    broken.push(...wrong.map((line) => `acts at ${place.name}: ${line}`))
  }
  return { lost, invented, forked, broken, replicas: copies, entries }
}

/**
 * What is wrong with the council's own logs as a spoke shows them to the public: each act follows the
 * one before it, each assignment of a blog ends the one before it with the next epoch, and nobody was
 * taken out of DNS for a flap.
 */
export async function checkActs(
  { url }: Place,
  { zone, silenceMs }: { readonly zone: string; readonly silenceMs: number },
): Promise<string[]> {
  const client = new SpokeClient(url, 10_000)
  const wrong: string[] = []
  for (const log of ['roster', 'names']) {
    const newest = new Map<string, { readonly id: EntryId; readonly epoch: number }>()
    let prev: EntryId | null = null
    for (let seq = 0; ; seq++) {
      const answer = await client.ask({ path: `/acts/${log}/${seq}.txt`, host: zone })
      if (answer.status !== 200) {
        if (seq === 0) wrong.push(`@${log}: it is not shown: ${answer.status}`)
        break
      }
      const act = decodeAct(new Uint8Array(answer.body))
      if (!act.ok) {
        wrong.push(`@${log} ${seq}: ${act.reason}`)
        break
      }
      const { id, decision } = act.value
      if (act.value.seq !== seq || act.value.prev !== prev)
        wrong.push(`@${log} ${seq}: it does not follow the one before it`)
      prev = id
      const early = earlyAway(act.value, silenceMs)
      if (early !== null) wrong.push(`@${log} ${seq}: ${early}`)
      if (decision.kind !== 'assign') continue
      const before = newest.get(decision.blog)
      if (decision.epoch !== (before?.epoch ?? 0) + 1 || decision.ends !== (before?.id ?? null))
        wrong.push(`@${log} ${seq}: epoch ${decision.epoch} of ${decision.blog} ends another act`)
      newest.set(decision.blog, { id, epoch: decision.epoch })
    }
  }
  return wrong
}

/** What the authority waits for beyond the silence, ms (REPLICATION, Silence). */
const flapMs = 5_000

/**
 * What is wrong with an act `away` by its own words: it says when its spoke was heard last, and who
 * dialled when. A silence up to `silenceMs` + 5 s moves nothing, and nobody dials before. Null: nothing
 * is, or it is another act. Dates have no parts of a second. Pure.
 */
export function earlyAway({ decision, dateMs }: Act, silenceMs: number): string | null {
  if (decision.kind !== 'away') return null
  const [, since] = /^silent since (\S+Z), /.exec(decision.reason) ?? []
  if (since === undefined) return `away without a time since when: ${decision.reason}`
  const dials = (decision.evidence ?? '').split('\n').map((line) => {
    const [, at = '', result] = / dialled at (\S+Z): (.+)$/.exec(line) ?? []
    return { atMs: Date.parse(at), result }
  })
  const boundMs = Date.parse(since) + silenceMs + flapMs - 1_000
  const early = [dateMs, ...dials.map(({ atMs }) => atMs)].filter((ms) => !(ms >= boundMs))
  if (early.length > 0) return `away too early: heard ${since}, ${decision.evidence}`
  const answers = dials.filter(({ result }) => result === answered).length
  return answers * 2 >= dials.length ? `away although it answers: ${decision.evidence}` : null
}

/** The export of one spoke, verified; or why it cannot be had or does not hold. */
async function readCopy({ url }: Place, host: string, path: string) {
  const client = new SpokeClient(url, 30_000)
  try {
    await client.download({ path: '/export.tar', host }, path, maxArchiveBytes)
    const files = await openArchive(path)
    if (!files.ok) return files.reason
    const checked = await verifyArchive(files.value, new KeyRing())
    if (!checked.ok) return checked.reason
    const { ids } = checked.value.log
    const texts = ids.map((_, seq) => files.value.get(entryFile(seq)) ?? new Uint8Array())
    return { ids, texts }
  } catch (error) {
    return (error as Error).message
  } finally {
    await rm(path, { force: true })
  }
}
