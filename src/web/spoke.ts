import type { ProvedAct } from '../replication/exchange/acts.ts'
import type { LogProof as ArchiveProof } from '../replication/log/archive.ts'
import type { Blog } from '../replication/log/blog.ts'
import type { BlogName, Entry } from '../replication/log/entry.ts'
import type { LogName } from '../replication/log/log.ts'
import type { EntryId, Signed } from '../replication/log/text.ts'
import type { Roster } from '../replication/registry/roster.ts'

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
  /** The same for what `home` says. */
  readonly homeVersion: () => string | null
  /** whether this spoke is a replica of the blog; from memory, asks nobody */
  readonly keeps: (name: BlogName) => boolean
  /** the blogs that this spoke holds and their newest posts, the newest first, capped per blog */
  readonly home: () => Promise<{
    readonly blogs: readonly HomeBlog[]
    readonly newest: readonly HomePost[]
  }>
  /** Takes a signed entry from anybody and brings it to its blog's primary (DESIGN 4). */
  readonly submit: (text: Uint8Array, signature: string) => Promise<SubmitAnswer>
  /** The record of a claim, by the id of its genesis entry; null when nobody knows it. */
  readonly claim: (id: string) => Promise<ClaimRecord | null>
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
  /** A signed `council-hello 1` text with the nonce (DESIGN 5); null until this peer is a member. */
  readonly hello: (nonce: string) => Signed | null
  /** What machines may know of this peer's state; must be JSON. */
  readonly status: () => Promise<unknown>
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
  /** all armored public key blocks that ever signed, the one in force first */
  readonly keys: () => Promise<readonly string[]>
  readonly proof: () => Promise<LogProof>
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

export type HomeBlog = {
  readonly blog: BlogName
  readonly title: string
  readonly lang: string | null
  readonly posts: number
}

export type HomePost = {
  readonly blog: BlogName
  readonly title: string
  readonly slug: string
  readonly year: number
  readonly lang: string | null
  readonly seenMs: number
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
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string }

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
