import type { Roster } from '../../replication/registry/roster.ts'
import type { KeptReport } from './report-worth.ts'

/** Bytes that the reports of one act take up in all, and the part of each byte string that is shown. */
const maxEvidence = 40_000
const maxShown = 9_000

/**
 * Reports as a text that a person can read and anybody can check: the signed words, the signature,
 * and in base64 the bytes that came and those that belong there. Pure.
 */
export function writeEvidence(reports: readonly KeptReport[], roster: Roster | null): string {
  const blocks: string[] = []
  let left = maxEvidence
  for (const { report, signed, served, answer, receipt, entry } of reports.toReversed()) {
    const by = roster?.members.get(report.by)
    const lines = [
      `Reported by ${by?.name ?? report.by}${by === undefined ? '' : `, run by ${by.operator}`}:`,
      '',
      Buffer.from(signed.text).toString(),
      ...inBase64('its signature', signed.signature),
      ...(served === null ? [] : inBase64('what came', served)),
      ...(answer === null ? [] : inBase64('what it has signed', answer.text)),
      ...(answer === null ? [] : inBase64('the signature of that', answer.signature)),
      ...(receipt === null ? [] : inBase64('its receipt', receipt.text)),
      ...(receipt === null ? [] : inBase64('the signature of that', receipt.signature)),
      ...inBase64('what belongs there', entry.text),
      ...inBase64('the signature of that', entry.signature),
    ].join('\n')
    left -= Buffer.byteLength(lines) + 2
    if (left < 0) break
    blocks.push(lines)
  }
  const rest = reports.length - blocks.length
  if (rest > 0) blocks.push(`And ${rest} more reports, for which an act has no room.`)
  return blocks.join('\n\n')
}

function inBase64(what: string, bytes: Uint8Array): string[] {
  const shown = bytes.subarray(0, maxShown)
  const cut = shown.length < bytes.length ? `, the first ${maxShown} of ${bytes.length} bytes` : ''
  const rows =
    Buffer.from(shown)
      .toString('base64')
      .match(/.{1,76}/g) ?? []
  return ['', `${what}${cut}, in base64:`, ...rows]
}
