import { readFileSync } from 'node:fs'
import { Header, Parser, type ReadEntry } from 'tar'
import type { Fingerprint, KeyRing } from '../../auth/public-key.ts'
import { maxSignatureBytes } from '../../auth/signature.ts'
import { accept, type Refusal, refuse, type Verdict } from '../../auth/verdict.ts'
import { ReplicationError } from '../errors.ts'
import { maxTextBytes } from '../protocol.ts'
import type { Author } from './author.ts'
import type { BlogName, Entry } from './entry.ts'
import { type Head, placeItem } from './log.ts'
import { decodeReceipt } from './receipt.ts'
import { blogRules } from './rules.ts'
import type { EntryId, Signed } from './text.ts'

/** Bytes of an archive that is read into memory to be checked. About 100,000 long posts. */
export const maxArchiveBytes = 512 * 1024 * 1024
/** Files in an archive: two per entry, and those around them. */
const maxArchiveFiles = 400_000
/** Bytes of one file in it. Key and act bodies are texts; a key.asc may hold several keys. */
const maxFileBytes = 4 * 1024 * 1024

/** What the replicas say about a log, as bytes: their receipts and what proves who they are. */
export type LogProof = {
  /** the newest receipt of each replica */
  readonly receipts: readonly Signed[]
  /** the assignment in force with the holders' receipts; null while there is none */
  readonly act: (Signed & { readonly receipts: readonly Signed[] }) | null
  /** `@roster` from entry 0, at least up to the line that the act names */
  readonly roster: readonly Signed[]
}

/** What an export needs of an opened blog. */
export type ArchiveSource = {
  readonly blog: { readonly head: Head }
  readonly entry: (
    seq: number,
  ) => Promise<{ readonly entry: Entry; readonly signature: string } | null>
  /** public key blocks that ever signed, the one in force first */
  readonly keys: () => Promise<readonly string[]>
  readonly proof: () => Promise<LogProof>
}

/** Name inside the archive → bytes; names have no leading folder, like `entries/000000.txt`. */
export type ArchiveFiles = ReadonlyMap<string, Uint8Array>

const number = (seq: number) => String(seq).padStart(6, '0')
export const entryFile = (seq: number) => `entries/${number(seq)}.txt`
const script = new Uint8Array(readFileSync(new URL('verify.sh', import.meta.url)))

/**
 * Writes a log as a tar that plain gpg and sha256sum can check offline: texts, signatures, keys,
 * receipts and their proofs. The same log gives the same bytes; one entry is held at a time.
 * Throws NOT_READY, and leaves the tar without its end mark, when an entry is not here that lies below
 * the head or that a receipt names.
 */
export async function* exportLog(source: ArchiveSource): AsyncGenerator<Uint8Array> {
  const first = await readEntry(source, 0)
  const folder = first.entry.log
  const put = (name: string, bytes: Uint8Array | string, mode?: number) =>
    tarFile(`${folder}/${name}`, typeof bytes === 'string' ? Buffer.from(bytes) : bytes, mode)
  const proof = await source.proof()
  yield put('README.txt', readme(first.entry))
  yield put('verify.sh', script, 0o755)
  yield put('key.asc', (await source.keys()).map((block) => `${block.trimEnd()}\n`).join(''))
  for (const [name, bytes] of proofFiles(proof)) yield put(name, bytes)
  // The log may have grown since it was opened: what a receipt names is to be in the archive.
  const last = Math.max(source.blog.head.seq, ...proof.receipts.map(seqOf))
  for (let seq = 0; seq <= last; seq++) {
    const { entry, signature } = seq === 0 ? first : await readEntry(source, seq)
    yield put(entryFile(seq), entry.text)
    yield put(`${entryFile(seq)}.asc`, `${signature.trimEnd()}\n`)
  }
  yield new Uint8Array(1024)
}

async function readEntry(source: ArchiveSource, seq: number) {
  const entry = await source.entry(seq)
  if (entry !== null) return entry
  throw new ReplicationError('NOT_READY', `entry ${seq} is not here: the export is not complete`)
}

