import { randomBytes } from 'node:crypto'
import type { PeerName } from '../../auth/peer-signature.ts'
import type { Clock } from '../../replication/clock.ts'
import type { Alive, FetchHello } from '../../replication/exchange/alive.ts'
import type { MemberRecord } from '../../replication/registry/act.ts'
import { checkHello } from '../../replication/registry/hello.ts'
import { liveMembers, type Roster } from '../../replication/registry/roster.ts'
import type { ComponentLog } from '../logger.ts'

/** Looks whether a peer is where it says: an address enters DNS only after that (DESIGN 5). */
export class Reach {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** Those of a peer's web addresses that answered with its hello. */
  async reached(roster: Roster, member: MemberRecord): Promise<string[]> {
    const reached: string[] = []
    for (const url of member.web) {
      if (await this.#reaches(roster, member, url)) reached.push(url)
    }
    return reached
  }

  /** Fetched here, and by another spoke on another host as soon as there is one (DESIGN 5). */
  async #reaches(roster: Roster, member: MemberRecord, url: string): Promise<boolean> {
    const { log, fetchHello, alive } = this.#parts
    const nonce = randomBytes(18).toString('base64url')
    const want = { council: roster.council, peer: member.peer, nonce }
    const own = await fetchHello(url, nonce)
    const first = own.ok ? checkHello(own.value, want) : own
    if (!first.ok) {
      log.warn('address_not_reached', {
        peer: member.peer,
        url,
        code: first.code,
        reason: first.reason,
      })
      return false
    }
    const helper = this.#helperFor(roster, member)
    if (helper === null) return true
    try {
      const second = checkHello(await alive.fetchBy(helper, url, nonce), want)
      if (second.ok) return true
      log.warn('address_not_reached_from', {
        peer: member.peer,
        url,
        from: helper,
        reason: second.reason,
      })
    } catch (error) {
      log.warn('address_not_reached_from', {
        peer: member.peer,
        url,
        from: helper,
        reason: (error as Error).message,
      })
    }
    return false
  }

  #helperFor(roster: Roster, newcomer: MemberRecord): PeerName | null {
    const { self, alive, clock } = this.#parts
    const hosts = (record: MemberRecord) => record.web.map((url) => new URL(url).hostname)
    const own = roster.members.get(self)
    const taken = [...hosts(newcomer), ...(own === undefined ? [] : hosts(own))]
    const helpers = liveMembers(roster).filter(
      (each) =>
        each.peer !== newcomer.peer &&
        each.peer !== self &&
        alive.isLive(each.peer) &&
        each.web.length > 0 &&
        hosts(each).every((host) => !taken.includes(host)),
    )
    // Another one each time: a single one that denies everything must not keep newcomers out.
    return helpers[Math.floor(clock.random() * helpers.length)]?.peer ?? null
  }
}

type Parts = {
  readonly alive: Pick<Alive, 'fetchBy' | 'isLive'>
  readonly clock: Clock
  readonly log: ComponentLog
  readonly fetchHello: FetchHello
  readonly self: PeerName
}
