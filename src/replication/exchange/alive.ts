import { z } from 'zod'
import type { PeerName, PeerSigner } from '../../auth/peer-signature.ts'
import { refuse, type Verdict } from '../../auth/verdict.ts'
import { type Clock, repeat, wait, watchStandstill } from '../clock.ts'
import { type Head, namesLog, rosterLog } from '../log/log.ts'
import { isWeb, type Replica, type StoreId } from '../log/peer-text.ts'
import type { Signed } from '../log/text.ts'
import { answer, ask, type Network, refusalAnswer, signedShape } from '../network.ts'
import { ALIVE, maxReplicas } from '../protocol.ts'
import type { CouncilLogs } from '../registry/council-logs.ts'
import { answered, signDial } from '../registry/dial.ts'
import {
  type BusyBlog,
  type DiskMark,
  decodeHeartbeat,
  type Heartbeat,
  signHeartbeat,
} from '../registry/heartbeat.ts'
import { fromSignedRow, signedRow } from '../registry/proof.ts'
import { authorityOf, type Roster } from '../registry/roster.ts'
import type { Sync } from './sync.ts'

const request = z.discriminatedUnion('t', [
  z.object({ t: z.literal('beat'), beat: signedShape }),
  z.object({ t: z.literal('fetch'), url: z.string().max(200), nonce: z.string().max(64) }),
  z.object({ t: z.literal('dial'), peer: z.string().max(60) }),
  z.object({ t: z.literal('heard'), peers: z.array(z.string().max(60)).max(maxReplicas) }),
])
const beatAnswer = z.object({ beat: signedShape })
const dialAnswer = z.object({ dial: signedShape })
/** How long a dialled peer may take to answer, ms (REPLICATION, Silence). */
const dialMs = 3_000
/** A dial during which the dialling process stood still for so long says nothing, ms. */
const stillMs = 1_000
/** How exactly that is watched, ms. */
const stillStepMs = 250
/** First pause before an authority that did not answer is greeted again, ms; then twice as long each time. */
const firstGreetMs = 500
const fetchAnswer = z.object({ hello: signedShape })
/** Longest time since a peer heard somebody, or began to listen, ms: of a longer one no date can be made. */
const maxAgoMs = 315_360_000_000
const agoShape = z.number().int().min(0).max(maxAgoMs).nullable()
const heardAnswer = z.object({
  agoMs: z.array(agoShape).max(maxReplicas),
  sinceMs: z.number().int().min(0).max(maxAgoMs),
})
/** How long somebody waits for whom another peer has heard, ms. */
const heardMs = 3_000

/** Whom a peer has heard, by its own steady clock. */
export type HeardBy = {
  /** how long ago a heartbeat of a peer came, ms; null: none since it listens */
  readonly agoMs: ReadonlyMap<PeerName, number | null>
  /** for how long it has listened, ms */
  readonly sinceMs: number
}

/** What this machine tells of itself. */
export type Vitals = {
  readonly freeBytes: number
  readonly load: number
  /** left out or null: there is room */
  readonly mark?: DiskMark | null
  /** blogs that are read a lot here, those read most first; left out: none */
  readonly busy?: readonly BusyBlog[]
}

/** Fetches a spoke's hello over HTTP, as a reader would reach it. Codes: HELLO_UNREACHABLE, HELLO_FORM. */
export type FetchHello = (url: string, nonce: string) => Promise<Verdict<Signed>>

/** A heartbeat, and when it came: for people, and for how long ago that is. */
type Heard = { readonly steadyMs: number; readonly beat: Heartbeat }

/**
 * Heartbeats with the authority, both ways, and what follows from them: who is alive, and whose
 * `@roster` or `@names` is behind.
 */
export class Alive {
  readonly #network: Network
  readonly #signer: PeerSigner
  readonly #storeId: () => StoreId
  readonly #council: CouncilLogs
  readonly #sync: Sync
  readonly #clock: Clock
  readonly #silenceMs: number
  readonly #vitals: () => Promise<Vitals>
  readonly #fetchHello: FetchHello
  readonly #answered: (authority: PeerName, names: Head | null) => void
  readonly #heard = new Map<PeerName, Heard>()
  /** by the steady clock */
  #startedMs = Number.POSITIVE_INFINITY
  /** as of this peer's last heartbeat, or the last time for one */
  #vitalsNow: Vitals | null = null
  #stop = () => {}
  #isStopped = false
  #isGreeting = false

  constructor(parts: {
    readonly network: Network
    readonly signer: PeerSigner
    readonly storeId: () => StoreId
    readonly council: CouncilLogs
    readonly sync: Sync
    readonly clock: Clock
    /** silence after which a peer counts as down; heartbeats go every third of it */
    readonly silenceMs: number
    readonly vitals: () => Promise<Vitals>
    readonly fetchHello: FetchHello
    /** called when the authority has answered a heartbeat, with where its `@names` ends */
    readonly answered: (authority: PeerName, names: Head | null) => void
  }) {
    this.#network = parts.network
    this.#signer = parts.signer
    this.#storeId = parts.storeId
    this.#council = parts.council
    this.#sync = parts.sync
    this.#clock = parts.clock
    this.#silenceMs = parts.silenceMs
    this.#vitals = parts.vitals
    this.#fetchHello = parts.fetchHello
    this.#answered = parts.answered
  }

