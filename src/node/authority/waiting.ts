import { isIPv6 } from 'node:net'
import type { PeerName } from '../../auth/peer-signature.ts'
import { accept, refuse, type Verdict } from '../../auth/verdict.ts'
import type { Origin } from '../../replication/exchange/join.ts'
import type { LogStore, Write } from '../../replication/log/store.ts'
import type { Signed } from '../../replication/log/text.ts'
import { decodeJoin, type JoinRequest } from '../../replication/registry/join-request.ts'

/** Peers that may wait for the operator at once. */
export const maxWaiting = 200
/** … of one host: an IPv4 address, or a /64 of IPv6. */
export const maxWaitingPerHost = 8
/** … whose requests one member passed on: it could lie about their hosts. */
export const maxWaitingPerMember = 50
/** Refused peers that are remembered; beyond it the one refused first is forgotten, and may ask anew. */
export const maxRefused = 200
/** A waiting peer asks every 30 s: one that was silent for so long makes room first, ms. */
export const quietMs = 10 * 60_000
/** One that was silent for so long is forgotten, ms. */
export const forgottenMs = 7 * 24 * 3_600_000

/** A stranger's newest request, kept until the operator decides. */
export type Waiting = {
  readonly request: JoinRequest
  readonly signed: Signed
  /** where the first request came from */
  readonly origin: Origin
  /** when it asked first, and last, ms; after a restart of the authority the restart counts as asked */
  readonly sinceMs: number
  readonly askedMs: number
  /** why the operator refused it, and when, ms; null while it waits */
  readonly refused: { readonly reason: string; readonly atMs: number } | null
}

/** What counts as one host: nobody gets more places by taking more addresses of one /64. */
export function hostGroup(host: string | null): string {
  if (host === null) return 'unknown'
  if (!isIPv6(host)) return host
  const [head = '', tail] = host.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [
    ...left,
    ...Array(Math.max(0, 8 - left.length - right.length)).fill('0'),
    ...right,
  ]
  return `${groups.slice(0, 4).join(':')}::/64`
}

/**
 * Decides whether a further peer may wait, and who makes room for it. Pure. A flood takes no place
 * from a host that uses fewer: when all places are taken, one that no longer asks goes first, then
 * the newest of the host with most places, if it has more than the newcomer's.
 *
 * @param waiting - those that wait, without the newcomer and without refused ones
 * @returns the peer that makes room, null when there is room. Code JOIN_QUEUE_FULL
 */
export function planPlace(
  waiting: readonly Waiting[],
  origin: Origin,
  nowMs: number,
): Verdict<PeerName | null> {
  const group = hostGroup(origin.host)
  const ofHost = waiting.filter((each) => hostGroup(each.origin.host) === group)
  if (ofHost.length >= maxWaitingPerHost) {
    return room(quietest(ofHost, nowMs), `${maxWaitingPerHost} peers of its host wait already`)
  }
  const ofMember = waiting.filter((each) => each.origin.via === origin.via)
  if (origin.via !== null && ofMember.length >= maxWaitingPerMember) {
    return room(
      quietest(ofMember, nowMs),
      `${maxWaitingPerMember} peers wait already whose requests came by way of the same member`,
    )
  }
  if (waiting.length < maxWaiting) return accept(null)
  const quiet = quietest(waiting, nowMs)
  return room(
    quiet ?? newestOfLargest(waiting, ofHost.length + 1),
    `${maxWaiting} peers wait already`,
  )
}

function room(victim: Waiting | null, why: string): Verdict<PeerName> {
  return victim === null
    ? refuse(
        'JOIN_QUEUE_FULL',
        `This peer cannot wait for the authority's operator yet, since ${why}. It asks again by itself.`,
      )
    : accept(victim.request.member.peer)
}

/** Who was silent longest, if longer than `quietMs`. */
function quietest(waiting: readonly Waiting[], nowMs: number): Waiting | null {
  const [first] = waiting.toSorted((a, b) => a.askedMs - b.askedMs)
  return first !== undefined && nowMs - first.askedMs > quietMs ? first : null
}

/** The newest of the host with most places, if it has more than `fair`. */
function newestOfLargest(waiting: readonly Waiting[], fair: number): Waiting | null {
  const groups = Map.groupBy(waiting, (each) => hostGroup(each.origin.host))
  const [largest = []] = [...groups.values()].toSorted((a, b) => b.length - a.length)
  return largest.length > fair
    ? (largest.toSorted((a, b) => b.sinceMs - a.sinceMs)[0] as Waiting)
    : null
}

