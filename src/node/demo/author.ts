import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createMessage, generateKey, type PrivateKey, readPrivateKey, sign } from 'openpgp'
import { KeyRing, minimalKey, type PublicKey } from '../../auth/public-key.ts'
import { verifyEntry } from '../../replication/log/author.ts'
import {
  type BlogName,
  type Draft,
  decodeEntry,
  type Entry,
  encodeEntry,
  parseBlogName,
} from '../../replication/log/entry.ts'
import type { Head } from '../../replication/log/log.ts'
import { dateMs, formatDate } from '../../replication/log/text.ts'
import { claimAnswer, claimedAnswer, type SubmitAnswer, submitAnswer } from '../blogger/answers.ts'
import { orRefused, submission } from '../blogger/author-key.ts'
import { BlogLog } from '../blogger/blog-log.ts'
import { SpokeClient } from '../blogger/client.ts'
import { CommandError } from '../blogger/failure.ts'
import type { CommandIo } from '../blogger/io.ts'
import type { Kept } from '../blogger/outbox.ts'
import type { DemoArticle, DemoBlog } from './content.ts'

export type DemoAuthorInit = {
  readonly blog: DemoBlog
  /** keys, genesis entries and outboxes of all authors of the demo */
  readonly folder: string
  /** `zone/council id` */
  readonly council: string
  /** pages of the spokes, this author's usual one first */
  readonly spokes: readonly string[]
}

/** How long one request may take before another spoke is asked, ms. */
const answerMs = 10_000

/**
 * Writes one blog of the demo as anybody writes hers: with her own key, by `POST /log` at any spoke.
 * The key is made by openpgp.js, so that the demo needs no gpg.
 */
export class DemoAuthor {
  readonly blog: DemoBlog
  /** why the last step did not publish; empty when it did */
  trouble = ''
  readonly #init: DemoAuthorInit
  readonly #io: CommandIo
  readonly #key: PrivateKey
  readonly #publicKey: PublicKey
  readonly #clients: SpokeClient[]
  #head: (Head & { readonly dateMs: number }) | null = null
  #hasProfile = false
  /** slug → the number of its entry */
  readonly #written = new Map<string, number>()
  /** where the spoke that took the claim shows how far it is */
  #claimPage: string | null = null
  /** signed and not known to be published: it goes first */
  #pending: Kept | null = null
  /** what was asked for besides the articles; it goes before them */
  readonly #notes: DemoArticle[] = []
  /** one thing after the other: the filling and a note may both want the next number */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(init: DemoAuthorInit, key: PrivateKey, publicKey: PublicKey, io: CommandIo) {
    this.blog = init.blog
    this.#init = init
    this.#key = key
    this.#publicKey = publicKey
    this.#io = { ...io, env: { XDG_STATE_HOME: init.folder } }
    this.#clients = init.spokes.map((spoke) => new SpokeClient(spoke, answerMs))
  }

  /** With the key of an earlier run, else with a new one. */
  static async open(init: DemoAuthorInit, io: CommandIo): Promise<DemoAuthor> {
    await mkdir(init.folder, { recursive: true, mode: 0o700 })
    const key = await readOrMake(join(init.folder, `${init.blog.name}.key.asc`), async () => {
      const userIDs = [{ name: init.blog.name }]
      return (await generateKey({ type: 'ecc', userIDs, format: 'armored' })).privateKey
    })
    const secret = await readPrivateKey({ armoredKey: key })
    const armored = orRefused(await minimalKey(secret.toPublic().armor()))
    return new DemoAuthor(init, secret, orRefused(await new KeyRing().read(armored)), io)
  }

  /** How many of its articles are published. */
  get published(): number {
    return this.#written.size
  }

