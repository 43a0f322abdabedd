import { cutText } from '../auth/cut-text.ts'
import type { PeerName } from '../auth/peer-signature.ts'
import { type Clock, repeat, wait } from '../replication/clock.ts'
import type { Exchange } from '../replication/exchange/exchange.ts'
import type { Finding } from '../replication/exchange/reports.ts'
import type { Entry } from '../replication/log/entry.ts'
import { decodeEntry } from '../replication/log/entry.ts'
import type { Head } from '../replication/log/log.ts'
import type { Receipt } from '../replication/log/receipt.ts'
import { liveMembers, type Member, type Roster } from '../replication/registry/roster.ts'
import { postPath } from '../web/links.ts'
import { compareShown } from '../web/shown-post.ts'
import type { OpenBlog, WebSpoke } from '../web/spoke.ts'
import { type LookedAt, Unanswering } from './unanswering.ts'
import type { Served, visitSpoke } from './visit-spoke.ts'

/** Pause between two samples, ms: each is four small answers of one other spoke. */
const sampleMs = 5_000
/** What was found is looked at again after this time, ms: a spoke may be just catching up. */
const lookAgainMs = 3_000
/** A receipt that is younger, ms, need not show in what readers get. */
const settleMs = 30_000

/**
 * Looks at what other spokes show to readers (DESIGN 8): a random blog and entry at one spoke after
 * the other, byte for byte. What is wrong twice is reported; so is who gives no answer for long.
 */
export class Sampler {
  readonly #parts: Parts
  readonly counts = { samples: 0, wrong: 0 }
  readonly #unanswering = new Unanswering()
  /** whom this round has not come to yet */
  #left: PeerName[] = []
  #stop = () => {}

  constructor(parts: Parts) {
    this.#parts = parts
  }

  start(): void {
    this.#stop = repeat(this.#parts.clock, sampleMs, () => this.sample().catch(() => undefined))
  }

  stop(): void {
    this.#stop()
  }