const prefix = 'waiting/'
const keyOf = (peer: PeerName) => `${prefix}${peer}`
type Row = {
  readonly text: Uint8Array
  readonly signature: Uint8Array
  readonly host: string | null
  readonly via: PeerName | null
  readonly sinceMs: number
  readonly refused: Waiting['refused']
}

/** Strangers that wait for the operator's word, and those that were refused; on disk, too. */
export class WaitingList {
  readonly #store: LogStore
  readonly #byPeer = new Map<PeerName, Waiting>()

  constructor(store: LogStore) {
    this.#store = store
  }

  /** Reads what was there before the restart. */
  async load(nowMs: number): Promise<void> {
    for (const [, value] of await this.#store.values(prefix)) {
      const { text, signature, host, via, sinceMs, refused } = value as Row
      const signed = { text, signature }
      const request = decodeJoin(signed)
      if (!request.ok) continue
      const origin = { host, via }
      const waiting = { request: request.value, signed, origin, sinceMs, askedMs: nowMs, refused }
      this.#byPeer.set(request.value.member.peer, waiting)
    }
  }

  get(peer: PeerName): Waiting | null {
    return this.#byPeer.get(peer) ?? null
  }

  /** Who waits, and who was refused; the first that asked first. */
  all(): Waiting[] {
    return [...this.#byPeer.values()].toSorted((a, b) => a.sinceMs - b.sinceMs)
  }

  /** A stranger asks, again or for the first time. Code JOIN_QUEUE_FULL. */
  async ask(
    request: JoinRequest,
    signed: Signed,
    origin: Origin,
    nowMs: number,
  ): Promise<Verdict<Waiting>> {
    const { peer } = request.member
    const known = this.get(peer)
    if (known !== null) {
      const again = { ...known, request, signed, askedMs: nowMs }
      // What it asks again and again is the same; only a date that goes on needs no write.
      const isSame = JSON.stringify(known.request.member) === JSON.stringify(request.member)
      await this.#put(again, isSame ? [] : [this.#row(again)])
      return accept(again)
    }
    const gone = this.#forget(nowMs)
    const place = planPlace(
      this.all().filter((each) => each.refused === null),
      origin,
      nowMs,
    )
    if (!place.ok) return place
    const waiting = { request, signed, origin, sinceMs: nowMs, askedMs: nowMs, refused: null }
    const out = place.value === null ? [] : this.#drop(place.value)
    await this.#put(waiting, [...gone, ...out, this.#row(waiting)])
    return accept(waiting)
  }

  /** The operator says no; the peer is told why each time it asks. */
  async refuse(peer: PeerName, reason: string, nowMs: number): Promise<void> {
    const waiting = this.get(peer)
    if (waiting === null) return
    const refused = { ...waiting, refused: { reason, atMs: nowMs } }
    const others = this.all()
      .filter((each) => each.refused !== null && each.request.member.peer !== peer)
      .toSorted((a, b) => (a.refused?.atMs ?? 0) - (b.refused?.atMs ?? 0))
    const over = others.slice(0, Math.max(0, others.length + 1 - maxRefused))
    const out = over.flatMap((each) => this.#drop(each.request.member.peer))
    await this.#put(refused, [...out, this.#row(refused)])
  }

  /** It is a member now, or can never be one as it asks. */
  async remove(peer: PeerName): Promise<void> {
    const out = this.#drop(peer)
    if (out.length > 0) await this.#store.write(out)
  }

  #forget(nowMs: number): Write[] {
    return this.all()
      .filter((each) => each.refused === null && nowMs - each.askedMs > forgottenMs)
      .flatMap((each) => this.#drop(each.request.member.peer))
  }

  #drop(peer: PeerName): Write[] {
    return this.#byPeer.delete(peer) ? [{ type: 'del', key: keyOf(peer) }] : []
  }

  /** In memory at once, so that two requests side by side see each other. */
  async #put(waiting: Waiting, writes: Write[]): Promise<void> {
    this.#byPeer.set(waiting.request.member.peer, waiting)
    if (writes.length > 0) await this.#store.write(writes)
  }

  #row({ request, signed, origin, sinceMs, refused }: Waiting): Write {
    const row: Row = { ...signed, ...origin, sinceMs, refused }
    return this.#store.putValue(keyOf(request.member.peer), row)
  }
}