  /**
   * Claims the blog's name, or finds the claim of an earlier run, and reads how far its log has
   * come. Null while that is still pending: call it again. Throws `refused` when it never will be.
   */
  async claim(): Promise<true | null> {
    const client = this.#clients[0] as SpokeClient
    if (this.#claimPage === null) {
      const genesis = await this.#genesis()
      const posted = await client.ask({ path: '/log', post: submission(genesis) })
      const answer = client.read(posted, claimedAnswer)
      if (!answer.published) this.#claimPage = answer.claim ?? null
      if (!answer.published && this.#claimPage === null) return null
    }
    if (this.#claimPage !== null) {
      const { pathname: path, hostname: host } = new URL(this.#claimPage)
      const { state, reason } = client.read(await client.ask({ path, host }), claimAnswer)
      if (state === 'refused') {
        throw new CommandError('refused', reason ?? `${this.blog.name} was refused.`)
      }
      if (state !== 'ready') return null
    }
    await this.#readLog()
    return true
  }

  /**
   * Publishes what comes next: the profile, then article by article. `waiting`: not published yet,
   * `trouble` says why; the next call goes on with the same.
   */
  step(): Promise<'published' | 'waiting' | 'done'> {
    return this.#inTurn(() => this.#step())
  }

  /**
   * One step towards a note, which stands before the articles that are left. Call it again with the
   * same slug until it is published.
   *
   * @param at - address of the spoke that is asked first, as DNS gives it
   * @returns the note's number, null while it is not published: then `trouble` says why
   */
  publishNote(note: DemoArticle, at: string): Promise<number | null> {
    return this.#inTurn(async () => {
      const first = this.#clients.findIndex(({ origin }) => new URL(origin).hostname === at)
      this.#clients.unshift(...this.#clients.splice(Math.max(first, 0), 1))
      if (!this.#notes.some(({ slug }) => slug === note.slug)) this.#notes.push(note)
      if (!this.#written.has(note.slug)) await this.#step()
      return this.#written.get(note.slug) ?? null
    })
  }

  /**
   * Hands the next text in at this one spoke only, and goes on as if she had not: she will sign
   * another one for the same number. Null when that spoke took nothing.
   */
  leaveTail(
    spoke: string,
    note: DemoArticle,
  ): Promise<{ readonly entry: Entry; readonly answer: SubmitAnswer } | null> {
    return this.#inTurn(async () => {
      if (this.#head === null) await this.#readLog()
      const kept = this.#pending ?? (await this.#sign(this.#draft(note)))
      const client = new SpokeClient(spoke, answerMs)
      const posted = await client.ask({ path: '/log', post: submission(kept) })
      if (posted.status !== 202) return null
      await this.#log.outbox.drop(kept.entry)
      this.#pending = null
      return { entry: kept.entry, answer: client.read(posted, submitAnswer) }
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #step(): Promise<'published' | 'waiting' | 'done'> {
    try {
      if (this.#head === null) await this.#readLog()
      this.#pending ??= await this.#signNext()
      if (this.#pending === null) return 'done'
      const { answer } = await this.#log.submit(this.#pending)
      if (answer === null) {
        // Something else stands there, signed in an earlier run: go on behind it.
        await this.#log.outbox.drop(this.#pending.entry)
        this.#pending = null
        this.#head = null
        return 'waiting'
      }
      this.trouble = answer.published ? '' : (answer.reason ?? 'not published yet')
      if (!answer.published) {
        // A spoke that is cut off keeps what it takes to itself: another one may do better.
        this.#clients.push(...this.#clients.splice(0, 1))
        return 'waiting'
      }
      this.#note(this.#pending)
      this.#pending = null
      return 'published'
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      this.trouble = error.message
      this.#clients.push(...this.#clients.splice(0, 1))
      return 'waiting'
    }
  }

  get #log(): BlogLog {
    const client = this.#clients[0] as SpokeClient
    return new BlogLog(client, this.#init.council, this.#name, this.#io.env)
  }

  get #name(): BlogName {
    return parseBlogName(this.blog.name) as BlogName
  }

  async #readLog(): Promise<void> {
    let log = await this.#log.read()
    if (await this.#log.settle(log, this.#io)) log = await this.#log.read()
    for (const { kind, slug, seq } of log.entries) {
      if (kind === 'profile') this.#hasProfile = true
      if (kind === 'post' && slug !== undefined) this.#written.set(slug, seq)
    }
    this.#head = { ...log.head, dateMs: dateMs(log.entries.at(-1)?.date ?? '') ?? 0 }
  }

  #note({ entry }: Kept): void {
    this.#head = entry
    if (entry.kind === 'profile') this.#hasProfile = true
    if (entry.kind === 'post') this.#written.set(entry.slug, entry.seq)
  }

  /** The claim of this blog, the same one for ever: another would lose against it. */
  async #genesis(): Promise<Kept> {
    const path = join(this.#init.folder, `${this.blog.name}.genesis`)
    const text = await readOrMake(path, async () => {
      const entry = orRefused(
        encodeEntry({
          ...this.#common(),
          seq: 0,
          prev: null,
          date: formatDate(this.#io.now()),
          kind: 'genesis',
          body: this.#publicKey.armored,
        }),
      )
      return Buffer.from(entry.text).toString('utf8')
    })
    return this.#sign(Buffer.from(text, 'utf8'))
  }

  async #signNext(): Promise<Kept | null> {
    const left = [...this.#notes, ...this.blog.articles]
    const article = left.find(({ slug }) => !this.#written.has(slug))
    if (this.#head === null || (this.#hasProfile && article === undefined)) return null
    return this.#sign(this.#draft(this.#hasProfile ? (article as DemoArticle) : null))
  }

  /** The text behind her head: a post, or her profile. */
  #draft(article: DemoArticle | null): Uint8Array {
    const { blog } = this
    if (this.#head === null) throw new Error('her log was not read')
    const { seq, id, dateMs } = this.#head
    const behind = {
      ...this.#common(),
      seq: seq + 1,
      prev: id,
      date: formatDate(Math.max(this.#io.now(), dateMs)),
      lang: blog.lang,
    }
    const draft: Draft =
      article === null
        ? { ...behind, kind: 'profile', title: blog.title, body: blog.about }
        : { ...behind, kind: 'post', ...article }
    return orRefused(encodeEntry(draft)).text
  }

  #common() {
    const { council } = this.#init
    return { council, blog: this.blog.name, key: this.#publicKey.fingerprint }
  }

  async #sign(text: Uint8Array): Promise<Kept> {
    const entry = orRefused(decodeEntry(text))
    const armored = await sign({
      message: await createMessage({ binary: text }),
      signingKeys: this.#key,
      detached: true,
      date: new Date(this.#io.now()),
    })
    const signature = orRefused(await verifyEntry(entry, armored as string, this.#publicKey))
    return { entry, signature: signature.armored }
  }
}

async function readOrMake(path: string, make: () => Promise<string>): Promise<string> {
  try {
    await access(path)
  } catch {
    await writeFile(path, await make(), { mode: 0o600, flush: true })
  }
  return readFile(path, 'utf8')
}
