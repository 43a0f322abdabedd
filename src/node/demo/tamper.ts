import { setTimeout as wait } from 'node:timers/promises'
import { idOf } from '../../replication/log/text.ts'
import { CommandError } from '../blogger/failure.ts'
import type { CommandIo } from '../blogger/io.ts'
import { type ShownAltered, type ShownPeer, tamperAnswer } from './control.ts'
import { type FaultOptions, findDemo } from './faults.ts'
import { Observer } from './observer.ts'
import { Timeline } from './timeline.ts'

/** How long it may take until the spoke has the good bytes again, ms. */
const patienceMs = 90_000
const lookMs = 200

/**
 * `demo tamper <peer>`: the spoke's administrator alters a post on its disk while it is stopped, and
 * starts it again. Watches what it serves, and what the other copies serve, until it has healed.
 * Throws `failed` when the altered words were seen by anybody.
 */
export async function demoTamper(
  name: string,
  options: FaultOptions,
  io: CommandIo,
): Promise<void> {
  const { control, demo } = await findDemo(options.port, io)
  const observer = new Observer(demo)
  const copies = (await observer.copies()).filter(({ spoke }) => spoke.name === name)
  if (options.dryRun === true) {
    const blogs = copies.map(({ blog }) => blog)
    io.say(`would stop ${name}, alter a post of ${blogs[0] ?? 'no blog'} on its disk, and start it`)
    if (options.json === true)
      io.data(JSON.stringify({ fault: 'tamper', peer: name, done: false, keeps: blogs }))
    return
  }
  const timeline = new Timeline(io)
  const { altered, peer } = await control.post('/tamper', { peer: name }, tamperAnswer)
  const { blog, seq, title, word, lie } = altered
  timeline.add(
    'altered',
    `on the disk of ${name}, while it was stopped: entry ${seq} of ${blog}, "${title}"`,
    [`"${word}" became "${lie}"; the signature beside it is still the author's`],
  )
  const watch = new TamperWatch(observer, peer, altered)
  const endMs = io.now() + patienceMs
  while (!(await watch.isHealed())) {
    if (io.now() > endMs) {
      const reason = `${name} did not have the good bytes again within ${patienceMs / 1_000} s.`
      throw new CommandError('notReady', `${reason} ${watch.words()}`)
    }
    await wait(lookMs)
  }
  timeline.add(
    'healed',
    `${name} serves what the author signed: SHA-256 ${altered.id.slice(0, 16)}…`,
  )
  timeline.add('looked', watch.words())
  if (watch.lies > 0)
    throw new CommandError('failed', `The altered words were served ${watch.lies} times.`)
  io.say(`All is well again after ${timeline.seconds} s; nobody was served the altered words.`)
  if (options.json === true) {
    io.data(
      JSON.stringify({
        ...{ fault: 'tamper', peer: name, altered, wellAfter: timeline.seconds },
        ...{ answers: watch.answers, lies: watch.lies, steps: timeline.steps },
      }),
    )
  }
}

/** Asks again and again for the altered entry, as a reader would, wherever it is kept. */
class TamperWatch {
  /** answers with the good bytes, without them, and with what was put in their place */
  readonly answers = { good: 0, none: 0 }
  lies = 0
  readonly #observer: Observer
  readonly #victim: ShownPeer
  readonly #altered: ShownAltered

  constructor(observer: Observer, victim: ShownPeer, altered: ShownAltered) {
    this.#observer = observer
    this.#victim = victim
    this.#altered = altered
  }

  /** One look at every copy. True when the victim's own disk has nothing damaged any more. */
  async isHealed(): Promise<boolean> {
    const isGood = await Promise.all(this.#observer.spokes().map((spoke) => this.#look(spoke)))
    const scrub = await this.#observer.scrub(this.#victim)
    return scrub !== null && scrub.healed > 0 && scrub.now.length === 0 && isGood.every((is) => is)
  }

  async #look(spoke: ShownPeer): Promise<boolean> {
    const { blog, seq, id, lie, path } = this.#altered
    const [bytes, page] = await Promise.all([
      this.#observer.entry(spoke, blog, seq, null),
      this.#observer.page(spoke, blog, path),
    ])
    const isGood = bytes !== null && idOf(bytes) === id
    if (isGood) this.answers.good += 1
    else if (bytes === null) this.answers.none += 1
    if ((bytes !== null && !isGood) || page?.includes(lie) === true) this.lies += 1
    return isGood
  }

  words(): string {
    const { good, none } = this.answers
    return `asked all spokes ${good + none + this.lies} times for that entry: ${good} times the author's bytes, ${none} times none, ${this.lies} times altered ones`
  }
}
