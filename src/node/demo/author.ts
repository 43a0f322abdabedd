import { access, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createMessage, generateKey, type PrivateKey, readPrivateKey, sign } from 'openpgp'
import { KeyRing, minimalKey, type PublicKey } from '../../auth/public-key.ts'
import { verifyEntry } from '../../replication/log/author.ts'
import {
  type BlogName,
  type Draft,
  decodeEntry,
  encodeEntry,
  parseBlogName,
} from '../../replication/log/entry.ts'
import type { Head } from '../../replication/log/log.ts'
import { dateMs, formatDate } from '../../replication/log/text.ts'
import { claimAnswer, claimedAnswer } from '../blogger/answers.ts'
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
  readonly #written = new Set<string>()
  /** where the spoke that took the claim shows how far it is */
  #claimPage: string | null = null
  /** signed and not known to be published: it goes first */
  #pending: Kept | null = null

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
  async step(): Promise<'published' | 'waiting' | 'done'> {
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
      if (!answer.published) return 'waiting'
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
    for (const { kind, slug } of log.entries) {
      if (kind === 'profile') this.#hasProfile = true
      if (kind === 'post' && slug !== undefined) this.#written.add(slug)
    }
    this.#head = { ...log.head, dateMs: dateMs(log.entries.at(-1)?.date ?? '') ?? 0 }
  }

  #note({ entry }: Kept): void {
    this.#head = entry
    if (entry.kind === 'profile') this.#hasProfile = true
    if (entry.kind === 'post') this.#written.add(entry.slug)
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
    const { blog } = this
    const article = blog.articles.find(({ slug }) => !this.#written.has(slug))
    if (this.#head === null || (this.#hasProfile && article === undefined)) return null
    const { seq, id } = this.#head
    const behind = {
      ...this.#common(),
      seq: seq + 1,
      prev: id,
      date: formatDate(Math.max(this.#io.now(), this.#head.dateMs)),
      lang: blog.lang,
    }
    const draft: Draft = this.#hasProfile
      ? { ...behind, kind: 'post', ...(article as DemoArticle) }
      : { ...behind, kind: 'profile', title: blog.title, body: blog.about }
    return this.#sign(orRefused(encodeEntry(draft)).text)
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
