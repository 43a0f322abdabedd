import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type PeerName, verifyPeer } from '../../auth/peer-signature.ts'
import type { KeyRing } from '../../auth/public-key.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import {
  type ArchiveFiles,
  type BadArchive,
  type CheckedLog,
  entryFile,
  type LogProof,
  maxArchiveBytes,
  readArchive,
  readProof,
  tooLarge,
  verifyLog,
  withoutFolder,
} from '../../replication/log/archive.ts'
import { sameReplica } from '../../replication/log/peer-text.ts'
import { decodeReceipt, majority, type Receipt } from '../../replication/log/receipt.ts'
import { formatDate } from '../../replication/log/text.ts'
import { type AssignFields, decodeAct } from '../../replication/registry/act.ts'
import { checkProof } from '../../replication/registry/proof.ts'
import {
  authorityAt,
  foldRoster,
  type Roster,
  rosterSigner,
} from '../../replication/registry/roster.ts'

/** What the replicas that the act names say, by receipts that hold. */
export type CheckedCopies = {
  /** the act under which the receipts count */
  readonly epoch: number
  /** peer id of the authority that signed it, believed since `@roster` begins with the council id */
  readonly authority: string
  readonly replicas: readonly {
    readonly peer: string
    /** name in `@roster` */
    readonly spoke: string | null
    /** up to where it holds the log; null without a receipt under this act */
    readonly seq: number | null
    /** since when it has held the entry `seq`, as it says; entries before it at least as long */
    readonly since: string | null
  }[]
  /** highest seq with receipts of a majority, of two replicas at least; -1 when there is none */
  readonly published: number
}

export type CheckedArchive = {
  readonly log: CheckedLog
  /** null when the archive has no act: then nobody's word for its copies is in it */
  readonly copies: CheckedCopies | null
}

/**
 * Checks an archive with nothing else at hand: chain, author's signatures, and the receipts with
 * everything they rest on, down to the council id that each entry names.
 */
export async function verifyArchive(
  files: ArchiveFiles,
  keys: KeyRing,
): Promise<{ readonly ok: true; readonly value: CheckedArchive } | BadArchive> {
  const log = await verifyLog(files, keys)
  if (!log.ok) return log
  const copies = checkCopies(log.value, readProof(files))
  return copies.ok ? accept({ log: log.value, copies: copies.value }) : { seq: null, ...copies }
}

type Bad = Refusal & { readonly seq?: number }

function checkCopies(
  log: CheckedLog,
  proof: LogProof,
): { readonly ok: true; readonly value: CheckedCopies | null } | Bad {
  if (proof.act === null) return accept(null)
  const roster = readRoster(log.council, proof)
  if (!roster.ok) return roster
  const act = checkProof(proof.act, roster.value)
  if (!act.ok) return { ...act, reason: `The act of assignment: ${act.reason}` }
  const { decision } = act.value
  if (
    decision.kind !== 'assign' ||
    decision.blog !== log.blog ||
    decision.genesis !== log.genesis
  ) {
    return refuse('ARCHIVE_OTHER_ACT', 'The act in the archive does not assign this blog.')
  }
  const receipts: Receipt[] = []
  for (const [index, signed] of proof.receipts.entries()) {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok) {
      return { ...receipt, reason: `The receipt receipts/${index}.txt: ${receipt.reason}` }
    }
    const named = decision.replicas.some((replica) => sameReplica(replica, receipt.value.replica))
    if (!named || receipt.value.act !== act.value.id) continue
    const wrong = checkReceipt(log, receipt.value)
    if (wrong !== null) return wrong
    receipts.push(receipt.value)
  }
  return accept({
    epoch: decision.epoch,
    authority: authorityAt(roster.value, (act.value.roster?.seq ?? 0) + 1),
    ...countCopies(decision, receipts, roster.value),
  })
}

