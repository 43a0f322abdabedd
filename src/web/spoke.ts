import type { Fingerprint } from '../auth/public-key.ts'
import type { RevocationReason } from '../auth/revocation.ts'
import type { Token, TokenKind } from '../auth/session.ts'
import type { Verdict } from '../auth/verdict.ts'
import type { ProvedAct } from '../replication/exchange/acts.ts'
import type { OrderedMove } from '../replication/exchange/orders.ts'
import type { Fork } from '../replication/exchange/proofs.ts'
import type { HandedIn } from '../replication/exchange/revoking.ts'
import type { LogProof as ArchiveProof } from '../replication/log/archive.ts'
import type { Blog } from '../replication/log/blog.ts'
import type { BlogName, Entry } from '../replication/log/entry.ts'
import type { LogName } from '../replication/log/log.ts'
import type { Replica } from '../replication/log/peer-text.ts'
import type { EntryId, Signed } from '../replication/log/text.ts'
import type { Loss } from '../replication/registry/loss.ts'
import type { RevokedKey } from '../replication/registry/revoked-keys.ts'
import type { Roster } from '../replication/registry/roster.ts'

/**
 * `next`: what to hand in as `after` for more; null: these are the last ones. `checked`: how many of
 * these are as the spoke itself has them, where another one says the list.
 */
export type ListedBlogs = {
  readonly blogs: readonly HomeBlog[]
  readonly next: string | null
  readonly coverage: Coverage
  readonly checked: number
}

/** What the pages need from the spoke that serves them. Web knows neither libp2p nor the disk. */
export type WebSpoke = {
  readonly zone: string
  /** `zone/council id`, null until this peer has `@roster` */
  readonly council: () => string | null
  /** this spoke's name, a DNS label: it is asked for as `<name>.spoke.<zone>` */
  readonly name: string
  /** the council's canonical form of edit hosts: `edit.maria.zone` or `edit--maria.zone` */
  readonly editForm: () => 'dotted' | 'dashed'
  /** absolute origin of a council host by `web.origin`, e.g. http://maria.blogs.localhost:8380 */
  readonly origin: (host: string) => string
  /** IP literals, without brackets, under which this spoke may be asked for its own pages */
  readonly addresses: () => readonly string[]
  /** `unknown`: nobody was ever given this name. `unreachable`: somebody was, but no holder answers. */
  readonly openBlog: (name: BlogName) => Promise<OpenBlog | 'unknown' | 'unreachable'>
  /**
   * What the pages of a blog depend on, as one short text: a page made under it is right as long as
   * it is the same. Cheap, asked for with every request, and known at once for a blog held here. A
   * copy of another spoke's blog counts for as long as `openBlog` would show it. null: nothing of
   * it may be kept.
   */
  readonly blogVersion: (name: BlogName) => string | null | Promise<string | null>
  /** whether this spoke is a replica of the blog; from memory, asks nobody */
  readonly keeps: (name: BlogName) => boolean
  /**
   * The newest posts of the council, from memory: cheap, asked for with every request. Changes at
   * most every 250 ms, however many posts arrive.
   */
  readonly front: () => Front | Promise<Front>
  /**
   * One page of what is found. Codes beside those of a bad query: SEARCH_CURSOR, for a cursor that
   * no page had; SEARCH_BUSY.
   */
  readonly search: (asked: SearchAsked) => Promise<Verdict<Found>>
  /** All blogs, by name, some at a time, from the one behind `after` on. Code SEARCH_BUSY. */
  readonly councilBlogs: (after: string | null) => Promise<Verdict<ListedBlogs>>
  /** Takes a signed entry from anybody and brings it to its blog's primary (DESIGN 4). */
  readonly submit: (text: Uint8Array, signature: string) => Promise<SubmitAnswer>
  /**
   * Takes a blogger's signed order that another server leads her blog, and brings it to the
   * authority. Codes: those of `readSignature`, NOT_READY, AUTHORITY_UNREACHABLE, and the authority's.
   */
  readonly order: (text: Uint8Array, signature: string) => Promise<Verdict<OrderedMove>>
  /** The record of a claim, by the id of its genesis entry; null when nobody knows it. */
  readonly claim: (id: string) => Promise<ClaimRecord | null>
  /** What the council knows of a key's revocation, as far as it has come here; null: nothing. */
  readonly revocation: (key: Fingerprint) => Promise<RevokedKey | null>
  /**
   * What key servers say of a key: as it was said at most `maxAgeMs` ago, else they are asked now.
   * A revocation found of a key that a blog here is written with is handed in by itself.
   *
   * @param gpgId - what the key's owner calls it; an e-mail address in it may be looked up in WKD
   */
  readonly askKeyServers: (
    key: Fingerprint,
    gpgId: string | null,
    maxAgeMs: number,
  ) => Promise<KeyServerWord>
  /**
   * Takes a revocation from anybody, in the forms that `readRevocation` reads. Codes: those of
   * `Revoking.handIn`.
   *
   * @param blog - a blog that is or was written with the key, if the sender named one
   */
  readonly handInRevocation: (armored: string, blog?: BlogName | null) => Promise<Verdict<HandedIn>>
  /** places of a log that have two signed versions, as far as that is known here (REPLICATION 16) */
  readonly forks: (log: LogName) => readonly Fork[]
  /** what an operator gave up of a blog, as far as that is known here; the newest first */
  readonly losses: (blog: BlogName) => readonly Loss[]
  /** what `@roster` says, null until it is here */
  readonly roster: () => Roster | null
  /**
   * Acts of `@roster` or `@names` before seq `before`, the newest first. `unreachable`: this spoke
   * does not carry the log, and no spoke that does answers.
   */
  readonly acts: (
    log: LogName,
    before: number,
    limit: number,
  ) => Promise<readonly ProvedAct[] | 'unreachable'>
  /** ms since the Unix epoch */
  readonly now: () => number
  readonly randomBytes: (count: number) => Uint8Array
  readonly wait: (ms: number) => Promise<void>
  /**
   * A token of this spoke for a host, or null until this peer is a member. `session` lasts 12 hours,
   * `enter` one minute (DESIGN 6).
   *
   * @param of.id - of the login that it goes back to; null for a new one
   */
  readonly signToken: (
    kind: TokenKind,
    of: { readonly key: Fingerprint; readonly host: string; readonly id: string | null },
  ) => string | null
  /** Reads a token of any member; see `readToken` in auth/session.ts for the codes. */
  readonly readToken: (kind: TokenKind, value: string, host: string) => Verdict<Token>
  /** Public keys of people who logged in at this spoke. */
  readonly accounts: Accounts
  /** Blogs whose key is this one, as far as this spoke can find out now. */
  readonly blogsOf: (key: Fingerprint) => Promise<readonly BlogName[]>
  /** A signed `council-hello 1` text with the nonce (DESIGN 5); null until this peer is a member. */
  readonly hello: (nonce: string) => Signed | null
  /** What machines may know of this peer's state; must be JSON. */
  readonly status: () => Promise<unknown>
}

