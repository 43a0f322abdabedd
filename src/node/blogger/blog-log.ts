import type { Verdict } from '../../auth/verdict.ts'
import {
  type BlogName,
  blogNameRule,
  type Post,
  parseBlogName,
} from '../../replication/log/entry.ts'
import type { LogName } from '../../replication/log/log.ts'
import { decodeReceipt, type Receipt } from '../../replication/log/receipt.ts'
import type { EntryId, Signed } from '../../replication/log/text.ts'
import { decodeAct } from '../../replication/registry/act.ts'
import {
  type LogAnswer,
  logAnswer,
  type SubmitAnswer,
  submitAnswer,
  takenAnswer,
} from './answers.ts'
import { submission } from './author-key.ts'
import type { SpokeClient } from './client.ts'
import { CommandError } from './failure.ts'
import type { CommandIo } from './io.ts'
import { type Kept, Outbox } from './outbox.ts'

/** One blog as the spoke behind `--at` shows it, and what its author keeps of it. */
export class BlogLog {
  readonly council: string
  readonly outbox: Outbox
  readonly #client: SpokeClient
  readonly #blog: BlogName
  readonly #host: string

  constructor(client: SpokeClient, council: string, blog: BlogName, env: NodeJS.ProcessEnv) {
    this.council = council
    this.outbox = new Outbox(env, council, blog)
    this.#client = client
    this.#blog = blog
    this.#host = `${blog}.${council.slice(0, council.indexOf('/'))}`
  }

  static async open(client: SpokeClient, name: string, env: NodeJS.ProcessEnv): Promise<BlogLog> {
    const blog = parseBlogName(name)
    if (blog === null) {
      throw new CommandError('usage', `"${name}" is not a blog's name: ${blogNameRule}.`)
    }
    const { council } = await client.council()
    return new BlogLog(client, council, blog, env)
  }

  /** @param from - first seq of up to 1,000 entries; the newest 1,000 when left out */
  async read(from?: number): Promise<LogAnswer> {
    const range = from === undefined ? '' : `?from=${from}&limit=1000`
    const answer = await this.#client.ask({ path: `/log.json${range}`, host: this.#host })
    if (answer.status === 404) {
      throw new CommandError(
        'failed',
        `There is no blog ${this.#host}. Is the name right? A new one is claimed with: ./council claim ${this.#blog}`,
      )
    }
    const log = this.#client.read(answer, logAnswer)
    if (log.council === this.council && log.blog === this.#blog) return log
    throw new CommandError(
      'failed',
      `${this.#client.origin} was asked for ${this.#host} and shows ${log.blog} of ${log.council}. Give another spoke with --at.`,
    )
  }

  download(file: string, maxBytes: number): Promise<void> {
    return this.#client.download({ path: '/export.tar', host: this.#host }, file, maxBytes)
  }

  /**
   * Hands a signed entry in. It is in the outbox before it is sent, and leaves it when all replicas
   * have given receipts. No answer, but the head, when another entry has taken its seq; throws
   * `refused` when it breaks a rule.
   *
   * @param io - see `SpokeClient.handIn`
   */
  async submit(
    kept: Kept,
    io?: CommandIo,
  ): Promise<{ answer: SubmitAnswer | null; headSeq: number; headId: EntryId }> {
    await this.outbox.keep(kept)
    const answer = await this.#client.handIn(submission(kept), io)
    if (answer.status === 409) {
      const taken = takenAnswer.safeParse(parseJson(answer.body))
      if (taken.success) {
        const { seq, id } = taken.data.head
        return { answer: null, headSeq: seq, headId: id }
      }
    }
    const stored = this.#client.read(answer, submitAnswer)
    const checked = checkSubmitted(stored, kept)
    if (checked.full) await this.#dropUpTo(kept.entry.seq)
    return { answer: stored, headSeq: kept.entry.seq, headId: kept.entry.id }
  }

  /**
   * Offers again what is kept and lies above the head shown, drops what all replicas hold.
   * Returns whether the head may have moved.
   */
  async settle(log: LogAnswer, io: CommandIo): Promise<boolean> {
    const full = fullUpTo(log)
    let moved = false
    for (const kept of await this.outbox.list()) {
      const { entry } = kept
      if (entry.seq <= full) await this.#settleShown(kept, log, io)
      if (entry.seq <= log.head.seq) continue
      const answer = await this.#offer(kept, io)
      if (answer === null) await this.#setAside(kept, io)
      else io.say(`offered entry ${entry.seq} again: ${answer.copies} of ${answer.wanted} copies`)
      moved = true
    }
    return moved
  }

  /** Null when it can never be published as it is. */
  async #offer(kept: Kept, io: CommandIo): Promise<SubmitAnswer | null> {
    try {
      return (await this.submit(kept, io)).answer
    } catch (error) {
      if (error instanceof CommandError && error.exit === 'refused') return null
      throw error
    }
  }

