import { setTimeout as wait } from 'node:timers/promises'
import { idOf } from '../../replication/log/text.ts'
import { CommandError } from '../blogger/failure.ts'
import type { CommandIo } from '../blogger/io.ts'
import { askAll } from './checks.ts'
import { type DemoAnswer, healAnswer, type ShownTail } from './control.ts'
import { type FaultOptions, findDemo } from './faults.ts'
import { type Copy, Observer } from './observer.ts'
import { Timeline } from './timeline.ts'

/** How long it may take until all is well, ms. */
const patienceMs = 90_000
const lookMs = 200

/** `demo heal`: everything is started and connected again, and what comes of it. */
export async function demoHeal(options: FaultOptions, io: CommandIo): Promise<void> {
  const { control, demo: before } = await findDemo(options.port, io)
  const broken = before.peers.filter(({ state }) => state !== 'up')
  if (options.dryRun === true) {
    const plan = broken.map(({ name, state }) => `${name} (${state})`)
    io.say(plan.length === 0 ? 'nothing is wrong' : `would bring back ${plan.join(', ')}`)
    if (options.json === true) {
      io.data(JSON.stringify({ done: false, back: broken.map(({ name }) => name) }))
    }
    return
  }
  const timeline = new Timeline(io)
  const published = highest(await new Observer(before).copies())
  const { started, mended } = await control.post('/heal', {}, healAnswer)
  for (const name of started) timeline.add('started', `${name} again, with what it had on its disk`)
  for (const name of mended) timeline.add('mended', `${name} is connected with the others again`)
  if (started.length + mended.length === 0) timeline.add('well', 'nothing is down or cut off')
  const { demo } = await findDemo(options.port, io)
  await new Healing(
    demo,
    broken.map(({ name }) => name),
    timeline,
    io,
  ).watch(published)
  io.say(`All is well again after ${timeline.seconds} s.`)
  if (options.json === true) {
    io.data(JSON.stringify({ started, mended, wellAfter: timeline.seconds, steps: timeline.steps }))
  }
}

/** The highest number that anybody calls published, by blog. */
function highest(copies: readonly Copy[]): Map<string, number> {
  const found = new Map<string, number>()
  for (const { blog, published } of copies)
    found.set(blog, Math.max(published, found.get(blog) ?? -1))
  return found
}

class Healing {
  readonly #demo: DemoAnswer
  readonly #broken: readonly string[]
  readonly #timeline: Timeline
  readonly #io: CommandIo
  readonly #observer: Observer

  constructor(demo: DemoAnswer, broken: readonly string[], timeline: Timeline, io: CommandIo) {
    this.#demo = demo
    this.#broken = broken
    this.#timeline = timeline
    this.#io = io
    this.#observer = new Observer(demo)
  }

  /** @param published - what was published before, which every copy must have again */
  async watch(published: ReadonlyMap<string, number>): Promise<void> {
    const timeline = this.#timeline
    await this.#until('Not everybody was heard again', () => this.#isHeard())
    if (this.#broken.length > 0)
      timeline.add('heard', `${this.#broken.join(', ')}, by the authority`)
    const servers = this.#observer.dnsPeers(null).map(({ host }) => `${host}:${this.#demo.dnsPort}`)
    const spokes = this.#observer.spokes().map(({ host }) => host)
    const { zone } = this.#demo
    await this.#until('DNS did not name all spokes again', async () => {
      const named = await askAll(servers, zone, zone)
      return named !== null && spokes.every((host) => named.includes(host))
    })
    timeline.add('dns', `names all ${spokes.length} spokes, ${servers.length} servers say the same`)
    await this.#until('Not all copies were equal', () => this.#areEqual(published))
    const copies = await this.#observer.copies()
    const blogs = new Set(copies.map(({ blog }) => blog)).size
    timeline.add('equal', `${copies.length} copies of ${blogs} blogs have all that was published`)
    for (const tail of this.#demo.tails) await this.#showTail(tail)
  }

  async #isHeard(): Promise<boolean> {
    const status = await this.#observer.authority()
    const known = new Set(this.#demo.peers.map(({ name }) => name))
    return (
      status?.members
        .filter(({ name }) => known.has(name))
        .every(({ heard, away }) => heard === true && !away) === true
    )
  }

  /** Of each blog all copies are there, follow one act, and hold what was published. */
  async #areEqual(published: ReadonlyMap<string, number>): Promise<boolean> {
    const copies = await this.#observer.copies()
    return this.#demo.blogs.every((blog) => {
      const own = copies.filter((copy) => copy.blog === blog)
      const [first] = own
      const least = published.get(blog) ?? 0
      return (
        first !== undefined &&
        own.length === first.replicas &&
        own.filter(({ role }) => role === 'primary').length === 1 &&
        own.every(
          ({ epoch, active, head }) =>
            active && epoch === first.epoch && (head?.seq ?? -1) >= least,
        )
      )
    })
  }

  /** What became of a text that only the spoke that was cut off had. */
  async #showTail({ blog, peer, seq, id, title }: ShownTail): Promise<void> {
    const spoke = this.#observer.spokes().find(({ name }) => name === peer)
    if (spoke === undefined) return
    const inLog = await this.#observer.entry(spoke, blog, seq, null)
    if (inLog !== null && idOf(inLog) === id) {
      return this.#timeline.add('tail', `"${title}", entry ${seq} of ${blog}: published after all`)
    }
    const aside = await this.#observer.entry(spoke, blog, seq, id)
    // By its address alone: DNS leads readers to the blog's replicas, and it may be none any more.
    const host = `${blog}.${this.#demo.zone}:${this.#demo.port}`
    const where = `curl -H 'Host: ${host}' 'http://${spoke.host}:${this.#demo.port}/log/${seq}.txt?id=${id}'`
    this.#timeline.add(
      'tail',
      `"${title}" is not entry ${seq} of ${blog}: another text of its author was published there`,
      [
        aside !== null && idOf(aside) === id
          ? `${peer} keeps it, byte for byte, aside; its author finds it at http://edit.${host}/left, to be signed again`
          : `${peer} does not show it`,
        where,
      ],
    )
  }

  async #until(what: string, check: () => Promise<boolean>): Promise<void> {
    const endMs = this.#io.now() + patienceMs
    while (!(await check())) {
      if (this.#io.now() > endMs) {
        throw new CommandError(
          'notReady',
          `${what} within ${patienceMs / 1_000} s. See what the peers say: log.jsonl in their folders.`,
        )
      }
      await wait(lookMs)
    }
  }
}
