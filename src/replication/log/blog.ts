import type { Fingerprint } from '../../auth/public-key.ts'
import type { BlogName, Entry, Genesis, Post } from './entry.ts'
import type { Head } from './log.ts'
import type { EntryId } from './text.ts'

/** What a list of a log's entries shows of one of them. */
export type LogLine = {
  readonly seq: number
  readonly id: EntryId
  readonly kind: Entry['kind']
  readonly date: string
  readonly slug: string | null
  readonly title: string | null
}

/** One signed version of a post; its text is `/log/<seq>.txt`. */
export type Revision = {
  readonly seq: number
  readonly id: EntryId
  readonly dateMs: number
  /** fingerprint of the key that signed it */
  readonly key: Fingerprint
  readonly title: string
  readonly lang: string | null
  readonly tags: readonly string[]
}

/** A post as readers find it: all its versions under one slug. */
export type BlogPost = {
  readonly slug: string
  /** UTC year of the first revision. It stands in the address, so it never changes. */
  readonly year: number
  /** oldest first; the last one is what readers see */
  readonly revisions: readonly Revision[]
  /** the newest revision */
  readonly current: Revision
  /** the entry that hides the post, null while it is shown */
  readonly retracted: { readonly seq: number; readonly dateMs: number } | null
}

/** The fold's own view: it grows in place, so that a thousand revisions are not copied each time. */
type GrowingPost = {
  readonly slug: string
  readonly year: number
  readonly revisions: Revision[]
  current: Revision
  retracted: BlogPost['retracted']
}

/**
 * A blog's log folded into what pages need: metadata only, no bodies but the blogger's few words
 * about the blog. Folding one more entry takes constant time; nothing here reads a clock.
 *
 * Entries come in order, already placed and verified by `ingest`; anything else is a bug and
 * throws.
 */
export class Blog {
  readonly #genesis: Genesis
  readonly #lines: LogLine[] = []
  // A Map keeps the order in which slugs were first seen, which is the order of the list.
  readonly #posts = new Map<string, GrowingPost>()
  readonly #aliases = new Map<string, string>()
  #shown = 0
  #profile: { title: string; about: string; lang: string | null } | null = null
  readonly #keys = new Set<Fingerprint>()
  #key: Fingerprint
  #offeredKey: Fingerprint | null = null

  constructor(genesis: Genesis) {
    this.#genesis = genesis
    this.#key = genesis.key
    this.#keys.add(genesis.key)
    this.#lines.push(lineOf(genesis))
  }

  /** `zone/council id` */
  get council(): string {
    return this.#genesis.council
  }

  get name(): BlogName {
    return this.#genesis.log
  }

  /** Id of the genesis entry: the blog's identity for ever. */
  get genesis(): EntryId {
    return this.#genesis.id
  }

  get head(): Head {
    const { seq, id } = this.#lines.at(-1) as LogLine
    return { seq, id }
  }

  /** What the blogger calls the blog; its name before the first profile entry. */
  get title(): string {
    return this.#profile?.title ?? this.name
  }

  /** Markdown of the newest profile entry, empty without one. */
  get about(): string {
    return this.#profile?.about ?? ''
  }

  get lang(): string | null {
    return this.#profile?.lang ?? null
  }

  /**
   * Fingerprint of the key in force. A rekey by that key itself counts at once; one by the
   * recovery key counts when the new key has signed the next entry (DESIGN 3.1).
   */
  get key(): Fingerprint {
    return this.#key
  }

  /** All keys that have signed here, and the one in force, in the order in which they came. */
  get keys(): readonly Fingerprint[] {
    return [...this.#keys.add(this.#key)]
  }

  /** How many posts readers see. */
  get postCount(): number {
    return this.#shown
  }

  /** Posts that readers see, the one that began last first; a new revision does not move a post. */
  posts(): readonly BlogPost[] {
    return [...this.#posts.values()].filter((post) => post.retracted === null).reverse()
  }

  /** The post of a slug, retracted or not; null when there never was one. */
  post(slug: string): BlogPost | null {
    return this.#posts.get(slug) ?? null
  }

  /** The post that names `path` as an old address of its own. The newest such entry wins. */
  postOfAlias(path: string): BlogPost | null {
    return this.post(this.#aliases.get(path) ?? '')
  }

  /** At most `limit` entries from `from` on, in order. */
  lines(from: number, limit: number): readonly LogLine[] {
    return this.#lines.slice(from, from + limit)
  }

  /** Takes the log's next entry. */
  fold(entry: Entry): void {
    const { head } = this
    if (entry.seq !== head.seq + 1 || entry.prev !== head.id || entry.log !== this.name) {
      throw new Error(`cannot fold ${entry.log} ${entry.seq} behind ${this.name} ${head.seq}`)
    }
    this.#lines.push(lineOf(entry))
    this.#keys.add(entry.key)
    this.#foldKey(entry)
    if (entry.kind === 'post') this.#foldPost(entry)
    else if (entry.kind === 'retract') this.#foldRetract(entry)
    else if (entry.kind === 'profile') {
      this.#profile = { title: entry.title, about: entry.body, lang: entry.lang }
    }
  }

  #foldKey(entry: Entry): void {
    if (entry.key === this.#offeredKey) this.#key = this.#offeredKey
    if (entry.key === this.#key) this.#offeredKey = null
    if (entry.kind !== 'rekey') return
    if (entry.key === this.#key) this.#key = entry.next
    else this.#offeredKey = entry.next
  }

  #foldPost(entry: Post): void {
    const { slug, seq, id, dateMs, key, title, lang, tags } = entry
    const current: Revision = { seq, id, dateMs, key, title, lang, tags }
    const post = this.#posts.get(slug)
    if (post === undefined) {
      const year = new Date(dateMs).getUTCFullYear()
      this.#posts.set(slug, { slug, year, revisions: [current], current, retracted: null })
    } else {
      post.revisions.push(current)
      post.current = current
    }
    if (post?.retracted !== null) this.#shown += 1
    if (post !== undefined) post.retracted = null
    for (const alias of entry.aliases) this.#aliases.set(alias, slug)
  }

  #foldRetract(entry: Entry & { readonly kind: 'retract' }): void {
    const post = this.#posts.get(entry.slug)
    if (post === undefined || post.retracted !== null) return
    this.#shown -= 1
    post.retracted = { seq: entry.seq, dateMs: entry.dateMs }
  }
}

function lineOf(entry: Entry): LogLine {
  return {
    seq: entry.seq,
    id: entry.id,
    kind: entry.kind,
    date: entry.date,
    slug: entry.kind === 'post' || entry.kind === 'retract' ? entry.slug : null,
    title: entry.kind === 'post' || entry.kind === 'profile' ? entry.title : null,
  }
}