  async #settleShown(kept: Kept, log: LogAnswer, io: CommandIo): Promise<void> {
    const shown = log.entries.find((each) => each.seq === kept.entry.seq)
    if (shown === undefined || shown.id === kept.entry.id) await this.outbox.drop(kept.entry)
    else await this.#setAside(kept, io)
  }

  async #setAside({ entry }: Kept, io: CommandIo): Promise<void> {
    const path = await this.outbox.setAside(entry)
    io.say(
      `entry ${entry.seq} that you signed can no longer be published as it is. Its text is in ${path}`,
    )
    if (entry.kind !== 'post') return
    io.say('If you miss it, sign it again:')
    io.say(`  ${signAgainLine(entry, path, this.#client.origin)}`)
  }

  async #dropUpTo(seq: number): Promise<void> {
    for (const { entry } of await this.outbox.list()) {
      if (entry.seq <= seq) await this.outbox.drop(entry)
    }
  }
}

/**
 * Holds a spoke's "published" against the receipts it sends along: at least two replicas' own
 * signatures under one act (REPLICATION 3, 4). Whether the act is in force, `verify` tells.
 */
function checkSubmitted(answer: SubmitAnswer, { entry }: Kept): { readonly full: boolean } {
  const peers = new Map<EntryId, Set<string>>()
  for (const { text, signature } of answer.receipts) {
    const receipt = decodeReceipt({
      text: Buffer.from(text, 'utf8'),
      signature: Buffer.from(signature, 'base64'),
    })
    if (!covers(receipt, entry)) continue
    const { act, replica } = receipt.value
    peers.set(act, (peers.get(act) ?? new Set()).add(replica.peer))
  }
  const copies = Math.max(0, ...[...peers.values()].map((each) => each.size))
  if (answer.published && copies < 2) {
    throw new CommandError(
      'failed',
      `The spoke says that entry ${entry.seq} is published, but sends receipts of ${copies} replicas that hold. It is kept in the outbox; try another spoke with --at.`,
    )
  }
  return { full: answer.published && copies >= answer.wanted }
}

function covers(
  receipt: Verdict<Receipt>,
  entry: {
    readonly log: LogName
    readonly council: string
    readonly seq: number
    readonly id: EntryId
  },
): receipt is { readonly ok: true; readonly value: Receipt } {
  if (!receipt.ok) return false
  const { log, council, head } = receipt.value
  return (
    log === entry.log &&
    council === entry.council &&
    (head.seq > entry.seq || (head.seq === entry.seq && head.id === entry.id))
  )
}

/** Up to which seq every replica that the act names has given receipts; -1 when to none. */
function fullUpTo(log: LogAnswer): number {
  const act = log.act === null ? null : decodeAct(log.act.text)
  if (!act?.ok || act.value.decision.kind !== 'assign') return -1
  const { replicas } = act.value.decision
  const held = new Map<string, number>()
  for (const signed of log.receipts satisfies readonly Signed[]) {
    const receipt = decodeReceipt(signed)
    if (!receipt.ok || receipt.value.act !== act.value.id || receipt.value.log !== log.blog)
      continue
    held.set(receipt.value.replica.peer, receipt.value.head.seq)
  }
  return replicas.length < 2 ? -1 : Math.min(...replicas.map(({ peer }) => held.get(peer) ?? -1))
}

/**
 * The command that publishes a post once more whose signed text is in a file: what stands in its
 * headers goes into the options, what stands behind the empty line is the Markdown.
 */
export function signAgainLine(
  { log, key, slug, lang, tags, title }: Post,
  path: string,
  at: string,
): string {
  const options = {
    ...{ blog: log, at, key, slug, title },
    ...(lang === null ? {} : { lang }),
    ...(tags.length === 0 ? {} : { tags: tags.join(',') }),
  }
  const words = Object.entries(options).map(([name, value]) => ` --${name}=${quoted(value)}`)
  return `sed '1,/^$/d' ${quoted(path)} | ./council publish -${words.join('')}`
}

/** As one word for a shell, whatever is in it. */
const quoted = (word: string) =>
  /^[\w./:,@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}
