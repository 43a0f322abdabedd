import { readSignature } from '../../auth/signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import { judgeFrontEvidence } from '../../replication/aggregation/front-evidence.ts'
import { judgeAnswer } from '../../replication/exchange/audits.ts'
import type { HandedReport } from '../../replication/exchange/reports.ts'
import { decodeEntry } from '../../replication/log/entry.ts'
import { decodeReceipt } from '../../replication/log/receipt.ts'
import type { Signed } from '../../replication/log/text.ts'
import type { Report } from '../../replication/registry/report.ts'
import { compareShown } from '../../web/shown-post.ts'
import { readHead } from '../sampler.ts'

/**
 * What a report is worth by itself. `proof`: the reported peer's own signatures contradict each
 * other. `checked`: the bytes handed in are not what belongs there; that they came from that peer is
 * the reporter's word, or where the peer has signed them, that the entry was published by then.
 * `word`: nothing but that.
 */
export type Worth = 'proof' | 'checked' | 'word'

export type KeptReport = {
  readonly report: Report
  readonly worth: Worth
  readonly signed: Signed
  readonly served: Uint8Array | null
  readonly answer: Signed | null
  readonly receipt: Signed | null
  /** the entry that belongs there */
  readonly entry: Signed
}
/**
 * Judges what a report hands in by itself. Code REPORT_NOTHING: what came is what belongs there.
 *
 * @param entry - what belongs there, checked
 */
export async function judgeReport(
  report: Report,
  { served, answer, receipt }: HandedReport,
  entry: Signed,
): Promise<Verdict<Worth>> {
  const nothing = refuse('REPORT_NOTHING', 'What came is what belongs there.')
  if (report.kind === 'audit') {
    const { peer, log, seq, asked } = report
    const said = judgeAnswer(answer, { peer, log, seq, nonce: asked, text: entry.text })
    if (said === 'right') return nothing
    return accept(said !== 'silent' && isCovered(report, receipt) ? 'proof' : 'word')
  }
  if (report.kind === 'front') {
    const said = judgeFrontEvidence(report, entry, answer, served)
    return said === 'nothing' ? nothing : accept(said === 'shown' ? 'checked' : 'word')
  }
  if (served === null) return accept('word')
  if (report.asked === `/log/${report.seq}.txt`)
    return Buffer.compare(served, entry.text) === 0 ? nothing : accept('checked')
  if (report.asked === `/log/${report.seq}.txt.asc`) {
    const isSame = Buffer.compare(served, entry.signature) === 0
    // Another armor of a signature that holds is not looked for: ours is the only one that is stored.
    return isSame
      ? nothing
      : accept((await readSignature(Buffer.from(served).toString())).ok ? 'word' : 'checked')
  }
  if (report.asked.startsWith('/log.json')) {
    const end = readHead({ status: 200, body: served })
    if (end === null) return accept('word')
    if (end.seq === report.seq) return end.id === report.id ? nothing : accept('checked')
    // A list that ends before what its spoke has signed that it holds.
    return accept(end.seq < report.seq && isCovered(report, receipt) ? 'checked' : 'word')
  }
  const decoded = decodeEntry(entry.text)
  if (!decoded.ok || decoded.value.kind !== 'post') return accept('word')
  const { title, body } = decoded.value
  const differs = await compareShown(Buffer.from(served).toString(), { title, body })
  // Other elements around the same words may be another version of the program.
  return differs === null ? nothing : accept(differs === 'markup' ? 'word' : 'checked')
}

/** Whether the reported peer has signed that it holds the entry. */
function isCovered({ peer, council, log, seq }: Report, receipt: Signed | null): boolean {
  const given = receipt === null ? null : decodeReceipt(receipt)
  if (!given?.ok || given.value.replica.peer !== peer) return false
  return given.value.council === council && given.value.log === log && given.value.head.seq >= seq
}