function seqOf(signed: Signed): number {
  const receipt = decodeReceipt(signed)
  return receipt.ok ? receipt.value.head.seq : -1
}

function proofFiles(proof: LogProof): [string, Uint8Array][] {
  const pair = (name: string, signed: Signed): [string, Uint8Array][] => [
    [`${name}.txt`, signed.text],
    [`${name}.sig`, signed.signature],
  ]
  const { act } = proof
  return [
    ...proof.receipts.flatMap((receipt, index) => pair(`receipts/${index}`, receipt)),
    ...(act === null ? [] : pair('act/assign', act)),
    ...(act?.receipts ?? []).flatMap((receipt, index) => pair(`act/receipts/${index}`, receipt)),
    ...proof.roster.flatMap((line, seq) => pair(`roster/${number(seq)}`, line)),
  ]
}

function tarFile(path: string, bytes: Uint8Array, mode = 0o644): Uint8Array {
  const header = new Header({
    path,
    mode,
    uid: 0,
    gid: 0,
    size: bytes.length,
    mtime: new Date(0),
    type: 'File',
  })
  const blocks = Buffer.alloc(512 + Math.ceil(bytes.length / 512) * 512)
  header.encode(blocks, 0)
  blocks.set(bytes, 512)
  return blocks
}

function readme(genesis: Entry): string {
  return `The blog ${genesis.log} of the council ${genesis.council}

entries/000000.txt  an entry's text, exactly as its author signed it
entries/….txt.asc   her signature over these bytes (OpenPGP, detached)
key.asc             the public keys that ever signed, the one in force first
receipts/           the servers' signed words that they hold the log up to an entry
act/                which servers are to hold it, decided by the council's authority
roster/             who the servers and the authority are
verify.sh           checks entries and author's signatures with gpg and sha256sum alone

Each entry names the SHA-256 of the one before it (prev). To check all of them, offline:

  sh verify.sh

One entry by hand (gpgv says "Good signature" and by whom):

  gpg --dearmor < key.asc > key.gpg
  gpgv --keyring ./key.gpg entries/000000.txt.asc entries/000000.txt

Receipts, act and roster are signed with the servers' Ed25519 keys (64 bytes in the .sig files).
They are checked, with everything else, by:

  ./council verify .
`
}

/**
 * Reads a tar into memory; nothing is written anywhere. The one folder that an export puts around
 * its files is taken off. Codes: ARCHIVE_TOO_LARGE, ARCHIVE_NOT_TAR, ARCHIVE_PATH, ARCHIVE_LINK,
 * ARCHIVE_CUT_SHORT.
 */
export function readArchive(tar: Uint8Array): Verdict<ArchiveFiles> {
  if (tar.length > maxArchiveBytes) return tooLarge()
  // Plain tars only: the parser would unpack, and few bytes could then become very many.
  if (!isPlainTar(tar)) return notTar()
  if (!hasEndMark(tar)) {
    return refuse(
      'ARCHIVE_CUT_SHORT',
      'The archive has no end: it was cut while it was written or sent. Export it again.',
    )
  }
  const files = new Map<string, Uint8Array>()
  const refusals: Refusal[] = []
  const parser = new Parser({
    strict: true,
    onReadEntry: (entry) => {
      const refusal = refusals.length > 0 ? null : takeEntry(entry, files)
      if (refusal !== null) refusals.push(refusal)
      entry.resume()
    },
  })
  parser.on('error', () => refusals.push(notTar()))
  parser.end(Buffer.from(tar.buffer, tar.byteOffset, tar.length))
  if (refusals[0] !== undefined) return refusals[0]
  return withoutFolder(files)
}

