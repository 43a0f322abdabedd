/**
 * Every protocol id, topic and limit of the wire, each with its unit and reason. No logic.
 * LIMITS.md lists the same figures for operators; PROTOCOL.md says what a receiver refuses.
 */

/** Stream protocols: length-prefixed CBOR frames, see PROTOCOL.md "Streams". */
export const JOIN = '/council/join/1'
export const ALIVE = '/council/alive/1'
export const SYNC = '/council/sync/1'
export const REPLICA = '/council/replica/1'
export const SUBMIT = '/council/submit/1'
export const READ = '/council/read/1'
export const CHANGES = '/council/changes/1'
export const SEARCH = '/council/search/1'
export const PROTOCOLS = [JOIN, ALIVE, SYNC, REPLICA, SUBMIT, READ, CHANGES, SEARCH] as const

/** kad-dht's own protocol, so that councils and other networks never share a routing table. */
export const KAD = '/council/kad/1'

/** Gossip topic on which a primary announces the entries of its blogs. */
export const logTopic = (councilId: string, primary: string) =>
  `/council/1/${councilId}/log/${primary}`
/** Gossip topic on which the authority announces acts in force. */
export const actsTopic = (councilId: string) => `/council/1/${councilId}/acts`
/** Gossip topic on which everybody tells of two signed versions of one place in a log. */
export const proofsTopic = (councilId: string) => `/council/1/${councilId}/proofs`
/** Gossip topic on which the inner circle announces its front pages. */
export const frontTopic = (councilId: string) => `/council/1/${councilId}/front`
/** Key of a blog's record in the DHT. */
export const recordKey = (councilId: string, blog: string) => `/council/${councilId}/${blog}`

/** Bytes of one text. Fits a gossip message with its signature and a browser form. */
export const maxTextBytes = 65_536
/** Bytes of one line. gpg --clearsign cuts lines at 19,994 without a word, and the cut text verifies. */
export const maxLineBytes = 16_384
/** Of a title, in characters, not bytes, so that all scripts get the same room. */
export const maxTitleCharacters = 200
export const maxSlugCharacters = 80
export const maxTags = 20
export const maxTagCharacters = 40
export const maxAliases = 20
export const maxAliasCharacters = 200
export const maxAttachments = 16
export const maxAttachmentBytes = 5 * 1024 * 1024

/** How far an author's clock may run ahead of the primary's, ms (DESIGN 3.1). */
export const maxClockSkewMs = 600_000
/** How old a blogger's order may be when the authority takes it, ms: time to sign it by hand. */
export const maxOrderAgeMs = 3_600_000
/** How long a rekey signed by the recovery key waits for the old key to refuse it, ms (DESIGN 3.1). */
export const recoveryDelayMs = 72 * 3_600_000

/** Bytes of one frame on a stream. A page of 1 MiB, its receipts and the envelope. */
export const maxFrameBytes = 2 * 1024 * 1024
/** Bytes of a request, but for a push: one entry and its signature, with room. */
export const maxRequestBytes = 128 * 1024
/** CBOR items of one frame: 2,000 acts with the receipts of all their holders. */
export const maxFrameItems = 100_000
/** Bytes of entries in one page of a sync answer. */
export const maxPageBytes = 1024 * 1024
/** Entries in one page, so that tiny entries do not make an endless page. */
export const maxPageEntries = 2_000
/** Logs asked about in one heads request: 31 receipts of each still fit in a frame. */
export const maxHeadsAsked = 100
/** Bytes of a revocation that goes to the authority: as it is kept, or gpg's file beside a key. */
export const maxBareBytes = 16 * 1024
/** Acts `revoke` or `loss` in one answer; each is a few KiB. */
export const maxPulledActs = 200
/** An entry whose text is larger goes by stream; gossip carries only its head. Bytes. */
export const maxGossipTextBytes = 32 * 1024
/** Bytes of one gossip message, checked before it is decoded. */
export const maxGossipBytes = 96 * 1024
/** Bytes of one DHT record. */
export const maxRecordBytes = 8_192
/** A DHT record's receipts must have been given within this time, ms. */
export const maxRecordAgeMs = 48 * 3_600_000
/** The primary puts its records again after this time, ms. */
export const recordPeriodMs = 12 * 3_600_000
/** Blogs that are read a lot, named in one heartbeat. */
export const maxBusyBlogs = 20
/** Seals that one message carries: their acts' proofs fit in a frame. */
export const maxSealsAtOnce = 100
/** Acts that are written, and go to a holder, in one message. */
export const maxActsAtOnce = 100
/** Acts that one message asks to copy: their proofs fit in a frame. */
export const maxLearntAtOnce = 100
/** Replicas that one assignment may name. */
export const maxReplicas = 31
/** How long a replica may be silent after gossip before it gets everything by push, ms. */
export const pushAfterMs = 300
/** Waits between pushes to a replica that does not answer, ms (REPLICATION 6); then with each pull. */
export const pushRetryMs = [300, 1_000, 3_000, 10_000] as const
/** How long `POST /log` waits for w receipts before it answers 202, ms. */
export const publishWaitMs = 5_000
/** Waits before an entry goes again to a blog that is being moved, ms. */
export const moveRetryMs = [300, 600, 1_200, 2_400] as const
/** How long one request on a stream may take, ms. */
export const requestTimeoutMs = 10_000
/** How long a reader waits for another spoke before the answer is 404, ms (DESIGN 4). */
export const readWaitMs = 300
/** Bytes of what a spoke served, as a report hands them in: a text, and room to show that it is longer. */
export const maxServedBytes = 66_000
/** Entries kept aside per log; beyond it the oldest seq makes room, since the newest may still fit. */
export const maxAsidePerLog = 1_000
/** Members of a circle, at least and at most; only a council that is smaller has a smaller one (DESIGN 7). */
export const minCircle = 5
export const maxCircle = 10
/** How often a follower hears something, even if nothing has changed, ms. */
export const followBeatMs = 5_000
/** How long a source that is followed may be silent before it counts as gone, ms: three beats. */
export const followSilenceMs = 15_000
/** How long a follower may take for one frame before it is dropped, ms. */
export const followStallMs = 60_000
/** Followers that one peer may have here, and all together: a stream of each, and what it lacks. */
export const maxFollowsPerPeer = 2
export const maxFollows = 64
/** Changes in one frame, so that a frame stays small while a follower catches up. */
export const maxChangesPerFrame = 1_000
/** Posts on the council's front page, and how many of them one blog may have (DESIGN 7). */
export const maxFrontPosts = 20
export const maxFrontPerBlog = 3
/** Bytes of a gossiped front page: its text has 20 lines of at most 145 bytes and some headers. */
export const maxFrontBytes = 16 * 1024
/** Spokes that a front page names as not covered; of more, the first. */
export const maxFrontWithout = 50
/** A front page follows the one before it no sooner than this, and no later when nothing happens, ms. */
export const frontAtMostMs = 250
export const frontAtLeastMs = 2_000