/** The word of the key servers on one key (DESIGN 3.2). `detail` is a sentence for a person. */
export type KeyServerWord =
  | {
      /**
       * `not-known`: no server knows the key, which is evidence of nothing. `unreachable`: none could
       * be asked. `none-configured`: this spoke asks none.
       */
      readonly kind: 'not-revoked' | 'not-known' | 'unreachable' | 'none-configured'
      /** when they were asked, ms */
      readonly atMs: number
      readonly detail: string
    }
  | {
      readonly kind: 'revoked'
      readonly atMs: number
      readonly detail: string
      readonly reason: RevocationReason
      readonly isHard: boolean
      /** the certificate's date, ms */
      readonly dateMs: number
    }

/** A blog as this spoke can read it, from its own store or from another spoke's. */
export type OpenBlog = {
  readonly blog: Blog
  /** whether this spoke is a replica of it */
  readonly held: boolean
  /**
   * The blog as a spoke has it that may hold more, asked for at most 300 ms; null when nothing newer
   * came. For a post that this spoke should already have (DESIGN 4, Read anywhere).
   */
  readonly newer: () => Promise<OpenBlog | null>
  /** One entry with its signature, checked; null when no holder hands it out now. */
  readonly entry: (seq: number) => Promise<OpenEntry | null>
  /** A version of an entry that is not in the log, kept aside here under its id; null when none is. */
  readonly aside: (seq: number, id: EntryId) => Promise<Signed | null>
  /**
   * Entries that its key signed, that were in a replica's log and are in none now, from here and from
   * whoever answers within a second.
   */
  readonly leftOver: () => Promise<readonly Signed[]>
  /** all armored public key blocks that ever signed, the one in force first */
  readonly keys: () => Promise<readonly string[]>
  readonly proof: () => Promise<LogProof>
  /** who keeps the blog, and what each has given its word for */
  readonly copies: () => Copies
}

/** The replicas that the act in force names. */
export type Copies = {
  readonly act: EntryId
  readonly epoch: number
  /** copies that make an entry published; null while there is one server only (REPLICATION 4) */
  readonly needed: number | null
  readonly replicas: readonly Copy[]
}

export type Copy = Replica & {
  /** its name in `@roster`, null when it is not there any more */
  readonly spoke: string | null
  readonly isPrimary: boolean
  /** its newest receipt under the act in force; null when it has given none that is known here */
  readonly receipt: {
    /** it holds the log up to this entry … */
    readonly seq: number
    /** … and that one since, ms */
    readonly sinceMs: number
    readonly atMs: number
    readonly signed: Signed
  } | null
}