function takeEntry(entry: ReadEntry, files: Map<string, Uint8Array>): Refusal | null {
  if (entry.type === 'Directory') return null
  if (entry.type !== 'File' && entry.type !== 'OldFile') {
    return refuse(
      'ARCHIVE_LINK',
      `"${entry.path}" in the archive is not a plain file (${entry.type}). An export has none.`,
    )
  }
  if (files.size >= maxArchiveFiles || entry.size > maxFileBytes) return tooLarge()
  const path = entry.path.replace(/^(\.\/)+/, '')
  if (!isSafePath(path) || files.has(path)) {
    return refuse(
      'ARCHIVE_PATH',
      `The archive has the file "${entry.path}" twice or outside of its folder. An export has no such file.`,
    )
  }
  const parts: Buffer[] = []
  files.set(path, new Uint8Array())
  entry.on('data', (part) => parts.push(part))
  entry.on('end', () => files.set(path, Buffer.concat(parts)))
  return null
}

const isSafePath = (path: string) =>
  path.length <= 200 &&
  !/[\\\0]/.test(path) &&
  path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')

const isPlainTar = (tar: Uint8Array) =>
  tar.length >= 1024 && Buffer.from(tar.subarray(257, 262)).toString('latin1') === 'ustar'

/** Two blocks of zeros end a tar, others may follow as padding. */
const hasEndMark = (tar: Uint8Array) => tar.subarray(-1024).every((byte) => byte === 0)

function notTar(): Refusal {
  return refuse(
    'ARCHIVE_NOT_TAR',
    'This is not a tar archive as `./council export` writes it, or it is damaged. If it is compressed, unpack it first.',
  )
}

export function tooLarge(): Refusal {
  return refuse(
    'ARCHIVE_TOO_LARGE',
    `The archive is larger than ${maxArchiveBytes / 1024 / 1024} MiB, or has too many or too large files. Check it with its own verify.sh.`,
  )
}

/** Takes off the folder in which all files stand; also for a folder read from the disk. */
export function withoutFolder(files: ArchiveFiles): Verdict<ArchiveFiles> {
  if (files.has(entryFile(0))) return accept(files)
  const [first = ''] = files.keys()
  const folder = first.slice(0, first.indexOf('/') + 1)
  if (folder === '' || ![...files.keys()].every((path) => path.startsWith(folder))) {
    return refuse(
      'ARCHIVE_PATH',
      'This is no archive of one blog: its files do not stand in one folder with entries/000000.txt.',
    )
  }
  return accept(new Map([...files].map(([path, bytes]) => [path.slice(folder.length), bytes])))
}

/** A checked log: every entry follows the one before it and is signed by its author. */
export type CheckedLog = {
  readonly council: string
  readonly blog: BlogName
  readonly genesis: EntryId
  readonly head: Head
  /** id of each entry, by seq */
  readonly ids: readonly EntryId[]
  readonly posts: number
  readonly firstDate: string
  readonly lastDate: string
  /** of the key in force and before it of those that signed, in order */
  readonly keys: readonly Fingerprint[]
  /** whether verify.sh is, byte by byte, the one this program writes; a foreign one may do anything */
  readonly hasOwnScript: boolean
}

/** What is wrong with an archive, and with which entry; `seq` is null when with none. */
export type BadArchive = Refusal & { readonly seq: number | null }

/**
 * Checks the entries of an archive from the genesis on, with nothing else at hand: form, chain,
 * dates, whose key must sign, each signature. Ends at the first bad entry. Codes: ARCHIVE_NO_ENTRY,
 * ARCHIVE_NO_SIGNATURE, ENTRY_SEQ, ENTRY_PREV, ENTRY_BLOG, ENTRY_DATE, and those of entries,
 * keys and signatures.
 */
