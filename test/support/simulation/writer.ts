import { within } from '../../../src/replication/clock.ts'
import type { Submitted } from '../../../src/replication/exchange/submit.ts'
import type { Entry } from '../../../src/replication/log/entry.ts'
import type { Head } from '../../../src/replication/log/log.ts'
import type { EntryId } from '../../../src/replication/log/text.ts'
import { signedRow } from '../../../src/replication/registry/proof.ts'
import type { Author, SignedEntry } from './author.ts'
import type { Machine, VirtualCouncil } from './council.ts'
import type { Random } from './random.ts'
import type { Told } from './told.ts'

/** How long an author waits for an answer before she sends the same again, ms. */
const patienceMs = 12_000
/** Refusals after which the same entry may be sent again later. */
const passing = new Set([
  'BLOG_UNKNOWN',
  'NOT_A_MEMBER',
  'NOT_ACTIVE',
  'NOT_PRIMARY',
  'NOT_READY',
  'PRIMARY_UNREACHABLE',
  'REGISTRY_UNREACHABLE',
])

/** An author at work: she claims her name, writes, sends again what was not answered, and goes on. */
export class Writer {
  readonly author: Author
  readonly #council: VirtualCouncil
  readonly #told: Told
  readonly #chance: Random
  /** everything she signed */
  readonly #signed = new Map<EntryId, SignedEntry>()
  /** the entry behind which she writes; null until the name is hers */
  #head: Entry | null = null
  /** signed, and not known to be held by anybody */
  #pending: SignedEntry[] = []
  #isWaiting = false
  /** the last one that she was told is published */
  #published: Entry | null = null
  /** whether somebody else has the name */
  isTooLate = false

  constructor(parts: {
    readonly author: Author
    readonly council: VirtualCouncil
    readonly told: Told
    readonly chance: Random
  }) {
    this.author = parts.author
    this.#council = parts.council
    this.#told = parts.told
    this.#chance = parts.chance
  }

  get isReady(): boolean {
    return this.#head !== null
  }

  /** Whether she has an answer to all she sent, or gave up waiting. */
  get isIdle(): boolean {
    return !this.#isWaiting
  }

