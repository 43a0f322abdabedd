import { z } from 'zod'

// What goes over the admin socket. The commands check the answers, the peer the requests: they may
// be of different versions while a peer was not started anew.

/** Most that one invitation may admit, and how long it may hold, hours. */
const maxUses = 1_000
const maxHours = 8_760

const line = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((value) => value === value.trim() && !/\p{Cc}/u.test(value), 'want one plain line')
const which = line(100)
const instant = z.string()

/** Which peer, and what the operator decides. */
export const admitRequest = z.strictObject({ which, dryRun: z.boolean() })
export const refuseRequest = z.strictObject({ which, reason: line(300), dryRun: z.boolean() })
export const inviteRequest = z.strictObject({
  uses: z.number().int().min(1).max(maxUses),
  hours: z.number().min(1).max(maxHours),
  note: line(100).nullable(),
})
/** Bytes of the evidence in one act: it fits in a signed text with the headers, and in a request. */
export const maxEvidenceBytes = 48_000
export const cutOffRequest = z.strictObject({
  which,
  reason: line(300),
  evidence: z.string().min(1).max(maxEvidenceBytes).nullable(),
  dryRun: z.boolean(),
})
export const revokeRequest = z.strictObject({ id: line(100) })

const waiting = z.object({
  peer: z.string(),
  name: z.string(),
  operator: z.string(),
  roles: z.array(z.string()),
  addresses: z.array(z.string()),
  web: z.array(z.string()),
  dns: z.array(z.string()),
  network: z.string().nullable(),
  country: z.string().nullable(),
  /** when it asked first, and last */
  since: instant,
  asked: instant,
  /** the IP address it asked from, and the name or id of the member that passed it on */
  host: z.string().nullable(),
  via: z.string().nullable(),
  refused: z.object({ reason: z.string(), at: instant }).nullable(),
})
export type ShownWaiting = z.infer<typeof waiting>

export const policy = z.enum(['open', 'approve', 'invite'])
/** Who waits, and who was refused. */
export const waitingAnswer = z.object({ policy, waiting: z.array(waiting) })
/** What was decided, or would have been. */
export const decidedAnswer = z.object({
  name: z.string(),
  peer: z.string(),
  /** false after a dry run */
  done: z.boolean(),
  /** web addresses that answered, and those that did not */
  web: z.array(z.string()),
  notReached: z.array(z.string()),
  /**
   * its pages are at ports to which readers do not come: DNS names it only by its own name, or where
   * no other replica is; left out by a peer of an earlier version, as what says `nullish` below
   */
  otherPort: z.object({ own: z.array(z.number()), readers: z.array(z.number()) }).nullish(),
})

const invitation = z.object({
  id: z.string(),
  note: z.string().nullable(),
  created: instant,
  expires: instant,
  uses: z.number(),
  usedBy: z.array(z.object({ peer: z.string(), name: z.string().nullable(), at: instant })),
  state: z.enum(['good', 'used', 'expired', 'revoked']),
})
export type ShownInvitation = z.infer<typeof invitation>
export const invitationsAnswer = z.object({ policy, invitations: z.array(invitation) })
/** A new invitation: the bootstrap address with its secret, which is kept nowhere. */
export const invitedAnswer = z.object({ policy, invitation, bootstrap: z.string() })
export const revokedAnswer = z.object({ invitation })

export const transferRequest = z.strictObject({
  blog: line(100),
  spoke: line(100),
  reason: line(300),
  dryRun: z.boolean(),
})
export const promoteRequest = z.strictObject({
  blog: line(100),
  spoke: line(100).nullable(),
  reason: line(300),
  acceptLoss: z.boolean(),
  dryRun: z.boolean(),
})
export const drainRequest = z.strictObject({
  /** null: the peer that is asked */
  spoke: line(100).nullable(),
  undo: z.boolean(),
  reason: line(300),
  dryRun: z.boolean(),
})

/** What an order changes, or would; spokes by name. */
export const moveAnswer = z.object({
  blog: z.string(),
  epoch: z.number(),
  from: z.string(),
  to: z.string().nullable(),
  replicas: z.array(z.string()),
  /** who copies it first */
  learners: z.array(z.string()),
  isDone: z.boolean(),
})
export type ShownMove = z.infer<typeof moveAnswer>

/** How far a spoke is drained. */
export const drainAnswer = z.object({
  spoke: z.string(),
  isDraining: z.boolean(),
  copies: z.number(),
  leads: z.number(),
})

const replica = z.object({
  name: z.string(),
  peer: z.string(),
  store: z.string(),
  role: z.enum(['primary', 'secondary']),
  answers: z.boolean(),
  /** the epoch that it knows */
  epoch: z.number().nullable(),
  /** where its log ends by its newest receipt under the act in force, and how far it is behind */
  head: z.number().nullable(),
  lag: z.number().nullable(),
  receipt: instant.nullable(),
  /** when it was heard last, by this peer's clock; null: not known, or not since `listened` */
  heard: instant.nullable(),
  /** who heard it: this peer, or the authority, which was asked; null: nobody who could know answers */
  heardBy: z.enum(['here', 'authority']).nullish(),
  /** since when that peer has listened, where it has heard nothing */
  listened: instant.nullish(),
  away: z.boolean(),
  cutOff: z.boolean(),
})
/** The replicas of a blog. */
export const copiesAnswer = z.object({
  blog: z.string(),
  epoch: z.number(),
  act: z.string(),
  reason: z.string(),
  unmet: z.string().nullable(),
  active: z.boolean(),
  published: z.number(),
  head: z.number().nullable(),
  replicas: z.array(replica),
  /** why it waits for its next act */
  waits: z.object({ since: instant, code: z.string(), reason: z.string() }).nullable(),
})
export type ShownCopies = z.infer<typeof copiesAnswer>
/** What a cut-off came to, or would. */
export const cutOffAnswer = z.object({
  name: z.string(),
  peer: z.string(),
  operator: z.string(),
  /** false after a dry run */
  done: z.boolean(),
  /** its seq in `@roster` */
  act: z.number().nullable(),
  blogs: z.object({ led: z.number(), kept: z.number(), only: z.array(z.string()) }),
})

/** How the peer says no. */
export const errorAnswer = z.object({ error: z.object({ code: z.string(), reason: z.string() }) })

/** Blogs whose words are to be indexed anew. */
export const reindexAnswer = z.object({ blogs: z.number() })