export async function verifyLog(
  files: ArchiveFiles,
  keys: KeyRing,
): Promise<{ readonly ok: true; readonly value: CheckedLog } | BadArchive> {
  const entries: Entry[] = []
  const signers = new Set<Fingerprint>()
  let author: Author | null = null
  const rules = blogRules(() => entries[0]?.council ?? null, keys)
  const last = lastSeq(files)
  for (let seq = 0; seq <= Math.max(last, 0); seq++) {
    const read = readPair(files, seq)
    if (!read.ok) return { ...read, seq }
    const item = rules.decode(read.value.text)
    if (!item.ok) return { ...item, seq }
    const entry = item.value as Entry
    const place = checkPlace(entries.at(-1) ?? null, entry, seq)
    if (place !== null) return { ...place, seq }
    const next: Verdict<{ state: Author }> = await rules.next(author, entry, read.value, true)
    if (!next.ok) return { ...next, seq }
    author = next.value.state
    signers.delete(entry.key)
    signers.add(entry.key)
    entries.push(entry)
  }
  const [genesis, head] = [entries[0] as Entry, entries.at(-1) as Entry]
  const inForce = (author as Author).current.fingerprint
  signers.delete(inForce)
  return accept({
    council: genesis.council,
    blog: genesis.log,
    genesis: genesis.id,
    head: { seq: head.seq, id: head.id },
    ids: entries.map((entry) => entry.id),
    posts: new Set(entries.flatMap((entry) => (entry.kind === 'post' ? [entry.slug] : []))).size,
    firstDate: genesis.date,
    lastDate: head.date,
    keys: [...signers, inForce],
    hasOwnScript: Buffer.from(script).equals(files.get('verify.sh') ?? new Uint8Array()),
  })
}

function lastSeq(files: ArchiveFiles): number {
  let last = -1
  for (const path of files.keys()) {
    const seq = /^entries\/([0-9]{6,9})\.txt$/.exec(path)?.[1]
    if (seq !== undefined) last = Math.max(last, Number(seq))
  }
  return last
}

function readPair(files: ArchiveFiles, seq: number): Verdict<Signed> {
  const text = files.get(entryFile(seq))
  const signature = files.get(`${entryFile(seq)}.asc`)
  if (text === undefined) {
    return refuse('ARCHIVE_NO_ENTRY', `The file ${entryFile(seq)} is missing.`)
  }
  if (signature === undefined) {
    return refuse('ARCHIVE_NO_SIGNATURE', `The file ${entryFile(seq)}.asc is missing.`)
  }
  if (text.length > maxTextBytes || signature.length > maxSignatureBytes) {
    return refuse('ARCHIVE_TOO_LARGE', 'Its text or signature is longer than any entry may be.')
  }
  return accept({ text, signature })
}

function checkPlace(before: Entry | null, entry: Entry, seq: number): Refusal | null {
  if (entry.seq !== seq) {
    return refuse('ENTRY_SEQ', `The text in ${entryFile(seq)} says seq ${entry.seq}.`)
  }
  if (before === null) return null
  if (placeItem(before, entry, null).place !== 'next') {
    return refuse('ENTRY_PREV', 'Its "prev" is not the SHA-256 of the entry before it.')
  }
  if (entry.log !== before.log) {
    return refuse('ENTRY_BLOG', `It belongs to the blog ${entry.log}, not to ${before.log}.`)
  }
  if (entry.dateMs < before.dateMs) {
    return refuse('ENTRY_DATE', `Its date ${entry.date} lies before that of the entry before it.`)
  }
  return null
}

/** The receipts and proofs of an archive, unchecked; half a pair is left out. */
export function readProof(files: ArchiveFiles): LogProof {
  const pair = (name: string): Signed | null => {
    const text = files.get(`${name}.txt`)
    const signature = files.get(`${name}.sig`)
    return text === undefined || signature === undefined ? null : { text, signature }
  }
  const series = (name: (index: number) => string): Signed[] => {
    const found: Signed[] = []
    for (let next = pair(name(0)); next !== null; next = pair(name(found.length))) found.push(next)
    return found
  }
  const act = pair('act/assign')
  return {
    receipts: series((index) => `receipts/${index}`),
    act: act === null ? null : { ...act, receipts: series((index) => `act/receipts/${index}`) },
    roster: series((seq) => `roster/${number(seq)}`),
  }
}