  /** She goes on at another machine of hers, which knows what is published and nothing else. */
  switchMachine(): void {
    if (this.#isWaiting || this.#published === null) return
    this.#head = this.#published
    this.#pending = []
  }

  /** Hands her genesis in, at one spoke after the other, until the name is hers or another's. */
  async claim(isContested: boolean): Promise<void> {
    const { entry, offer } = await this.author.genesis()
    if (entry.kind !== 'genesis') throw new Error('no genesis')
    this.#council.witness.authored(entry.id)
    for (;;) {
      const record = await this.#ask(null, async ({ exchange }) => {
        // Asked first: handed in again, a claim that was refused is looked at anew.
        const known = await exchange?.claims.record(entry.id)
        const isDecided = known?.state === 'refused' || known?.state === 'ready'
        const claimed = isDecided ? null : await exchange?.claims.claim(entry, offer)
        if (claimed?.ok === false && !passing.has(claimed.code))
          this.#council.breach('conduct', `the claim of ${entry.log}: ${claimed.reason}`)
        return exchange?.claims.record(entry.id)
      })
      if (record?.state === 'refused') {
        this.isTooLate = true
        if (!isContested)
          this.#council.breach('conduct', `${entry.log} is refused: ${record.reason}`)
        return
      }
      if (record?.state === 'ready') {
        if (!this.#council.witness.ledger.isEstablished(entry.log))
          this.#council.breach(
            'answer',
            `${entry.log} is called ready before any act of it is active`,
          )
        break
      }
      await this.#council.clock.wait(2_000)
    }
    this.#council.note(`${entry.log} is claimed`)
    this.#told.isPublished(entry)
    this.#head = entry
    this.#published = entry
  }

  /**
   * Sends what she has, or a new entry when all was answered; nobody waits for it.
   *
   * @param at - the spoke she sends it to; null: any that runs
   * @param isTwice - whether her second machine signs another entry for the same seq
   */
  write(at: Machine | null, isTwice = false): void {
    if (this.#head === null || this.#isWaiting) return
    this.#isWaiting = true
    this.#publish(this.#head, at, isTwice)
      .catch((error: Error) => this.#council.breach('conduct', `${error.stack}`))
      .finally(() => {
        this.#isWaiting = false
      })
  }

  async #publish(head: Entry, at: Machine | null, isTwice: boolean): Promise<void> {
    if (this.#pending.length === 0) {
      this.#pending = [await this.#draft(head, 'here')]
      if (isTwice) this.#pending.push(await this.#draft(head, 'there'))
    }
    const answers = await Promise.all(this.#pending.map((each) => this.#submit(each, at)))
    const held = answers.flatMap((answer, index) =>
      answer?.kind === 'held'
        ? [{ answer, entry: (this.#pending[index] as SignedEntry).entry }]
        : [],
    )
    const published = held.filter(({ answer }) => answer.published)
    if (published.length > 1)
      this.#council.breach('answer', `${head.log} ${head.seq + 1} is published with two ids`)
    const chosen = published[0] ?? held[0]
    if (chosen !== undefined) {
      this.#head = chosen.entry
      if (chosen.answer.published) this.#published = chosen.entry
      this.#pending = []
      return
    }
    const taken = answers.find((answer) => answer?.kind === 'taken')
    if (taken?.kind === 'taken' && (await this.#settle(head, taken.head, at))) this.#pending = []
  }

  async #draft(head: Entry, variant: string): Promise<SignedEntry> {
    const long = this.#chance.chance(0.03) ? 'asamblea '.repeat(5_000).trim() : 'plaza'
    const lines = long.match(/.{1,900}(?= |$)/g) ?? [long]
    const title = `Post ${head.seq + 1} ${variant} ${this.#signed.size}`
    const signed = await this.author.post(head, title, lines.join('\n').trim())
    this.#signed.set(signed.entry.id, signed)
    this.#council.witness.authored(signed.entry.id)
    return signed
  }

  /**
   * The blog ends elsewhere than she thought: what was stored on one spoke only is not in it any
   * more. She offers it again, as her command does; where another entry of hers has its place, she
   * goes on from that. True when what she is writing must be signed anew.
   */
  async #settle(before: Entry, head: Head, at: Machine | null): Promise<boolean> {
    const chain: SignedEntry[] = []
    let id: EntryId | null = before.id
    while (id !== null && id !== head.id) {
      const signed: SignedEntry | undefined = this.#signed.get(id)
      if (signed === undefined || this.#told.published.has(keyOf(signed))) break
      chain.unshift(signed)
      id = signed.entry.prev
    }
    for (const signed of chain.filter(({ entry }) => entry.seq > head.seq)) {
      if ((await this.#submit(signed, at))?.kind !== 'held') break
    }
    const there = this.#signed.get(head.id)?.entry
    if (there === undefined || head.seq < before.seq || there.id === before.id) return false
    // Her other machine's entry took the place.
    this.#head = there
    return true
  }

  async #submit({ entry, offer }: SignedEntry, at: Machine | null): Promise<Submitted | null> {
    let asked: Machine | null = null
    const answer = await this.#ask(at, (machine) => {
      asked = machine
      return machine.exchange?.submit.submit(entry, offer)
    })
    if (answer === null || asked === null) return null
    const { name, seat }: Machine = asked
    const what = `${entry.log} ${entry.seq} ${entry.id.slice(0, 8)} at ${name}`
    this.#told.answers++
    if (!answer.ok) {
      this.#council.note(() => `${what}: ${answer.code}`)
      if (!passing.has(answer.code)) this.#council.breach('conduct', `${what}: ${answer.reason}`)
      return null
    }
    const { value } = answer
    if (value.kind === 'taken') this.#council.note(() => `${what}: taken, head ${value.head.seq}`)
    else {
      this.#council.witness.watch(seat, value.receipts.map(signedRow))
      this.#told.held(entry, value, what)
    }
    return value
  }

  /** Asks a spoke that runs; null when no answer came: its process may be over. */
  async #ask<T>(
    at: Machine | null,
    ask: (machine: Machine) => Promise<T> | undefined,
  ): Promise<T | null> {
    const { clock } = this.#council
    const up = at === null ? this.#council.spokes.filter(isRunning) : [at].filter(isRunning)
    const asked = up.length === 0 ? undefined : ask(this.#chance.pick(up))
    if (asked === undefined) return null
    const time = {
      now: clock.now,
      steady: clock.steady,
      after: clock.after,
      random: this.#chance.next,
    }
    return within(
      time,
      patienceMs,
      asked.catch((error: Error) => {
        // A full disk ends a request, as it ends it for a reader over HTTP.
        if ((error as { code?: string }).code !== 'STORE_WRITE_FAILED') throw error
        return null
      }),
      null,
    )
  }
}

/** Who lies is not asked: what it says of an entry binds nobody. */
const isRunning = ({ exchange, life, seat }: Machine) =>
  exchange !== null && life?.isStopped === false && !seat.lies

const keyOf = (signed: SignedEntry) => `${signed.entry.log} ${signed.entry.seq}`
