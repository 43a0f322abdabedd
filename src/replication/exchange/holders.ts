import { z } from 'zod'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { type Head, type LogName, namesLog, rosterLog } from '../log/log.ts'
import type { Receipt } from '../log/receipt.ts'
import { parseEntryId, type Signed } from '../log/text.ts'
import { ask, asRefusal, type Network, refusalAnswer, signedShape } from '../network.ts'
import { maxActsAtOnce, REPLICA } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import type { Run } from '../registry/holding.ts'
import { fromSignedRow, type SignedRow, signedRow } from '../registry/proof.ts'
import { authorityOf } from '../registry/roster.ts'
import type { Sync } from './sync.ts'

const run = z.object({
  count: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  id: z.string().regex(/^[0-9a-f]{32}$/),
})
export const holdShape = z.object({
  t: z.literal('hold'),
  log: z.enum([rosterLog, namesLog]),
  acts: z.array(signedShape).min(1).max(maxActsAtOnce),
  run,
})
export const enterShape = z.object({ t: z.literal('enter'), run })
export const carryShape = z.object({ t: z.literal('carry') })

const holdAnswer = z.object({ receipts: z.array(signedShape).max(2 * maxActsAtOnce) })
const head = z.object({ seq: z.number().int().min(0), id: z.string().length(64) }).nullable()
const kept = z.object({
  head,
  /** what this holder gave a receipt for behind that head */
  held: z.array(signedShape).max(maxActsAtOnce),
})
const enterAnswer = z.object({
  /** the newest run that the holder knows of: the asked one, or a later one */
  run,
  logs: z.object({ roster: kept, names: kept }),
})
const carryAnswer = z.object({
  heads: z.object({ roster: head, names: head }),
})

/** What a holder answers to a run that begins: which is the newest, and what it has of both logs. */
export type Entered = {
  readonly run: Run
  readonly logs: ReadonlyMap<
    LogName,
    { readonly head: Head | null; readonly held: readonly Signed[] }
  >
}

/** How long a holder may take to answer a run that begins, or to pull both logs, ms. */
const enterMs = 5_000
const carryMs = 20_000

/** Both ends of what the authority asks the holders of the council's own logs (REPLICATION 14). */
export class Holders {
  readonly #network: Network
  readonly #council: CouncilLogs
  readonly #sync: Pick<Sync, 'pull'>

  constructor(parts: {
    readonly network: Network
    readonly council: CouncilLogs
    readonly sync: Pick<Sync, 'pull'>
  }) {
    this.#network = parts.network
    this.#council = parts.council
    this.#sync = parts.sync
  }

  /** A holder's receipts for new acts; one that is behind them pulls what is missing, and looks again. */
  async hold(from: PeerName, asked: z.infer<typeof holdShape>): Promise<unknown> {
    const given = await this.#held(from, asked.log, asked.acts.map(fromSignedRow), asked.run)
    return given.ok
      ? { receipts: given.value.map((receipt) => signedRow(receipt.signed)) }
      : refusalAnswer(given)
  }

  async #held(
    from: PeerName,
    log: LogName,
    acts: readonly Signed[],
    by: Run,
  ): Promise<Verdict<readonly Receipt[]>> {
    const allowed = this.#checkAuthority(from)
    if (!allowed.ok) return allowed
    const given = await this.#council.holding.hold(log, acts, by)
    if (given.ok || given.code !== 'HOLDER_BEHIND') return given
    await this.#sync.pull(from, [rosterLog, namesLog]).catch(() => undefined)
    return this.#council.holding.hold(log, acts, by)
  }

  /** A run of the authority begins: the runs before it get no receipt any more. */
  async enter(from: PeerName, asked: z.infer<typeof enterShape>): Promise<unknown> {
    const allowed = this.#checkAuthority(from)
    if (!allowed.ok) return refusalAnswer(allowed)
    await this.#council.holding.enter(asked.run)
    const newest = (await this.#council.holding.lastRun()) ?? asked.run
    return {
      run: newest,
      logs: { roster: await this.#kept(rosterLog), names: await this.#kept(namesLog) },
    }
  }

  async #kept(log: LogName): Promise<{ head: Head | null; held: SignedRow[] }> {
    const at = this.#council.head(log)
    const held = await this.#council.holding.heldFrom(log, (at?.seq ?? -1) + 1)
    return { head: at, held: held.map(signedRow) }
  }

  /** Takes both logs from the authority, as one that shall hold them must have them. */
  async carry(from: PeerName): Promise<unknown> {
    const allowed = this.#checkAuthority(from)
    if (!allowed.ok) return refusalAnswer(allowed)
    await this.#sync.pull(from, [rosterLog, namesLog])
    const heads = {
      roster: this.#council.head(rosterLog),
      names: this.#council.head(namesLog),
    }
    return { heads }
  }

  #checkAuthority(from: PeerName): Verdict<void> {
    const roster = this.#council.roster()
    return roster !== null && from === authorityOf(roster)
      ? accept(undefined)
      : refuse('HOLDER_NOT_AUTHORITY', 'Only the authority asks holders.')
  }

  // The authority's side.

  /** Asks another holder for its receipts; see `AskHolder`. */
  async askHold(
    peer: PeerName,
    log: LogName,
    acts: readonly Signed[],
    by: Run,
  ): Promise<readonly Signed[] | 'fenced' | 'other'> {
    try {
      const asked = { t: 'hold', log, acts: acts.map(signedRow), run: by }
      const { receipts } = await ask(this.#network, peer, REPLICA, asked, holdAnswer)
      return receipts.map(fromSignedRow)
    } catch (error) {
      const code = asRefusal(error)?.code
      return code === 'HOLDER_FENCED' ? 'fenced' : code === 'HOLDER_OTHER_ACT' ? 'other' : []
    }
  }

  /** Tells another holder that a run begins. Throws as `ask` does. */
  async askEnter(peer: PeerName, by: Run): Promise<Entered> {
    const asked = { t: 'enter', run: by }
    const { run: newest, logs } = await ask(
      this.#network,
      peer,
      REPLICA,
      asked,
      enterAnswer,
      enterMs,
    )
    const read = (each: z.infer<typeof kept>) => ({
      head: readHead(each.head),
      held: each.held.map(fromSignedRow),
    })
    return {
      run: newest,
      logs: new Map([
        [rosterLog, read(logs.roster)],
        [namesLog, read(logs.names)],
      ]),
    }
  }

  /** Asks a peer to take both logs. @returns where its copy of each ends. Throws as `ask` does. */
  async askCarry(peer: PeerName): Promise<ReadonlyMap<LogName, Head | null>> {
    const { heads } = await ask(this.#network, peer, REPLICA, { t: 'carry' }, carryAnswer, carryMs)
    return new Map([
      [rosterLog, readHead(heads.roster)],
      [namesLog, readHead(heads.names)],
    ])
  }
}

function readHead(at: z.infer<typeof head>): Head | null {
  const id = at === null ? null : parseEntryId(at.id)
  return at === null || id === null ? null : { seq: at.seq, id }
}