  start(): void {
    this.#startedMs = this.#clock.steady()
    this.#network.handle(
      ALIVE,
      answer(request, async (from, body) => {
        if (body.t === 'fetch') {
          const roster = this.#council.roster()
          // Any member could look through this one's network else.
          if (roster === null || from !== authorityOf(roster) || isWeb(body.url) !== null)
            return refusalAnswer(
              refuse('FETCH_REFUSED', 'Only the authority may ask for a fetch, of a web address.'),
            )
          const hello = await this.#fetchHello(body.url, body.nonce)
          return hello.ok ? { hello: signedRow(hello.value) } : refusalAnswer(hello)
        }
        if (body.t === 'dial') {
          const roster = this.#council.roster()
          const peer = [...(roster?.members.keys() ?? [])].find((each) => each === body.peer)
          if (roster === null || from !== authorityOf(roster) || peer === undefined)
            return refusalAnswer(
              refuse('DIAL_REFUSED', 'Only the authority may ask for a dial, of a member.'),
            )
          const dial = await this.dial(peer)
          return dial === null
            ? refusalAnswer(refuse('DIAL_STOOD_STILL', 'This peer stood still during its dial.'))
            : { dial: signedRow(dial) }
        }
        if (body.t === 'heard') return this.#sayHeard(body.peers)
        const beat = decodeHeartbeat(fromSignedRow(body.beat))
        if (!beat.ok) return refusalAnswer(beat)
        if (
          beat.value.replica.peer !== from ||
          beat.value.council !== this.#council.roster()?.council
        ) {
          return refusalAnswer(
            refuse('HEARTBEAT_OTHER', 'The heartbeat is of another peer or council.'),
          )
        }
        this.#hears(from, beat.value)
        const own = await this.#beat()
        return own === null
          ? refusalAnswer(refuse('NOT_READY', 'This peer has no @roster yet.'))
          : { beat: signedRow(own) }
      }),
    )
    this.#stop = repeat(this.#clock, this.#silenceMs / 3, () => this.send().catch(() => undefined))
  }

  stop(): void {
    this.#isStopped = true
    this.#stop()
  }

  #hears(peer: PeerName, beat: Heartbeat): void {
    this.#heard.set(peer, { steadyMs: this.#clock.steady(), beat })
  }

  /** Heartbeat of `peer`, when it was heard within the silence. */
  heard(peer: PeerName): Heartbeat | null {
    const last = this.#heard.get(peer)
    return last !== undefined && this.#clock.steady() - last.steadyMs < this.#silenceMs
      ? last.beat
      : null
  }

  /** For how long a peer has been silent, or this peer has listened: the shorter of the two, ms. */
  silentMs(peer: PeerName): number {
    const lastMs = Math.max(this.#heard.get(peer)?.steadyMs ?? 0, this.#startedMs)
    return this.#clock.steady() - lastMs
  }

  /**
   * Dials a peer: it must answer a heartbeat within 3 s. The signed word on what came of it; null
   * when there was no answer and this process stood still meanwhile: then it may be its own fault.
   */
  async dial(peer: PeerName): Promise<Signed | null> {
    const { council } = this.#council.roster() as Roster
    const atMs = this.#clock.now()
    const beat = await this.#beat()
    const stoodStillMs = watchStandstill(this.#clock, stillStepMs)
    let result = answered
    try {
      const body = { t: 'beat', beat: signedRow(beat as Signed) }
      const reply = await ask(this.#network, peer, ALIVE, body, beatAnswer, dialMs)
      const theirs = decodeHeartbeat(fromSignedRow(reply.beat))
      if (!theirs.ok || theirs.value.replica.peer !== peer) result = 'another answer'
    } catch (error) {
      result = (error as { code?: string }).code ?? 'no answer'
    }
    const isOwnFault = stoodStillMs() >= stillMs && result !== answered
    return isOwnFault ? null : signDial(this.#signer, { council, peer, atMs, result })
  }

  /** Asks another peer to dial one, so that it is seen from a second place. Throws as `ask` does. */
  async dialBy(helper: PeerName, peer: PeerName): Promise<Signed> {
    const body = { t: 'dial', peer }
    const reply = await ask(this.#network, helper, ALIVE, body, dialAnswer, 2 * dialMs)
    return fromSignedRow(reply.dial)
  }

  isLive(peer: PeerName): boolean {
    return peer === this.#network.self || this.heard(peer) !== null
  }

  /** Whether a peer says that it has another store now than this one, which is gone then for good. */
  hasOtherStore({ peer, store }: Replica): boolean {
    if (peer === this.#network.self) return this.#storeId() !== store
    const beat = this.heard(peer)
    return beat !== null && beat.replica.store !== store
  }

  /** Whether a peer is alive, and with this store. */
  isLiveAs(replica: Replica): boolean {
    return this.isLive(replica.peer) && !this.hasOtherStore(replica)
  }

  /**
   * Asks a peer how long ago it heard others; the authority hears all. By the time that has passed,
   * since no two clocks agree. Throws as `ask` does.
   */
  async heardBy(peer: PeerName, others: readonly PeerName[]): Promise<HeardBy> {
    const asked = { t: 'heard', peers: others }
    const said = await ask(this.#network, peer, ALIVE, asked, heardAnswer, heardMs)
    return {
      agoMs: new Map(others.map((other, at) => [other, said.agoMs[at] ?? null])),
      sinceMs: said.sinceMs,
    }
  }

  /** The same, of what came here. */
  heardHere(peers: readonly PeerName[]): HeardBy {
    const { agoMs, sinceMs } = this.#sayHeard(peers)
    return { agoMs: new Map(peers.map((peer, at) => [peer, agoMs[at] ?? null])), sinceMs }
  }

  #sayHeard(peers: readonly string[]): z.infer<typeof heardAnswer> {
    const nowMs = this.#clock.steady()
    const passed = (sinceMs: number) => Math.max(0, Math.round(nowMs - sinceMs))
    return {
      agoMs: peers.map((peer) => {
        const last = this.#heard.get(peer as PeerName)
        return last === undefined ? null : passed(last.steadyMs)
      }),
      sinceMs: passed(this.#startedMs),
    }
  }

  /** Which mark of its disk a peer that is heard is over; null: none, or it is not heard. */
  mark(peer: PeerName): DiskMark | null {
    return this.#told(peer)?.mark ?? null
  }

  /** Blogs that are read a lot at a peer, as it says itself; none when it is not heard. */
  busy(peer: PeerName): readonly BusyBlog[] {
    return this.#told(peer)?.busy ?? []
  }

  #told(peer: PeerName): Pick<Vitals, 'mark' | 'busy'> | null {
    return peer === this.#network.self ? this.#vitalsNow : this.heard(peer)
  }

  /** Whether this peer has listened for a whole silence: before, who was not heard may yet live. */
  isSettled(): boolean {
    return this.#clock.steady() - this.#startedMs >= this.#silenceMs
  }

  async #beat(): Promise<Signed | null> {
    const roster = this.#council.roster()
    if (roster === null) return null
    const { freeBytes, load, mark = null, busy = [] } = await this.#look()
    return signHeartbeat(this.#signer, {
      council: roster.council,
      replica: { peer: this.#signer.peer, store: this.#storeId() },
      atMs: this.#clock.now(),
      freeBytes,
      load,
      roster: roster.head,
      names: this.#council.names()?.head ?? null,
      mark,
      busy,
    })
  }

  async #look(): Promise<Vitals> {
    this.#vitalsNow = await this.#vitals()
    return this.#vitalsNow
  }

  /** Sends a heartbeat to the authority, and pulls what its answer shows to be missing here. */
  async send(): Promise<void> {
    const roster = this.#council.roster()
    if (roster === null) return
    // The authority hears of itself by this alone.
    if (authorityOf(roster) === this.#network.self) return void (await this.#look())
    const beat = await this.#beat()
    if (beat === null) return
    const authority = authorityOf(roster)
    const reply = await ask(
      this.#network,
      authority,
      ALIVE,
      { t: 'beat', beat: signedRow(beat) },
      beatAnswer,
    )
    const theirs = decodeHeartbeat(fromSignedRow(reply.beat))
    if (!theirs.ok || theirs.value.replica.peer !== authority) return
    this.#hears(authority, theirs.value)
    await this.#sync.pullCouncil(authority, rosterLog, theirs.value.roster)
    const { names } = theirs.value
    if (names !== null && this.carriesNames())
      await this.#sync.pullCouncil(authority, namesLog, names)
    this.#answered(authority, names)
  }

  /**
   * Sends a heartbeat to an authority that this peer has just been connected with. It may be starting,
   * and answer nothing yet: then again, sooner than the next one is due.
   */
  async greet(): Promise<void> {
    if (this.#isGreeting) return
    this.#isGreeting = true
    try {
      for (let pauseMs = firstGreetMs; !this.#isStopped; pauseMs *= 2) {
        const isAnswered = await this.send().then(
          () => true,
          () => false,
        )
        if (isAnswered || pauseMs >= this.#silenceMs / 3) return
        await wait(this.#clock, pauseMs)
      }
    } finally {
      this.#isGreeting = false
    }
  }

  /** Peers that answer DNS, gather, hold the council's logs or are the authority carry `@names`; others ask. */
  carriesNames(): boolean {
    const roster = this.#council.roster()
    const self = roster?.members.get(this.#network.self)
    return (
      self?.roles.some((role) => ['dns', 'authority', 'aggregator'].includes(role)) === true ||
      roster?.terms.at(-1)?.holders.some((holder) => holder.peer === this.#network.self) === true
    )
  }

  /** Asks another spoke to fetch a hello, so that an address is seen from a second place. */
  async fetchBy(peer: PeerName, url: string, nonce: string): Promise<Signed> {
    return fromSignedRow(
      (await ask(this.#network, peer, ALIVE, { t: 'fetch', url, nonce }, fetchAnswer)).hello,
    )
  }
}
