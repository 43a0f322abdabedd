import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { HeardBy } from '../../replication/exchange/alive.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { ReceiptBook } from '../../replication/exchange/receipts.ts'
import { blogNameRule, parseBlogName } from '../../replication/log/entry.ts'
import { formatDate } from '../../replication/log/text.ts'
import { authorityOf } from '../../replication/registry/roster.ts'
import type { Stuck } from '../authority/seal.ts'
import type { ShownCopies } from './admin-answers.ts'

/**
 * Asks each replica of a blog what it has, and shows it beside what the act in force says.
 * Codes: NAME_MALFORMED, BLOG_UNKNOWN, REGISTRY_UNREACHABLE.
 *
 * @param stuck - at the authority: why the blog waits for its next act
 */
export async function lookAtCopies(
  name: string,
  exchange: Pick<Exchange, 'alive' | 'council' | 'registry' | 'sync'>,
  at: { readonly self: PeerName; readonly now: () => number },
  stuck: (blog: string) => Stuck | null,
): Promise<Verdict<ShownCopies>> {
  const blog = parseBlogName(name)
  if (blog === null)
    return refuse('NAME_MALFORMED', `"${name}" is no blog's name: ${blogNameRule}.`)
  const found = await exchange.registry.lookUp(blog, { maxAgeMs: 0 })
  if (found === 'free') return refuse('BLOG_UNKNOWN', `There is no blog "${blog}" in this council.`)
  if (found === 'unreachable') {
    return refuse(
      'REGISTRY_UNREACHABLE',
      `Nobody who knows where ${blog} is answers now. Try again in a minute.`,
    )
  }
  const { council, sync } = exchange
  const members = council.roster()?.members
  const asked = await Promise.all(
    found.replicas.map(({ peer }) => sync.heads(peer, [blog]).catch(() => null)),
  )
  const book = new ReceiptBook(found)
  for (const said of asked) for (const each of said?.get(blog)?.receipts ?? []) book.add(each)
  const heads = book.all().map(({ head }) => head.seq)
  const head = heads.length === 0 ? null : Math.max(...heads)
  const silent = found.replicas.map(({ peer }) => peer).filter((_, index) => asked[index] === null)
  const nowMs = at.now()
  const ear = silent.length === 0 ? null : await whoHeard(silent, exchange, at.self)
  const replicas = found.replicas.map(({ peer, store }, index) => {
    const said = asked[index]?.get(blog)
    const receipt = book.of(peer)
    return {
      ...{ peer, store, name: members?.get(peer)?.name ?? peer },
      role: roleOf(peer, found.primary),
      answers: asked[index] !== null,
      epoch: said?.epoch ?? null,
      head: receipt?.head.seq ?? null,
      lag: receipt === null || head === null ? null : head - receipt.head.seq,
      receipt: receipt === null ? null : formatDate(receipt.atMs),
      ...lastHeard(peer, asked[index] !== null, ear, nowMs),
      away: members?.get(peer)?.away === true,
      cutOff: members?.get(peer)?.cutOff === true,
    }
  })
  const why = stuck(blog)
  return accept({
    ...{ blog, epoch: found.epoch, act: found.id, reason: found.reason, unmet: found.unmet },
    ...{ active: book.isActive(), published: book.published(), head, replicas },
    waits:
      why === null ? null : { since: formatDate(why.sinceMs), code: why.code, reason: why.reason },
  })
}

type Ear = HeardBy & { readonly by: 'here' | 'authority' }

/** Whom the authority has heard: all heartbeats go there. null: it does not say. */
async function whoHeard(
  peers: readonly PeerName[],
  { alive, council }: Pick<Exchange, 'alive' | 'council'>,
  self: PeerName,
): Promise<Ear | null> {
  const roster = council.roster()
  if (roster === null) return null
  const authority = authorityOf(roster)
  const own = { ...alive.heardHere(peers), by: 'here' } as const
  if (authority === self) return own
  // Of the authority alone a spoke hears by itself; one that is down can be asked for nobody.
  if (peers.includes(authority)) {
    const agoMs = new Map([[authority, own.agoMs.get(authority) ?? null]])
    return { ...own, agoMs }
  }
  const theirs = await alive.heardBy(authority, peers).catch(() => null)
  return theirs === null ? null : { ...theirs, by: 'authority' }
}

/** Who answers was heard now; of who does not, what is known. */
function lastHeard(peer: PeerName, answers: boolean, ear: Ear | null, nowMs: number) {
  if (answers) return { heard: formatDate(nowMs), heardBy: 'here', listened: null } as const
  const agoMs = ear?.agoMs.get(peer)
  if (ear === null || agoMs === undefined) return { heard: null, heardBy: null, listened: null }
  return agoMs === null
    ? { heard: null, heardBy: ear.by, listened: formatDate(nowMs - ear.sinceMs) }
    : { heard: formatDate(nowMs - agoMs), heardBy: ear.by, listened: null }
}

const roleOf = (peer: PeerName, primary: PeerName) =>
  peer === primary ? ('primary' as const) : ('secondary' as const)