/** Keys of people without a blog, so that they need not be pasted again. */
export type Accounts = {
  /** the armored key, null when nobody with it logged in here lately */
  readonly find: (key: Fingerprint) => Promise<string | null>
  readonly keep: (key: Fingerprint, armored: string) => Promise<void>
}

export type OpenEntry = {
  readonly entry: Entry
  /** armored, detached */
  readonly signature: string
  /** when the entry was first published as this council saw it, ms since the Unix epoch */
  readonly firstSeenMs: number | null
}

/** What proves to a stranger that the log is kept (DESIGN 3.1), and how far it is published. */
export type LogProof = ArchiveProof & {
  /** highest published seq, -1 when none is */
  readonly published: number
}

/** A blog in the list of all. */
export type HomeBlog = {
  readonly blog: BlogName
  readonly title: string
  readonly lang: string | null
  readonly posts: number
}

/** What an answer for the whole council rests on. */
export type Coverage =
  | {
      readonly kind: 'council'
      /** spokes whose blogs are in it, and how many there are */
      readonly spokes: number
      readonly of: number
      readonly blogs: number
      /** name of the spoke that gathered it */
      readonly by: string
      /** when what is shown was gathered, ms, by this spoke's clock */
      readonly atMs: number
    }
  /** only the blogs that this spoke keeps; `reason` goes on behind "because" */
  | { readonly kind: 'own'; readonly reason: string }

/** A post as lists of the whole council show it. */
export type CouncilPost = {
  readonly blog: BlogName
  readonly title: string
  readonly slug: string
  readonly year: number
  readonly lang: string | null
  readonly tags: readonly string[]
  /** when its first version was first seen published, ms */
  readonly seenMs: number
  /** the author's date of the version shown, ms */
  readonly dateMs: number
  readonly key: Fingerprint
  /** Markdown */
  readonly body: string
  /** what readers should know of it, a few words: `key revoked 3 May 2026`; null: nothing */
  readonly mark: string | null
}

export type Front = {
  /** the newest first */
  readonly posts: readonly CouncilPost[]
  readonly coverage: Coverage
  /** A page made under it is right, but for its age, as long as it is the same; see `frontVersion`. */
  readonly version: string
}

export type SearchOrder = 'newest' | 'best'

export type SearchAsked = {
  /** what a person typed, or exactly one tag or language */
  readonly query: string | { readonly tag: string } | { readonly lang: string }
  readonly order: SearchOrder
  /** `next` of the page before; null: the first page */
  readonly cursor: string | null
  readonly limit: number
}

/** A part of a query, as it was understood. */
export type SearchTerm = {
  readonly kind: 'word' | 'phrase' | 'blog' | 'lang' | 'tag'
  readonly text: string
}

export type FoundPost = CouncilPost & {
  /** a piece of the text with the words, its beginning where only the title has them */
  readonly snippet: readonly { readonly text: string; readonly isHit: boolean }[]
}

export type Found = {
  readonly hits: readonly FoundPost[]
  /** cursor of the next page; null: there is nothing more */
  readonly next: string | null
  readonly coverage: Coverage
  readonly terms: readonly SearchTerm[]
}

/** A receipt that covers the entry just submitted, as `POST /log` shows it; `signature` is base64. */
export type ShownReceipt = {
  readonly peer: string
  readonly spoke: string | null
  readonly store: string
  readonly since: string
  readonly at: string
  readonly text: string
  readonly signature: string
}

export type SubmitAnswer =
  | {
      /** published: w receipts (REPLICATION 3); stored: fewer, and `reason` says why */
      readonly kind: 'published' | 'stored'
      readonly entry: Entry
      /** replicas whose receipts cover the entry, and how many the council wants */
      readonly copies: number
      readonly wanted: number
      readonly receipts: readonly ShownReceipt[]
      readonly reason: string | null
    }
  | { readonly kind: 'claim'; readonly entry: Entry }
  /** another entry has this seq, or the log ends elsewhere */
  | {
      readonly kind: 'taken'
      readonly reason: string
      readonly head: { readonly seq: number; readonly id: string }
    }
  | {
      readonly kind: 'refused'
      readonly code: string
      readonly reason: string
      /** after how many ms the same may be handed in again */
      readonly retryMs?: number
    }

/** How far a name's claim has come (DESIGN 5); the same on any spoke. */
export type ClaimRecord = {
  readonly id: string
  readonly blog: BlogName
  readonly state: 'pending' | 'ready' | 'refused'
  readonly steps: readonly ClaimStep[]
  readonly code: string | null
  readonly reason: string | null
}

export type ClaimStep = {
  readonly step: 'checked' | 'asked-dns' | 'asked-authority' | 'assigned' | 'copied'
  readonly state: 'done' | 'failed' | 'waiting'
  readonly atMs: number | null
  readonly detail: string
}