  /** One sample of one spoke. */
  async sample(): Promise<void> {
    const { exchange, clock } = this.#parts
    const roster = exchange.council.roster()
    const others = roster === null ? [] : this.#others(roster)
    this.#unanswering.keepOnly(new Set(others.map(({ peer }) => peer)))
    const target = this.#nextOf(others)
    const kept = exchange.replicas
      .all()
      .filter(
        ({ role, assignment }) => role !== 'none' && !exchange.replicas.isDamaged(assignment.blog),
      )
    const log = this.#pick(kept)?.assignment.blog
    if (roster === null || target === null || log === undefined) return
    const open = await this.#parts.spoke.openBlog(log)
    if (typeof open === 'string' || !open.held) return
    const { head } = open.blog
    // The newest entry is what an old state lacks.
    const seq = clock.random() < 0.3 ? head.seq : Math.floor(clock.random() * (head.seq + 1))
    const right = await open.entry(seq)
    if (right === null) return
    this.counts.samples++
    const sample = { roster, target, open, ...right }
    const look = await this.#look(sample)
    this.#noteAnswer(sample, look.looked, look.why)
    if (look.findings.length === 0) return
    await wait(clock, lookAgainMs)
    for (const finding of (await this.#look(sample)).findings) this.#file(finding)
  }

  #file(finding: Finding): void {
    this.counts.wrong++
    this.#parts.exchange.reports.file(finding)
  }

  #noteAnswer({ target: { peer }, entry }: Sample, looked: LookedAt | null, why: string): void {
    const { exchange, clock } = this.#parts
    if (!exchange.network.connected().includes(peer)) {
      this.#unanswering.forget(peer)
      return
    }
    const forMs = this.#unanswering.note(peer, looked, clock.steady())
    if (forMs === null) return
    const { log, seq, id } = entry
    const found = cutText(`no answer for ${Math.floor(forMs / 60_000)} minutes: ${why}`, 200)
    this.#file({
      ...{ peer, kind: 'page', log, seq, id, asked: `/log/${seq}.txt`, found },
      ...{ served: null, answer: null, receipt: null },
    })
  }

  #others(roster: Roster): Member[] {
    const { self } = this.#parts
    return liveMembers(roster).filter(
      ({ peer, web, away }) => peer !== self && web.length > 0 && !away,
    )
  }

  /** One after the other in random order, so that nobody is left out for long by chance. */
  #nextOf(others: readonly Member[]): Member | null {
    this.#left = this.#left.filter((peer) => others.some((each) => each.peer === peer))
    if (this.#left.length === 0) this.#left = others.map(({ peer }) => peer)
    const next = this.#pick(this.#left)
    this.#left = this.#left.filter((peer) => peer !== next)
    return others.find(({ peer }) => peer === next) ?? null
  }

  #pick<T>(of: readonly T[]): T | null {
    return of[Math.floor(this.#parts.clock.random() * of.length)] ?? null
  }

  async #look(sample: Sample): Promise<Look> {
    const { exchange, visit, newNonce } = this.#parts
    const { roster, target, open, entry } = sample
    const { seq, log } = entry
    const paths = [`/log/${seq}.txt`, `/log/${seq}.txt.asc`, '/log.json?limit=1']
    const page = pageOf(open, entry)
    if (page !== null) paths.push(page)
    const wanted = { council: roster.council, peer: target.peer, nonce: newNonce() }
    const host = hostOf(this.#parts.spoke.origin(`${log}.${roster.zone}`))
    const answers = await visit(this.#pick(target.web) ?? '', wanted, host, paths)
    // A server in front that does not keep a connection open answers: nothing that it says counts.
    if (!answers.ok && answers.code === 'VISIT_OTHER')
      return { findings: [], looked: null, why: answers.code }
    if (!answers.ok) return { findings: [], looked: 'silent', why: answers.code }
    const kept = exchange.replicas.get(log)
    const receipt = kept?.receipts.of(target.peer) ?? null
    const isOld = receipt !== null && this.#parts.clock.now() - receipt.sinceMs > settleMs
    const check: Check = {
      ...sample,
      receipt: isOld ? receipt : null,
      isSigned: (text, signature) => exchange.ingest.signatures.verify(log, { text, signature }),
      idAt: (at) => exchange.ingest.idAt(log, at),
    }
    const findings = await judgeServed(check, answers.value, page)
    const { status } = answers.value.get(paths[0] as string) ?? { status: 0 }
    const isHeld = check.receipt !== null && check.receipt.head.seq >= seq
    // Who does not keep a blog may well find nobody who does.
    const looked = isExcused(status) ? (isHeld ? 'busy' : null) : 'answered'
    return { findings, looked, why: `status ${status}` }
  }
}

/** `looked`: null where it says nothing about who answers; `why` it did not, in a few words. */
type Look = {
  readonly findings: readonly Finding[]
  readonly looked: LookedAt | null
  readonly why: string
}

/** The page of a post whose newest version the entry is; null for anything else. */
function pageOf({ blog }: OpenBlog, entry: Entry): string | null {
  if (entry.kind !== 'post') return null
  const post = blog.post(entry.slug)
  const isShown = post !== null && post.retracted === null && post.current.seq === entry.seq
  return isShown ? postPath(post) : null
}

const hostOf = (origin: string) => new URL(origin).host

/**
 * What is wrong with what a spoke served, each with the bytes. A version that the author has signed
 * too is a fork of hers and nothing of the spoke's.
 */
export async function judgeServed(
  check: Check,
  answers: ReadonlyMap<string, Served>,
  page: string | null,
): Promise<Finding[]> {
  const { target, entry, signature, receipt } = check
  const { seq, log, id, text } = entry
  const findings: Finding[] = []
  const add = (asked: string, found: string, served: Uint8Array | null, at: Head = { seq, id }) =>
    findings.push({
      ...{ peer: target.peer, kind: 'page', log, seq: at.seq, id: at.id },
      ...{ asked, found, served, answer: null, receipt: receipt?.signed ?? null },
    })
  const get = (path: string) => answers.get(path) ?? { status: 0, body: new Uint8Array() }
  const isHeld = receipt !== null && receipt.head.seq >= seq
  const [textPath, signaturePath] = [`/log/${seq}.txt`, `/log/${seq}.txt.asc`]
  const given = { text: get(textPath), signature: get(signaturePath) }
  if (given.text.status !== 200) {
    // Only who signed that it holds the entry owes it to anybody; to be busy, or to say that what it
    // has is damaged, is honest.
    if (isHeld && !isExcused(given.text.status)) add(textPath, `status ${given.text.status}`, null)
  } else if (Buffer.compare(given.text.body, text) !== 0) {
    const isAuthors =
      sameKind(given.text.body, entry) &&
      (await check.isSigned(given.text.body, given.signature.body))
    if (!isAuthors) add(textPath, 'another text', given.text.body)
  } else if (given.signature.status === 200) {
    const isSame = Buffer.compare(given.signature.body, Buffer.from(signature)) === 0
    if (!isSame && !(await check.isSigned(text, given.signature.body)))
      add(signaturePath, 'a signature that does not hold', given.signature.body)
  }
  const shown = page === null ? null : get(page)
  if (page !== null && shown?.status === 200 && entry.kind === 'post') {
    const differs = await compareShown(Buffer.from(shown.body).toString(), entry)
    // Other elements around the same words may be another version of the program.
    if (differs !== null && differs !== 'markup') add(page, `another ${differs}`, shown.body)
  }
  const list = '/log.json?limit=1'
  const end = readHead(get(list))
  if (end !== null) {
    const own = await check.idAt(end.seq)
    if (own !== null && own !== end.id)
      add(list, `another entry ${end.seq}`, get(list).body, { seq: end.seq, id: own })
    else if (receipt !== null && end.seq < receipt.head.seq)
      add(list, `its list ends at entry ${end.seq}`, get(list).body, receipt.head)
  }
  return findings
}

/** Whether a status says that a server cannot now, rather than that it has nothing. */
const isExcused = (status: number) => status === 408 || status === 429 || status >= 500

function sameKind(served: Uint8Array, { log, seq }: Entry): boolean {
  const entry = decodeEntry(served)
  return entry.ok && entry.value.log === log && entry.value.seq === seq
}

/** Where a list of entries says that the log ends; null when it is none. */
export function readHead({ status, body }: Served): { seq: number; id: string } | null {
  if (status !== 200) return null
  try {
    const { head } = JSON.parse(Buffer.from(body).toString()) as { head?: Partial<Head> }
    return typeof head?.seq === 'number' && typeof head.id === 'string'
      ? { seq: head.seq, id: head.id }
      : null
  } catch {
    return null
  }
}

type Sample = {
  readonly roster: Roster
  readonly target: Member
  readonly open: OpenBlog
  readonly entry: Entry
  readonly signature: string
}

export type Check = Pick<Sample, 'entry' | 'signature'> & {
  readonly target: Pick<Member, 'peer'>
  /** of the spoke under its act, old enough that readers should see what it covers; null: none */
  readonly receipt: Receipt | null
  /** whether a key of the blog signed a text */
  readonly isSigned: (text: Uint8Array, signature: Uint8Array) => Promise<boolean>
  readonly idAt: (seq: number) => Promise<Head['id'] | null>
}

type Parts = {
  readonly exchange: Pick<Exchange, 'council' | 'replicas' | 'ingest' | 'reports'> & {
    readonly network: Pick<Exchange['network'], 'connected'>
  }
  readonly spoke: Pick<WebSpoke, 'openBlog' | 'origin'>
  readonly self: PeerName
  readonly visit: typeof visitSpoke
  readonly newNonce: () => string
  readonly clock: Clock
}
