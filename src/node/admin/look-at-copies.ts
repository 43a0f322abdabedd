import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Exchange } from '../../replication/exchange/exchange.ts'
import { ReceiptBook } from '../../replication/exchange/receipts.ts'
import { blogNameRule, parseBlogName } from '../../replication/log/entry.ts'
import { formatDate } from '../../replication/log/text.ts'
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
  const { alive, council, sync } = exchange
  const members = council.roster()?.members
  const asked = await Promise.all(
    found.replicas.map(({ peer }) => sync.heads(peer, [blog]).catch(() => null)),
  )
  const book = new ReceiptBook(found)
  for (const said of asked) for (const each of said?.get(blog)?.receipts ?? []) book.add(each)
  const heads = book.all().map(({ head }) => head.seq)
  const head = heads.length === 0 ? null : Math.max(...heads)
  const replicas = found.replicas.map(({ peer, store }, at) => {
    const said = asked[at]?.get(blog)
    const receipt = book.of(peer)
    const heardMs = alive.lastBeatMs(peer)
    return {
      ...{ peer, store, name: members?.get(peer)?.name ?? peer },
      role: roleOf(peer, found.primary),
      answers: asked[at] !== null,
      epoch: said?.epoch ?? null,
      head: receipt?.head.seq ?? null,
      lag: receipt === null || head === null ? null : head - receipt.head.seq,
      receipt: receipt === null ? null : formatDate(receipt.atMs),
      heard: heardMs === null ? null : formatDate(heardMs),
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

const roleOf = (peer: PeerName, primary: PeerName) =>
  peer === primary ? ('primary' as const) : ('secondary' as const)