/** A good receipt for something else than this log shows that entries were left out or exchanged. */
function checkReceipt(log: CheckedLog, { head, replica, ...receipt }: Receipt): Bad | null {
  if (receipt.log !== log.blog || receipt.council !== log.council) {
    return refuse('ARCHIVE_RECEIPT', `A receipt of ${replica.peer} is for another log.`)
  }
  if (head.seq > log.head.seq) {
    const missing = log.head.seq + 1
    const reason = `The file ${entryFile(missing)} is missing: ${replica.peer} gave a receipt for the log up to entry ${head.seq}.`
    return { ...refuse('ARCHIVE_NO_ENTRY', reason), seq: missing }
  }
  if (log.ids[head.seq] === head.id) return null
  const reason = `${replica.peer} gave a receipt for another entry ${head.seq}: ${head.id}.`
  return { ...refuse('ARCHIVE_FORK', reason), seq: head.seq }
}

function countCopies(act: AssignFields, receipts: readonly Receipt[], roster: Roster) {
  const replicas = act.replicas.map((replica) => {
    const [newest] = receipts
      .filter((receipt) => sameReplica(receipt.replica, replica))
      .sort((one, other) => other.head.seq - one.head.seq)
    return {
      peer: replica.peer,
      spoke: roster.members.get(replica.peer)?.name ?? null,
      seq: newest?.head.seq ?? null,
      since: newest === undefined ? null : formatDate(newest.sinceMs),
    }
  })
  const held = replicas.flatMap(({ seq }) => (seq === null ? [] : [seq])).sort((a, b) => b - a)
  const needed = majority(replicas.length)
  // With one replica nothing is ever published (REPLICATION 4).
  return { replicas, published: replicas.length < 2 ? -1 : (held[needed - 1] ?? -1) }
}

/** `@roster` from entry 0, whose SHA-256 must be the id of the council that the entries name. */
function readRoster(council: string, proof: LogProof): Verdict<Roster> {
  let roster: Roster | null = null
  for (const [seq, line] of proof.roster.entries()) {
    const bad = (refusal: Refusal) => ({
      ...refusal,
      reason: `Entry ${seq} of @roster: ${refusal.reason}`,
    })
    const act = decodeAct(line.text)
    if (!act.ok) return bad(act)
    if (act.value.seq !== seq || act.value.prev !== (roster?.head.id ?? null)) {
      return bad(refuse('ROSTER_LINE', 'it does not follow the one before it.'))
    }
    const signer: PeerName | null = rosterSigner(roster, act.value)
    if (signer === null || !verifyPeer(signer, line.text, line.signature)) {
      return bad(refuse('ROSTER_SIGNATURE', 'it is not signed by who may write it.'))
    }
    const next: Verdict<Roster> = foldRoster(roster, act.value)
    if (!next.ok) return bad(next)
    roster = next.value
  }
  return roster?.council === council
    ? accept(roster)
    : refuse('COUNCIL_ID', `The archive's @roster does not begin the council ${council}.`)
}

/** Reads an archive from a tar or from the folder it was unpacked into. */
export async function openArchive(path: string): Promise<Verdict<ArchiveFiles>> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => error)
  if (info instanceof Error) {
    return refuse('ARCHIVE_NOT_FOUND', `Cannot read "${path}": ${info.code ?? info.message}.`)
  }
  if (info.isDirectory()) return readFolder(path)
  if (info.size > maxArchiveBytes) return tooLarge()
  return readArchive(await readFile(path))
}

async function readFolder(folder: string): Promise<Verdict<ArchiveFiles>> {
  const files = new Map<string, Uint8Array>()
  let bytes = 0
  const names = await readdir(folder, { withFileTypes: true, recursive: true })
  for (const name of names.filter((each) => each.isFile())) {
    const path = join(name.parentPath, name.name)
    bytes += (await stat(path)).size
    if (bytes > maxArchiveBytes) return tooLarge()
    files.set(path.slice(join(folder, '/').length), await readFile(path))
  }
  return withoutFolder(files)
}
